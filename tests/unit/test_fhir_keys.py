"""The keys of SMART Backend Services: which are taken, what is published of them, and how they rotate."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from adapters.fhir.keys import SmartKeys, thumbprint
from cds.errors import ConfigurationError, Unavailable
from tests.unit.clinical import reference

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

#: Every member that only a private or symmetric key has (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1).
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
WANTED = "RSA of at least 2048 bits, or EC on P-384"


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem(key: Key, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def key_file(folder: Path, key: Key, name: str = "key.pem") -> Path:
    file = folder / name
    file.write_bytes(pem(key))
    return file


def published(keys: SmartKeys) -> list[dict[str, Any]]:
    found = keys.jwks()["keys"]
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def rs384() -> rsa.RSAPrivateKey:
    return rsa_key()


@pytest.fixture(scope="module")
def es384() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def test_every_public_key_is_published_and_no_private_member_of_any(
    tmp_path: Path, rs384: rsa.RSAPrivateKey, es384: ec.EllipticCurvePrivateKey
) -> None:
    keys = SmartKeys([key_file(tmp_path, rs384, "a"), key_file(tmp_path, es384, "b"), key_file(tmp_path, rs384, "c")])
    first, second = published(keys)
    assert (first["kty"], first["alg"], first["use"], set(first)) == (
        "RSA", "RS384", "sig", {"kty", "n", "e", "kid", "use", "alg"},
    )  # fmt: skip
    assert (second["kty"], second["crv"], second["alg"], set(second)) == (
        "EC", "P-384", "ES384", {"kty", "crv", "x", "y", "kid", "use", "alg"},
    )  # fmt: skip
    said = json.dumps(keys.jwks())
    assert not PRIVATE & (set(first) | set(second))
    for secret in (rs384.private_numbers().d, rs384.private_numbers().p, es384.private_numbers().private_value):
        raw = secret.to_bytes((secret.bit_length() + 7) // 8, "big")
        assert base64.urlsafe_b64encode(raw).rstrip(b"=").decode() not in said
    assert "private" not in repr(keys.signer()).lower()


def test_what_a_key_signs_a_peer_verifies_with_what_is_published(
    tmp_path: Path, rs384: rsa.RSAPrivateKey, es384: ec.EllipticCurvePrivateKey
) -> None:
    keys = SmartKeys([key_file(tmp_path, rs384, "a"), key_file(tmp_path, es384, "b")])
    theirs = jwt.PyJWKSet.from_dict(json.loads(json.dumps(keys.jwks())))
    for algorithm in ("RS384", "ES384"):
        key = keys.signer(algorithm)
        said = jwt.encode({"iss": "us"}, key.private, key.algorithm, headers={"kid": key.kid})
        head = jwt.get_unverified_header(said)
        assert head == {"alg": algorithm, "kid": key.kid, "typ": "JWT"}
        assert jwt.decode(said, theirs[head["kid"]], algorithms=[algorithm]) == {"iss": "us"}
        others = theirs[keys.signer({"RS384": "ES384", "ES384": "RS384"}[algorithm]).kid]
        with pytest.raises(jwt.InvalidTokenError):
            jwt.decode(said, others, algorithms=["RS384", "ES384"])


def test_the_kid_is_the_thumbprint_of_rfc_7638(tmp_path: Path, es384: ec.EllipticCurvePrivateKey) -> None:
    (found,) = published(SmartKeys([key_file(tmp_path, es384)]))
    canonical = f'{{"crv":"P-384","kty":"EC","x":"{found["x"]}","y":"{found["y"]}"}}'
    digest = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode()
    assert found["kid"] == digest.rstrip("=")


def test_the_thumbprint_of_the_example_of_the_rfc_is_the_one_printed_there() -> None:
    """RFC 7638 section 3.1."""
    example = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF"
        "V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU"
        "8awapJzKnqDKgw",
        "e": "AQAB",
    }
    assert thumbprint(example) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_coordinates_keep_their_leading_zeros(tmp_path: Path) -> None:
    """RFC 7518 section 6.2.1.2: 48 octets for P-384, which about one key in 128 has fewer of."""
    short = next(
        key
        for key in (ec.generate_private_key(ec.SECP384R1()) for _ in range(5000))
        if min(key.public_key().public_numbers().x, key.public_key().public_numbers().y).bit_length() <= 376
    )
    (found,) = published(SmartKeys([key_file(tmp_path, short)]))
    assert [len(base64.urlsafe_b64decode(found[name])) for name in ("x", "y")] == [48, 48]


def test_the_form_is_that_of_the_keys_of_others(
    tmp_path: Path, rs384: rsa.RSAPrivateKey, es384: ec.EllipticCurvePrivateKey
) -> None:
    root = os.environ.get("CDS_REFERENCE_DIR")
    if not root:
        pytest.skip("CDS_REFERENCE_DIR is not set: the keys of others are not here")
    folder = reference(Path(root)) / "smart"
    keys = SmartKeys([key_file(tmp_path, rs384, "a"), key_file(tmp_path, es384, "b")])
    for ours in published(keys):
        (theirs,) = json.loads((folder / f"{ours['alg']}.public.json").read_text())["keys"]
        shared = theirs.keys() - {"ext", "key_ops"}  # WebCrypto's own, and what `use` says (RFC 7517 section 4.3)
        assert set(ours) == shared | {"use"}
        assert [theirs[name] for name in ("kty", "alg")] == [ours[name] for name in ("kty", "alg")]
        names = ("x", "y") if ours["kty"] == "EC" else ("e",)
        assert [len(theirs[name]) for name in names] == [len(ours[name]) for name in names]
        assert theirs.get("crv") == ours.get("crv")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_the_usual_forms_of_pem_are_read(
    tmp_path: Path, form: PrivateFormat, rs384: rsa.RSAPrivateKey, es384: ec.EllipticCurvePrivateKey
) -> None:
    for key in (rs384, es384):
        (tmp_path / "key").write_bytes(pem(key, form))
        assert len(published(SmartKeys([tmp_path / "key"]))) == 1


def test_keys_that_smart_does_not_know_are_refused_all_at_once_with_what_is_wanted(
    tmp_path: Path, rs384: rsa.RSAPrivateKey
) -> None:
    public = rs384.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    locked = rs384.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    wrong = {
        "short": pem(rsa_key(1024)),
        "curve": pem(ec.generate_private_key(ec.SECP256R1())),
        "edwards": pem(ed25519.Ed25519PrivateKey.generate()),
        "public": public,
        "locked": locked,
        "empty": b"",
        "noise": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    }
    for name, content in wrong.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        SmartKeys([tmp_path / name for name in (*wrong, "absent")])
    assert len(caught.value.mistakes) == len(wrong) + 1
    assert all(m.startswith("CDS_SMART_KEY_FILES: ") and WANTED in m for m in caught.value.mistakes)
    assert caught.value.mistakes[0].endswith("got RSA of 1024 bits")
    assert caught.value.mistakes[1].endswith("got EC on secp256r1")


def test_of_each_algorithm_the_first_key_signs(tmp_path: Path, es384: ec.EllipticCurvePrivateKey) -> None:
    old, new = rsa_key(), rsa_key()
    files = [key_file(tmp_path, key, name) for name, key in (("new", new), ("old", old), ("ec", es384))]
    keys = SmartKeys(files)
    names = [key["kid"] for key in published(keys)]
    assert [keys.signer(a).kid for a in ("RS384", "ES384")] == [names[0], names[2]]
    assert keys.signer().kid == keys.signer("ES384", "RS384").kid == names[0]


def test_without_a_key_of_the_algorithm_the_error_says_which_is_wanted(
    tmp_path: Path, es384: ec.EllipticCurvePrivateKey
) -> None:
    assert SmartKeys(()).jwks() == {"keys": []}
    with pytest.raises(ConfigurationError, match="want a key for signing"):
        SmartKeys(()).signer()
    with pytest.raises(ConfigurationError, match="want a key for RS384"):
        SmartKeys([key_file(tmp_path, es384)]).signer("RS384")


def test_a_key_that_is_replaced_signs_from_then_on(tmp_path: Path) -> None:
    first, second = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    file = key_file(tmp_path, first)
    keys = SmartKeys([file])
    before = keys.signer().kid
    assert keys.signer().kid == before
    other = key_file(tmp_path, second, "other.pem")
    other.replace(file)
    assert keys.signer().kid != before
    assert [key["kid"] for key in published(keys)] == [keys.signer().kid]


def test_half_a_key_that_is_being_replaced_is_waited_for_and_the_old_one_is_not_taken_for_it(tmp_path: Path) -> None:
    file = key_file(tmp_path, ec.generate_private_key(ec.SECP384R1()))
    keys = SmartKeys([file])
    whole = file.read_bytes()
    keys.signer()
    file.write_bytes(whole[:100])
    with pytest.raises(Unavailable, match="CDS_SMART_KEY_FILES"):
        keys.signer()
    file.unlink()
    with pytest.raises(Unavailable, match="FileNotFoundError"):
        keys.jwks()
    file.write_bytes(whole)
    assert len(published(keys)) == 1
