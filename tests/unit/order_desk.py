"""A hook context that reads imaging orders, for the tests of the services about them. Every patient is invented."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

from adapters.fhir.draft_order import read_draft_orders, read_orders
from cds import exam_codes, hooks, ordering
from cds.codes import LOINC
from cds.domain.coding import Coding, Quantity
from cds.domain.identity import Patient
from cds.domain.message import RecordStatements, Searched
from cds.domain.outstanding import Outstanding
from cds.domain.recommendation import (
    Advice,
    Case,
    CouldNotTell,
    Indicator,
    InputUsed,
    PathwayOutcome,
    Recommendation,
    Source,
)
from cds.hooks import HookContext
from cds.hooks.request import FhirAccess
from tests.unit.clinical import SOURCE, TODAY, record, said
from tests.unit.hook_desk import PATIENT, Desk

Json = dict[str, Any]
Judge = Callable[[Case, Patient], tuple[PathwayOutcome, ...]]

EHR = "https://ehr.example/fhir"
ADVICE, ROUTING = "imaging-order-advice", "imaging-order-routing"
#: CT of the chest with contrast medium, CT of the head without, X-ray of the chest.
CHEST_CT, HEAD_CT, CHEST_X_RAY = ("24628-0", "CT Chest W contrast"), ("30799-1", "CT Head"), ("36643-5", "XR Chest")
GUIDELINE = Source("A guideline (invented)", "https://doi.org/10.1000/1")
NO_TEST = Coding("urn:sightline:action", "no-imaging", "No imaging now")
ULTRASOUND = Coding(LOINC, "24558-9", "Ultrasound of the abdomen")
CREATININE = Coding("urn:sightline:action", "creatinine-egfr", "Creatinine with eGFR")
FAILED = CouldNotTell("headache", "Headache", "it failed; this was reported to the administrator", failed=True)


def order(name: str | None = "draft-1", exam: tuple[str, str] = CHEST_CT, **members: object) -> Json:
    """A draft ServiceRequest."""
    code, display = exam
    own = {"id": name} if name else {}
    return {
        "resourceType": "ServiceRequest",
        **own,
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": LOINC, "code": code, "display": display}]},
        "subject": {"reference": "Patient/1288992"},
        **members,
    }


def step(key: str = "no-imaging", code: Coding = NO_TEST, **changes: object) -> Recommendation:
    """A step, of the kind that takes an order's place unless told."""
    found = Recommendation(key, code.display, code, "It shows no more.", GUIDELINE, recommended=True, instead=True)
    return replace(found, **cast("dict[str, Any]", changes))


def advice(*steps: Recommendation, pathway: str = "low_back_pain", **changes: object) -> Advice:
    """What a check says."""
    found = Advice(pathway, "Low back pain", "No imaging is needed at first.", Indicator.INFO, GUIDELINE, steps, (), ())
    return replace(found, **cast("dict[str, Any]", changes))


def saying(*outcomes: PathwayOutcome) -> Judge:
    """Checks that say the same to every order."""
    return lambda case, whose: outcomes


def used(name: str, value: str) -> InputUsed:
    """A value of the record."""
    return InputUsed(name, value, TODAY - timedelta(days=3), SOURCE)


def real(case: Case, whose: Patient) -> tuple[PathwayOutcome, ...]:
    """Every check that is installed."""
    return ordering.evaluate(case, ordering.load())


def kidneys(egfr: float, days_ago: int = 3) -> RecordStatements:
    """A record that was searched whole, and has an eGFR (CKD-EPI 2021)."""
    value = said(Coding(LOINC, "98979-8"), Quantity(egfr, "mL/min/{1.73_m2}"), TODAY - timedelta(days=days_ago))
    return record(value, searched=(Searched(SOURCE, None),))


@dataclass
class OrderDesk(Desk):
    """A desk at which imaging orders are judged."""

    judge: Judge = real
    acts: frozenset[str] = frozenset()
    elsewhere: Mapping[str, Json] = field(default_factory=dict)
    open_now: Outstanding = field(default_factory=Outstanding)
    fetched: list[str] = field(default_factory=list)
    answered: Json = field(default_factory=dict)

    def context(self) -> HookContext:
        """What the service is given."""
        return replace(
            super().context(),
            read_orders=read_draft_orders,
            read_dispatched=read_orders,
            exam_of=lambda codes: exam_codes.exam(codes, {}),
            judge=self.judge,
            acts=self.acts,
            home=lambda _: "north",
            fetch_resource=self.fetch_resource,
            outstanding=lambda patient_id: self.open_now if patient_id == "patient-1" else Outstanding(),
        )

    def fetch_resource(self, access: FhirAccess, reference: str) -> Json | None:
        """The client's own server."""
        self.fetched.append(reference)
        return self.elsewhere.get(reference)

    def ask(self, *orders: object, hook: str = "order-sign", **changes: object) -> list[Json]:
        """The cards of a call about draft orders; `changes` are members of the context."""
        bundle = {"resourceType": "Bundle", "entry": [{"resource": one} for one in orders]}
        context = {"userId": "Practitioner/123", "draftOrders": bundle, **changes}
        return self.sent(ADVICE, hook, context)

    def dispatch(self, *orders: str, prefetch: Mapping[str, object] | None = None, **changes: object) -> list[Json]:
        """The cards of a dispatch (hook version 1.1); `changes` are members of the context."""
        context = {"dispatchedOrders": list(orders), "performer": "Organization/imaging", **changes}
        return self.sent(ROUTING, "order-dispatch", context, prefetch)

    def sent(
        self, service: str, hook: str, context: Mapping[str, object], prefetch: Mapping[str, object] | None = None
    ) -> list[Json]:
        """The cards of one call of a client that gives a token."""
        body = {
            "hook": hook,
            "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
            "fhirServer": EHR,
            "fhirAuthorization": {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": ""},
            "context": {"patientId": "1288992", **context},
            "prefetch": {"patient": PATIENT} if prefetch is None else prefetch,
        }
        self.answered = hooks.call(service, body, self.context())
        return cast("list[Json]", self.answered["cards"])


def actions(card: Json) -> list[Sequence[str]]:
    """The kinds of action of each suggestion of a card."""
    return [[action["type"] for action in one["actions"]] for one in card.get("suggestions", [])]
