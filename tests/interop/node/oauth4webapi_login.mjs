// Log in to an issuer with oauth4webapi: pushed request, DPoP, private_key_jwt or no client authentication.
import { createInterface } from 'node:readline/promises';
import * as oauth from 'oauth4webapi';

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await input.next()).value);
const write = (value) => console.log(JSON.stringify(value));

const { issuer, resource, redirect_uri, method } = await read();
const options = { [oauth.allowInsecureRequests]: true };
const server = await oauth.processDiscoveryResponse(
  new URL(issuer),
  await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oauth2' }),
);
const keys = await oauth.generateKeyPair('ES256', { extractable: true });
const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey);
const client = await oauth.processDynamicClientRegistrationResponse(
  await oauth.dynamicClientRegistrationRequest(
    server,
    {
      redirect_uris: [redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: method,
      dpop_bound_access_tokens: true,
      scope: 'a b',
      ...(method === 'private_key_jwt' ? { jwks: { keys: [{ kty, crv, x, y, kid: 'one' }] } } : {}),
    },
    options,
  ),
);
const auth =
  method === 'private_key_jwt'
    ? oauth.PrivateKeyJwt({ key: keys.privateKey, kid: 'one' })
    : oauth.None();
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
const bound = { ...options, DPoP };
let nonces = 0;

// The issuer may reject the first proof to give the client a nonce.
async function withNonce(send) {
  try {
    return await send();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    nonces += 1;
    return await send();
  }
}

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const parameters = {
  response_type: 'code',
  client_id: client.client_id,
  redirect_uri,
  scope: 'a',
  state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
};
const pushed = await withNonce(async () =>
  oauth.processPushedAuthorizationResponse(
    server,
    client,
    await oauth.pushedAuthorizationRequest(server, client, auth, parameters, bound),
  ),
);
const url = new URL(server.authorization_endpoint);
url.searchParams.set('client_id', client.client_id);
url.searchParams.set('request_uri', pushed.request_uri);
write({ url: url.href });

const { callback } = await read();
const response = oauth.validateAuthResponse(server, client, new URL(callback), state);
const tokens = await withNonce(async () =>
  oauth.processAuthorizationCodeResponse(
    server,
    client,
    await oauth.authorizationCodeGrantRequest(
      server, client, auth, response, redirect_uri, verifier, bound,
    ),
  ),
);
const refreshed = await withNonce(async () =>
  oauth.processRefreshTokenResponse(
    server,
    client,
    await oauth.refreshTokenGrantRequest(server, client, auth, tokens.refresh_token, bound),
  ),
);
const call = (token, withDpop) =>
  oauth.protectedResourceRequest(
    token, 'GET', new URL(resource), undefined, undefined, withDpop ? bound : options,
  );
const answer = await withNonce(() => call(refreshed.access_token, true));
let rejected;
try {
  rejected = (await call(refreshed.access_token, false)).status;
} catch (error) {
  rejected = error.status;
}
write({
  types: [tokens.token_type, refreshed.token_type],
  rotated: refreshed.refresh_token !== undefined,
  answer: await answer.json(),
  rejected,
  nonces,
});
