// Calls the AWS SDK for JavaScript, with one line of JSON per call and per result:
//
//   {"id": 1, "endpoint": "http://127.0.0.1:1", "command": "CreateToken", "input": {...}}
//   {"id": 1, "ok": true, "output": {...}}
//   {"id": 1, "ok": false, "error": {"name": "InvalidGrantException", "isInstance": true, ...}}
//
// The first argument is the SDK's package, and the second the prefix of its classes, such as SSOOIDC.
// Exits when standard input closes.

import { createInterface } from 'node:readline';

const [, , module, prefix] = process.argv;
const sdk = await import(module);
const clients = new Map();

function clientFor(endpoint, maxAttempts) {
  const key = `${maxAttempts} ${endpoint}`;
  if (!clients.has(key)) {
    clients.set(key, new sdk[`${prefix}Client`]({ endpoint, maxAttempts, region: 'us-east-1' }));
  }
  return clients.get(key);
}

function described(error) {
  return {
    name: error.name,
    className: error.constructor.name,
    isInstance: typeof sdk[error.name] === 'function' && error instanceof sdk[error.name],
    isServiceException: error instanceof sdk[`${prefix}ServiceException`],
    message: error.message,
    error: error.error,
    error_description: error.error_description,
    reason: error.reason,
    status: error.$metadata?.httpStatusCode,
    attempts: error.$metadata?.attempts,
  };
}

async function answer({ endpoint, command, input, maxAttempts = 1 }) {
  try {
    const Command = sdk[`${command}Command`];
    const { $metadata, ...output } = await clientFor(endpoint, maxAttempts).send(new Command(input));
    return { ok: true, output, status: $metadata.httpStatusCode };
  } catch (error) {
    return { ok: false, error: described(error) };
  }
}

console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface({ input: process.stdin })) {
  const call = JSON.parse(line);
  console.log(JSON.stringify({ id: call.id, ...(await answer(call)) }));
}
process.exit(0);
