// Flows of openid-client for flows.mjs. It verifies the signatures of ID tokens and of introspection responses.

import * as client from 'openid-client';

const REDIRECT = 'http://127.0.0.1:54321/callback';
const AFTER = 'http://127.0.0.1:54321/bye';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks];

async function registered(issuer, metadata, auth) {
  const all = { redirect_uris: [REDIRECT], scope: 'openid read', ...metadata };
  return client.dynamicClientRegistration(new URL(issuer), all, auth, { execute });
}

// Log in with OpenID Connect, and optionally with a pushed request, private_key_jwt and DPoP.
export async function openid({ issuer, fapi2 }, visit) {
  const metadata = {
    grant_types: ['authorization_code', 'refresh_token'],
    post_logout_redirect_uris: [AFTER],
    scope: 'openid profile read',
  };
  let auth = client.ClientSecretBasic();
  if (fapi2) {
    const keys = await client.randomDPoPKeyPair('ES256', { extractable: true });
    const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey);
    metadata.jwks = { keys: [{ kty, crv, x, y, kid: 'one' }] };
    metadata.token_endpoint_auth_method = 'private_key_jwt';
    metadata.introspection_signed_response_alg = 'ES256';
    auth = client.PrivateKeyJwt({ key: keys.privateKey, kid: 'one' });
  }
  const config = await registered(issuer, metadata, auth);
  const DPoP = fapi2 ? client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) : undefined;
  const verifier = client.randomPKCECodeVerifier();
  const nonce = client.randomNonce();
  const state = client.randomState();
  const parameters = {
    redirect_uri: REDIRECT,
    scope: 'openid profile read',
    max_age: '3600',
    state,
    nonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  };
  const url = fapi2
    ? await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
    : client.buildAuthorizationUrl(config, parameters);
  const checks = {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    maxAge: 3600,
    idTokenExpected: true,
  };
  const callback = await visit(url);
  const tokens = await client.authorizationCodeGrant(config, callback, checks, undefined, { DPoP });
  const claims = tokens.claims();
  const user = await client.fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP });
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  const introspected = await client.tokenIntrospection(config, refreshed.access_token);
  await client.tokenRevocation(config, refreshed.refresh_token ?? tokens.refresh_token);
  const revoked = await client.tokenIntrospection(config, refreshed.access_token);
  const logout = await visit(
    client.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: AFTER,
      state,
    }),
  );
  return {
    type: tokens.token_type,
    clientId: config.clientMetadata().client_id,
    claims,
    user,
    refreshed: refreshed.claims(),
    introspected,
    revoked,
    loggedOut: logout.href === `${AFTER}?state=${state}`,
  };
}

// Log in on a device. The library waits for the interval before its first poll.
export async function device({ issuer }, visit) {
  const grants = { grant_types: [DEVICE, 'refresh_token'], token_endpoint_auth_method: 'none' };
  const config = await registered(issuer, grants, client.None());
  const started = await client.initiateDeviceAuthorization(config, { scope: 'openid read' });
  await visit(started.verification_uri_complete);
  const tokens = await client.pollDeviceAuthorizationGrant(config, started);
  const claims = tokens.claims();
  return { scope: tokens.scope, claims, user: await client.fetchUserInfo(config, tokens.access_token, claims.sub) };
}
