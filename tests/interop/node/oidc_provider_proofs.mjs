// An OpenID provider on loopback that requires signed assertions, client certificates, DPoP with
// nonces, or pushed authorization requests. Prints one line of JSON when it is ready, and exits on
// SIGTERM or when standard input closes.
//
//   node oidc_provider_proofs.mjs '{"tls": {"key": "...", "cert": "...", "ca": "..."},
//                                   "jwks": {...}, "certificateJwk": {...}}'

import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { randomBytes } from 'node:crypto';

import { Provider } from 'oidc-provider';

const { tls, jwks, certificateJwk } = JSON.parse(process.argv[2]);

const SCOPES = ['openid', 'offline_access', 'read', 'write'];
const secret = randomBytes(48).toString('base64url');

function client(id, method, more = {}) {
  return {
    client_id: id,
    token_endpoint_auth_method: method,
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/callback'],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    scope: SCOPES.join(' '),
    ...more,
  };
}

const clients = {
  key: client('key', 'private_key_jwt', { jwks }),
  secret: client('secret', 'client_secret_jwt', { client_secret: secret }),
  issued: client('issued', 'tls_client_auth', { tls_client_auth_subject_dn: 'CN=issued' }),
  selfSigned: client('self-signed', 'self_signed_tls_client_auth', {
    jwks: { keys: [certificateJwk] },
  }),
  dpop: client('dpop', 'private_key_jwt', { jwks, dpop_bound_access_tokens: true }),
  dpopPublic: client('dpop-public', 'none', {
    dpop_bound_access_tokens: true,
    grant_types: ['authorization_code', 'refresh_token'],
  }),
};

const certificate = (ctx) => ctx.socket.getPeerX509Certificate?.();

const listening = (server) => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(0, '127.0.0.1', resolve);
});
const plain = createServer();
const secure = createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false });
await Promise.all([listening(plain), listening(secure)]);

const issuer = `http://127.0.0.1:${plain.address().port}`;
const alias = `https://127.0.0.1:${secure.address().port}`;
const provider = new Provider(issuer, {
  clients: Object.values(clients),
  clientAuthMethods: [
    'none', 'private_key_jwt', 'client_secret_jwt', 'tls_client_auth',
    'self_signed_tls_client_auth',
  ],
  scopes: SCOPES,
  claims: { openid: ['sub'] },
  cookies: { keys: [secret] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, asking) => asking.grantTypeAllowed('refresh_token'),
  findAccount: async (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
  discovery: { mtls_endpoint_aliases: { token_endpoint: `${alias}/token` } },
  enabledJWA: {
    clientAuthSigningAlgValues: ['HS256', 'RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
    dPoPSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    dPoP: {
      enabled: true,
      nonceSecret: randomBytes(32),
      requireNonce: () => true,
    },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => certificate(ctx)?.toString(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_subject_dn' && certificate(ctx).subject === expected,
    },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    userinfo: { enabled: true },
  },
});
provider.on('server_error', (ctx, error) => console.error(error));
for (const server of [plain, secure]) server.on('request', provider.callback());

function leave() {
  for (const server of [plain, secure]) {
    server.close();
    server.closeAllConnections();
  }
  process.exit(0);
}
process.once('SIGTERM', leave);
process.stdin.once('end', leave).once('error', leave).resume();

console.log(JSON.stringify({ issuer, clients }));
