"""How the FHIR client proves who it is: real token endpoints that check what SMART Backend Services says."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.fhir import auth
from adapters.fhir.client import FhirClient, NotAllowed, NotNow, open_client
from adapters.fhir.keys import SmartKeys
from adapters.fhir.scopes import needed
from cds.destinations import FhirDestination, FhirServer, PeerTls
from cds.errors import PeerFailed, SightlineError, Unavailable
from cds.fhir_peers import FhirSource
from tests.contract.certificates import Authority
from tests.contract.fhir_authority import CLIENT_ID, SECRET, TokenServer
from tests.contract.fhir_wire import PHI, Asked, FhirWire, Reply, capability_statement, outcome, serving

ONE = {"resourceType": "Patient", "id": "1"}
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


def key_file(file: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Path:
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


@pytest.fixture(scope="module")
def rsa_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rsa")
    return key_file(folder / "key", rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture
def ec_file(tmp_path: Path) -> Path:
    return key_file(tmp_path / "ec.pem", ec.generate_private_key(ec.SECP384R1()))


@dataclass
class Site:
    """An EHR, its token endpoint on another port, and what each was asked."""

    ehr: FhirWire
    door: FhirWire
    tokens: TokenServer
    keys: SmartKeys

    @contextlib.contextmanager
    def client(self, **server: Any) -> Iterator[FhirClient]:
        given = {"url": self.ehr.url, "client_id": CLIENT_ID, "timeout_s": 5.0} | server
        client = open_client("ehr", FhirServer(**given), self.keys, sleep=[].append)
        try:
            yield client
        finally:
            client.close()

    @property
    def shown(self) -> list[str]:
        """The tokens that requests for patients carried."""
        return [one.token for one in self.ehr.asked if "/Patient/" in one.path]


@contextlib.contextmanager
def site(*files: Path, configuration: Callable[[str], Reply] | None = None, **tokens: Any) -> Iterator[Site]:
    """`configuration` is the smart-configuration by the URL of the token endpoint."""
    keys = SmartKeys(files)
    server = TokenServer(jwks=keys.jwks, **tokens)

    def answer(asked: Asked) -> Reply:
        if asked.path == "/fhir/.well-known/smart-configuration":
            return (configuration or _configuration)(server.url)
        if asked.path == "/fhir/metadata":
            uris = [{"url": "token", "valueUri": server.url}]
            return Reply(body=capability_statement(security={"extension": [{"url": OAUTH_URIS, "extension": uris}]}))
        return Reply(body=ONE) if server.knows(asked) else Reply(401, outcome("login"))

    with serving(server.token) as door, serving(answer) as ehr:
        server.url = f"{door.root}/token"
        yield Site(ehr, door, server, keys)


def _configuration(url: str, **members: object) -> Reply:
    return Reply(body={"token_endpoint": url, "capabilities": ["permission-v2"], **members})


def test_a_signed_assertion_that_passes_every_check_brings_a_token_for_many_requests(
    rsa_file: Path, ec_file: Path
) -> None:
    for files, algorithm in (((rsa_file, ec_file), "RS384"), ((ec_file, rsa_file), "ES384")):
        with site(*files) as there, there.client() as ehr:
            assert [ehr.read("Patient/1") for _ in range(3)] == [ONE] * 3
            assert there.tokens.algorithms == [algorithm]
            assert there.shown == ["token-1"] * 3
            assert there.tokens.refusals == []
            assert there.ehr.paths[0] == "GET /fhir/.well-known/smart-configuration"
            assert there.ehr.asked[0].token == ""
            assert there.door.asked[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_the_site_says_which_algorithm_signs_and_else_the_server_which_it_knows(rsa_file: Path, ec_file: Path) -> None:
    with site(rsa_file, ec_file) as there:
        with there.client(key_algorithm="ES384") as ehr:
            ehr.read("Patient/1")
        assert there.tokens.algorithms == ["ES384"]

    def only_es384(url: str) -> Reply:
        return _configuration(url, token_endpoint_auth_signing_alg_values_supported=["RS256", "ES384"])

    with site(rsa_file, ec_file, configuration=only_es384) as there, there.client() as ehr:
        ehr.read("Patient/1")
        assert there.tokens.algorithms == ["ES384"]
    with site(rsa_file) as there, there.client(key_algorithm="ES384") as ehr:
        with pytest.raises(Unavailable, match="CDS_SMART_KEY_FILES: want a key for ES384"):
            ehr.read("Patient/1")
        assert there.door.asked == []


def test_every_assertion_has_a_number_of_its_own_and_a_replayed_one_is_refused(ec_file: Path) -> None:
    with site(ec_file) as there:
        for _ in range(3):
            with there.client() as ehr:
                ehr.read("Patient/1")
        assert (len(there.tokens.given), there.tokens.refusals) == (3, [])
        first = there.door.asked[0]
        again = httpx.post(there.tokens.url, data=dict(first.form))
        assert (again.status_code, there.tokens.refusals) == (401, ["this jti was seen"])


def test_the_token_endpoint_of_the_settings_is_believed_and_nothing_is_discovered(ec_file: Path) -> None:
    with site(ec_file) as there, there.client(token_url=there.tokens.url) as ehr:
        ehr.read("Patient/1")
        assert there.ehr.paths == ["GET /fhir/Patient/1"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404),
        Reply(body=b"<html>"),
        Reply(body={"capabilities": []}),
        Reply(401),
        Reply(body={"token_endpoint": 5}),
    ],
)
def test_without_a_smart_configuration_the_capability_statement_says_where_tokens_are(
    reply: Reply, ec_file: Path
) -> None:
    with site(ec_file, configuration=lambda url: reply) as there, there.client() as ehr:
        assert ehr.read("Patient/1") == ONE
        assert there.ehr.paths[:2] == ["GET /fhir/.well-known/smart-configuration", "GET /fhir/metadata"]
        assert {one.token for one in there.ehr.asked[:2]} == {""}


def test_a_server_that_cannot_say_now_where_tokens_are_is_not_taken_for_one_that_does_not(ec_file: Path) -> None:
    with site(ec_file, configuration=lambda url: Reply(503)) as there, there.client() as ehr:
        with pytest.raises(NotNow, match="503"):
            ehr.read("Patient/1")
        assert "GET /fhir/metadata" not in there.ehr.paths


def test_a_server_that_says_nowhere_where_tokens_are_is_told_with_what_is_wanted(ec_file: Path) -> None:
    with serving(lambda asked: Reply(404)) as wire:
        ehr = open_client("ehr", FhirServer(url=wire.url, client_id="x"), SmartKeys([ec_file]), sleep=[].append)
        with pytest.raises(NotAllowed, match="want token_url"):
            ehr.read("Patient/1")
        ehr.close()
        assert "GET /fhir/Patient/1" not in wire.paths


@pytest.mark.parametrize(
    "url", ["http://tokens.example/token", "ftp://tokens.example", "token", "https://", "http://[", "javascript:x"]
)
def test_a_discovered_endpoint_that_would_hear_us_in_the_clear_is_not_asked(url: str, ec_file: Path) -> None:
    with site(ec_file, configuration=lambda _: _configuration(url)) as there, there.client() as ehr:
        with pytest.raises(NotAllowed, match="want token_url") as caught:
            ehr.read("Patient/1")
        assert "example" not in str(caught.value)
        assert there.tokens.given == []


def test_a_secret_goes_by_http_basic_as_oauth_encodes_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n", encoding="utf-8")
    with site() as there, there.client(client_secret_file=secret) as ehr:
        assert ehr.read("Patient/1") == ONE
        assert there.shown == ["token-1"]
        form = dict(there.door.asked[0].form)
        assert set(form) == {"grant_type", "scope"}


def test_a_wrong_secret_is_told_by_the_code_of_oauth_alone_and_is_read_again(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    with site() as there, there.client(client_secret_file=secret) as ehr:
        with pytest.raises(NotAllowed) as caught:
            ehr.read("Patient/1")
        assert str(caught.value) == "the token endpoint of the FHIR server ehr gives us no token: 401 (invalid_client)"
        secret.write_text(SECRET, encoding="utf-8")
        assert ehr.read("Patient/1") == ONE
        secret.write_bytes(b"")
        there.tokens.ended.update(there.tokens.given)
        with pytest.raises(Unavailable, match="client secret"):
            ehr.read("Patient/1")


def test_a_token_that_ended_early_is_renewed_once_and_the_request_is_sent_again(ec_file: Path) -> None:
    with site(ec_file) as there, there.client() as ehr:
        ehr.read("Patient/1")
        there.tokens.ended.add("token-1")
        assert ehr.send("POST", "Patient/1", ONE).body == ONE
        assert there.shown == ["token-1", "token-1", "token-2"]


def test_a_server_that_refuses_new_tokens_too_is_not_asked_for_ever(ec_file: Path) -> None:
    with site(ec_file) as there, there.client() as ehr:
        there.tokens.ended.update(f"token-{n}" for n in range(9))
        with pytest.raises(NotAllowed, match=r"401 \(login\)"):
            ehr.read("Patient/1")
        assert there.shown == ["token-1", "token-2"]


def test_a_token_is_not_used_until_its_last_moment(ec_file: Path) -> None:
    with site(ec_file, lives_s=1) as there, there.client() as ehr:
        ehr.read("Patient/1")
        began = time.monotonic()
        while len(there.tokens.given) < 2 and time.monotonic() - began < 5:
            ehr.read("Patient/1")
            time.sleep(0.02)
        assert 0.5 < time.monotonic() - began < 1.0
        assert there.tokens.refusals == []


@pytest.mark.parametrize("lives_s", [None, "300", "soon", "inf", "nan", -5, True])
def test_a_life_that_is_not_said_is_taken_for_a_short_one(lives_s: object, ec_file: Path) -> None:
    with site(ec_file, lives_s=lives_s) as there, there.client() as ehr:
        for _ in range(3):
            ehr.read("Patient/1")
        assert there.shown == ["token-1"] * 3


def test_many_threads_ask_for_one_token_and_wait_for_it(ec_file: Path) -> None:
    with site(ec_file, pause_s=0.3) as there, there.client(parallel=8) as ehr:
        found: list[object] = []
        asking = [threading.Thread(target=lambda: found.append(ehr.read("Patient/1"))) for _ in range(8)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(10)
        assert found == [ONE] * 8
        assert len(there.door.asked) == 1


def test_many_threads_that_find_their_token_ended_ask_for_one_new_one(ec_file: Path) -> None:
    with site(ec_file, pause_s=0.2) as there, there.client(parallel=8) as ehr:
        ehr.read("Patient/1")
        there.tokens.ended.add("token-1")
        asking = [threading.Thread(target=ehr.read, args=("Patient/1",)) for _ in range(8)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(10)
        assert there.tokens.given == ["token-1", "token-2"]
        assert there.shown.count("token-2") == 8


def test_a_late_refusal_of_the_old_token_does_not_throw_the_new_one_away(ec_file: Path) -> None:
    keys = SmartKeys([ec_file])
    server = TokenServer(jwks=keys.jwks)
    renewed = threading.Event()

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("slow") and asked.token == "token-1":
            assert renewed.wait(10)
            return Reply(401)
        return Reply(body=ONE | {"id": asked.path.rpartition("/")[2]}) if server.knows(asked) else Reply(401)

    with serving(server.token) as door, serving(answer) as wire:
        server.url = f"{door.root}/token"
        one = FhirServer(url=wire.url, client_id=CLIENT_ID, token_url=server.url)
        ehr = open_client("ehr", one, keys)
        slow = threading.Thread(target=ehr.read, args=("Patient/slow",))
        slow.start()
        while not wire.asked:
            time.sleep(0.01)
        server.ended.add("token-1")
        ehr.read("Patient/quick")
        renewed.set()
        slow.join(10)
        ehr.close()
        assert wire.asked[-1].path.endswith("slow")
        assert wire.asked[-1].token == "token-2"
    assert server.given == ["token-1", "token-2"]


def test_who_waits_for_the_token_of_another_does_not_wait_longer_than_its_own_time(ec_file: Path) -> None:
    with site(ec_file, pause_s=2.0) as there, there.client(timeout_s=0.3) as ehr:
        errors: list[Exception] = []

        def ask() -> None:
            try:
                ehr.read("Patient/1")
            except SightlineError as error:
                errors.append(error)

        began = time.monotonic()
        asking = [threading.Thread(target=ask) for _ in range(6)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(10)
        assert time.monotonic() - began < 1.5
        assert len(errors) == 6
        assert all(isinstance(error, Unavailable) for error in errors)


def test_a_token_endpoint_that_is_away_for_a_moment_is_asked_again(ec_file: Path) -> None:
    left = [Reply(503), Reply(429, headers={"Retry-After": "1"}), Reply(gone=True)]
    keys = SmartKeys([ec_file])
    server = TokenServer(jwks=keys.jwks)
    slept: list[float] = []
    with serving(lambda asked: left.pop() if left else server.token(asked)) as door:
        server.url = f"{door.root}/token"
        with serving(lambda asked: Reply(body=ONE)) as wire:
            one = FhirServer(url=wire.url, client_id=CLIENT_ID, token_url=server.url)
            ehr = open_client("ehr", one, keys, sleep=slept.append)
            assert ehr.read("Patient/1") == ONE
            ehr.close()
            assert [asked.token for asked in wire.asked] == ["token-1"]
    assert len(slept) == 3


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (Reply(body={}), PeerFailed),
        (Reply(body={"access_token": "a b", "token_type": "bearer"}), PeerFailed),
        (Reply(body={"access_token": "a\nb", "token_type": "bearer"}), PeerFailed),
        (Reply(body={"access_token": "é", "token_type": "bearer"}), PeerFailed),
        (Reply(body={"access_token": "x" * 20_000, "token_type": "bearer"}), PeerFailed),
        (Reply(body={"access_token": "x", "token_type": "mac"}), PeerFailed),
        (Reply(body={"access_token": "x"}), PeerFailed),
        (Reply(body=b"<html>"), PeerFailed),
        (Reply(500, body=PHI.encode()), PeerFailed),
        (Reply(400, {"error": PHI, "error_description": PHI}), NotAllowed),
        (Reply(400, {"error": "invalid_scope"}), NotAllowed),
        (Reply(404, b"<html>"), NotAllowed),
        (Reply(302, headers={"Location": "https://tokens.example"}), NotAllowed),
    ],
)
def test_a_token_that_is_none_is_not_sent(reply: Reply, wanted: type[Exception], ec_file: Path) -> None:
    with serving(lambda asked: reply) as door, serving(lambda asked: Reply(body=ONE)) as wire:
        one = FhirServer(url=wire.url, client_id="x", token_url=f"{door.root}/token")
        ehr = open_client("ehr", one, SmartKeys([ec_file]), sleep=[].append)
        with pytest.raises(wanted, match="token endpoint of the FHIR server ehr") as caught:
            ehr.read("Patient/1")
        ehr.close()
        assert "Unmistakable" not in str(caught.value)
        assert wire.asked == []


def test_a_token_endpoint_that_moved_is_found_again(ec_file: Path) -> None:
    with site(ec_file) as there, there.client() as ehr, serving(lambda asked: Reply(404)) as gone:
        where = there.tokens.url
        there.tokens.url = f"{gone.root}/token"
        with pytest.raises(NotAllowed, match="404"):
            ehr.read("Patient/1")
        there.tokens.url = where
        assert ehr.read("Patient/1") == ONE


def test_a_key_that_is_replaced_signs_the_next_token_and_the_old_one_stays_published(tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    for file in (first, second):
        key_file(file, ec.generate_private_key(ec.SECP384R1()))
    with site(first, second) as there, there.client() as ehr:
        ehr.read("Patient/1")
        held = first.read_bytes()
        key_file(first, ec.generate_private_key(ec.SECP384R1()))
        second.write_bytes(held)
        there.tokens.ended.add("token-1")
        ehr.read("Patient/1")
        assert there.tokens.refusals == []
        assertions = [dict(one.form)["client_assertion"] for one in there.door.asked]
        names = [jwt.get_unverified_header(one)["kid"] for one in assertions]
        published = [key.key_id for key in jwt.PyJWKSet.from_dict(there.keys.jwks()).keys]
        assert names == [published[1], published[0]]


def test_a_fixed_token_is_read_again_and_a_refused_one_is_repeated_only_with_another(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")

    def answer(asked: Asked) -> Reply:
        if asked.token == "old":
            file.write_text("new\n")  # the site replaces it at this moment
        return Reply(body=ONE) if asked.token == "new" else Reply(401)

    with serving(answer) as wire:
        ehr = open_client("ehr", FhirServer(url=wire.url, token_file=file), SmartKeys(()), sleep=[].append)
        assert ehr.read("Patient/1") == ONE
        assert [one.token for one in wire.asked] == ["old", "new"]
        file.write_text("wrong")
        with pytest.raises(NotAllowed):
            ehr.read("Patient/1")
        assert [one.token for one in wire.asked][2:] == ["wrong"]
        for useless in (b"", b"\xff", b"two\nlines"):
            file.write_bytes(useless)
            with pytest.raises(Unavailable, match="token file of the FHIR server ehr"):
                ehr.read("Patient/1")
        file.unlink()
        with pytest.raises(Unavailable, match="FileNotFoundError"):
            ehr.read("Patient/1")
        ehr.close()
        assert len(wire.asked) == 3


def test_the_certificate_is_shown_at_the_token_endpoint_too(tmp_path: Path, ec_file: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("sightline")
    keys = SmartKeys([ec_file])
    server = TokenServer(jwks=keys.jwks)
    listener = authority.listener(clients=True)
    with serving(server.token, tls=listener) as door, serving(lambda asked: Reply(body=ONE), tls=listener) as wire:
        server.url = f"{door.root}/token"
        tls = PeerTls(ca_file=authority.ca_file, certificate_file=certificate, key_file=key)
        one = FhirServer(url=wire.url, client_id=CLIENT_ID, token_url=server.url, tls=tls)
        ehr = open_client("ehr", one, keys)
        assert ehr.read("Patient/1") == ONE
        ehr.close()
        assert [asked.client for asked in (*door.asked, *wire.asked)] == ["sightline"] * 2


def test_a_token_endpoint_elsewhere_may_have_a_certificate_that_the_machine_trusts_and_the_server_may_not(
    tmp_path: Path, ec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "public").mkdir()
    own, public = Authority(tmp_path), Authority(tmp_path / "public", "public")
    monkeypatch.setenv("SSL_CERT_FILE", str(public.ca_file))  # where OpenSSL looks for the machine's authorities
    keys = SmartKeys([ec_file])
    server = TokenServer(jwks=keys.jwks)
    with serving(server.token, tls=public.listener()) as door:
        server.url = f"{door.root}/token"
        for listener, wanted in ((own.listener(), True), (public.listener(), False)):
            with serving(lambda asked: Reply(body=ONE), tls=listener) as wire:
                tls = PeerTls(ca_file=own.ca_file)
                one = FhirServer(url=wire.url, client_id=CLIENT_ID, token_url=server.url, tls=tls)
                ehr = open_client("ehr", one, keys, sleep=[].append)
                if wanted:
                    assert ehr.read("Patient/1") == ONE
                else:
                    with pytest.raises(Unavailable, match=r"the FHIR server ehr does not answer.*VERIFY_FAILED"):
                        ehr.read("Patient/1")
                ehr.close()


def test_the_scopes_are_those_of_the_settings_or_what_is_needed(ec_file: Path) -> None:
    with site(ec_file) as there:
        with there.client(scope="system/Patient.r") as ehr:
            ehr.read("Patient/1")
        with there.client() as ehr:
            ehr.read("Patient/1")
        assert there.tokens.scopes[0] == "system/Patient.r"
        assert "system/DiagnosticReport.crus" in there.tokens.scopes[1].split()

    def old(url: str) -> Reply:
        return _configuration(url, capabilities=["permission-v1"])

    def silent(url: str) -> Reply:
        return Reply(body={"token_endpoint": url})

    for configuration, wanted in ((old, "system/DiagnosticReport.*"), (silent, "system/DiagnosticReport.crus")):
        with site(ec_file, configuration=configuration) as there, there.client() as ehr:
            ehr.read("Patient/1")
            assert wanted in there.tokens.scopes[0].split()


def test_a_source_is_asked_to_be_read_and_a_destination_to_be_written() -> None:
    url = "https://ehr.example/fhir"
    source = needed(FhirSource(url=url, events="subscription")).split()
    assert "system/Patient.rs" in source
    assert {"system/ImagingStudy.rs", "system/Endpoint.rs"} <= set(source)
    assert "system/Subscription.cruds" in source
    assert not [one for one in source if "c" in one.partition(".")[2] and "Subscription" not in one]
    quiet = needed(FhirSource(url=url, ehr_data=False, events="none"))
    assert quiet == "system/Patient.rs"
    destination = needed(FhirDestination(url=url)).split()
    assert {"system/RiskAssessment.crus", "system/Patient.rs"} <= set(destination)
    assert needed(FhirDestination(url=url, client_id="x", scope="a b")) == "a b"


def test_no_text_and_no_picture_of_an_object_shows_a_token(ec_file: Path) -> None:
    assert "secret" not in repr(auth.GivenToken("secret"))
    with site(ec_file) as there, there.client() as ehr:
        ehr.read("Patient/1")
        there.tokens.ended.update(f"token-{n}" for n in range(9))
        with pytest.raises(NotAllowed) as caught:
            ehr.read("Patient/1")
        for text in (repr(ehr), str(caught.value), repr(caught.value)):
            assert "token-" not in text
