// Signs an access token by each algorithm with jose, as another issuer in JavaScript
// does. The test of cmd/onnxgate/e2e holds the server to accepting them. Read from
// standard input, as drive.mjs is:
//
//   node --input-type=module - CLAIMS <sign.mjs
//
// Prints {"keys": JWK Set, "tokens": {algorithm: token}}.
import * as jose from 'jose';

const claims = JSON.parse(process.argv.at(-1));
const keys = [];
const tokens = {};
for (const alg of ['EdDSA', 'ES256', 'RS256']) {
	const pair = await jose.generateKeyPair(alg, { extractable: true });
	keys.push({ ...(await jose.exportJWK(pair.publicKey)), kid: alg, alg, use: 'sig' });
	tokens[alg] = await new jose.SignJWT(claims).setProtectedHeader({ alg, kid: alg, typ: 'at+jwt' }).sign(pair.privateKey);
}
console.log(JSON.stringify({ keys: { keys }, tokens }));
