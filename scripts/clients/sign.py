"""Signs an access token by each algorithm with PyJWT, as another issuer in Python
does. The test of cmd/onnxgate/e2e holds the server to accepting them.

    /usr/bin/python3 sign.py <CLAIMS

Prints {"keys": JWK Set, "tokens": {algorithm: token}}."""

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

claims = json.load(sys.stdin)
keys = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}
published, tokens = [], {}
for alg, key in keys.items():
    jwk = json.loads(jwt.get_algorithm_by_name(alg).to_jwk(key.public_key()))
    published.append(jwk | {"kid": alg, "alg": alg, "use": "sig"})
    tokens[alg] = jwt.encode(claims, key, algorithm=alg, headers={"kid": alg, "typ": "at+jwt"})
print(json.dumps({"keys": {"keys": published}, "tokens": tokens}))
