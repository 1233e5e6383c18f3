"""The page behind a critical result's link, and the FHIR answer, over real HTTP and a real database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import httpx
import pytest
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from adapters.fhir.communication import IDENTIFIER
from adapters.fhir.outcome import operation_outcome
from cds import metrics
from cds.alerting import alert
from cds.bootstrap.critical import acknowledge, acknowledge_communication
from cds.domain.critical import CriticalResult, CriticalState, message_number
from cds.settings import Settings
from cds.store import criticals
from cds.web import auth, critical, errors, headers
from tests.contract.critical_notices import PHI
from tests.contract.critical_site import NOW, CriticalSite
from tests.contract.criticals_contract import deliveries, only
from tests.databases import fresh

TOKEN = "correct horse battery staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class Wired:
    """The services of these routes alone."""

    critical: Callable[[str], CriticalResult]
    acknowledge_critical: Callable[[str, str], CriticalResult]
    acknowledge_communication: Callable[[Mapping[str, object]], None]
    settings: Settings = field(default_factory=Settings)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """No access log."""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CriticalSite]:
    with fresh(tmp_path_factory.mktemp("critical")) as databases:
        site = CriticalSite(databases)
        alert(site, site.work(match=site.matched()).id)
        yield site


@pytest.fixture
def url(site: CriticalSite) -> Iterator[str]:
    store, clock = site.criticals, site.clock
    app = Flask(__name__, static_folder=None)
    errors.install(app, operation_outcome)
    auth.install(app, TOKEN)
    headers.install(app)
    wired = Wired(store.by_token, acknowledge(store, clock), acknowledge_communication(store, clock))
    app.register_blueprint(critical.blueprint(wired))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_person_acknowledges_by_the_link_without_the_api_token(
    site: CriticalSite, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    link = f"{url}/critical/{only(site).token}"
    page = httpx.get(link)
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    assert "Intracranial hemorrhage" in page.text
    assert '<form method="post">' in page.text
    assert [one for one in (*PHI, "P1", "A1") if one in page.text] == []
    assert only(site).state is CriticalState.OPEN
    assert httpx.post(link, data={"name": "  "}).status_code == 400
    done = httpx.post(link, data={"name": "Dr. <Duty>"})
    assert done.status_code == 200
    assert "Acknowledged by Dr. &lt;Duty&gt;" in done.text
    again = httpx.post(link, data={"name": "Dr. Second"})
    assert "Dr. &lt;Duty&gt;" in again.text
    assert (only(site).state, only(site).acknowledged_by) == (CriticalState.ACKNOWLEDGED, "Dr. <Duty>")
    logged = capfd.readouterr()
    counted = metrics.render().decode()
    assert only(site).token not in logged.out + logged.err + counted
    assert 'route="/critical/<token>"' in counted


@pytest.mark.parametrize("token", ["x", "A" * 43, "..", "%2e%2e"])
def test_other_secrets_all_get_the_same_answer(url: str, token: str) -> None:
    answers = [httpx.get(f"{url}/critical/{token}"), httpx.post(f"{url}/critical/{token}", data={"name": "x"})]
    if token in ("..", "%2e%2e"):
        assert {answer.status_code for answer in answers} <= {401, 404}
        return
    assert [answer.status_code for answer in answers] == [404, 404]
    assert len({answer.text for answer in answers}) == 1


def test_nothing_else_opens_with_a_link(url: str) -> None:
    for path in ("/critical", "/criticalx", "/", "/fhir/Communication"):
        assert httpx.post(url + path, json={}).status_code == 401
    assert httpx.get(f"{url}/critical/a/b").status_code == 404


def test_what_was_withdrawn_is_gone(site: CriticalSite, url: str) -> None:
    with site.databases.app.writing() as session:
        criticals.close(session, "1.2", "a radiologist rejected the finding", NOW)
    answers = [httpx.get(f"{url}/critical/{only(site).token}")]
    answers.append(httpx.post(f"{url}/critical/{only(site).token}", data={"name": "Dr. Duty"}))
    assert [answer.status_code for answer in answers] == [410, 410]
    assert only(site).acknowledged_by == ""


def test_a_fhir_communication_acknowledges(site: CriticalSite, url: str) -> None:
    number = message_number(deliveries(site)[0].id)

    def post(value: str, **changes: object) -> httpx.Response:
        body = {
            "resourceType": "Communication", "status": "completed", "sender": {"display": "Dr. Duty"},
            "inResponseTo": [{"identifier": {"system": IDENTIFIER, "value": value}}],
        }  # fmt: skip
        return httpx.post(f"{url}/fhir/Communication", json=body | changes, headers=BEARER)

    assert post("UNKNOWN").status_code == 404
    assert post(number, sender={}).status_code == 400
    assert httpx.post(f"{url}/fhir/Communication", content=b"x", headers=BEARER).status_code == 415
    assert only(site).state is CriticalState.OPEN
    answer = post(number)
    assert answer.status_code == 200
    assert answer.json()["issue"][0]["severity"] == "information"
    assert only(site).acknowledged_by == "Dr. Duty"
