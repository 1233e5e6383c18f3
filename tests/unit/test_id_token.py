"""Whose word an id_token is: every check of OpenID Connect Core 1.0 section 3.1.3.7, and the challenge of RFC 7636."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.fhir.id_token import verified
from adapters.fhir.launch import challenge
from cds.errors import Forbidden

ISSUER, AUDIENCE = "https://ehr.example", "sightline-page"
EC_KEY = ec.generate_private_key(ec.SECP384R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


def jwk(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, **members: str) -> dict[str, Any]:
    """A public key as an issuer publishes it."""
    algorithm: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    stated: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return {**stated, **members}


KEYS = {"keys": [jwk(EC_KEY, kid="e", use="sig"), jwk(RSA_KEY, kid="r", use="sig")]}


def token(key: Any = EC_KEY, algorithm: str = "ES384", kid: str = "e", **claims: object) -> str:
    """A token as the EHR signs it; a claim of `...` is left out."""
    now = int(time.time())
    all_claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "7", "exp": now + 300, "iat": now, **claims}
    stated = {name: value for name, value in all_claims.items() if value is not ...}
    return jwt.encode(stated, key, algorithm, headers={"kid": kid} if kid else None)


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def refused(given: str, keys: dict[str, Any] = KEYS) -> bool:
    """Whether nobody is believed, without a word why."""
    with pytest.raises(Forbidden) as told:
        verified(given, keys, issuer=ISSUER, audience=AUDIENCE)
    return str(told.value) == "The EHR did not prove who opens this page."


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(EC_KEY, "ES384", "e"), (RSA_KEY, "RS256", "r")])
def test_a_token_that_holds_tells_its_claims(key: Any, algorithm: str, kid: str) -> None:
    claims = verified(token(key, algorithm, kid, fhirUser="x"), KEYS, issuer=ISSUER, audience=AUDIENCE)
    assert claims["fhirUser"] == "x"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": ...},
        {"aud": "another-app"},
        {"aud": ...},
        {"sub": ...},
        {"exp": ...},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": 32503680000},
    ],
    ids=str,
)
def test_a_claim_that_is_wrong_or_missing_is_refused(claims: dict[str, object]) -> None:
    assert refused(token(**claims))


def test_a_signature_by_another_key_is_refused() -> None:
    assert refused(token(ec.generate_private_key(ec.SECP384R1())))


def test_an_unsigned_token_is_refused() -> None:
    assert refused(jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "7", "exp": 32503680000}, None, "none"))


def test_the_public_key_as_a_shared_secret_is_refused() -> None:
    """The confusion of RS256 and HS256: what everybody knows would sign for everybody."""
    public = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _, claims, _ = token(RSA_KEY, "RS256", "r").split(".")
    head = _part(b'{"alg":"HS256","kid":"r"}')
    signed = f"{head}.{claims}"
    assert refused(f"{signed}.{_part(hmac.digest(public, signed.encode(), 'sha256'))}")


def test_a_shared_secret_among_the_keys_is_no_key() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "s"}
    assert refused(token(b"secret-secret-secret-secret-secret", "HS256", "s"), {"keys": [secret]})


def test_a_key_for_encryption_is_no_key() -> None:
    assert refused(token(), {"keys": [jwk(EC_KEY, kid="e", use="enc")]})


@pytest.mark.parametrize("kid", ["", "other"])
def test_an_unknown_key_is_refused_where_there_are_several(kid: str) -> None:
    assert refused(token(kid=kid))


def test_without_an_id_the_only_key_is_meant() -> None:
    assert verified(token(kid=""), {"keys": [jwk(EC_KEY)]}, issuer=ISSUER, audience=AUDIENCE)["sub"] == "7"


@pytest.mark.parametrize("given", ["", "x", "a.b.c", "é.é.é", "e30.e30.", "x" * 20_000])
def test_what_is_no_token_is_refused(given: str) -> None:
    assert refused(given)


@pytest.mark.parametrize(
    "keys",
    [
        *({}, {"keys": None}, {"keys": ["x"]}, {"keys": [{"kty": "EC", "kid": "e"}]}),
        *({"keys": [{"kty": ["EC"], "kid": "e"}]}, {"keys": [jwk(EC_KEY, kid="e") | {"alg": ["ES384"]}]}),
    ],
)
def test_what_is_no_key_set_is_refused(keys: dict[str, Any]) -> None:
    assert refused(token(), keys)


def test_the_challenge_is_that_of_rfc_7636() -> None:
    """Appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
