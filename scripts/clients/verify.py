"""Verifies an access token with PyJWT by a published JWK Set, as a service in
Python does.

    SSL_CERT_FILE=… /usr/bin/python3 verify.py JWKS-URI ISSUER <TOKEN

Prints the subject."""

import sys

import jwt

uri, issuer = sys.argv[1:]
token = sys.stdin.read().strip()
keys = jwt.PyJWKClient(uri)
claims = jwt.decode(
    token,
    keys.get_signing_key_from_jwt(token).key,
    algorithms=["EdDSA", "ES256", "RS256"],
    audience=issuer,
    issuer=issuer,
    options={"require": ["exp", "iat", "jti", "sub"]},
)
print(claims["sub"])
