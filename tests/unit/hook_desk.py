"""A hook context over handmade ports, for the tests of the imaging services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, cast

from cds import hooks
from cds.domain.coding import Quantity
from cds.domain.hook import CardHistory, HookCall, Reader, StudyNote
from cds.domain.identity import Identifier
from cds.domain.message import RecordStatements
from cds.domain.recommendation import Case, CouldNotTell, PathwayOutcome
from cds.domain.report import Audience, Release, Report
from cds.domain.story import Withdrawn
from cds.hooks import HookContext
from cds.pathways import evaluate
from tests.unit.clinical import (
    DAILY,
    MRN,
    PACK_YEARS,
    SMOKING,
    TODAY,
    Records,
    Reports,
    StillClock,
    patient,
    record,
    report,
    said,
)

Json = dict[str, Any]
REPORT = "DiagnosticReport"
HELD = record(said(SMOKING, DAILY), said(PACK_YEARS, Quantity(38, "{pack-years}")))
FAILED = CouldNotTell("nodule", "Lung nodule", "it failed; this was reported to the administrator", failed=True)
PATIENT: Json = {"resourceType": "Patient", "id": "1288992", "birthDate": "1963-05-01"}


def only_emphysema(case: Case) -> tuple[PathwayOutcome, ...]:
    """The installed pathway, enabled."""
    return evaluate(case, {"emphysema"})


@dataclass
class Desk:
    """A hook context over handmade ports, and what it was told to remember."""

    reports: tuple[Report, ...] = field(default_factory=lambda: (report(),))
    held: RecordStatements = HELD
    prefetched: RecordStatements = field(default_factory=RecordStatements)
    who: Any = field(default_factory=lambda: patient(id=None))
    evaluate: Callable[[Case], tuple[PathwayOutcome, ...]] = only_emphysema
    release: Callable[[Report], Release] = lambda stored: stored.decision.release
    withdrawn: tuple[Withdrawn, ...] = ()
    owner: dict[Identifier, str] = field(default_factory=lambda: {MRN: "patient-1"})
    day: date = TODAY
    calls: list[HookCall] = field(default_factory=list)
    past: CardHistory = field(default_factory=CardHistory)

    def context(self) -> HookContext:
        """What the service is given."""
        return HookContext(
            reports=Reports({MRN: self.reports}, self.owner, {MRN: self.withdrawn}),
            record=Records(self.held),
            read_patient=lambda _: self.who,
            read_statements=lambda given: () if given.keys() == {"patient"} else self.prefetched.statements,
            evaluate=lambda case, _: self.evaluate(replace(case, site={"emphysema.laa_950_percent": "10"})),
            view=lambda stored: stored if self.release(stored).allows(Audience.REFERRAL) else None,
            withheld=lambda stored: self.release(stored).withheld,
            clock=StillClock(day=self.day),
            public_url="https://sightline.example",
            site_name="Sightline",
            log=self,
        )

    def history(self, reader: Reader, whose: str) -> CardHistory:
        """What was shown and answered before."""
        return self.past

    def keep(self, call: HookCall) -> None:
        """Remember a call."""
        self.calls.append(call)

    @property
    def noted(self) -> tuple[StudyNote, ...]:
        """What the last call did with each study."""
        return self.calls[-1].studies

    def call(self, prefetch: Mapping[str, object] | None = None) -> list[Json]:
        """The cards of one call."""
        body = {
            "hook": "patient-view",
            "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
            "context": {"userId": "Practitioner/123", "patientId": "1288992"},
            "prefetch": {"patient": PATIENT} if prefetch is None else prefetch,
        }
        answer = hooks.call("imaging-findings", body, self.context())
        return cast("list[Json]", answer["cards"])
