// Log a user in with oauth4webapi and OpenID Connect: ID tokens, their signatures, and UserInfo.
import { createInterface } from 'node:readline/promises';
import * as oauth from 'oauth4webapi';

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await input.next()).value);
const write = (value) => console.log(JSON.stringify(value));

const { issuer, redirect_uri, metadata } = await read();
const options = { [oauth.allowInsecureRequests]: true };
const server = await oauth.processDiscoveryResponse(
  new URL(issuer),
  await oauth.discoveryRequest(new URL(issuer), options),
);
const client = await oauth.processDynamicClientRegistrationResponse(
  await oauth.dynamicClientRegistrationRequest(
    server,
    {
      redirect_uris: [redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid profile',
      ...metadata,
    },
    options,
  ),
);
const auth = oauth.ClientSecretBasic(client.client_secret);
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const nonce = oauth.generateRandomNonce();
const url = new URL(server.authorization_endpoint);
url.search = new URLSearchParams({
  response_type: 'code',
  client_id: client.client_id,
  redirect_uri,
  scope: 'openid profile',
  state,
  nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
});
write({ url: url.href });

const { callback } = await read();
const answer = oauth.validateAuthResponse(server, client, new URL(callback), state);
const response = await oauth.authorizationCodeGrantRequest(
  server, client, auth, answer, redirect_uri, verifier, options,
);
const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
  expectedNonce: nonce,
  requireIdToken: true,
});
await oauth.validateApplicationLevelSignature(server, response, options);
const claims = oauth.getValidatedIdTokenClaims(tokens);
const user = await oauth.processUserInfoResponse(
  server,
  client,
  claims.sub,
  await oauth.userInfoRequest(server, client, tokens.access_token, options),
);
const again = await oauth.refreshTokenGrantRequest(
  server, client, auth, tokens.refresh_token, options,
);
const refreshed = await oauth.processRefreshTokenResponse(server, client, again);
await oauth.validateApplicationLevelSignature(server, again, options);
write({
  alg: JSON.parse(Buffer.from(tokens.id_token.split('.')[0], 'base64url')).alg,
  user,
  same: oauth.getValidatedIdTokenClaims(refreshed).sub === claims.sub,
});
