"""The sandbox plays an EHR over real sockets: its page calls, shows and answers; its FHIR server wants its token."""

from __future__ import annotations

import http.client
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cds.bootstrap import hook_client
from cds.bootstrap.hook_client import Way
from cds.errors import InvalidInput
from tests.contract.hook_peer import CARD, ORDERS, SERVICE, WRONG, HookPeer, hook_peer, outcome
from tests.e2e.site import free_port

Json = dict[str, Any]
CALL = f"/cds-services/{SERVICE}"
PATIENTS = Path(__file__).parents[1] / "unit" / "patients"
FORM = f"/charts/0/{SERVICE}/patient-view"
ORDER_FORM = f"/charts/0/{ORDERS['id']}/order-sign"
ALL_KEYS = [("key", "patient"), ("key", "smoking"), ("key", "near"), ("token", "yes")]


@dataclass
class Page:
    """An answer of the sandbox."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Json:
        """The body."""
        found: Json = json.loads(self.text)
        return found


@dataclass
class Browser:
    """What talks to the sandbox."""

    url: str

    def get(self, path: str, **headers: str) -> Page:
        """GET a path."""
        return self._send("GET", path, None, headers)

    def post(self, path: str, form: list[tuple[str, str]], **headers: str) -> Page:
        """POST a form; a redirect is not followed."""
        return self._send("POST", path, urllib.parse.urlencode(form), headers)

    def called(self, form: list[tuple[str, str]], path: str = FORM) -> str:
        """Fill in a form and answer the path of its result."""
        page = self.post(path, form)
        assert page.status == 303, page.text
        return page.headers["Location"]

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Page:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given.setdefault("Content-Type", "application/x-www-form-urlencoded")
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=20)
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return Page(answer.status, dict(answer.getheaders()), answer.read().decode())
        finally:
            connection.close()


@contextmanager
def playing(way: Way, *patients: str) -> Iterator[Browser]:
    """The sandbox with these patients, on a free port."""
    files = [PATIENTS / f"{name}.bundle.json" for name in patients or ("02-emphysema",)]
    with hook_client.sandbox(way, files, 0) as page:
        thread = threading.Thread(target=page.serve)
        thread.start()
        try:
            yield Browser(page.url)
        finally:
            page.end()
            thread.join()


@pytest.fixture
def peer() -> Iterator[HookPeer]:
    with hook_peer() as found:
        yield found


@pytest.fixture
def browser(peer: HookPeer) -> Iterator[Browser]:
    with playing(Way(peer.url)) as found:
        yield found


def told(peer: HookPeer) -> list[Json]:
    """The feedback that the server got, without its time."""
    found = [one for body in peer.bodies(f"{CALL}/feedback") for one in body["feedback"]]
    for one in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one.pop("outcomeTimestamp"))
    return found


def test_the_first_page_has_the_patients_and_what_the_server_offers(peer: HookPeer) -> None:
    with playing(Way(peer.url), "02-emphysema", "05-liver") as browser:
        page = browser.get("/")
        assert "Marrow, Ilse" in page.text
        assert 'href="/charts/0/imaging-findings/patient-view"' in page.text
        assert 'href="/charts/1/imaging-findings/patient-view"' in browser.get("/?patient=1").text
        assert browser.get("/?patient=9").status == 404


def test_every_page_says_that_it_is_insecure_and_lets_nothing_run(browser: Browser) -> None:
    for path in ("/", FORM, browser.called(ALL_KEYS), "/nowhere"):
        page = browser.get(path)
        assert "Sandbox, insecure." in page.text
        assert "<script" not in page.text
        assert "style=" not in page.text
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert (page.headers["Cache-Control"], page.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert browser.get("/style.css").headers["Content-Type"] == "text/css; charset=utf-8"


def test_a_service_that_cannot_be_played_or_reached_is_told(peer: HookPeer, browser: Browser) -> None:
    other = {"id": "x", "hook": "medication-refill", "description": "d"}
    peer.answers["/cds-services"] = (200, {"services": [other, {"id": 5, "hook": ["x"]}, {}, None]})
    assert "cannot play this hook" in browser.get("/").text
    assert browser.post("/charts/0/x/medication-refill", []).status == 400
    peer.answers["/cds-services"] = (401, outcome("want a token"))
    assert "HTTP 401. want a token" in browser.get("/").text
    assert browser.get(FORM).status == 404


def test_nobody_there_is_told_on_the_page() -> None:
    with playing(Way(f"http://127.0.0.1:{free_port()}")) as browser:
        page = browser.get("/")
        assert (page.status, "does not answer" in page.text) == (200, True)
        assert browser.get(FORM).status == 503


def test_a_call_is_what_an_ehr_sends(peer: HookPeer, browser: Browser) -> None:
    shown = browser.get(browser.called([*ALL_KEYS, ("user", "Practitioner/77")])).text
    [sent] = peer.bodies(CALL)
    assert sent["hook"] == "patient-view"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", sent["hookInstance"])
    assert sent["context"] == {"userId": "Practitioner/77", "patientId": "p2"}
    assert sent["fhirServer"] == f"{browser.url}/fhir"
    assert (sent["fhirAuthorization"]["token_type"], sent["fhirAuthorization"]["patient"]) == ("Bearer", "p2")
    assert sent["prefetch"]["patient"]["id"] == "p2"
    assert [one["resource"]["id"] for one in sent["prefetch"]["smoking"]["entry"]] == ["r1"]
    assert "near" not in sent["prefetch"]
    assert "<code>near</code>: this chart does not search by" in shown
    assert sent["fhirAuthorization"]["access_token"] not in shown


def test_an_ehr_may_send_less(peer: HookPeer, browser: Browser) -> None:
    browser.called([("key", "patient")])
    [sent] = peer.bodies(CALL)
    assert "fhirAuthorization" not in sent
    assert list(sent["prefetch"]) == ["patient"]


def test_cards_are_shown_with_words_for_their_colour_and_without_their_markup(browser: Browser) -> None:
    page = browser.get(browser.called(ALL_KEYS)).text
    for words in (
        '<span class="badge">warning</span> Emphysema on chest CT: spirometry not on record',
        "<strong>Why</strong>: &lt;img src=x onerror=alert(1)&gt;",
        '<a href="https://goldcopd.org/report" rel="noreferrer">The guideline</a>',
        "smart link, an EHR launches it",
        "Accept: Draft an order for spirometry",
        "create ServiceRequest",
        "The AI finding is wrong",
        ">Remind me later</button>",
    ):
        assert words in page
    assert 'href="javascript' not in page


def test_markup_of_another_server_stays_text(peer: HookPeer, browser: Browser) -> None:
    bad = '"><script>alert(1)</script>'
    link = {"label": bad, "url": "javascript:alert(1)", "type": "absolute"}
    peer.cards({"uuid": bad, "summary": bad, "indicator": bad, "source": {"label": bad, "url": bad}, "links": [link]})
    page = browser.get(browser.called(ALL_KEYS)).text
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert unescape(page).count(bad) >= 4


@pytest.mark.parametrize(
    "card",
    [
        {},
        {"uuid": [1], "source": "x", "links": 5, "suggestions": {"a": 1}, "overrideReasons": "x"},
        {"detail": 5, "suggestions": [5], "links": [[]], "source": {"url": 7, "topic": 1}},
    ],
)
def test_a_malformed_card_is_shown_as_far_as_it_goes(peer: HookPeer, browser: Browser, card: Json) -> None:
    peer.cards(card)
    page = browser.get(browser.called(ALL_KEYS))
    assert (page.status, "Response as JSON" in page.text) == (200, True)


def test_an_error_is_told_with_its_words(peer: HookPeer, browser: Browser) -> None:
    peer.answers[CALL] = (412, outcome("want the prefetch key patient"))
    page = browser.get(browser.called([])).text
    assert "HTTP 412 in " in page
    assert "want the prefetch key patient" in page


def test_accepting_sends_feedback_and_changes_the_chart(peer: HookPeer, browser: Browser) -> None:
    result = browser.called(ALL_KEYS)
    suggestion = CARD["suggestions"][0]["uuid"]
    assert browser.post(f"{result}/cards/0", [("accept", suggestion)]).status == 303
    page = browser.get(result).text
    assert told(peer) == [{"card": CARD["uuid"], "outcome": "accepted", "acceptedSuggestions": [{"id": suggestion}]}]
    assert "accepted: Draft an order for spirometry" in page
    assert "feedback answered HTTP 200" in page
    created = re.search(r"created ServiceRequest/([0-9a-f-]{36})", page)
    assert created is not None
    token = peer.bodies(CALL)[0]["fhirAuthorization"]["access_token"]
    kept = browser.get(f"/fhir/ServiceRequest/{created[1]}", Authorization=f"Bearer {token}").json()
    assert (kept["status"], kept["intent"]) == ("draft", "proposal")


@pytest.mark.parametrize(("behaviour", "left"), [("any", 1), ("at-most-one", 0)])
def test_after_one_suggestion_another_is_offered_where_any_may_be_chosen(
    peer: HookPeer, browser: Browser, behaviour: str, left: int
) -> None:
    two: list[Json] = [{"uuid": name, "label": name, "actions": []} for name in ("first", "second")]
    peer.cards(CARD | {"selectionBehavior": behaviour, "suggestions": two})
    result = browser.called(ALL_KEYS)
    assert browser.get(result).text.count('name="accept"') == 2
    browser.post(f"{result}/cards/0", [("accept", "first")])
    page = browser.get(result).text
    assert page.count('name="accept"') == left
    assert 'value="first"' not in page
    assert 'name="override"' not in page


def test_overriding_sends_the_reason_and_the_comment(peer: HookPeer, browser: Browser) -> None:
    result = browser.called(ALL_KEYS)
    reason = f"{WRONG['system']}|{WRONG['code']}"
    browser.post(f"{result}/cards/0", [("reason", reason), ("comment", " motion "), ("override", "yes")])
    said = {"reason": WRONG, "userComment": "motion"}
    assert told(peer) == [{"card": CARD["uuid"], "outcome": "overridden", "overrideReason": said}]
    assert "overridden: The AI finding is wrong" in browser.get(result).text


def test_later_is_an_override_with_its_own_reason_whatever_is_chosen(peer: HookPeer, browser: Browser) -> None:
    result = browser.called(ALL_KEYS)
    later = "urn:sightline:override-reason|later"
    browser.post(f"{result}/cards/0", [("reason", f"{WRONG['system']}|{WRONG['code']}"), ("later", later)])
    assert told(peer)[0]["overrideReason"]["reason"]["code"] == "later"


def test_an_override_needs_no_reason(peer: HookPeer, browser: Browser) -> None:
    browser.post(f"{browser.called(ALL_KEYS)}/cards/0", [("reason", ""), ("override", "yes")])
    assert told(peer) == [{"card": CARD["uuid"], "outcome": "overridden"}]


def test_what_a_card_does_not_offer_cannot_be_answered(peer: HookPeer, browser: Browser) -> None:
    result = browser.called(ALL_KEYS)
    assert browser.post(f"{result}/cards/0", [("accept", "another")]).status == 404
    assert browser.post(f"{result}/cards/0", [("reason", "urn:x|y")]).status == 400
    assert browser.post(f"{result}/cards/1", [("reason", "")]).status == 404
    assert browser.post("/calls/none/cards/0", [("reason", "")]).status == 404
    assert told(peer) == []


def test_an_order_is_written_and_signed(peer: HookPeer, browser: Browser) -> None:
    assert "CT: chest" in browser.get(ORDER_FORM).text
    form = [
        ("exam", "24627-2"),
        ("priority", "urgent"),
        ("reason", "cough"),
        ("reason_codes", "R05.9 49727002 urn:x|y"),
    ]
    browser.called(form, ORDER_FORM)
    [sent] = peer.bodies(f"/cds-services/{ORDERS['id']}")
    [entry] = sent["context"]["draftOrders"]["entry"]
    order = entry["resource"]
    codes = [(one["coding"][0]["system"], one["coding"][0]["code"]) for one in order["reasonCode"][:3]]
    assert (order["status"], order["intent"], order["priority"]) == ("draft", "order", "urgent")
    assert order["code"]["coding"] == [{"system": "http://loinc.org", "code": "24627-2"}]
    assert order["subject"] == {"reference": "Patient/p2"}
    assert codes == [
        ("http://hl7.org/fhir/sid/icd-10-cm", "R05.9"), ("http://snomed.info/sct", "49727002"), ("urn:x", "y")
    ]  # fmt: skip
    assert order["reasonCode"][3] == {"text": "cough"}
    assert browser.post(ORDER_FORM, [("exam", " ")]).status == 400


@pytest.mark.parametrize(
    ("hook", "members"),
    [
        ("order-select", {"userId", "patientId", "selections", "draftOrders"}),
        ("order-dispatch", {"patientId", "order", "performer"}),
        ("encounter-discharge", {"userId", "patientId", "encounterId"}),
    ],
)
def test_every_hook_gets_the_context_of_its_definition(
    peer: HookPeer, browser: Browser, hook: str, members: set[str]
) -> None:
    service = ORDERS | {"hook": hook}
    peer.answers["/cds-services"] = (200, {"services": [service]})
    browser.called([("exam", "24627-2"), ("token", "yes")], f"/charts/0/{service['id']}/{hook}")
    [sent] = peer.bodies(f"/cds-services/{service['id']}")
    assert set(sent["context"]) == members
    if hook == "order-select":
        entry = sent["context"]["draftOrders"]["entry"][0]["resource"]
        assert sent["context"]["selections"] == [f"ServiceRequest/{entry['id']}"]
    if hook == "order-dispatch":
        token = sent["fhirAuthorization"]["access_token"]
        found = browser.get(f"/fhir/{sent['context']['order']}", Authorization=f"Bearer {token}").json()
        assert (found["resourceType"], found["status"]) == ("ServiceRequest", "active")


def test_the_fhir_server_reads_and_searches_with_the_token_of_the_call_alone(peer: HookPeer, browser: Browser) -> None:
    browser.called(ALL_KEYS)
    token = peer.bodies(CALL)[0]["fhirAuthorization"]["access_token"]
    right = {"Authorization": f"Bearer {token}"}
    assert browser.get("/fhir/Patient/p2", **right).json()["resourceType"] == "Patient"
    query = "patient=p2&code=http://loinc.org|72166-2"
    searched = browser.get(f"/fhir/Observation?{query}", **right)
    posted = browser.post("/fhir/Observation/_search", urllib.parse.parse_qsl(query), **right)
    assert searched.headers["Content-Type"] == "application/fhir+json"
    assert [one["resource"]["id"] for one in searched.json()["entry"]] == ["r1"]
    assert [one["resource"]["id"] for one in posted.json()["entry"]] == ["r1"]
    assert browser.get("/fhir/metadata").json()["fhirVersion"] == "4.0.1"
    assert browser.get("/fhir/Patient/none", **right).status == 404
    assert browser.get("/fhir/Patient?name=x", **right).status == 400
    for wrong in ("", "Bearer ", "Bearer x", "Bearer é", f"Basic {token}"):
        for page in (
            browser.get("/fhir/Patient/p2", Authorization=wrong),
            browser.get("/fhir/Patient", Authorization=wrong),
        ):
            assert (page.status, page.json()["resourceType"]) == (401, "OperationOutcome")


@pytest.mark.parametrize("host", ["evil.example", "192.0.2.1:80", "[2001:db8::1]", ""])
def test_no_other_host_name_leads_here(browser: Browser, host: str) -> None:
    for path in ("/", "/fhir/metadata", "/style.css"):
        assert browser.get(path, Host=host).status in (400, 403)


def test_forms_of_other_pages_are_refused(peer: HookPeer, browser: Browser) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert browser.post(FORM, ALL_KEYS, Origin=origin).status == 403
    assert peer.bodies(CALL) == []
    assert browser.post(FORM, ALL_KEYS, Origin=browser.url).status == 303


def test_a_form_that_is_too_large_is_refused(peer: HookPeer, browser: Browser) -> None:
    assert browser.post(FORM, [("user", "x" * 70_000)]).status == 413
    assert peer.bodies(CALL) == []


def test_a_sandbox_with_a_key_signs_and_publishes_it(peer: HookPeer, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    key = ec.generate_private_key(ec.SECP384R1())
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with playing(Way(peer.url, key=file, issuer="https://ehr.example")) as browser:
        browser.called(ALL_KEYS)
        _, claims = peer.claims(browser.get("/.well-known/jwks.json").json(), peer.url + CALL)
    assert claims["iss"] == "https://ehr.example"


def test_a_sandbox_without_a_key_publishes_none(browser: Browser) -> None:
    assert browser.get("/.well-known/jwks.json").status == 404


def test_a_port_in_use_is_told(peer: HookPeer, browser: Browser) -> None:
    port = int(browser.url.rpartition(":")[2])
    with (
        pytest.raises(InvalidInput, match=f"port {port} is in use"),
        hook_client.sandbox(Way(peer.url), [PATIENTS / "02-emphysema.bundle.json"], port),
    ):
        pass
