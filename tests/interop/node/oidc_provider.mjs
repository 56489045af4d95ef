// An OpenID provider on loopback for the tests. Prints one line of JSON when it is ready, and exits
// on SIGTERM or when standard input closes, so it cannot outlive the test.
//
//   node oidc_provider.mjs ['{"port": 0, "ttl": {"DeviceCode": 2}}']

import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';

import { errors, Provider } from 'oidc-provider';

const { port = 0, ttl = {} } = JSON.parse(process.argv[2] ?? '{}');

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const CIBA = 'urn:openid:params:grant-type:ciba';
const PERSONAL = ['authorization_code', 'refresh_token', DEVICE_CODE];
const SCOPES = ['openid', 'offline_access', 'email', 'read', 'write'];

// oidc-provider's default adapter evicts the oldest of a thousand entries, which would invalidate
// live refresh tokens in a long run.
class MapAdapter {
  static #rows = new Map();
  static #byUid = new Map();
  static #byUserCode = new Map();
  static #byGrant = new Map();

  static #indexed = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);

  #model;

  constructor(model) {
    this.#model = model;
  }

  #key(id) {
    return `${this.#model}:${id}`;
  }

  async upsert(id, payload) {
    const key = this.#key(id);
    MapAdapter.#rows.set(key, payload);
    if (payload.uid) MapAdapter.#byUid.set(payload.uid, key);
    if (payload.userCode) MapAdapter.#byUserCode.set(payload.userCode, key);
    if (payload.grantId && MapAdapter.#indexed.has(this.#model)) {
      const keys = MapAdapter.#byGrant.get(payload.grantId) ?? new Set();
      MapAdapter.#byGrant.set(payload.grantId, keys.add(key));
    }
  }

  async find(id) {
    return MapAdapter.#rows.get(this.#key(id));
  }

  async findByUid(uid) {
    return MapAdapter.#rows.get(MapAdapter.#byUid.get(uid));
  }

  async findByUserCode(userCode) {
    return MapAdapter.#rows.get(MapAdapter.#byUserCode.get(userCode));
  }

  async consume(id) {
    MapAdapter.#rows.get(this.#key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    MapAdapter.#rows.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of MapAdapter.#byGrant.get(grantId) ?? []) MapAdapter.#rows.delete(key);
    MapAdapter.#byGrant.delete(grantId);
  }
}

const secret = () => randomBytes(24).toString('base64url');

function client(id, method, { clientSecret, grants = PERSONAL } = {}) {
  return {
    client_id: id,
    ...(clientSecret && { client_secret: clientSecret }),
    token_endpoint_auth_method: method,
    // Only a native client may use http redirects to loopback, with any port (RFC 8252 7.3).
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/callback'],
    response_types: ['code'],
    grant_types: grants,
    scope: SCOPES.join(' '),
  };
}

const clients = {
  basic: client('basic', 'client_secret_basic', {
    clientSecret: secret(),
    grants: [...PERSONAL, 'client_credentials'],
  }),
  // Tests the form-encoding of Basic credentials (RFC 6749 section 2.3.1) with reserved characters.
  awkward: client('awk ward:1+1%', 'client_secret_basic', {
    clientSecret: `${secret()}: +/%20&=`,
  }),
  post: client('post', 'client_secret_post', {
    clientSecret: secret(),
    grants: [...PERSONAL, 'client_credentials'],
  }),
  public: client('public', 'none'),
  // An issuer whose users log in here.
  issuer: {
    ...client('issuer', 'client_secret_basic', { clientSecret: secret() }),
    redirect_uris: ['http://127.0.0.1/login/callback'],
    post_logout_redirect_uris: ['http://127.0.0.1/session/ended'],
  },
  ciba: {
    ...client('ciba', 'client_secret_basic', {
      clientSecret: secret(),
      grants: [...PERSONAL, CIBA],
    }),
    backchannel_token_delivery_mode: 'poll',
  },
};

// Pending requests on the user's phone, by binding message.
const phone = new Map();

const server = createServer();
await new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(port, '127.0.0.1', resolve);
});

const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  adapter: MapAdapter,
  clients: Object.values(clients),
  scopes: SCOPES,
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
  }),
  cookies: { keys: [secret()] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, asking) => asking.grantTypeAllowed('refresh_token'),
  expiresWithSession: async () => false,
  ttl: {
    AccessToken: 3600,
    AuthorizationCode: 60,
    ClientCredentials: 3600,
    DeviceCode: 600,
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
    ...ttl,
  },
  features: {
    ciba: {
      enabled: true,
      deliveryModes: ['poll'],
      processLoginHint: async (ctx, hint) => (hint === 'user-1' ? 'user-1' : undefined),
      triggerAuthenticationDevice: async (ctx, request) => {
        phone.set(ctx.oidc.params.binding_message, request);
      },
      validateBindingMessage: async (ctx, message) => {
        if (!/^[A-Z0-9-]{1,20}$/.test(message ?? '')) throw new errors.InvalidBindingMessage();
      },
      validateRequestContext: async () => {},
      verifyUserCode: async () => {},
    },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    // Tokens for a resource whose URL ends with /opaque are opaque, and all others are JWTs.
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: async (ctx, resource) => ({
        audience: resource,
        scope: 'read write',
        accessTokenFormat: resource.endsWith('/opaque') ? 'opaque' : 'jwt',
      }),
    },
    revocation: { enabled: true },
  },
});
provider.on('server_error', (ctx, error) => console.error(error));

async function decide(url) {
  const request = phone.get(url.searchParams.get('binding_message'));
  if (url.searchParams.get('decision') === 'deny') {
    return provider.backchannelResult(request, new errors.AccessDenied());
  }
  const { accountId, clientId, params } = request;
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(params.scope);
  await grant.save();
  return provider.backchannelResult(request, grant);
}

const callback = provider.callback();
server.on('request', (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname !== '/phone') {
    callback(request, response);
    return;
  }
  decide(url).then(
    () => response.writeHead(204).end(),
    (error) => response.writeHead(500).end(String(error)),
  );
});

function leave() {
  server.close(() => process.exit(0));
  server.closeAllConnections();
}
process.once('SIGTERM', leave);
process.stdin.once('end', leave).once('error', leave).resume();

console.log(JSON.stringify({ issuer, clients }));
