"""The hooks about imaging orders as a site has them: its modes, switches and codes, and the caller's server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from cds import hooks, ordering
from cds.bootstrap.ehr import asked_by
from cds.bootstrap.hook_orders import with_orders
from cds.domain.switch import SwitchKind
from cds.fhir_peers import FhirSource
from cds.hooks import HookContext
from cds.settings import Settings
from tests.contract.ehr_wire import Ehr
from tests.contract.fhir_wire import FhirWire, serving
from tests.unit.clinical import MRN, patient
from tests.unit.hook_desk import PATIENT, Desk
from tests.unit.order_desk import ADVICE, ROUTING, Json, kidneys, order

CHECK = "iodinated_contrast"
SALINE = {"system": "urn:oid:1.2.3", "code": "FLUIDS", "display": "Saline"}
TOKEN = "a-secret.of.one-call"


@dataclass(frozen=True)
class Off:
    """What was switched off."""

    names: frozenset[str] = frozenset()

    def off(self, kind: SwitchKind, name: str) -> bool:
        """The port."""
        return kind is SwitchKind.PATHWAY and name in self.names


def wired(switches: Off = Off(), **changes: Any) -> HookContext:
    """A context as the site has it, of a patient with an eGFR of 22."""
    return with_orders(
        Desk(held=kidneys(22)).context(), Settings(**{"pathway_modes": {CHECK: "advisory"}, **changes}), switches
    )


def call(context: HookContext, service: str, said: Json, **changes: object) -> list[Json]:
    """The cards of one call."""
    body: Json = {
        "hook": "order-sign" if service == ADVICE else "order-dispatch",
        "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
        "context": {"patientId": "1288992", "userId": "Practitioner/1", **said},
        "prefetch": {"patient": PATIENT},
    }
    return cast("list[Json]", hooks.call(service, body | changes, context)["cards"])


def signing(context: HookContext, *orders: Json) -> list[Json]:
    """The cards of an order that is signed."""
    entries = [{"resource": one} for one in orders or (order(),)]
    return call(context, ADVICE, {"draftOrders": {"resourceType": "Bundle", "entry": entries}})


def test_a_check_speaks_where_it_is_advisory_and_not_switched_off() -> None:
    (card,) = signing(wired())
    assert "saline first" in card["summary"]
    assert signing(wired(pathway_modes={CHECK: "shadow"})) == []
    assert signing(wired(pathway_modes={})) == []
    assert signing(wired(Off(frozenset({CHECK})))) == []
    assert signing(wired(pathway_audiences={CHECK: ["ehr"]})) == []


def test_a_site_has_modes_of_its_own_by_who_numbers_its_patients() -> None:
    own = {"north": {"issuers": [MRN.assigner], "pathway_modes": {CHECK: "off"}}}
    assert signing(wired(sites=own)) == []
    shown = wired(sites={"north": {"issuers": [MRN.assigner]}})
    assert shown.home(patient()) == "north"
    other = {"south": {"issuers": ["ELSEWHERE"], "pathway_modes": {CHECK: "off"}}}
    assert len(signing(wired(sites=other))) == 1


def test_a_site_names_its_own_exams_and_orders_by_its_own_codes() -> None:
    site = {"exams": {"urn:oid:1.2.3|CTC": {"modality": "CT", "region": "chest", "contrast": "iodinated"}}}
    ours = order(code={"coding": [{"system": "urn:oid:1.2.3", "code": "CTC", "display": "CT thorax"}]})
    assert signing(wired(), ours) == []
    (card,) = signing(wired(**site, orderables={"saline-prophylaxis": SALINE}), ours)
    assert card["summary"].startswith("CT thorax: ")
    made = card["suggestions"][0]["actions"][0]["resource"]
    assert made["code"]["coding"] == [SALINE]


def test_clients_are_asked_for_what_the_advisory_checks_of_an_order_ask() -> None:
    asked = asked_by(Settings(pathway_modes={CHECK: "advisory"}))
    assert set(ordering.load()[CHECK].asks) <= set(asked[ADVICE])
    assert asked[ADVICE] == asked[ROUTING]
    assert asked_by(Settings(pathway_modes={}))[ADVICE] == ()
    services = {one.hook: one for one in hooks.services(asked)}
    assert set(services["order-sign"].prefetch) > {"patient", "role"}


@pytest.fixture
def wire() -> Iterator[FhirWire]:
    """The client's own server, with one signed order."""
    with serving(Ehr(resources=[order("9", status="active")]).answer) as found:
        yield found


def dispatching(wire: FhirWire, scope: str = "user/ServiceRequest.rs", *, configured: bool = True) -> list[Json]:
    """The cards of a dispatch by a client that gives a token."""
    known = {"ehr": FhirSource(url=wire.url)} if configured else {}
    token = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": scope}
    said: Json = {"dispatchedOrders": ["ServiceRequest/9"], "performer": "Organization/1"}
    return call(wired(fhir_sources=known), ROUTING, said, fhirServer=wire.url, fhirAuthorization=token)


def test_a_dispatched_order_is_read_at_the_callers_server_with_its_token(wire: FhirWire) -> None:
    (card,) = dispatching(wire)
    assert "1 thing to mind" in card["summary"]
    assert [(one.method, one.path.rpartition("/fhir")[2], one.token) for one in wire.asked] == [
        ("GET", "/ServiceRequest/9", TOKEN)
    ]


@pytest.mark.parametrize(
    "changes", [{"scope": "user/Patient.rs"}, {"configured": False}], ids=["not in scope", "a server nobody configured"]
)
def test_an_order_is_not_asked_for_where_nobody_allowed_it(wire: FhirWire, changes: Json) -> None:
    (card,) = dispatching(wire, **changes)
    assert "could not be read" in card["summary"]
    assert wire.asked == []


def test_an_order_that_the_callers_server_does_not_have_could_not_be_read(wire: FhirWire) -> None:
    with serving(Ehr(resources=[]).answer) as empty:
        (card,) = dispatching(empty)
    assert "could not be read" in card["summary"]


def test_the_wiring_changes_nothing_else() -> None:
    bare = Desk().context()
    ours = {"read_orders", "read_dispatched", "exam_of", "judge", "fetch_resource", "home"}
    after = with_orders(bare, Settings(), Off())
    assert replace(after, **{name: getattr(bare, name) for name in ours}) == bare
