// An OpenID provider for the tests of outside issuers: npm's oidc-provider over
// TLS, for clients that get access tokens for themselves (client_credentials).
//
//   node serve.mjs '{"cert": PEM, "key": PEM, "keys": [private JWKs], "port": 0}'
//
// It prints one line of JSON, {"issuer": …}, when it listens. The first key signs;
// to rotate, stop it and start it again on its port with other keys.

import { createServer } from 'node:https';
import { createRequire } from 'node:module';

// Packages are not beside this file but where NODE_PATH says, which only
// CommonJS resolution looks at.
const { default: Provider } = await import(createRequire(import.meta.url).resolve('oidc-provider'));

const options = JSON.parse(process.argv[2]);
const server = createServer({ cert: options.cert, key: options.key });
await new Promise((listening) => server.listen(options.port, '127.0.0.1', listening));
const issuer = `https://127.0.0.1:${server.address().port}`;

const client = (id, scope) => ({
  client_id: id,
  client_secret: `secret of ${id}`,
  grant_types: ['client_credentials'],
  id_token_signed_response_alg: options.keys[0].alg,
  redirect_uris: [],
  response_types: [],
  scope,
});

const provider = new Provider(issuer, {
  jwks: { keys: options.keys },
  clients: [client('scoring', 'models:read models:predict'), client('reading', 'models:read')],
  scopes: ['models:read', 'models:predict'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        audience: resource,
        scope: 'models:read models:predict',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        jwt: { sign: { alg: options.keys[0].alg } },
      }),
    },
  },
  // What a directory would know of the client.
  extraTokenClaims: (_, token) => ({ groups: token.clientId === 'scoring' ? ['ml-users'] : [], email_verified: true }),
});
server.on('request', provider.callback());
console.log(JSON.stringify({ issuer }));
