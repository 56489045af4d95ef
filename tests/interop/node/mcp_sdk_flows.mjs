// Flows of the MCP SDK for flows.mjs: it finds the issuer in the metadata of a resource server.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const REDIRECT = 'http://127.0.0.1:54321/callback';

// What an application stores for the SDK.
class Session {
  redirectUrl = REDIRECT;

  constructor(method) {
    this.clientMetadata = {
      client_name: 'MCP client',
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: method,
    };
  }

  clientInformation() {
    return this.client;
  }

  saveClientInformation(client) {
    this.client = client;
  }

  tokens() {
    return this.stored;
  }

  saveTokens(tokens) {
    this.stored = tokens;
  }

  redirectToAuthorization(url) {
    this.url = url;
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  codeVerifier() {
    return this.verifier;
  }
}

// Log in to an MCP server and call its tool, also after the access token has become invalid.
export async function login({ server, method }, visit) {
  const session = new Session(method);
  const transport = () => new StreamableHTTPClientTransport(new URL(server), { authProvider: session });
  const client = new Client({ name: 'judge', version: '1.0' });
  const first = transport();
  try {
    await client.connect(first);
    throw new Error('the server accepted a request without a token');
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
  }
  const callback = await visit(session.url);
  await first.finishAuth(callback.searchParams.get('code'));
  await client.close();
  await client.connect(transport());
  const { tools } = await client.listTools();
  const call = async () => JSON.parse((await client.callTool({ name: tools[0].name })).content[0].text);
  const claims = await call();
  const issued = session.stored;
  session.stored = { ...issued, access_token: 'invalid' };
  const again = await call();
  await client.close();
  return {
    claims,
    again,
    rotated: session.stored.refresh_token !== issued.refresh_token,
    clientId: session.client.client_id,
  };
}
