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
from cds.domain.finding import ModelOutcome
from cds.domain.identity import Patient
from cds.domain.message import RecordStatements, Searched
from cds.domain.recommendation import Case, PathwayOutcome
from cds.errors import InvalidInput, SightlineError
from cds.pathways.merging import merged
from cds.record import assemble


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


def read(patient: Path, findings: Path) -> Case:
    """The case of two files; raise InvalidInput where one of them is not as wanted."""
    images = _findings(findings)
    today = images.today or images.study_date
    who, record = _patient(patient, images, today)
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


def _patient(path: Path, images: FindingsFile, today: date) -> tuple[Patient, RecordStatements]:
    """The one Patient of a Bundle, and what its resources state."""
    from adapters.fhir.read import by_reference, read_patient, statements

    resources = _resources(path)
    patients = [one for one in resources if one.get("resourceType") == "Patient"]
    if len(patients) != 1:
        raise InvalidInput(f"{path.name}: want exactly one Patient, there are {len(patients)}")
    latest = datetime.combine(today, time.max, UTC)
    try:
        who = read_patient(patients[0], {})
        told = tuple(statements(resources, path.name, latest=latest, others=by_reference(resources)))
    except SightlineError as error:
        raise InvalidInput(f"{path.name}: {error}") from error
    asked = (Searched(images.searched, images.searched_since, None),) if images.searched else ()
    return who, RecordStatements(told, asked)


def _resources(path: Path) -> list[Mapping[str, object]]:
    try:
        bundle = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidInput(f"{path.name}: want JSON: {error}") from None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise InvalidInput(f"{path.name}: want a FHIR R4 Bundle with a Patient")
    entries = bundle.get("entry")
    found = [one.get("resource") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return [one for one in found if isinstance(one, dict)]
