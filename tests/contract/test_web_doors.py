"""Who gets in, what an answer carries, and what never leaves: SAFETY section 8."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from cds.errors import ConfigurationError
from cds.services import Probe
from cds.web.app import create_app
from tests.contract.web_peer import SERVICE, services, serving

TOKEN = "correct horse battery staple"
NAME = "Unmistakable"
ORIGIN = "https://ehr.example"
#: Liveness, public keys, the page whose address is a secret, and pages that want a session of a browser.
OPEN = ("/health/live", "/.well-known/jwks.json", "/critical/x")
OF_A_SESSION = ("/smart/", "/studies")
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    with serving(services(token=TOKEN)) as url:
        yield url


def _addresses() -> list[tuple[str, str]]:
    """Every route of the application and every method, with something in the place of its variables."""
    rules = create_app(services()).url_map.iter_rules()
    filled = [(re.sub(r"<[^>]*version>", "1", rule.rule), rule) for rule in rules]
    return [
        (method, re.sub(r"<[^>]+>", "x", address))
        for address, rule in filled
        for method in sorted((rule.methods or set()) - {"HEAD"})
    ]


@pytest.mark.parametrize(
    ("method", "path"), [a for a in _addresses() if a[1] not in OPEN and not a[1].startswith(OF_A_SESSION)]
)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
def test_every_route_but_liveness_refuses_who_does_not_show_the_token(
    closed: str, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = httpx.request(method, closed + path, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json() == {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "login"}]}


@pytest.mark.parametrize("path", ["/", "/nothing", "/fhir", "/health/live/", "/health/live%2f.."])
def test_addresses_that_do_not_exist_are_not_told_apart_without_the_token(closed: str, path: str) -> None:
    assert httpx.get(closed + path).status_code == 401


def test_a_token_in_bytes_outside_ascii_is_refused_not_an_error(closed: str) -> None:
    response = httpx.get(f"{closed}/metrics", headers={b"Authorization": b"Bearer \xff\xfe"})
    assert response.status_code == 401


@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_is_no_token_and_stops_the_start(token: str) -> None:
    with pytest.raises(ConfigurationError, match="CDS_HTTP_TOKEN_FILE"):
        create_app(services(token=token))


def test_the_token_opens_every_route(closed: str) -> None:
    with httpx.Client(headers={"Authorization": f"bearer {TOKEN}"}) as client:
        statuses = {path: client.request(method, closed + path).status_code for method, path in _addresses()}
    own = [path for path, status in statuses.items() if status == 401]
    assert all(path.startswith(("/subscriptions/", *OF_A_SESSION)) for path in own), "each has a secret of its own"
    assert statuses["/cds-services"] == statuses["/fhir/metadata"] == statuses["/metrics"] == 200


def test_liveness_needs_no_token_and_says_nothing_else(closed: str) -> None:
    response = httpx.get(f"{closed}/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "live"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/fhir/Patient", 200),
        ("GET", "/fhir/Patient/none", 404),
        ("DELETE", "/fhir/Patient/none", 405),
        ("POST", f"/cds-services/{SERVICE}", 415),
        ("GET", "/nothing", 404),
    ],
)
def test_every_answer_forbids_caching_framing_and_sniffing(method: str, path: str, status: int) -> None:
    with serving(services()) as url:
        response = httpx.request(method, url + path)
    assert response.status_code == status
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_another_method_is_told_which_ones_there_are() -> None:
    with serving(services()) as url:
        response = httpx.put(f"{url}/fhir/Patient/none")
        options = httpx.options(f"{url}/fhir/Patient")
    assert (response.status_code, options.status_code) == (405, 405)
    assert response.headers["Allow"] == "GET, HEAD"
    assert response.json()["issue"][0]["code"] == "not-supported"


def test_an_unexpected_error_tells_a_reference_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(services()) as url:
        response = httpx.post(f"{url}/cds-services/{SERVICE}", json={"hookInstance": "bug"})
    assert response.status_code == 500
    text = response.json()["issue"][0]["details"]["text"]
    reference = re.fullmatch(r"internal error, see reference ([0-9a-f]{16}) in the log", text)
    assert reference is not None
    logged = capfd.readouterr()
    assert reference[1] in logged.err
    assert "ValueError" in logged.err
    assert "cds.web.hook_calls" in logged.err
    assert NAME not in logged.err + logged.out + response.text


def test_a_peer_that_is_down_is_a_503_and_leaves_a_line_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(services()) as url:
        response = httpx.post(f"{url}/cds-services/{SERVICE}", json={"hookInstance": "down"})
    assert response.status_code == 503
    assert response.json()["issue"][0]["code"] == "transient"
    assert "Unavailable" in capfd.readouterr().err


def test_readiness_names_what_fails() -> None:
    probes = (Probe("database", True), Probe("disk", False, "less than 256 MiB are free"))
    with serving(services(probes=probes)) as url:
        response = httpx.get(f"{url}/health/ready")
    assert response.status_code == 503
    assert response.json()["probes"][1] == {"name": "disk", "ok": False, "detail": "less than 256 MiB are free"}


def test_what_alarms_is_told_and_is_no_outage() -> None:
    with serving(services(banner=("HL7 LAB|HOSP: last message 47 min ago, normally every 2 min",))) as url:
        response = httpx.get(f"{url}/health/ready")
    assert response.status_code == 200
    assert response.json()["alarms"] == ["HL7 LAB|HOSP: last message 47 min ago, normally every 2 min"]


def test_metrics_count_requests_by_rule_never_by_address() -> None:
    with serving(services()) as url:
        httpx.get(f"{url}/fhir/Patient/{NAME}")
        httpx.get(f"{url}/{NAME}")
        httpx.request(NAME.upper(), f"{url}/fhir/Patient")
        httpx.post(f"{url}/cds-services/{NAME}", json={})
        httpx.post(f"{url}/cds-services/{SERVICE}", json={"hookInstance": "1"})
        metrics = httpx.get(f"{url}/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'route="/fhir/<resource_type>/<resource_id>"' in metrics.text
    assert f'sightline_hook_total{{client="",outcome="answered",service="{SERVICE}"}}' in metrics.text
    assert NAME.lower() not in metrics.text.lower()


class TestCrossOrigin:
    """Browsers of named origins alone."""

    def test_without_configuration_there_is_none(self) -> None:
        with serving(services()) as url:
            assert httpx.options(f"{url}/cds-services", headers=PREFLIGHT).status_code == 405
            answer = httpx.get(f"{url}/cds-services", headers={"Origin": ORIGIN})
        assert "Access-Control-Allow-Origin" not in answer.headers

    def test_a_named_origin_may_ask_first_without_the_token_and_then_needs_it(self) -> None:
        with serving(services(token=TOKEN, hook_origins=[ORIGIN])) as url:
            preflight = httpx.options(f"{url}/cds-services/{SERVICE}", headers=PREFLIGHT)
            refused = httpx.get(f"{url}/cds-services", headers={"Origin": ORIGIN})
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert preflight.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        assert refused.status_code == 401

    def test_other_origins_and_other_addresses_stay_closed(self) -> None:
        with serving(services(token=TOKEN, hook_origins=[ORIGIN])) as url:
            stranger = httpx.options(f"{url}/cds-services", headers={**PREFLIGHT, "Origin": "https://evil.example"})
            fhir = httpx.options(f"{url}/fhir/Patient", headers=PREFLIGHT)
        assert (stranger.status_code, fhir.status_code) == (401, 401)
        assert "Access-Control-Allow-Origin" not in stranger.headers
        assert "Access-Control-Allow-Origin" not in fhir.headers
