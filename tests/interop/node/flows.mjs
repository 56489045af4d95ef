// Runs flows of a client library against an issuer. Each flow begins with one line of JSON, such as
//
//   {"flow": "device", "issuer": "http://127.0.0.1:1"}
//
// The program prints {"visit": "URL"} when the user must open a page, and reads {"callback": "URL"}. At the end it
// prints {"result": ...}, or {"error": {"code": ..., "message": ...}} for an exception. The first argument is the
// module with the flows. Exits when standard input closes.

import { createInterface } from 'node:readline';

const flows = await import(process.argv[2]);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const write = (value) => console.log(JSON.stringify(value));

async function visit(url) {
  write({ visit: String(url) });
  return new URL(JSON.parse((await input.next()).value).callback);
}

// Exceptions of these libraries have the reason in their cause.
const described = ({ code, message, cause }) => ({
  code,
  message: cause instanceof Error ? `${message}: ${cause.message}` : message,
});

write({ ready: true });
for (;;) {
  const { value, done } = await input.next();
  if (done) break;
  const { flow, ...parameters } = JSON.parse(value);
  try {
    write({ result: await flows[flow](parameters, visit) });
  } catch (error) {
    write({ error: described(error) });
  }
}
process.exit(0);
