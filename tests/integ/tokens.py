"""Keys and tokens for the tests: what an issuer would make, and forgeries."""

import base64
import hashlib
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import \
    decode_dss_signature

ISSUER = "https://kubernetes.default.svc.cluster.local"


def b64(data):
    if isinstance(data, int):
        data = data.to_bytes((data.bit_length() + 7) // 8, "big")
    if isinstance(data, dict):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self, alg="RS256", kid="key-1"):
        self.alg, self.kid = alg, kid
        self.private = rsa.generate_private_key(65537, 2048) \
            if alg == "RS256" else ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        n = self.private.public_key().public_numbers()
        k = {"kid": self.kid, "use": "sig", "alg": self.alg}
        if self.alg == "RS256":
            k.update(kty="RSA", n=b64(n.n), e=b64(n.e))
        else:
            k.update(kty="EC", crv="P-256", x=b64(n.x.to_bytes(32, "big")),
                     y=b64(n.y.to_bytes(32, "big")))
        return k

    def pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo)

    def signature(self, data):
        if self.alg == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self.private.sign(
            data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def sign(self, claims, header=None):
        h = {"alg": self.alg, "kid": self.kid, "typ": "JWT"}
        h.update(header or {})
        h = {k: v for k, v in h.items() if v is not None}
        data = (b64(h) + "." + b64(claims)).encode()
        return data.decode() + "." + b64(self.signature(data))


def jwks(*keys):
    return json.dumps({"keys": [k.jwk() for k in keys]})


def account(namespace="k8shell", name="ssh-proxy", **more):
    """Claims of a service-account token."""
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": ["k8shelld"], "iat": now, "nbf": now,
        "exp": now + 600,
        "sub": "system:serviceaccount:%s:%s" % (namespace, name),
        "kubernetes.io": {"namespace": namespace,
                          "serviceaccount": {"name": name, "uid": "u"}},
    }
    claims.update(more)
    return {k: v for k, v in claims.items() if v is not None}


def workspace(username, uid, gid, **more):
    """Claims of a workspace identity token."""
    now = int(time.time())
    claims = {"sub": username, "uid": uid, "gid": gid, "iss": "k8shell",
              "iat": now, "exp": now + 3600, "source": "test",
              "shell": "/bin/sh", "sudo": False, "jti": "j-%d" % now}
    claims.update(more)
    return claims


def unsigned(claims, alg="none"):
    return b64({"alg": alg, "typ": "JWT"}) + "." + b64(claims) + "."


def hs256_with(secret, claims, kid="key-1"):
    """HS256 with a public key as the secret."""
    data = (b64({"alg": "HS256", "kid": kid}) + "." + b64(claims)).encode()
    return data.decode() + "." + b64(
        hmac.new(secret, data, hashlib.sha256).digest())
