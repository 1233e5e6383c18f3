"""Who may call CDS Hooks, over HTTP: real keys, real sockets, and the errors that a caller gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from adapters.fhir.hook_clients import HookClients
from cds.bootstrap.hook_doors import prove
from cds.clock import SystemClock
from cds.errors import ConfigurationError
from cds.hook_peers import INSECURE, HookClient
from cds.services import HookProof, HookServices, Json, Services
from cds.settings import Settings
from cds.web.app import create_app
from tests.contract.hook_ehr import ALL, ISSUER, KEYS, MovedClock, Once, token
from tests.contract.web_peer import BASE, CARD, SERVICE, call_service, feedback, services, serving

DISCOVERY = "/cds-services"
CALL, FEEDBACK = f"{DISCOVERY}/{SERVICE}", f"{DISCOVERY}/{SERVICE}/feedback"
REQUEST: Json = {"hook": "patient-view", "hookInstance": "1", "context": {}}
SAID: Json = {"feedback": []}
ADDRESSES = [("GET", DISCOVERY, None), ("POST", CALL, REQUEST), ("POST", FEEDBACK, SAID)]
TOKEN = "correct horse battery staple"
ORIGIN = "https://sandbox.example"
SILENT: Json = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "login"}]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> HookClient:
    file = tmp_path_factory.mktemp("keys") / "jwks.json"
    file.write_text(json.dumps(ALL))
    return HookClient(issuer=ISSUER, jwks_file=file, rate_per_minute=100_000)


def site(client: HookClient, fresh: Once | None = None, **further: Any) -> Services:
    """A site where one EHR may call."""
    read = HookClients({"north": client}, fresh or Once(), MovedClock())

    def prove(bearer: str, url: str) -> HookProof:
        found = read(bearer, url)
        return HookProof(found.client, found.fresh)

    offered: Json = {"services": [{"hook": "patient-view", "id": SERVICE, "description": "Findings"}]}
    hooks = HookServices(lambda: offered, further.pop("call", call_service), further.pop("feedback", feedback), prove)
    return services(hooks=hooks, hook_clients={"north": client}, **further)


def send(url: str, method: str, path: str, body: Json | None, bearer: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer is not None else {}
    return httpx.request(method, url + path, json=body, headers=headers)


def signed(path: str, **changed: Any) -> str:
    return token(f"{BASE}{path}", **changed)


@pytest.mark.parametrize(("method", "path", "body"), ADDRESSES)
@pytest.mark.parametrize("algorithm", KEYS)
def test_every_address_wants_a_token_for_itself(
    client: HookClient, method: str, path: str, body: Json | None, algorithm: str
) -> None:
    others = [one for _, one, _ in ADDRESSES if one != path]
    with serving(site(client)) as url:
        assert send(url, method, path, body, signed(path, algorithm=algorithm)).status_code == 200
        for wrong in (None, "x", TOKEN, signed(others[0]), signed(others[1]), token(f"{url}{path}")):
            refused = send(url, method, path, body, wrong)
            assert (refused.status_code, refused.json()) == (401, SILENT)
            assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_the_host_that_a_caller_names_does_not_say_whom_a_token_is_for(client: HookClient) -> None:
    with serving(site(client)) as url:
        headers = {"Authorization": f"Bearer {token(f'https://evil.example{DISCOVERY}')}", "Host": "evil.example"}
        assert httpx.get(f"{url}{DISCOVERY}", headers=headers).status_code == 401


def test_the_token_of_http_opens_everything_but_the_hooks(client: HookClient) -> None:
    with serving(site(client, token=TOKEN)) as url:
        assert [send(url, *one, TOKEN).status_code for one in ADDRESSES] == [401, 401, 401]
        assert send(url, "GET", "/metrics", None, TOKEN).status_code == 200
        assert send(url, "GET", "/metrics", None, signed("/metrics")).status_code == 401
        assert send(url, "GET", DISCOVERY, None, signed(DISCOVERY)).status_code == 200


def test_a_token_opens_once_in_one_process_and_over_two(client: HookClient) -> None:
    fresh = Once()
    with serving(site(client, fresh)) as first, serving(site(client, fresh)) as second:
        for method, path, body in ADDRESSES:
            sent = signed(path)
            assert send(first, method, path, body, sent).status_code == 200
            for url in (first, second):
                again = send(url, method, path, body, sent)
                assert (again.status_code, again.json()) == (401, SILENT)


@pytest.mark.parametrize("instance", ["malformed", "unknown-patient", "down", "bug"])
def test_a_token_that_was_used_learns_nothing_from_an_error(client: HookClient, instance: str) -> None:
    fresh = Once()
    body = {**REQUEST, "hookInstance": instance}
    with serving(site(client, fresh)) as first, serving(site(client, fresh)) as second:
        sent = signed(CALL)
        assert send(first, "POST", CALL, body, sent).status_code in (400, 412, 503, 500)
        assert send(second, "POST", CALL, body, sent).status_code == 401
        unknown = f"{DISCOVERY}/none"
        sent = signed(unknown)
        assert send(first, "POST", unknown, body, sent).status_code == 404
        assert send(second, "POST", unknown, body, sent).status_code == 401


def test_feedback_of_a_token_that_was_used_changes_nothing(client: HookClient) -> None:
    fresh, told = Once(), []

    def keep(service: str, said: Mapping[str, object], who: str) -> Json:
        told.append(who)
        return feedback(service, said, who)

    with serving(site(client, fresh, feedback=keep)) as first, serving(site(client, fresh, feedback=keep)) as second:
        sent = signed(FEEDBACK)
        assert send(first, "POST", FEEDBACK, SAID, sent).status_code == 200
        assert send(second, "POST", FEEDBACK, SAID, sent).status_code == 401
    assert told == ["north"]


def test_the_service_is_told_who_calls_and_the_metrics_count_it(client: HookClient) -> None:
    told = []

    def answered(service: str, request: Mapping[str, object], who: str) -> Json:
        told.append(who)
        return {"cards": [CARD]}

    with serving(site(client, call=answered)) as url:
        assert send(url, "POST", CALL, REQUEST, signed(CALL)).json() == {"cards": [CARD]}
        shown = httpx.get(f"{url}/metrics").text
    assert told == ["north"]
    assert f'sightline_hook_total{{client="north",outcome="answered",service="{SERVICE}"}}' in shown


def test_a_service_that_is_not_there_is_no_way_round_the_rate(client: HookClient) -> None:
    rare = client.model_copy(update={"rate_per_minute": 2})
    with serving(site(rare, http_workers=1)) as url:
        path = f"{DISCOVERY}/no-such-service"
        statuses = [send(url, "POST", path, REQUEST, signed(path)).status_code for _ in range(3)]
    assert statuses == [404, 404, 429]


def test_a_client_that_comes_too_often_is_told_when_to_come_again(client: HookClient) -> None:
    rare = client.model_copy(update={"rate_per_minute": 1})
    with serving(site(rare, http_workers=1)) as url:
        assert send(url, "POST", CALL, REQUEST, signed(CALL)).status_code == 200
        for method, path, body in ADDRESSES:
            refused = send(url, method, path, body, signed(path))
            assert (refused.status_code, refused.json()["issue"][0]["code"]) == (429, "throttled")
            assert 1 <= int(refused.headers["Retry-After"]) <= 60
        shown = httpx.get(f"{url}/metrics").text
    assert f'sightline_hook_total{{client="north",outcome="throttled",service="{SERVICE}"}}' in shown


class TestWithoutClients:
    """Where no EHR is configured."""

    @pytest.mark.parametrize(("method", "path", "body"), ADDRESSES)
    def test_the_hooks_are_closed_and_say_what_the_server_lacks(
        self, method: str, path: str, body: Json | None
    ) -> None:
        with serving(services(insecure=False)) as url:
            refused = send(url, method, path, body, None)
            assert httpx.get(f"{url}/fhir/metadata").status_code == 200
        assert refused.status_code == 401
        text = refused.json()["issue"][0]["details"]["text"]
        assert "CDS_HOOK_CLIENTS" in text
        assert "CDS_INSECURE" in text
        assert "Sightline-Insecure" not in refused.headers

    def test_the_token_of_http_opens_them(self) -> None:
        with serving(services(token=TOKEN)) as url:
            assert [send(url, *one, TOKEN).status_code for one in ADDRESSES] == [200, 200, 200]
            assert [send(url, *one, None).status_code for one in ADDRESSES] == [401, 401, 401]

    @pytest.mark.parametrize("path", [DISCOVERY, "/health/live", "/holds", "/nothing", "/critical/x"])
    def test_in_development_every_answer_says_so(self, path: str) -> None:
        with serving(services()) as url:
            assert httpx.get(f"{url}{path}").headers["Sightline-Insecure"] == "development mode"
        with serving(services(token=TOKEN)) as url:
            assert "Sightline-Insecure" not in httpx.get(f"{url}{path}").headers

    def test_in_development_the_page_of_a_critical_result_says_so(self) -> None:
        with serving(services()) as url:
            assert f'<p role="alert"><strong>{INSECURE}</strong></p>' in httpx.get(f"{url}/critical/x").text
        with serving(services(token=TOKEN)) as url:
            assert "Development" not in httpx.get(f"{url}/critical/x").text

    def test_who_calls_too_often_from_one_address_waits(self) -> None:
        with serving(services(hook_rate_per_minute=2, http_workers=1)) as url:
            statuses = [httpx.get(f"{url}{DISCOVERY}").status_code for _ in range(3)]
            assert statuses == [200, 200, 429]
            assert httpx.get(f"{url}/health/live").status_code == 200


def test_a_browser_of_a_named_origin_can_read_refusals_too(client: HookClient) -> None:
    with serving(site(client, hook_origins=[ORIGIN])) as url:
        preflight = httpx.options(f"{url}{CALL}", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
        refused = httpx.get(f"{url}{DISCOVERY}", headers={"Origin": ORIGIN})
        beside = httpx.get(f"{url}{DISCOVERY}-else", headers={"Origin": ORIGIN})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Max-Age"] == "600"
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)
    assert refused.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in beside.headers


@pytest.mark.parametrize(
    ("stated", "sent"),
    [
        ("https://sandbox.example:443/", "https://sandbox.example"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://sandbox.example:4443", "https://sandbox.example:4443"),
        ("https://sandbox.example:80", "https://sandbox.example:80"),
    ],
)
def test_an_origin_may_be_written_with_the_port_that_a_browser_leaves_out(stated: str, sent: str) -> None:
    assert Settings(hook_origins=(stated,)).hook_origins == (sent,)


def test_a_service_of_two_hooks_has_one_address() -> None:
    twice: Json = {
        "services": [{"hook": hook, "id": SERVICE, "description": "x"} for hook in ("order-select", "order-sign")]
    }
    given = services()
    with serving(replace(given, hooks=replace(given.hooks, discovery=lambda: twice))) as url:
        assert len(httpx.get(f"{url}{DISCOVERY}").json()["services"]) == 2
        assert httpx.post(f"{url}{CALL}", json=REQUEST).status_code == 200


@contextmanager
def _opened() -> Iterator[Callable[[bytes], httpx.Response]]:
    with serving(services()) as url, httpx.Client() as browser:
        yield lambda body: browser.post(f"{url}{CALL}", content=body, headers={"Content-Type": "application/json"})


def test_a_body_that_nests_too_deep_is_a_400_in_words() -> None:
    with _opened() as post:
        assert post(b'{"a":' * 64 + b"1" + b"}" * 64).status_code == 200
        for levels in (65, 500, 1500, 100_000):
            refused = post(b'{"a":' * levels + b"1" + b"}" * levels)
            assert refused.status_code == 400
        assert "64" in post(b'{"a":' * 65 + b"1" + b"}" * 65).json()["issue"][0]["details"]["text"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[", ""])
def test_development_mode_does_not_answer_to_a_strangers_name(host: str) -> None:
    with serving(services()) as url:
        for path in (DISCOVERY, "/fhir/metadata", "/holds"):
            refused = httpx.get(url + path, headers={"Host": host})
            assert refused.status_code == 401
            assert refused.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "[::1]:8080", "SIGHTLINE.example"])
def test_development_mode_answers_to_the_names_of_its_machine(host: str) -> None:
    with serving(services()) as url:
        assert httpx.get(url + DISCOVERY, headers={"Host": host}).status_code == 200


def test_the_name_of_a_door_that_wants_proof_is_its_proxys_affair(client: HookClient) -> None:
    with serving(site(client)) as url:
        headers = {"Authorization": f"Bearer {signed(DISCOVERY)}", "Host": "proxy.example"}
        assert httpx.get(url + DISCOVERY, headers=headers).status_code == 200


@pytest.mark.parametrize("number", [b"1e400", b"-1e999", b"1" * 5000, b"1." + b"1" * 5000, b"-0", b"1e-400"])
def test_no_number_breaks_the_server(number: bytes) -> None:
    with _opened() as post:
        assert post(b'{"x":' + number + b"}").status_code in (200, 400)


def test_the_settings_say_who_may_call(client: HookClient) -> None:
    assert prove(Settings(), Once()) is None
    read = prove(Settings(hook_clients={"north": client}), Once())
    assert read is not None
    proof = read(signed(CALL, now=SystemClock("UTC").now()), f"{BASE}{CALL}")
    assert (proof.client, proof.fresh()) == ("north", True)


def test_an_empty_token_of_http_stops_the_start_with_clients_too(client: HookClient) -> None:
    with pytest.raises(ConfigurationError, match="CDS_HTTP_TOKEN_FILE"):
        create_app(site(client, token=" "))
