// Prints the token that the AWS SDK for JavaScript finds in ~/.aws, with one line per call:
//
//   {}
//   {"ok": true, "token": "...", "expiration": "2026-01-02T03:04:05.354Z"}
//   {"ok": false, "error": "TokenProviderError: ..."}
//
// The SDK sends at most one refresh request in 30 seconds, so each call that may refresh needs a
// separate process. Exits when standard input closes.

import { createInterface } from 'node:readline';

import { fromSso } from '@aws-sdk/token-providers';

console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface({ input: process.stdin })) {
  JSON.parse(line);
  try {
    const { token, expiration } = await fromSso()();
    console.log(JSON.stringify({ ok: true, token, expiration }));
  } catch (error) {
    console.log(JSON.stringify({ ok: false, error: `${error}` }));
  }
}
process.exit(0);
