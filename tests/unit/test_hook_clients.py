"""Tokens of EHRs that call CDS Hooks, tried as an attacker would; keys and signatures are real."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode, der_to_raw_signature

from adapters.fhir.hook_clients import HookClients
from cds.errors import Unauthorized, Unavailable
from cds.hook_peers import HookClient
from tests.contract.fhir_wire import Asked, Reply, serving
from tests.contract.hook_ehr import ALL, ISSUER, KEYS, P256, P384, RSA, MovedClock, Once, claims, jwks, part, token

URL = "https://sightline.example/cds-services/imaging-findings"
JKU = "https://keys.ehr.example/jwks"
NOW = int(MovedClock().at.timestamp())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "jwks.json"
    found.write_text(json.dumps(ALL))
    return found


def reading(*, fresh: Once | None = None, clock: MovedClock | None = None, **client: Any) -> HookClients:
    now = clock or MovedClock()
    known = {"main": HookClient(issuer=ISSUER, **client)}
    return HookClients(known, fresh or Once(), now, elapsed=now.elapsed)


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.requirement(176, 200, 205)
def test_a_token_of_each_algorithm_proves_the_client(file: Path, algorithm: str) -> None:
    proven = reading(jwks_file=file)(token(URL, algorithm=algorithm), URL)
    assert proven.client == "main"
    assert proven.fresh()


def test_a_token_as_epic_writes_it_is_believed(file: Path) -> None:
    clients = reading(jwks_file=file, jku=[JKU], audiences=["sightline-production"])
    stated = {"sub": "client-id", "nbf": NOW - 300, "aud": "sightline-production", "extra": {"x": [1]}}
    assert clients(token(URL, algorithm="RS384", head={"jku": JKU}, **stated), URL).client == "main"


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [URL]},
        {"aud": ["https://another.example", URL]},
        {"exp": NOW - 59, "iat": NOW - 300},
        {"iat": NOW + 59},
        {"nbf": NOW + 59},
        {"exp": NOW + 3600},
        {"exp": NOW + 300.5, "iat": NOW - 0.5},
        {"jti": "x" * 255},
        {"tenant": "north"},
    ],
)
def test_what_the_standard_and_two_clocks_allow_is_believed(file: Path, changed: dict[str, Any]) -> None:
    assert reading(jwks_file=file)(token(URL, **changed), URL).client == "main"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://stranger.example"},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"aud": None},
        {"aud": "https://sightline.example/cds-services"},
        {"aud": f"{URL}/"},
        {"aud": URL.upper()},
        {"aud": []},
        {"aud": ["https://sightline.example"]},
        {"exp": None},
        {"exp": NOW - 60, "iat": NOW - 300},
        {"exp": NOW + 3601},
        {"exp": NOW - 10},
        {"iat": None},
        {"iat": NOW + 61},
        {"nbf": NOW + 61},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 256},
        {"jti": "a\u0000b"},
        {"jti": "a\nb"},
    ],
)
def test_a_claim_that_is_missing_or_wrong_is_refused_without_a_word(file: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized) as refused:
        reading(jwks_file=file)(token(URL, **changed), URL)
    assert str(refused.value) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": str(NOW + 300)},
        {"exp": True},
        {"iat": {}},
        {"nbf": "soon"},
        {"nbf": None, "iat": [NOW]},
        {"jti": 7},
        {"iss": [ISSUER]},
        {"iss": {"x": 1}},
        {"aud": {"url": URL}},
        {"aud": [[URL]]},
        {"exp": 10**400},
        {"exp": 1e300},
        {"iat": -(10**30)},
    ],
)
def test_a_claim_of_another_type_is_refused_and_breaks_nothing(file: Path, changed: dict[str, Any]) -> None:
    signed = jwt.PyJWS().encode(json.dumps({**claims(URL), **changed}).encode(), P384, "ES384", headers={"kid": "p384"})
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(signed, URL)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"iss":' + b"[" * 9000, b"\xff"])
def test_a_signed_text_that_is_no_claims_is_refused(file: Path, body: bytes) -> None:
    signed = jwt.PyJWS().encode(body, P384, "ES384", headers={"kid": "p384"})
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(signed, URL)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é.é.é", "x" * 20_000, "eyJhbGciOiJub25lIn0.e30.", "..", " "])
def test_what_is_no_token_is_refused(file: Path, text: str) -> None:
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(text, URL)


def test_a_head_that_nests_deeper_than_a_stack_is_refused(file: Path) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"ES384","x":' + b"[" * 6000 + b"]" * 6000 + b"}").decode().rstrip("=")
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(f"{head}.{part(claims(URL))}.AAAA", URL)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, 7, ["ES384"]])
@pytest.mark.requirement(201)
def test_a_token_without_a_signature_is_refused(file: Path, algorithm: object) -> None:
    unsigned = f"{part({'alg': algorithm, 'kid': 'p384'})}.{part(claims(URL))}."
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(unsigned, URL)


@pytest.mark.parametrize(("algorithm", "digest"), [("HS256", hashlib.sha256), ("HS384", hashlib.sha384)])
@pytest.mark.requirement(203)
def test_the_public_key_is_no_shared_secret(file: Path, algorithm: str, digest: Any) -> None:
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': algorithm, 'kid': 'rsa', 'typ': 'JWT'})}.{part(claims(URL))}"
    mac = base64.urlsafe_b64encode(hmac.new(public, signed.encode(), digest).digest()).rstrip(b"=").decode()
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(f"{signed}.{mac}", URL)


@pytest.mark.requirement(207)
def test_an_algorithm_that_the_site_does_not_allow_is_refused(file: Path) -> None:
    with pytest.raises(Unauthorized):
        reading(jwks_file=file, algorithms=["ES384"])(token(URL, algorithm="RS384"), URL)
    assert reading(jwks_file=file, algorithms=["RS384"])(token(URL, algorithm="RS384"), URL).client == "main"


@pytest.mark.parametrize(
    ("algorithm", "kid"), [("ES384", "rsa"), ("RS384", "p384"), ("ES256", "p384"), ("ES384", "p256")]
)
def test_a_key_of_another_kind_or_curve_is_refused(file: Path, algorithm: str, kid: str) -> None:
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(token(URL, algorithm=algorithm, head={"kid": kid}), URL)


@pytest.mark.parametrize(
    "key", [P256, ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP256K1())]
)
def test_an_algorithm_goes_with_its_own_curve_alone(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Signed right with SHA-384, by a key of another curve than ES384 is for."""
    (tmp_path / "jwks.json").write_text(json.dumps(jwks(one=key)))
    signed = f"{part({'alg': 'ES384', 'kid': 'one'})}.{part(claims(URL))}"
    raw = der_to_raw_signature(key.sign(signed.encode(), ec.ECDSA(SHA384())), key.curve)
    with pytest.raises(Unauthorized):
        reading(jwks_file=tmp_path / "jwks.json")(f"{signed}.{base64url_encode(raw).decode()}", URL)


@pytest.mark.parametrize("bits", [1024, 2040])
def test_an_rsa_key_that_is_too_short_is_refused(tmp_path: Path, bits: int) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    (tmp_path / "jwks.json").write_text(json.dumps(jwks(rsa=short)))
    signed = f"{part({'alg': 'RS384', 'kid': 'rsa'})}.{part(claims(URL))}"
    raw = base64.urlsafe_b64encode(short.sign(signed.encode(), PKCS1v15(), SHA384())).decode().rstrip("=")
    with pytest.raises(Unauthorized):
        reading(jwks_file=tmp_path / "jwks.json")(f"{signed}.{raw}", URL)


def test_anothers_signature_and_a_changed_claim_are_refused(file: Path) -> None:
    head, body, signature = token(URL).split(".")
    other = jwt.encode(claims(URL), ec.generate_private_key(ec.SECP384R1()), "ES384", headers={"kid": "p384"})
    for wrong in (f"{head}.{part(claims(URL))}.{signature}", f"{head}.{body}.{'A' * len(signature)}", other):
        with pytest.raises(Unauthorized):
            reading(jwks_file=file)(wrong, URL)


def test_extensions_that_must_be_understood_are_not(file: Path) -> None:
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(token(URL, head={"crit": ["x"], "x": 1}), URL)


def test_a_key_wants_a_name_where_there_are_several_and_none_where_there_is_one(file: Path) -> None:
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(token(URL, head={"kid": None}), URL)
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(token(URL, head={"kid": "stranger"}), URL)
    file.write_text(json.dumps(jwks(only=P384)))
    assert reading(jwks_file=file)(token(URL, head={"kid": None}), URL).client == "main"


def test_a_key_file_that_is_away_or_half_written_for_a_while_locks_nobody_out(file: Path) -> None:
    clock = MovedClock()
    clients = reading(jwks_file=file, clock=clock)
    clients(token(URL), URL)
    file.write_text("{")
    clock.pass_by(3601)
    assert clients(token(URL, now=clock.at), URL).client == "main"
    file.unlink()
    clock.pass_by(4 * 3600)
    with pytest.raises(Unavailable):
        clients(token(URL, now=clock.at), URL)


def test_tenants_that_are_not_listed_are_refused(file: Path) -> None:
    clients = reading(jwks_file=file, tenants=["north", "south"])
    assert clients(token(URL, tenant="south"), URL).client == "main"
    for tenant in (None, "west", ["north"], 7):
        with pytest.raises(Unauthorized):
            clients(token(URL, tenant=tenant), URL)


def test_a_token_is_believed_once(file: Path) -> None:
    clients, sent = reading(jwks_file=file), token(URL)
    assert clients(sent, URL).fresh()
    with pytest.raises(Unauthorized):
        clients(sent, URL)
    with pytest.raises(Unauthorized):
        clients(token(URL, jti=jwt.decode(sent, options={"verify_signature": False})["jti"]), URL)


def test_two_processes_believe_a_token_once_between_them(file: Path) -> None:
    fresh, sent = Once(), token(URL)
    first, second = reading(jwks_file=file, fresh=fresh), reading(jwks_file=file, fresh=fresh)
    assert first(sent, URL).fresh()
    assert not second(sent, URL).fresh()
    assert {until.timestamp() for until in fresh.kept.values()} == {NOW + 300 + 60}


def test_a_refused_token_is_not_remembered_and_may_be_sent_where_it_belongs(file: Path) -> None:
    fresh, sent = Once(), token(URL)
    clients = reading(jwks_file=file, fresh=fresh)
    with pytest.raises(Unauthorized):
        clients(sent, f"{URL}/feedback")
    assert fresh.kept == {}
    assert clients(sent, URL).fresh()


def test_the_same_jti_of_two_ehrs_are_two_tokens(file: Path) -> None:
    one = {"jwks_file": file}
    known = {"a": HookClient(issuer=ISSUER, **one), "b": HookClient(issuer="https://b.example", **one)}
    clients = HookClients(known, Once(), MovedClock())
    assert clients(token(URL, jti="1"), URL).fresh()
    assert clients(token(URL, jti="1", iss="https://b.example"), URL).client == "b"


def test_what_was_seen_is_forgotten_when_no_token_of_it_could_be_believed(file: Path) -> None:
    clock = MovedClock()
    clients = reading(jwks_file=file, clock=clock)
    for _ in range(3):
        clients(token(URL, jti="again", now=clock.at), URL)
        clock.pass_by(3600 + 121)


class TestKeysOverHttp:
    """Where the keys of an EHR are asked for, and what happens when they change or cannot be had."""

    @pytest.mark.requirement(195)
    def test_a_jku_of_the_list_names_its_own_set_and_no_other_is_ever_asked(self) -> None:
        sets = {"/a": jwks(p384=P384), "/b": jwks(rsa=RSA)}

        def answer(asked: Asked) -> Reply:
            return Reply(body=sets.get(asked.path, ALL))

        with serving(answer) as wire:
            clients = reading(jwks_url=f"{wire.root}/a", jku=[f"{wire.root}/b"])
            assert clients(token(URL), URL).client == "main"
            assert clients(token(URL, head={"jku": f"{wire.root}/a"}), URL).client == "main"
            named = {"jku": f"{wire.root}/b"}
            assert clients(token(URL, algorithm="RS384", head=named), URL).client == "main"
            for wrong in (named, {"jku": f"{wire.root}/evil"}, {"jku": f"{wire.root}/a/../evil"}, {"jku": 7}):
                with pytest.raises(Unauthorized):
                    clients(token(URL, head=wrong), URL)
            assert wire.paths == ["GET /a", "GET /b"]

    @pytest.mark.requirement(195, 199)
    def test_with_a_file_an_address_of_the_token_is_a_name_and_is_not_asked(self, file: Path) -> None:
        with serving(lambda _: Reply(body=ALL)) as wire:
            clients = reading(jwks_file=file, jku=[f"{wire.root}/known"])
            assert clients(token(URL, head={"jku": f"{wire.root}/known"}), URL).client == "main"
            with pytest.raises(Unauthorized):
                clients(token(URL, head={"jku": f"{wire.root}/other"}), URL)
            assert wire.asked == []

    def test_a_new_key_is_found_and_an_old_one_leaves(self) -> None:
        published, clock = [jwks(rsa=RSA)], MovedClock()
        with serving(lambda _: Reply(body=published[0])) as wire:
            clients = reading(jwks_url=f"{wire.root}/keys", clock=clock)
            assert clients(token(URL, algorithm="RS384"), URL).client == "main"
            published[0] = jwks(p384=P384)
            with pytest.raises(Unauthorized):
                clients(token(URL), URL)
            assert len(wire.asked) == 1, "a stranger's kid makes nobody ask more than once a minute"
            clock.pass_by(61)
            assert clients(token(URL, now=clock.at), URL).client == "main"
            with pytest.raises(Unauthorized):
                clients(token(URL, algorithm="RS384", now=clock.at), URL)
            assert len(wire.asked) == 2

    def test_keys_that_cannot_be_had_are_no_reason_to_call_a_token_wrong(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            address = f"http://127.0.0.1:{closed.getsockname()[1]}/keys"
        with pytest.raises(Unavailable):
            reading(jwks_url=address)(token(URL), URL)

    def test_known_keys_are_believed_for_hours_while_they_cannot_be_renewed(self) -> None:
        clock, replies = MovedClock(), [Reply(body=ALL)]
        with serving(lambda _: replies[0]) as wire:
            clients = reading(jwks_url=f"{wire.root}/keys", clock=clock)
            clients(token(URL), URL)
            replies[0] = Reply(503)
            clock.pass_by(3601)
            assert clients(token(URL, now=clock.at), URL).client == "main"
            assert clients(token(URL, now=clock.at), URL).client == "main"
            assert len(wire.asked) == 2, "a server that failed is left alone for some seconds"
            with pytest.raises(Unavailable):
                clients(token(URL, now=clock.at, head={"kid": "new"}), URL)
            clock.pass_by(4 * 3600)
            with pytest.raises(Unavailable):
                clients(token(URL, now=clock.at), URL)
            replies[0] = Reply(body=ALL)
            clock.pass_by(11)
            assert clients(token(URL, now=clock.at), URL).client == "main"

    def test_a_key_that_nobody_can_read_hides_no_other(self) -> None:
        odd: list[object] = [
            {"kty": "RSA", "alg": ["RS384"], "n": "AQAB", "e": "AQAB", "kid": "odd"},
            {"kty": "EC", "crv": {}, "x": 1, "y": None},
        ]
        with serving(lambda _: Reply(body={"keys": [*odd, *ALL["keys"]]})) as wire:
            assert reading(jwks_url=f"{wire.root}/keys")(token(URL), URL).client == "main"

    @pytest.mark.parametrize("body", [b"no json", b"[]", b'{"keys": 7}', b'{"keys": [7, {"kty": "oct", "k": "AA"}]}'])
    def test_a_key_set_without_keys_lets_nobody_in(self, body: bytes) -> None:
        with serving(lambda _: Reply(body=body)) as wire, pytest.raises((Unauthorized, Unavailable)):
            reading(jwks_url=f"{wire.root}/keys")(token(URL), URL)


def test_the_log_has_the_reason_and_nothing_of_the_token(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sent = token("https://another.example/Unmistakable", jti="Quentina")
    with pytest.raises(Unauthorized):
        reading(jwks_file=file)(sent, URL)
    logged = capfd.readouterr().err
    assert '"reason_code": "InvalidAudienceError"' in logged
    assert '"peer": "main"' in logged
    assert not any(text in logged for text in (*sent.split("."), "Unmistakable", "Quentina", ISSUER))


def test_the_log_tells_a_call_without_a_token_from_one_of_an_unknown_ehr(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for sent in ("", token(URL, iss="https://stranger.example")):
        with pytest.raises(Unauthorized):
            reading(jwks_file=file)(sent, URL)
    absent, strange = capfd.readouterr().err.splitlines()
    assert ('"reason_code": "no token"' in absent, '"peer": "unknown"' in absent) == (True, True)
    assert ('"reason_code": "InvalidIssuerError"' in strange, "stranger" in strange) == (True, False)
