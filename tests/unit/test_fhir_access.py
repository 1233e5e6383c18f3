"""Access tokens for our FHIR API, checked as an attacker would try them; keys and tokens are real."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.fhir.access import AccessTokens, read_scopes
from cds.errors import Unauthorized, Unavailable
from cds.fhir_peers import SmartIssuer

ISSUER, AUDIENCE = "https://login.example", "https://sightline.example/fhir"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP384R1())


def jwks(**keys: Any) -> str:
    listed = []
    for kid, key in keys.items():
        algorithm: Any = (
            jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        )
        listed.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
    return json.dumps({"keys": listed})


def token(key: Any = RSA, *, kid: str = "rsa", algorithm: str = "RS384", **changed: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "scope": "system/*.rs", "sub": "client", **changed}
    headers = {"kid": kid} if kid else {}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, algorithm, headers=headers)


@pytest.fixture
def tokens(tmp_path: Path) -> AccessTokens:
    (tmp_path / "jwks.json").write_text(jwks(rsa=RSA, ec=EC))
    return AccessTokens({ISSUER: SmartIssuer(jwks_file=tmp_path / "jwks.json")}, AUDIENCE)


@pytest.mark.parametrize(
    ("key", "kid", "algorithm"), [(RSA, "rsa", "RS384"), (RSA, "rsa", "RS256"), (EC, "ec", "ES384")]
)
def test_a_token_of_a_configured_issuer_grants_its_scopes(
    tokens: AccessTokens, key: Any, kid: str, algorithm: str
) -> None:
    access = tokens(token(key, kid=kid, algorithm=algorithm))
    assert access.allows("Observation", "r")
    assert access.allows("Observation", "s")
    assert not access.allows("Observation", "c")


@pytest.mark.parametrize("where", ["scope", "scp"])
def test_scopes_may_come_as_a_list(tokens: AccessTokens, where: str) -> None:
    stated = {"scope": None, where: ["system/Device.r", "openid"]}
    assert tokens(token(**stated)).allows("Device", "r")


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"aud": "https://another.example/fhir"},
        {"aud": None},
        {"iss": "https://stranger.example"},
        {"iss": None},
        {"nbf": int(time.time()) + 3600},
        {"kid": "nobody"},
        {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
        {"key": EC, "algorithm": "ES384"},
    ],
)
def test_a_token_that_is_wrong_in_one_thing_opens_nothing(tokens: AccessTokens, changed: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized) as refused:
        tokens(token(**changed))
    assert str(refused.value) == ""


def test_a_token_signed_with_the_public_key_as_a_shared_secret_opens_nothing(tokens: AccessTokens) -> None:
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = _part({"alg": "HS256", "kid": "rsa", "typ": "JWT"})
    body = _part({"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 300, "scope": "system/*.cruds"})
    mac = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
    with pytest.raises(Unauthorized):
        tokens(f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é.é.é", "x" * 20_000, "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_opens_nothing(tokens: AccessTokens, text: str) -> None:
    with pytest.raises(Unauthorized):
        tokens(text)


def test_a_head_that_nests_deeper_than_a_stack_is_refused(tokens: AccessTokens) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"ES384","x":' + b"[" * 6000 + b"]" * 6000 + b"}").decode().rstrip("=")
    with pytest.raises(Unauthorized):
        tokens(f"{head}.e30.AAAA")


@pytest.mark.parametrize("text", ['{"keys": 7}', "[]", '{"keys": [7]}'])
def test_a_key_set_without_keys_lets_nobody_in(tmp_path: Path, text: str) -> None:
    (tmp_path / "jwks.json").write_text(text)
    with pytest.raises(Unauthorized):
        AccessTokens({ISSUER: SmartIssuer(jwks_file=tmp_path / "jwks.json")}, AUDIENCE)(token())


def test_keys_are_asked_for_again_when_an_issuer_changes_them(tmp_path: Path) -> None:
    published = [jwks(rsa=RSA)]
    asked: list[str] = []

    class Publisher(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = published[0].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Publisher) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        issuer = SmartIssuer(jwks_url=f"http://127.0.0.1:{server.server_port}/keys")
        times = [0.0]
        tokens = AccessTokens({ISSUER: issuer}, AUDIENCE, clock=lambda: times[0])
        assert tokens(token()).allows("Device", "r")
        published[0] = jwks(ec=EC)
        with pytest.raises(Unauthorized):
            tokens(token(EC, kid="ec", algorithm="ES384"))
        times[0] += 61
        assert tokens(token(EC, kid="ec", algorithm="ES384")).allows("Device", "r")
        with pytest.raises(Unauthorized):
            tokens(token())
        assert len(asked) == 2
        server.shutdown()
        thread.join()


def test_an_issuer_whose_keys_cannot_be_had_is_no_reason_to_say_that_the_token_is_wrong() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_port
    tokens = AccessTokens({ISSUER: SmartIssuer(jwks_url=f"http://127.0.0.1:{port}/keys")}, AUDIENCE)
    with pytest.raises(Unavailable):
        tokens(token())


def test_an_issuer_that_failed_is_left_alone_for_some_seconds_and_known_keys_need_it_not(tmp_path: Path) -> None:
    file, times = tmp_path / "jwks.json", [0.0]
    tokens = AccessTokens({ISSUER: SmartIssuer(jwks_file=file)}, AUDIENCE, clock=lambda: times[0])
    with pytest.raises(Unavailable, match="cannot be read"):
        tokens(token())
    file.write_text(jwks(rsa=RSA))
    with pytest.raises(Unavailable, match="some seconds ago"):
        tokens(token())
    times[0] += 11
    assert tokens(token()).allows("Device", "r")
    file.unlink()
    times[0] += 61
    with pytest.raises(Unavailable):
        tokens(token(kid="stranger"))
    assert tokens(token()).allows("Device", "r")


def test_who_has_a_known_key_does_not_wait_for_an_issuer_that_is_asked_for_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = SmartIssuer(jwks_url=f"http://127.0.0.1:{listener.getsockname()[1]}/keys")
        times = [0.0]
        tokens = AccessTokens({ISSUER: silent}, AUDIENCE, clock=lambda: times[0])

        def publish() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                body = jwks(rsa=RSA).encode()
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        def ask_for_a_stranger() -> None:
            with suppress(Unavailable):
                tokens(token(kid="stranger"))

        publisher = Thread(target=publish)
        publisher.start()
        assert tokens(token()).allows("Device", "r")
        publisher.join()
        times[0] += 61
        asking = Thread(target=ask_for_a_stranger)
        asking.start()
        peer, _ = listener.accept()
        with peer:
            began = time.monotonic()
            assert tokens(token()).allows("Device", "r")
            assert time.monotonic() - began < 5
        asking.join()


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("system/Observation.rs", {("Observation", "r"), ("Observation", "s")}),
        ("user/Observation.read", {("Observation", "r"), ("Observation", "s")}),
        ("system/*.*", {("*", letter) for letter in "cruds"}),
        ("system/ImagingStudy.cu", {("ImagingStudy", "c"), ("ImagingStudy", "u")}),
        ("system/Observation.write", {("Observation", "c"), ("Observation", "u"), ("Observation", "d")}),
        ("launch openid fhirUser offline_access", set()),
        ("system/Observation.", set()),
        ("system/Observation.sr", set()),
        ("system/Observation.rs?category=imaging", set()),
        ("patient/*.rs", set()),
        ("admin/*.rs", set()),
    ],
)
def test_a_scope_grants_what_it_says_and_nothing_where_it_is_not_understood(
    scope: str, granted: set[tuple[str, str]]
) -> None:
    access = read_scopes(scope, None)
    assert access.granted == granted
    assert access.patient is None


def test_a_scope_of_one_patient_limits_everything_to_her() -> None:
    access = read_scopes("patient/Observation.rs system/Device.r", "p1")
    assert access.patient == "p1"
    assert access.allows("Observation", "s")
    assert access.allows("Device", "r")
    assert not access.allows("Patient", "r")


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
