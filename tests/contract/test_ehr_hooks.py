"""A hook call reads the server that it comes from, with its own token and nowhere else, then the configured EHRs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from adapters.fhir.ehr import EhrSources
from adapters.fhir.read import read_patient, read_statements
from cds import codes, hooks
from cds.bootstrap.ehr import SPEAKING, asked_by, asks, with_ehr
from cds.destinations import FhirDestination
from cds.domain.message import RecordStatements, Searched
from cds.domain.report import Mode
from cds.errors import InvalidResource, PreconditionFailed
from cds.fhir_peers import FhirSource
from cds.hooks import HookContext, request
from cds.pathways import load
from cds.settings import Settings
from tests.contract.ehr_wire import PACK_YEARS, PARAMETERS, SMOKES, SYSTEMS, Ehr, Json, code, person, resource, source
from tests.contract.fhir_wire import PHI, FhirWire, Reply, outcome, serving
from tests.unit.clinical import SINCE, SOURCE, TODAY, StillClock
from tests.unit.hook_desk import Desk

TOKEN = "a-secret.of.one-call"
SPIROMETRY = resource("Procedure", "spiro", code("127783003"), performedDateTime="2024-05-06")


@dataclass
class Client:
    """An EHR that calls the hook: what it holds, and what of it the call brings."""

    wire: FhirWire
    context: HookContext
    authorization: Json = field(default_factory=dict)
    server: str = ""

    def call(self, **prefetch: object) -> list[Json]:
        """The cards of one call."""
        body: Json = {
            "hook": "patient-view",
            "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
            "context": {"userId": "Practitioner/123", "patientId": "p1"},
            "prefetch": prefetch,
            "fhirServer": self.server or self.wire.url,
            "fhirAuthorization": authorization(**self.authorization),
        }
        return cast("list[Json]", hooks.call("imaging-findings", body, self.context)["cards"])


def authorization(**changes: object) -> Json:
    """fhirAuthorization as CDS Hooks 2.0 has it."""
    given: Json = {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "user/Patient.read user/*.rs",
        "subject": "sightline",
        "patient": "p1",
    }
    return {name: value for name, value in (given | changes).items() if value is not ...}


@contextlib.contextmanager
def client(
    ehr: Ehr,
    *,
    configured: bool = True,
    held: RecordStatements | None = None,
    found: EhrSources | None = None,
    **call: Any,
) -> Iterator[Client]:
    """A client on a wire of its own; `configured`: the site knows its server."""
    with serving(ehr.answer) as wire:
        sources = {"ehr": FhirSource(url=wire.url)} if configured else {}
        settings = Settings(fhir_sources=sources, pathway_modes={"emphysema": Mode.ADVISORY})
        desk = Desk(held=RecordStatements() if held is None else held)
        context = replace(
            desk.context(),
            read_patient=lambda read: read_patient(read, SYSTEMS),
            read_statements=lambda prefetch: read_statements(prefetch, TODAY),
        )
        yield Client(wire, with_ehr(context, settings, StillClock(), found), **call)


def missing(cards: Sequence[Json]) -> str:
    """What a card says that it lacks."""
    (card,) = cards
    return str(card["detail"])


@pytest.mark.requirement(60, 61)
def test_what_was_not_prefetched_is_fetched_with_the_token_of_the_call() -> None:
    with client(Ehr(resources=[person(), SMOKES, PACK_YEARS, SPIROMETRY])) as caller:
        (card,) = caller.call(patient=person())
    assert "spirometry is on record (2024-05-06" in card["detail"]
    assert "smokes now (2026-10-01; FHIR prefetch)" in card["detail"]
    assert {one.token for one in caller.wire.asked} == {TOKEN}
    assert all(one.method == "POST" and one.path.endswith("/_search") for one in caller.wire.asked)
    assert not any("p1" in one.path for one in caller.wire.asked)


def test_what_was_prefetched_is_not_fetched_again() -> None:
    given = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": SMOKES}]}
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    names = ("packYears", "quitDate", "spirometry", "procedures", "reports", "requests")
    healthy = resource("Condition", "c", code("1", "urn:x"))
    with client(Ehr(resources=[person(), healthy])) as caller:
        (card,) = caller.call(patient=person(), smoking=given, **dict.fromkeys(names, empty))
        assert caller.wire.paths == ["POST /fhir/Condition/_search"]
        assert "no spirometry found in FHIR spirometry observations" in card["detail"]


@pytest.mark.parametrize(
    "given",
    [
        outcome("exception"),
        {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": "https://x.example/n"}]},
        {"resourceType": "Bundle", "type": "searchset", "total": 7, "entry": []},
    ],
    ids=["OperationOutcome", "a first page", "cut off"],
)
def test_what_was_not_prefetched_whole_is_searched_anew_and_no_link_of_the_client_is_followed(given: Json) -> None:
    with client(Ehr(resources=[person(), SMOKES, SPIROMETRY])) as caller:
        (card,) = caller.call(patient=person(), procedures=given)
    assert "spirometry is on record (2024-05-06" in card["detail"]
    assert caller.wire.paths.count("POST /fhir/Procedure/_search") == 1


def test_the_patient_is_read_where_she_was_not_prefetched() -> None:
    with client(Ehr(resources=[person(), SMOKES, PACK_YEARS])) as caller:
        assert len(caller.call()) == 1
        assert "GET /fhir/Patient/p1" in caller.wire.paths
        assert caller.wire.asked[0].token == TOKEN


@pytest.mark.parametrize(
    ("faults", "changes"),
    [
        ({"Patient": lambda _: Reply(404, outcome("not-found"))}, {}),
        ({"Patient": lambda _: Reply(500, outcome("exception"))}, {}),
        ({"Patient": lambda _: Reply(pause_s=5)}, {}),
        ({"Patient": lambda _: Reply(body=person("p2"))}, {}),
        ({}, {"expires_in": 0}),
        ({}, {"scope": "user/Observation.read"}),
    ],
    ids=["not there", "broken", "slow", "another's", "expired", "not in scope"],
)
def test_without_the_patient_the_precondition_fails_as_ever(faults: Any, changes: Json) -> None:
    with client(Ehr(faults=faults), authorization=changes) as caller:
        begun = time.monotonic()
        with pytest.raises(PreconditionFailed, match=r"'patient' is needed .* absent, and (could not be|no fhirAuth)"):
            caller.call()
        assert time.monotonic() - begun < 2.5
        assert not changes or caller.wire.asked == []


def test_a_server_that_the_site_has_not_configured_is_never_contacted_and_the_card_says_what_is_missing() -> None:
    told = Ehr(resources=[person(), SMOKES, SPIROMETRY])
    stated = read_statements({"a": SMOKES}, TODAY)
    held = RecordStatements(stated, (Searched(SOURCE, SINCE, ("pack-years",)),))
    with client(told, configured=False, held=held) as caller:
        detail = missing(caller.call(patient=person()))
        assert caller.wire.asked == []
        with pytest.raises(PreconditionFailed):
            caller.call()
        assert caller.wire.asked == []
    assert "the FHIR server of the call is not one that this site has configured: it was not asked" in detail


def test_a_destination_of_the_site_may_be_asked_too() -> None:
    with serving(Ehr(resources=[person(), SMOKES, SPIROMETRY]).answer) as wire:
        settings = Settings(
            fhir_destinations={"store": FhirDestination(url=f"{wire.url}/")}, pathway_modes={"emphysema": Mode.ADVISORY}
        )
        context = with_ehr(Desk(held=RecordStatements()).context(), settings, StillClock(), None)
        given = request.FhirAccess(wire.url, TOKEN)
        assert context.fetch_patient(given, "p1") == person()


@pytest.mark.parametrize("changed", ["https://127.0.0.1", "http://127.0.0.1:1/fhir", "http://localhost/fhir"])
def test_only_the_very_address_counts(changed: str) -> None:
    with client(Ehr(), server=changed) as caller:
        with pytest.raises(PreconditionFailed):
            caller.call()
        assert caller.wire.asked == []


@pytest.mark.requirement(61)
def test_a_page_on_another_server_is_not_asked_for_and_the_token_does_not_go_there() -> None:
    with serving(Ehr().answer) as other:
        link = [{"relation": "next", "url": f"{other.url}/Condition?page=2"}]
        page = {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": []}
        stated = [person(), SMOKES]
        with client(Ehr(resources=stated, faults={"Condition": lambda _: Reply(body=page)})) as caller:
            detail = missing(caller.call(patient=person()))
        assert other.asked == []
    assert "COPD: the FHIR server of the call failed when it was asked" in detail


def test_a_redirect_is_not_followed() -> None:
    with serving(Ehr().answer) as other:
        moved = {"Condition": lambda _: Reply(307, None, {"Location": f"{other.url}/Condition/_search"})}
        with client(Ehr(resources=[person(), SMOKES], faults=moved)) as caller:
            caller.call(patient=person())
        assert other.asked == []


def test_an_expired_token_is_not_used() -> None:
    with client(Ehr(), authorization={"expires_in": 0}, held=RecordStatements()) as caller:
        caller.call(patient=person())
        assert caller.wire.asked == []


def test_a_type_that_the_scope_does_not_allow_is_not_asked() -> None:
    scope = {"scope": "patient/Observation.rs patient/Condition.read openid"}
    with client(Ehr(), authorization=scope) as caller:
        detail = missing(caller.call(patient=person()))
        assert {one.path.split("/")[2] for one in caller.wire.asked} == {"Observation", "Condition"}
    assert "no spirometry found in FHIR spirometry observations" in detail


def test_a_scope_that_keeps_something_from_us_is_said_where_nobody_else_was_asked() -> None:
    scope = {"scope": "patient/Observation.rs"}
    with client(Ehr(), authorization=scope) as caller:
        detail = missing(caller.call(patient=person()))
    assert "COPD: the FHIR server of the call gives a token that allows no Condition" in detail


@pytest.mark.requirement(27)
def test_a_slow_server_does_not_keep_the_clinician_waiting() -> None:
    slow = {kind: (lambda _: Reply(pause_s=6)) for kind in PARAMETERS if kind != "Observation"}
    with client(Ehr(faults=slow)) as caller:
        begun = time.monotonic()
        detail = missing(caller.call(patient=person()))
        assert time.monotonic() - begun < 2.5
    assert "the FHIR server of the call did not answer in time" in detail


def test_what_is_still_missing_is_asked_of_the_configured_ehrs() -> None:
    broken = {"Procedure": lambda _: Reply(500, outcome("exception"))}
    with source(Ehr(resources=[person("e1"), dict(SPIROMETRY, subject={"reference": "Patient/e1"})])) as (ehr, other):
        with client(Ehr(resources=[person(), SMOKES], faults=broken), found=EhrSources([ehr])) as caller:
            (card,) = caller.call(patient=person())
        asked = {one.path.split("/")[2] for one in other.asked if one.path.endswith("_search")}
    assert "spirometry is on record (2024-05-06, FHIR ehr)" in card["detail"]
    assert asked == {"Patient", "Observation", "Procedure", "DiagnosticReport"}
    assert TOKEN not in {one.token for one in other.asked}


def test_where_a_configured_ehr_answered_the_servers_failure_takes_no_absence_away() -> None:
    broken = {"Procedure": lambda _: Reply(500, outcome("exception"))}
    listed = [person(), SMOKES]
    with (
        source(Ehr(resources=[person("e1")])) as (ehr, _),
        client(Ehr(resources=listed, faults=broken), found=EhrSources([ehr])) as caller,
    ):
        (card,) = caller.call(patient=person())
    assert "Spirometry" in [suggestion["label"] for suggestion in card["suggestions"]]
    assert "FHIR ehr" in card["detail"]


def test_nothing_is_fetched_of_a_patient_without_a_report() -> None:
    with client(Ehr(resources=[person(number="nobody here")])) as caller:
        assert caller.call(patient=person(number="nobody here")) == []
        assert caller.wire.asked == []


def test_the_token_is_in_no_log_no_error_and_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    faults = {kind: (lambda _: Reply(500, outcome("exception"))) for kind in PARAMETERS}
    with client(Ehr(faults=faults)) as caller:
        cards = caller.call(patient=person())
        with pytest.raises(PreconditionFailed) as refused:
            caller.call()
        given = request.read(
            {
                "hook": "patient-view",
                "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
                "context": {"userId": "Practitioner/123", "patientId": "p1"},
                "fhirServer": caller.wire.url,
                "fhirAuthorization": authorization(),
            },
            hooks={"patient-view"},
        )
    assert given.access is not None
    assert given.access.token == TOKEN
    seen = f"{cards} {refused.value} {given!r} {capsys.readouterr()}"
    assert TOKEN not in seen
    assert not any(word in seen for word in PHI.split())


def test_an_ehr_is_asked_for_what_pathways_want_that_are_not_off() -> None:
    assert asks(Settings(pathway_modes=dict.fromkeys(load(), Mode.OFF))) == ()
    without = asks(Settings(pathway_modes={"emphysema": Mode.OFF}))
    assert codes.SPIROMETRY not in without
    assert codes.SPIROMETRY in asks(Settings())


def test_clients_are_asked_for_what_advisory_pathways_want_alone() -> None:
    assert asks(Settings(), SPEAKING) == ()
    assert codes.SPIROMETRY in asks(Settings(pathway_modes={"emphysema": Mode.ADVISORY}), SPEAKING)
    document = hooks.discovery(hooks.services(asked_by(Settings())))
    service = cast("list[Json]", document["services"])[0]
    assert service["prefetch"].keys() == {"patient", "role"}


def test_a_malformed_authorization_is_named_without_its_token() -> None:
    with client(Ehr(), authorization={"access_token": "two words of a secret"}) as caller:
        with pytest.raises(InvalidResource, match=r"^fhirAuthorization\.access_token: want a bearer token") as refused:
            caller.call(patient=person())
        assert "secret" not in str(refused.value)
