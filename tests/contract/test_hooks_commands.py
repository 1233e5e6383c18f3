"""`cds hooks`: a server is discovered, called and told over real sockets, with tokens that hold; errors are words."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from cds.cli import app
from cds.settings import Settings
from tests.contract import web_peer
from tests.contract.hook_peer import CARD, SERVICE, WRONG, HookPeer, hook_peer, outcome
from tests.e2e.site import free_port

CALL = f"/cds-services/{SERVICE}"
REQUEST = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {"patientId": "1"},
}


@pytest.fixture
def peer() -> Iterator[HookPeer]:
    with hook_peer() as found:
        yield found


def invoke(*arguments: str) -> tuple[int, str]:
    """Exit code, and what was written to both streams."""
    result = CliRunner().invoke(app, ["hooks", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})
    return result.exit_code, result.output


def request(tmp_path: Path, body: object = REQUEST) -> str:
    """A request as a file."""
    path = tmp_path / "request.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    return str(path)


def pem(tmp_path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """A private key as a file."""
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


def test_the_services_of_a_server_are_listed_with_hook_title_and_keys(peer: HookPeer) -> None:
    code, text = invoke("list", "--url", peer.url)
    assert code == 0
    assert text.splitlines()[0].split() == [SERVICE, "patient-view", "Imaging", "findings"]
    assert "prefetch: patient, smoking, near" in text


def test_without_a_server_this_installations_own_services_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in os.environ if one.startswith("CDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path))
    code, text = invoke("list", "--json")
    hooks = {(one["id"], one["hook"]) for one in json.loads(text)["services"]}
    assert code == 0
    assert {(SERVICE, "patient-view"), ("imaging-order-routing", "order-dispatch")} <= hooks


@pytest.mark.parametrize("suffix", ["", "/", "/cds-services", "/cds-services/"])
def test_discovery_is_fetched_wherever_the_address_ends(peer: HookPeer, suffix: str) -> None:
    code, text = invoke("discover", "--url", peer.url + suffix)
    assert (code, [one["id"] for one in json.loads(text)["services"]]) == (0, [SERVICE, "imaging-order-advice"])


def test_a_call_sends_the_file_and_shows_each_card_with_what_it_offers(peer: HookPeer, tmp_path: Path) -> None:
    code, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", peer.url)
    assert (code, peer.bodies(CALL)) == (0, [REQUEST])
    assert text.startswith("HTTP 200 in ")
    assert "warning: Emphysema on chest CT: spirometry not on record" in text
    for word in (CARD["uuid"], "Draft an order for spirometry", "create ServiceRequest: Spirometry", "GOLD 2026"):
        assert word in text


def test_a_call_for_programs_is_the_answer_and_nothing_else(peer: HookPeer, tmp_path: Path) -> None:
    code, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", peer.url, "--json")
    assert (code, json.loads(text)) == (0, {"cards": [CARD]})


def test_an_answer_without_cards_is_told_as_such(peer: HookPeer, tmp_path: Path) -> None:
    peer.cards()
    code, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", peer.url)
    assert (code, text.splitlines()[1]) == (0, "No cards: the service has nothing to say here.")


def test_a_servers_text_cannot_steer_the_terminal(peer: HookPeer, tmp_path: Path) -> None:
    peer.cards(CARD | {"summary": "\x1b[2Jgone [bold]markup[/]", "detail": "\x1b]0;title\x07"})
    code, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", peer.url)
    assert code == 0
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert "[bold]markup[/]" in text


def test_a_summary_is_shown_whole_however_long_it_is(peer: HookPeer, tmp_path: Path) -> None:
    summary = "Suspected cauda equina syndrome: emergency MRI of the lumbar spine, " + "word " * 13 + "now"
    peer.cards(CARD | {"summary": summary})
    _, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", peer.url)
    assert summary in " ".join(text.replace("│", " ").split())


def test_a_refusal_without_words_points_to_the_log_of_the_server(peer: HookPeer, tmp_path: Path) -> None:
    peer.answers[CALL] = (401, {})
    code, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", peer.url)
    assert (code, text.splitlines()[-1]) == (1, "HTTP 401: the token was refused; the log of the server says why")


@pytest.mark.parametrize("status", [400, 401, 412, 429, 500])
def test_an_error_is_exit_code_1_with_the_words_of_its_outcome(peer: HookPeer, tmp_path: Path, status: int) -> None:
    peer.answers[CALL] = (status, outcome("want the prefetch key patient"))
    for more in ((), ("--json",)):
        code, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", peer.url, *more)
        assert code == 1
        assert text.endswith(f"HTTP {status}: want the prefetch key patient\n")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"\xff"])
def test_a_success_that_is_no_object_is_an_error_too(peer: HookPeer, tmp_path: Path, body: bytes) -> None:
    peer.answers[CALL] = (200, body)
    assert invoke("call", SERVICE, "--request", request(tmp_path), "--url", peer.url)[0] == 1


def test_nobody_there_is_exit_code_2_in_words(tmp_path: Path) -> None:
    code, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", f"http://127.0.0.1:{free_port()}")
    assert code == 2
    assert "does not answer: ConnectError" in text


@pytest.mark.parametrize("body", ["[1]", "{", "\x00"])
def test_a_request_that_is_no_object_is_not_sent(peer: HookPeer, tmp_path: Path, body: str) -> None:
    code, text = invoke("call", SERVICE, "--request", request(tmp_path, body), "--url", peer.url)
    assert (code, peer.got) == (2, [])
    assert "want one JSON object" in text


@pytest.mark.parametrize("url", ["ftp://x", "sightline.example", ""])
def test_an_address_without_http_is_bad_usage(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_BASE_URL", "http://127.0.0.1:9")
    code, text = invoke("discover", "--url", url)
    assert code == 2
    assert ("want http:// or https://" in text) is bool(url)


@pytest.mark.parametrize("kind", ["ES384", "RS384"])
def test_a_key_signs_each_call_for_its_exact_address(peer: HookPeer, tmp_path: Path, kind: str) -> None:
    key = ec.generate_private_key(ec.SECP384R1()) if kind == "ES384" else rsa.generate_private_key(65537, 2048)
    file = pem(tmp_path, key)
    who = ("--key", file, "--issuer", "https://ehr.example", "--jku", "https://ehr.example/jwks", "--tenant", "north")
    keys = json.loads(invoke("jwks", file)[1])
    jtis = set()
    for command, path in (("discover", "/cds-services"), ("call", CALL)):
        more = (SERVICE, "--request", request(tmp_path)) if command == "call" else ()
        assert invoke(command, *more, "--url", peer.url, *who)[0] == 0
        header, claims = peer.claims(keys, peer.url + path)
        assert (header["alg"], header["typ"], header["jku"]) == (kind, "JWT", "https://ehr.example/jwks")
        assert (claims["iss"], claims["tenant"]) == ("https://ehr.example", "north")
        jtis.add(claims["jti"])
    assert len(jtis) == 2
    assert "d" not in keys["keys"][0]


def test_a_server_behind_a_proxy_is_called_by_its_own_address_with_the_tokens_of_the_public_one(
    peer: HookPeer, tmp_path: Path
) -> None:
    file = pem(tmp_path, ec.generate_private_key(ec.SECP384R1()))
    way = ("--url", peer.url, "--key", file, "--issuer", "i", "--audience", "https://cds.example/sightline/")
    assert invoke("discover", *way)[0] == 0
    peer.claims(json.loads(invoke("jwks", file)[1]), "https://cds.example/sightline/cds-services")


def test_a_key_can_have_another_name(peer: HookPeer, tmp_path: Path) -> None:
    file = pem(tmp_path, ec.generate_private_key(ec.SECP384R1()))
    assert invoke("discover", "--url", peer.url, "--key", file, "--issuer", "i", "--kid", "k1")[0] == 0
    keys = json.loads(invoke("jwks", file)[1])
    keys["keys"][0]["kid"] = "k1"
    header, claims = peer.claims(keys, f"{peer.url}/cds-services")
    assert header["kid"] == "k1"
    assert {"jku", "tenant"}.isdisjoint(header.keys() | claims.keys())


@pytest.mark.parametrize("more", [(), ("--issuer", "i", "--token-file")])
def test_a_key_wants_an_issuer_and_no_other_proof(peer: HookPeer, tmp_path: Path, more: tuple[str, ...]) -> None:
    file = pem(tmp_path, ec.generate_private_key(ec.SECP384R1()))
    given = (*more, file) if more else ()
    assert invoke("discover", "--url", peer.url, "--key", file, *given)[0] == 2
    assert peer.got == []


def test_a_key_of_another_kind_is_refused_in_words(peer: HookPeer, tmp_path: Path) -> None:
    file = pem(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    code, text = invoke("discover", "--url", peer.url, "--key", file, "--issuer", "i")
    assert (code, peer.got) == (2, [])
    assert "P-384" in text


def test_a_bearer_token_comes_from_a_file(peer: HookPeer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    assert invoke("discover", "--url", peer.url, "--token-file", str(file))[0] == 0
    assert peer.tokens == ["s3cret"]
    file.write_text("\n")
    assert invoke("discover", "--url", peer.url, "--token-file", str(file))[0] == 2


def test_what_the_server_says_of_feedback_is_shown(peer: HookPeer) -> None:
    peer.answers[f"{CALL}/feedback"] = (200, outcome("0 recorded, 1 unknown"))
    code, text = invoke("feedback", SERVICE, "--card", "c", "--override", "", "--url", peer.url)
    assert (code, text.splitlines()[-1]) == (0, "0 recorded, 1 unknown")


def test_acceptance_is_told_with_its_suggestions(peer: HookPeer) -> None:
    code, text = invoke("feedback", SERVICE, "--card", "c1", "--accept", "s1", "--accept", "s2", "--url", peer.url)
    told = peer.bodies(f"{CALL}/feedback")[0]["feedback"][0]
    assert (code, text.startswith("HTTP 200 in ")) == (0, True)
    assert told.pop("outcomeTimestamp").endswith("Z")
    assert told == {"card": "c1", "outcome": "accepted", "acceptedSuggestions": [{"id": "s1"}, {"id": "s2"}]}


def test_an_override_is_told_with_its_reason_or_without(peer: HookPeer) -> None:
    tell = ("feedback", SERVICE, "--url", peer.url, "--card", "c1", "--override")
    for code in ("ai-finding-wrong", "urn:x|mine", ""):
        assert invoke(*tell, code, "--comment", "see prior CT")[0] == 0
    reasons = [one["feedback"][0]["overrideReason"] for one in peer.bodies(f"{CALL}/feedback")]
    assert [one.get("reason") for one in reasons] == [WRONG, {"system": "urn:x", "code": "mine"}, None]
    assert {one["userComment"] for one in reasons} == {"see prior CT"}


@pytest.mark.parametrize("more", [(), ("--accept", "s", "--override", "later"), ("--override", "because")])
def test_feedback_that_says_nothing_or_two_things_or_an_unknown_reason_is_bad_usage(
    peer: HookPeer, more: tuple[str, ...]
) -> None:
    assert invoke("feedback", SERVICE, "--card", "c", *more, "--url", peer.url)[0] == 2
    assert peer.got == []


def test_refused_feedback_is_exit_code_1(peer: HookPeer) -> None:
    peer.answers[f"{CALL}/feedback"] = (404, outcome("no such card"))
    code, text = invoke("feedback", SERVICE, "--card", "c", "--override", "", "--url", peer.url)
    assert (code, text.splitlines()[-1]) == (1, "HTTP 404: no such card")


def test_the_sandbox_says_where_it_is_and_ends_when_it_is_told_to(peer: HookPeer) -> None:
    file = Path(__file__).parents[1] / "unit" / "patients" / "02-emphysema.bundle.json"
    command = [sys.executable, "-P", "-m", "cds", "hooks", "sandbox", "--url", peer.url, "--port", "0"]
    with subprocess.Popen([*command, "--patient", str(file)], stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        line = sandbox.stdout.readline()
        found = re.match(rf"The sandbox is at (http://127\.0\.0\.1:\d+) and calls {peer.url}\. INSECURE", line)
        assert found is not None, line
        with urllib.request.urlopen(found[1], timeout=20) as page:
            assert "Marrow, Ilse" in page.read().decode()
        sandbox.send_signal(signal.SIGTERM)
        assert sandbox.wait(20) == 0


def test_a_sandbox_without_a_chart_is_bad_usage(peer: HookPeer, tmp_path: Path) -> None:
    code, text = invoke("sandbox", "--url", peer.url, "--port", "0", "--patient", request(tmp_path))
    assert code == 2
    assert "want a FHIR R4 Bundle" in text


def test_the_real_web_application_is_called_and_refuses_in_words(tmp_path: Path) -> None:
    services = replace(web_peer.services(), settings=Settings(base_url=web_peer.BASE, insecure=True))
    with web_peer.serving(services) as url:
        assert invoke("discover", "--url", url)[0] == 0
        code, text = invoke("call", SERVICE, "--request", request(tmp_path), "--url", url)
        assert (code, "info: Emphysema" in text) == (0, True)
        down = request(tmp_path, REQUEST | {"hookInstance": "unknown-patient"})
        code, text = invoke("call", SERVICE, "--request", down, "--url", url)
        assert (code, text.splitlines()[-1]) == (1, "HTTP 412: want something else")
