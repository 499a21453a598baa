// Uses the authorization server as programs in JavaScript do, for the tests of
// cmd/onnxgate/e2e. Read from standard input, so that packages are found in the
// working directory:
//
//   node --input-type=module - '{"issuer": …, "id": …, "secret": …, …}' <drive.mjs
//
// Prints what it saw as one JSON object; the Go test judges it.
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

const options = JSON.parse(process.argv.at(-1));
const issuer = new URL(options.issuer);

// openid-client, with the secret in the header.
async function withOpenidClient() {
	const config = await openid.discovery(issuer, options.id, undefined,
		openid.ClientSecretBasic(options.secret), { algorithm: 'oauth2' });
	const token = await openid.clientCredentialsGrant(config, { scope: 'models:predict' });
	const seen = { scope: token.scope, before: await openid.tokenIntrospection(config, token.access_token) };
	await openid.tokenRevocation(config, token.access_token);
	seen.after = await openid.tokenIntrospection(config, token.access_token);

	const signedIn = await openid.genericGrantRequest(config, 'password', {
		username: options.username, password: options.password, scope: 'models:read offline_access',
	});
	const refreshed = await openid.refreshTokenGrant(config, signedIn.refresh_token);
	seen.refreshed = { scope: refreshed.scope, rotated: refreshed.refresh_token !== signedIn.refresh_token };
	await openid.tokenRevocation(config, refreshed.refresh_token);
	seen.ended = await openid.refreshTokenGrant(config, refreshed.refresh_token).catch((e) => e.error);
	return seen;
}

// oauth4webapi, with the secret in the body.
async function withOauth4webapi() {
	const as = await oauth.processDiscoveryResponse(issuer,
		await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' }));
	const client = { client_id: options.id };
	const auth = oauth.ClientSecretPost(options.secret);
	const token = await oauth.processClientCredentialsResponse(as, client,
		await oauth.clientCredentialsGrantRequest(as, client, auth, new URLSearchParams({ scope: 'models:predict' })));
	const introspect = async () => oauth.processIntrospectionResponse(as, client,
		await oauth.introspectionRequest(as, client, auth, token.access_token));
	const seen = { scope: token.scope, before: await introspect() };
	await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token.access_token));
	seen.after = await introspect();

	const signedIn = await oauth.processGenericTokenEndpointResponse(as, client,
		await oauth.genericTokenEndpointRequest(as, client, auth, 'password',
			new URLSearchParams({ username: options.username, password: options.password, scope: 'offline_access' })));
	const refreshed = await oauth.processRefreshTokenResponse(as, client,
		await oauth.refreshTokenGrantRequest(as, client, auth, signedIn.refresh_token));
	seen.refreshed = { scope: refreshed.scope, rotated: refreshed.refresh_token !== signedIn.refresh_token };

	// A program without a client of its own names the public one.
	const publicClient = { client_id: 'onnxgate' };
	const own = await oauth.processGenericTokenEndpointResponse(as, publicClient,
		await oauth.genericTokenEndpointRequest(as, publicClient, oauth.None(), 'password',
			new URLSearchParams({ username: options.username, password: options.password, scope: 'offline_access' })));
	await oauth.processRevocationResponse(await oauth.revocationRequest(as, publicClient, oauth.None(), own.refresh_token));
	seen.wrong = await oauth.clientCredentialsGrantRequest(as, client, oauth.ClientSecretPost('wrong'), new URLSearchParams())
		.then((r) => oauth.processClientCredentialsResponse(as, client, r))
		.catch((e) => `${e.status} ${e.cause?.[0]?.scheme}`);
	return seen;
}

// jose verifies by the published keys.
async function withJose() {
	const metadata = await (await fetch(new URL('/.well-known/oauth-authorization-server', issuer))).json();
	const keys = jose.createRemoteJWKSet(new URL(metadata.jwks_uri));
	const { payload, protectedHeader } = await jose.jwtVerify(options.token, keys, {
		issuer: options.issuer, audience: options.issuer, typ: 'at+jwt',
	});
	return { subject: payload.sub, alg: protectedHeader.alg };
}

console.log(JSON.stringify({
	openid: await withOpenidClient(),
	oauth4webapi: await withOauth4webapi(),
	jose: await withJose(),
}));
