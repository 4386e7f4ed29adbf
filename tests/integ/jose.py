"""Keys, key sets and signed tokens for the authentication tests.

Signatures come from the openssl program, so they owe nothing to our code.
"""

import base64
import hmac
import json
import os
import subprocess
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, input=None):
    return subprocess.run(("openssl",) + args, input=input, check=True,
                          capture_output=True).stdout


def raw_ecdsa(der):
    """SEQUENCE of two INTEGERs to 64 bytes."""
    assert der[0] == 0x30
    r_len = der[3]
    r, rest = der[4:4 + r_len], der[4 + r_len:]
    s = rest[2:2 + rest[1]]
    return b"".join(int.from_bytes(n, "big").to_bytes(32, "big")
                    for n in (r, s))


class Key:
    """One key pair in files of folder; alg is RS256 or ES256."""

    def __init__(self, folder, name="key", alg="ES256", bits=2048):
        self.alg = alg
        self.path = os.path.join(str(folder), name + ".pem")
        self.public = os.path.join(str(folder), name + ".pub")
        options = {"ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                   "RS256": ["RSA", "-pkeyopt",
                             "rsa_keygen_bits:%d" % bits]}[alg]
        openssl("genpkey", "-algorithm", *options, "-out", self.path)
        openssl("pkey", "-in", self.path, "-pubout", "-out", self.public)

    def sign(self, text):
        der = openssl("dgst", "-sha256", "-sign", self.path, input=text)
        return raw_ecdsa(der) if self.alg == "ES256" else der

    def jwk(self, kid):
        der = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
        if self.alg == "ES256":
            return {"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
                    "x": b64(der[-64:-32]), "y": b64(der[-32:])}
        modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus")
        n = bytes.fromhex(modulus.decode().strip().partition("=")[2])
        return {"kty": "RSA", "alg": "RS256", "kid": kid, "n": b64(n),
                "e": "AQAB"}

    def token(self, claims, header=None, kid=None):
        """claims and header: dicts, or the very JSON text."""
        if header is None:
            header = {"alg": self.alg, "typ": "JWT"}
            if kid is not None:
                header["kid"] = kid
        parts = [p if isinstance(p, str) else json.dumps(p)
                 for p in (header, claims)]
        text = ".".join(b64(p.encode()) for p in parts)
        return text + "." + b64(self.sign(text.encode()))


def hs256(secret, claims):
    text = b64(b'{"alg":"HS256"}') + "." + b64(json.dumps(claims).encode())
    return text + "." + b64(hmac.new(secret, text.encode(), "sha256").digest())


def jwks(*keys):
    """jwks(("kid", key), ...) -> JSON text."""
    return json.dumps({"keys": [key.jwk(kid) for kid, key in keys]})


def service_account(namespace="prod", name="ssh-proxy", life=600, **more):
    """Claims of a projected service-account token."""
    now = int(time.time())
    claims = {"iss": "https://issuer.test", "aud": ["k8shelld"],
              "iat": now, "nbf": now, "exp": now + life,
              "sub": "system:serviceaccount:%s:%s" % (namespace, name),
              "kubernetes.io": {
                  "namespace": namespace,
                  "serviceaccount": {"name": name, "uid": "1-2-3"},
                  "pod": {"name": "p", "uid": "4-5-6"}}}
    claims.update(more)
    return {k: v for k, v in claims.items() if v is not None}
