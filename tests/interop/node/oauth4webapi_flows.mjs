// Flows of oauth4webapi for flows.mjs. Each response passes the checks of the library before the next request.

import { readFile } from 'node:fs/promises';

import * as oauth from 'oauth4webapi';
import { Agent, fetch } from 'undici';

const insecure = { [oauth.allowInsecureRequests]: true };
const REDIRECT = 'http://127.0.0.1:54321/callback';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const API = 'https://api.example.com/';

async function discovered(issuer, algorithm = 'oauth2') {
  const url = new URL(issuer);
  const response = await oauth.discoveryRequest(url, { ...insecure, algorithm });
  return oauth.processDiscoveryResponse(url, response);
}

async function registered(server, metadata) {
  const response = await oauth.dynamicClientRegistrationRequest(
    server,
    { redirect_uris: [REDIRECT], scope: 'read write', ...metadata },
    insecure,
  );
  return oauth.processDynamicClientRegistrationResponse(response);
}

// A client with private_key_jwt, or another method of authentication.
async function authenticated(server, method, algorithm, metadata) {
  if (method !== 'private_key_jwt') {
    const client = await registered(server, { ...metadata, token_endpoint_auth_method: method });
    return [client, method === 'none' ? oauth.None() : oauth.ClientSecretBasic(client.client_secret)];
  }
  const keys = await oauth.generateKeyPair(algorithm, { extractable: true });
  const { kty, crv, x, y, n, e } = await crypto.subtle.exportKey('jwk', keys.publicKey);
  const client = await registered(server, {
    ...metadata,
    token_endpoint_auth_method: method,
    token_endpoint_auth_signing_alg: algorithm,
    jwks: { keys: [{ kty, crv, x, y, n, e, kid: 'one' }] },
  });
  return [client, oauth.PrivateKeyJwt({ key: keys.privateKey, kid: 'one' })];
}

// Sends a request again with the nonce that the server returned, and counts that.
function noncesOf() {
  const count = { nonces: 0 };
  count.with = async (send) => {
    try {
      return await send();
    } catch (error) {
      if (!oauth.isDPoPNonceError(error)) throw error;
      count.nonces += 1;
      return send();
    }
  };
  return count;
}

// A resource server that verifies JWT access tokens and their DPoP proofs.
function resourceServer(server, requireDPoP) {
  return async (url, { method, headers }) => {
    const request = new Request(url, { method, headers });
    try {
      const claims = await oauth.validateJwtAccessToken(server, request, API, { ...insecure, requireDPoP });
      return Response.json(claims);
    } catch (error) {
      return Response.json({ message: error.message }, { status: 403 });
    }
  };
}

async function called(server, token, options, requireDPoP = 'DPoP' in options) {
  const response = await oauth.protectedResourceRequest(token, 'GET', new URL(API), undefined, undefined, {
    ...options,
    [oauth.customFetch]: resourceServer(server, requireDPoP),
  });
  return { status: response.status, ...(await response.json()) };
}

// Log in with a code, a pushed request, DPoP and PKCE, as the FAPI 2.0 Security Profile requires.
export async function login({ issuer, method, resource }, visit) {
  const server = await discovered(issuer);
  const [client, auth] = await authenticated(server, method, 'ES256', {
    grant_types: ['authorization_code', 'refresh_token'],
    dpop_bound_access_tokens: true,
  });
  const bound = { ...insecure, DPoP: oauth.DPoP(client, await oauth.generateKeyPair('ES256')) };
  const count = noncesOf();
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const parameters = new URLSearchParams({
    response_type: 'code',
    redirect_uri: REDIRECT,
    scope: 'read',
    state,
    resource: API,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  parameters.append('resource', resource);
  const pushed = await count.with(async () =>
    oauth.processPushedAuthorizationResponse(
      server,
      client,
      await oauth.pushedAuthorizationRequest(server, client, auth, parameters, bound),
    ),
  );
  const url = new URL(server.authorization_endpoint);
  url.searchParams.set('client_id', client.client_id);
  url.searchParams.set('request_uri', pushed.request_uri);
  // Also compares `iss` with the issuer (RFC 9207).
  const response = oauth.validateAuthResponse(server, client, await visit(url), state);
  const tokens = await count.with(async () =>
    oauth.processAuthorizationCodeResponse(
      server,
      client,
      await oauth.authorizationCodeGrantRequest(server, client, auth, response, REDIRECT, verifier, bound),
    ),
  );
  const refresh = (token, target) => count.with(async () =>
    oauth.processRefreshTokenResponse(
      server,
      client,
      await oauth.refreshTokenGrantRequest(server, client, auth, token, {
        ...bound,
        additionalParameters: { resource: target },
      }),
    ),
  );
  const forApi = await refresh(tokens.refresh_token, API);
  const forIssuer = await refresh(forApi.refresh_token ?? tokens.refresh_token, resource);
  const other = { ...insecure, DPoP: oauth.DPoP(client, await oauth.generateKeyPair('ES256')) };
  const own = (token, options) => oauth.protectedResourceRequest(
    token, 'GET', new URL(resource), undefined, undefined, options,
  );
  const rejected = async (token, options) => {
    try {
      await own(token, options);
    } catch (error) {
      return error.status;
    }
  };
  const { access_token: token } = forApi;
  return {
    types: [tokens.token_type, forApi.token_type],
    rotated: forApi.refresh_token !== undefined,
    nonces: count.nonces,
    claims: await called(server, token, bound),
    withAnotherKey: (await called(server, token, other)).message,
    withoutProof: (await called(server, token, insecure, false)).message,
    own: await (await own(forIssuer.access_token, bound)).json(),
    ownWithoutProof: await rejected(forIssuer.access_token, insecure),
    ownForAnotherAudience: await rejected(token, bound),
  };
}

// Log in on a device; the first poll is too early.
export async function device({ issuer, method }, visit) {
  const server = await discovered(issuer);
  const [client, auth] = await authenticated(server, method, 'ES256', {
    grant_types: [DEVICE, 'refresh_token'],
  });
  const started = await oauth.processDeviceAuthorizationResponse(
    server,
    client,
    await oauth.deviceAuthorizationRequest(server, client, auth, { scope: 'read', resource: API }, insecure),
  );
  const poll = async () =>
    oauth.processDeviceCodeResponse(
      server,
      client,
      await oauth.deviceCodeGrantRequest(server, client, auth, started.device_code, insecure),
    );
  let pending;
  try {
    await poll();
  } catch (error) {
    pending = error.error;
  }
  await visit(started.verification_uri_complete);
  const tokens = await poll();
  const claims = await called(server, tokens.access_token, insecure);
  const revoke = await oauth.revocationRequest(server, client, auth, tokens.refresh_token, insecure);
  await oauth.processRevocationResponse(revoke);
  let revoked;
  try {
    await oauth.processRefreshTokenResponse(
      server,
      client,
      await oauth.refreshTokenGrantRequest(server, client, auth, tokens.refresh_token, insecure),
    );
  } catch (error) {
    revoked = error.error;
  }
  return { pending, revoked, claims, scope: tokens.scope, interval: started.interval };
}

// Authenticate with private_key_jwt, and introspect the token with a signed response.
export async function introspection({ issuer, algorithm, signed }) {
  const server = await discovered(issuer);
  const [client, auth] = await authenticated(server, 'private_key_jwt', algorithm, {
    grant_types: ['client_credentials'],
    ...(signed ? { introspection_signed_response_alg: signed } : {}),
  });
  const tokens = await oauth.processClientCredentialsResponse(
    server,
    client,
    await oauth.clientCredentialsGrantRequest(server, client, auth, { resource: API }, insecure),
  );
  const ask = async (token) => {
    const response = await oauth.introspectionRequest(server, client, auth, token, {
      ...insecure,
      requestJwtResponse: true,
    });
    const found = await oauth.processIntrospectionResponse(server, client, response);
    await oauth.validateApplicationLevelSignature(server, response, insecure);
    return found;
  };
  return {
    claims: await called(server, tokens.access_token, insecure),
    introspected: await ask(tokens.access_token),
    unknown: await ask('unknown'),
  };
}

// Log in with OpenID Connect, and read the user's claims.
export async function openid({ issuer, algorithm }, visit) {
  const server = await discovered(issuer, 'oidc');
  const [client, auth] = await authenticated(server, 'client_secret_basic', undefined, {
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid read',
    id_token_signed_response_alg: algorithm,
  });
  const verifier = oauth.generateRandomCodeVerifier();
  const nonce = oauth.generateRandomNonce();
  const state = oauth.generateRandomState();
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    scope: 'openid read',
    state,
    nonce,
    max_age: '3600',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const response = oauth.validateAuthResponse(server, client, await visit(url), state);
  const raw = await oauth.authorizationCodeGrantRequest(
    server, client, auth, response, REDIRECT, verifier, insecure,
  );
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, raw, {
    expectedNonce: nonce,
    maxAge: 3600,
    requireIdToken: true,
  });
  await oauth.validateApplicationLevelSignature(server, raw, insecure);
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  const user = await oauth.processUserInfoResponse(
    server,
    client,
    claims.sub,
    await oauth.userInfoRequest(server, client, tokens.access_token, insecure),
  );
  const again = await oauth.processRefreshTokenResponse(
    server,
    client,
    await oauth.refreshTokenGrantRequest(server, client, auth, tokens.refresh_token, insecure),
  );
  return { claims, user, refreshed: oauth.getValidatedIdTokenClaims(again), clientId: client.client_id };
}

// Send a request that the user denies. The library also compares `iss` in the error response.
export async function denied({ issuer }, visit) {
  const server = await discovered(issuer);
  const [client] = await authenticated(server, 'none', undefined, { grant_types: ['authorization_code'] });
  const state = oauth.generateRandomState();
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(oauth.generateRandomCodeVerifier()),
    code_challenge_method: 'S256',
  });
  try {
    oauth.validateAuthResponse(server, client, await visit(url), state);
  } catch (error) {
    if (!(error instanceof oauth.AuthorizationResponseError)) throw error;
    return error.error;
  }
}

// Exchange an access token for a JWT for another issuer, and verify its signature.
export async function exchange({ issuer, audience }) {
  const server = await discovered(issuer);
  const grants = ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'];
  const [client, auth] = await authenticated(server, 'client_secret_basic', undefined, { grant_types: grants });
  const own = await oauth.processClientCredentialsResponse(
    server,
    client,
    await oauth.clientCredentialsGrantRequest(server, client, auth, {}, insecure),
  );
  const type = 'urn:ietf:params:oauth:token-type:';
  const parameters = {
    subject_token: own.access_token,
    subject_token_type: `${type}access_token`,
    requested_token_type: `${type}jwt`,
    audience,
  };
  const response = await oauth.genericTokenEndpointRequest(server, client, auth, grants[1], parameters, insecure);
  // A JWT for another issuer is no access token, so its type is N_A (RFC 8693 section 2.2.1).
  const exchanged = await oauth.processGenericTokenEndpointResponse(server, client, response, {
    recognizedTokenTypes: { n_a: () => {} },
  });
  return { token: exchanged.access_token, type: exchanged.issued_token_type, tokenType: exchanged.token_type };
}

// Authenticate with a TLS certificate, and introspect the token, which is bound to it.
export async function certificate({ issuer, clientId, files }) {
  const [ca, cert, key] = await Promise.all(files.map((file) => readFile(file)));
  const dispatcher = new Agent({ connect: { ca, cert, key } });
  const options = { [oauth.customFetch]: (url, init) => fetch(url, { ...init, dispatcher }) };
  const url = new URL(issuer);
  const metadata = await oauth.discoveryRequest(url, { ...options, algorithm: 'oauth2' });
  const server = await oauth.processDiscoveryResponse(url, metadata);
  const client = { client_id: clientId, use_mtls_endpoint_aliases: true };
  const auth = oauth.TlsClientAuth();
  try {
    const tokens = await oauth.processClientCredentialsResponse(
      server,
      client,
      await oauth.clientCredentialsGrantRequest(server, client, auth, {}, options),
    );
    const response = await oauth.introspectionRequest(server, client, auth, tokens.access_token, {
      ...options,
      requestJwtResponse: true,
    });
    const found = await oauth.processIntrospectionResponse(server, client, response);
    await oauth.validateApplicationLevelSignature(server, response, options);
    return { found, bound: server.tls_client_certificate_bound_access_tokens };
  } finally {
    await dispatcher.close();
  }
}
