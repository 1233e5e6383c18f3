"""Handmade cases, records and reports for the tests of the clinical core. Every name and number is invented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from cds import codes
from cds.codes import LOINC, SNOMED
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, EhrData, Known, NotFoundSince, SmokingStatus, Unknown
from cds.domain.finding import Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.message import RecordStatements, RecordValue, Searched, Statement
from cds.domain.recommendation import Case
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.revision import Revision, Work
from cds.domain.story import Withdrawn

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TODAY = NOW.date()
STUDY_DATE = date(2026, 11, 2)
SOURCE = "HL7 LAB|HOSPITAL"
SINCE = date(2026, 3, 2)
FOUND_ON = date(2025, 5, 6)
NOT_FOUND = NotFoundSince((SOURCE,), SINCE)
STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
MRN = Identifier("4711", "HOSPITAL")


def reference(folder: Path) -> Path:
    """The folder of reference facts, whether CDS_REFERENCE_DIR names it or the folder above."""
    return folder / "reference" if (folder / "reference").is_dir() else folder


def known_item(code: str = "127783003", text: str = "Spirometry", on: date | None = FOUND_ON) -> Known[ClinicalItem]:
    """An item of the record."""
    return Known(ClinicalItem(Coding(SNOMED, code), text), on, SOURCE)


def ehr(**changes: object) -> EhrData:
    """A 63-year-old who smokes, with 38 pack-years; everything else was searched for and not found."""
    data = EhrData(
        birth_date=Known(date(1963, 5, 1), None, "patient demographics"),
        sex=Known(Sex.FEMALE, None, "patient demographics"),
        deceased=Unknown("not stated"),
        smoking_status=Known(SmokingStatus.CURRENT, date(2026, 9, 1), SOURCE),
        pack_years=Known(Quantity(38.0, "{pack-years}"), date(2026, 9, 1), SOURCE),
        quit_date=NOT_FOUND,
        measurements={},
        conditions={name: NOT_FOUND for name in ("copd", "emphysema", "lung-cancer")},
        procedures={name: NOT_FOUND for name in ("spirometry", "low-dose-chest-ct")},
        symptoms={name: NOT_FOUND for name in ("haemoptysis", "weight-loss")},
    )
    return replace(data, **changes)


def density(percent: float = 18.2, unit: str = "%", limits: tuple[str, ...] = ("Not for children.",)) -> Findings:
    """What ct_lung_density says of one series."""
    finding = Finding("laa_950", codes.LAA_950, Presence.MEASURED, Quantity(percent, unit))
    return Findings("ct_lung_density", "0.1.0", f"{STUDY_UID}.2", (finding,), limits)


def refusal() -> NotEvaluated:
    """ct_lung_density could not measure."""
    return NotEvaluated("ct_lung_density", "0.1.0", ("the lung is not covered",), gate="coverage")


def case(
    data: EhrData | None = None,
    outcomes: tuple[ModelOutcome, ...] | None = None,
    site: Mapping[str, str] | None = None,
    today: date = TODAY,
) -> Case:
    """A chest CT of STUDY_DATE at a site whose cut-off is 10 %."""
    options = {"emphysema.laa_950_percent": "10"} if site is None else dict(site)
    measured = (density(),) if outcomes is None else outcomes
    return Case(STUDY_DATE, STUDY_UID, "CT", measured, data or ehr(), today, options)


def patient(**changes: object) -> Patient:
    """The patient of all reports, as the store knows her."""
    known = Patient((MRN,), HumanName("Unmistakable", "Ada"), date(1963, 5, 1), Sex.FEMALE, None, "patient-1")
    return replace(known, **changes)


def study(uid: str = STUDY_UID, study_date: date | None = STUDY_DATE) -> Study:
    """A chest CT."""
    public_id = "0b0e9f3c-6d7e-4c58-9a53-3f0c2a1d7e55"
    return Study(uid, MRN, Identifier("A1", "RIS"), None, Sex.FEMALE, study_date, "", ("CT", "SR"), public_id, 1, 1)


RELEASED = Release(frozenset(Audience))


def report(
    release: Release = RELEASED,
    outcomes: tuple[ModelOutcome, ...] | None = None,
    of: Study | None = None,
    who: Patient | None = None,
) -> Report:
    """Version 1 of a report on one study."""
    images = of or study()
    return Report(
        work=Work("dicom", images.study_instance_uid, Revision(1, 1, 1)),
        version=1,
        study=images,
        match=Match(MatchState.MATCHED, ("agrees",), "order-1", "patient-1"),
        patient=who or patient(),
        order=None,
        outcomes=(density(),) if outcomes is None else outcomes,
        ehr=None,
        decision=Decision((), release, TODAY),
        issued=NOW,
    )


def said(
    code: Coding,
    value: Quantity | Coding | date | str | None = None,
    on: date | None = date(2026, 9, 1),
    *,
    key: str = "",
    status: str = "final",
    source: str = SOURCE,
    received: datetime = NOW,
) -> Statement:
    """One statement of a record."""
    return Statement(RecordValue("observation", key, code, value, on, status), source, received)


def record(*statements: Statement, searched: tuple[Searched, ...] = (Searched(SOURCE, SINCE),)) -> RecordStatements:
    """Statements and who was asked."""
    return RecordStatements(statements, searched)


SMOKING = Coding(LOINC, "72166-2")
PACK_YEARS = Coding(SNOMED, "401201003")
QUIT_DATE = Coding(LOINC, "74010-0")
DAILY = Coding(SNOMED, "449868002")
NEVER = Coding(SNOMED, "266919005")


@dataclass
class StillClock:
    """Time that does not move."""

    at: datetime = NOW
    day: date | None = None

    def now(self) -> datetime:
        """The moment of all tests."""
        return self.at

    def today(self) -> date:
        """The site's day; where none is given, that of UTC."""
        return self.day or self.at.date()


@dataclass
class Reports:
    """Committed reports by patient identifier, and whose identifier it is."""

    by_patient: dict[Identifier, tuple[Report, ...]] = field(default_factory=dict)
    owner: dict[Identifier, str] = field(default_factory=lambda: {MRN: "patient-1"})
    withdrawn: dict[Identifier, tuple[Withdrawn, ...]] = field(default_factory=dict)

    def latest_of_patient(self, patient: Identifier) -> tuple[Report, ...]:
        """The port."""
        return self.by_patient.get(patient, ())

    def knows_patient(self, patient: Identifier) -> bool:
        """The port."""
        return patient in self.by_patient

    def withdrawn_of_patient(self, patient: Identifier, since: datetime) -> tuple[Withdrawn, ...]:
        """The port."""
        return tuple(one for one in self.withdrawn.get(patient, ()) if one.at >= since)

    def survivor(self, patient_id: str) -> str:
        """The port."""
        return patient_id

    def owners(self, patients: Sequence[Identifier]) -> frozenset[str]:
        """The port."""
        return frozenset(self.owner[identifier] for identifier in patients if identifier in self.owner)


@dataclass
class Records:
    """The stored record, the same for every patient."""

    held: RecordStatements

    def statements(self, patient: Patient) -> RecordStatements:
        """The port."""
        return self.held
