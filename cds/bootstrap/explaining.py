"""What the pathways say to files: a patient as a FHIR Bundle, and findings as JSON (`cds pathways explain`).

For the committee that has to approve a pathway, and for tests: nothing is stored and nobody is asked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from cds import ordering, pathways
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData
from cds.domain.finding import ModelOutcome
from cds.domain.identity import Patient
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.message import RecordStatements, Searched, Statement
from cds.domain.recommendation import Case, PathwayOutcome
from cds.errors import InvalidInput, SightlineError
from cds.pathways.merging import merged
from cds.record import assemble
from cds.settings import Settings


@checked(frozen=True, slots=True)
class FindingsFile:
    """The images of one study and what models said of them. `today` is the day on which it is decided.

    `searched` is how the record was searched for the patient of the Bundle, and since when: what it does not have was
    looked for and not found. Without it nobody was asked for what the Bundle lacks.
    """

    study_date: date
    modality: str
    outcomes: tuple[ModelOutcome, ...]
    today: date | None = None
    study_instance_uid: str = "2.25.1"
    procedures: tuple[Coding, ...] = ()
    site: Mapping[str, str] | None = None
    language: str = "en"
    searched: str = ""
    searched_since: date | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """A case from files and what each pathway said of it, merged as a reader gets it."""

    case: Case
    outcomes: tuple[PathwayOutcome, ...]


def explain(
    patient: Path, findings: Path, only: Collection[str] = (), site: Mapping[str, str] | None = None
) -> Explained:
    """Evaluate the installed pathways, or some of them; raise InvalidInput for a file that is not as wanted."""
    case = read(patient, findings)
    options = {**case.site, **(site or {})}
    if mistakes := ordering.mistakes(options):
        raise InvalidInput("; ".join(mistakes))
    installed = pathways.load()
    if unknown := sorted(set(only) - installed.keys()):
        raise InvalidInput(f"no pathway {', '.join(unknown)}: want one of {', '.join(sorted(installed))}")
    case = replace(case, site=options)
    return Explained(case, merged(pathways.evaluate(case, only or installed.keys())))


@dataclass(frozen=True, slots=True)
class Record:
    """How the record was searched for the patient of a Bundle, since when, and the day on which it is decided."""

    today: date
    searched: str = ""
    searched_since: date | None = None


def explain_orders(
    settings: Settings, patient: Path, orders: Path, record: Record, only: Collection[str] = ()
) -> tuple[tuple[ImagingOrder, tuple[PathwayOutcome, ...]], ...]:
    """What the checks before an order is signed say to each draft of a file; raise InvalidInput for other files."""
    from adapters.fhir.draft_order import read_draft_orders

    installed = ordering.load()
    if unknown := sorted(set(only) - installed.keys()):
        raise InvalidInput(f"no check {', '.join(unknown)}: want one of {', '.join(sorted(installed))}")
    who, told = _patient(patient, record)
    now = datetime.combine(record.today, time(12), UTC)
    ehr = assemble(who, told, now=now, today=record.today)
    exams = {
        code: Exam(one.modality, one.region, one.contrast, one.angiography) for code, one in settings.exams.items()
    }
    drafts = read_draft_orders({"draftOrders": _bundle(orders)}, exams)
    if not drafts:
        raise InvalidInput(f"{orders.name}: want a ServiceRequest of status draft, or a Bundle of them")
    return tuple(
        (order, ordering.evaluate(_case(settings, ehr, record, order), only or installed.keys())) for order in drafts
    )


def exams(settings: Settings) -> dict[str, Exam]:
    """What the site's own imaging codes ask for."""
    told = settings.exams.items()
    return {code: Exam(one.modality, one.region, one.contrast, one.angiography) for code, one in told}


def _case(settings: Settings, ehr: EhrData, record: Record, order: ImagingOrder) -> Case:
    return Case(
        study_date=record.today,
        study_instance_uid="",
        modality=order.exam.modality if order.exam else "",
        outcomes=(),
        ehr=ehr,
        today=record.today,
        site=settings.options_of(),
        procedures=order.codes,
        language=settings.language_of(),
        order=order,
    )


def read(patient: Path, findings: Path) -> Case:
    """The case of two files; raise InvalidInput where one of them is not as wanted."""
    images = _findings(findings)
    today = images.today or images.study_date
    who, record = _patient(patient, Record(today, images.searched, images.searched_since))
    now = datetime.combine(today, time(12), UTC)
    return Case(
        study_date=images.study_date,
        study_instance_uid=images.study_instance_uid,
        modality=images.modality,
        outcomes=images.outcomes,
        ehr=assemble(who, record, now=now, today=today),
        today=today,
        site=dict(images.site or {}),
        procedures=images.procedures,
        language=images.language,
    )


def _findings(path: Path) -> FindingsFile:
    try:
        found: FindingsFile = TypeAdapter(FindingsFile).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InvalidInput(f"{path.name}: {where}: {first['msg']}") from None
    return found


def _patient(path: Path, record: Record) -> tuple[Patient, RecordStatements]:
    """The one Patient of a Bundle, and what its resources state."""
    from adapters.fhir.race import read_race
    from adapters.fhir.read import by_reference, read_patient, statements

    resources = _resources(path)
    patients = [one for one in resources if one.get("resourceType") == "Patient"]
    if len(patients) != 1:
        raise InvalidInput(f"{path.name}: want exactly one Patient, there are {len(patients)}")
    latest = datetime.combine(record.today, time.max, UTC)
    try:
        who = read_patient(patients[0], {})
        told = tuple(statements(resources, path.name, latest=latest, others=by_reference(resources)))
        race = read_race(patients[0])
    except SightlineError as error:
        raise InvalidInput(f"{path.name}: {error}") from error
    asked = (Searched(record.searched, record.searched_since, None),) if record.searched else ()
    own = (Statement(race, path.name, latest),) if race else ()
    return who, RecordStatements((*told, *own), asked)


def _json(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidInput(f"{path.name}: want JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def _bundle(path: Path) -> Mapping[str, object]:
    """A Bundle of drafts; one ServiceRequest stands for a Bundle of it."""
    found = _json(path)
    single = found.get("resourceType") == "ServiceRequest"
    return {"resourceType": "Bundle", "entry": [{"resource": found}]} if single else found


def _resources(path: Path) -> list[Mapping[str, object]]:
    bundle = _json(path)
    if bundle.get("resourceType") != "Bundle":
        raise InvalidInput(f"{path.name}: want a FHIR R4 Bundle with a Patient")
    entries = bundle.get("entry")
    found = [one.get("resource") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return [one for one in found if isinstance(one, dict)]
