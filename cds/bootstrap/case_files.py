"""The files that a committee writes: a patient as a FHIR Bundle, findings as JSON, draft orders. Read strictly.

What is odd is refused with what was wanted: nobody should approve a decision that was made of a slip of the pen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from cds.domain.coding import Coding
from cds.domain.ehr import EhrData
from cds.domain.finding import Finding, Findings, ModelOutcome, Presence
from cds.domain.identity import Patient
from cds.domain.message import RecordStatements, Searched, Statement
from cds.errors import InvalidInput, SightlineError
from cds.pathways.language import languages
from cds.record import assemble

Resource = Mapping[str, object]
_SIDES = ("", "left", "right", "both")


@checked(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class FindingsFile:
    """The images of one study and what models said of them. `today` is the day on which it is decided.

    `searched` is how the record was searched for the patient of the Bundle, and since when: what it does not have was
    looked for and not found. Without it nobody was asked for what the Bundle lacks. `site` and `language` go before
    those of the settings.
    """

    study_date: date
    modality: str
    outcomes: tuple[ModelOutcome, ...]
    today: date | None = None
    study_instance_uid: str = "2.25.1"
    procedures: tuple[Coding, ...] = ()
    site: Mapping[str, str] | None = None
    language: str | None = None
    searched: str = ""
    searched_since: date | None = None

    @property
    def decided_on(self) -> date:
        """The day of the decision: that of the images where none is given."""
        return self.today or self.study_date


@dataclass(frozen=True, slots=True)
class Record:
    """How the record was searched for the patient of a Bundle, since when, and the day on which it is decided."""

    today: date
    searched: str = ""
    searched_since: date | None = None


def read_findings(path: Path) -> FindingsFile:
    """The findings of a file; raise InvalidInput with everything in it that is not as wanted."""
    try:
        found: FindingsFile = TypeAdapter(FindingsFile).validate_json(path.read_bytes())
    except ValidationError as error:
        told = (_told(one["loc"], one["msg"]) for one in error.errors(include_input=False, include_url=False))
        raise InvalidInput(f"{path.name}: {'; '.join(dict.fromkeys(told))}") from None
    if mistakes := list(_mistakes(found)):
        raise InvalidInput(f"{path.name}: {'; '.join(mistakes)}")
    return found


def read_record(path: Path, record: Record) -> EhrData:
    """What the one Patient of a Bundle and its resources state; raise InvalidInput where it is not as wanted."""
    who, told = _patient(path, record)
    return assemble(who, told, now=datetime.combine(record.today, time(12), UTC), today=record.today)


def read_orders(path: Path) -> Resource:
    """A Bundle of draft orders; one ServiceRequest stands for a Bundle of it."""
    found = _json(path)
    single = found.get("resourceType") == "ServiceRequest"
    return {"resourceType": "Bundle", "entry": [{"resource": found}]} if single else found


def members(bundle: Resource) -> list[Resource]:
    """The resources of a Bundle."""
    entries = bundle.get("entry")
    found = [one.get("resource") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return [one for one in found if isinstance(one, dict)]


def _told(where: tuple[int | str, ...], what: str) -> str:
    # The name of a class that a member of `outcomes` might have been says nothing to whoever wrote the file.
    place = ".".join(str(part) for part in where if str(part) not in ("Findings", "NotEvaluated"))
    return f"{place or 'the file'}: {what}"


def _mistakes(file: FindingsFile) -> Iterator[str]:
    if file.study_date > file.decided_on:
        yield "study_date: want a day that is not after today, on which it is decided"
    if file.searched_since and file.searched_since > file.decided_on:
        yield "searched_since: want a day that is not after today"
    if file.language is not None and file.language not in languages():
        yield f"language: want one of {', '.join(languages())}"
    for number, outcome in enumerate(file.outcomes):
        for at, finding in enumerate(outcome.findings if isinstance(outcome, Findings) else ()):
            yield from (f"outcomes.{number}.findings.{at}: {mistake}" for mistake in _of_finding(finding))


def _of_finding(finding: Finding) -> Iterator[str]:
    if finding.presence is Presence.MEASURED and finding.value is None:
        yield "what was measured wants a value"
    if finding.laterality not in _SIDES:
        yield "laterality: want left, right or both"
    if finding.confidence is not None and not 0 <= finding.confidence <= 1:
        yield "confidence: want a number from 0 to 1"


def _patient(path: Path, record: Record) -> tuple[Patient, RecordStatements]:
    """The one Patient of a Bundle, and what its resources state."""
    from adapters.fhir.race import read_race
    from adapters.fhir.read import by_reference, read_patient, statements

    resources = _resources(path)
    patients = [one for one in resources if one.get("resourceType") == "Patient"]
    if len(patients) != 1:
        raise InvalidInput(f"{path.name}: want exactly one Patient, there are {len(patients)}")
    if strangers := list(of_another(patients[0], resources)):
        raise InvalidInput(f"{path.name}: want every resource to be about this Patient: {', '.join(strangers)} is not")
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


def of_another(patient: Resource, resources: list[Resource]) -> Iterator[str]:
    """The resources that name another Patient; what names none is taken for this one's."""
    for number, one in enumerate(resources):
        subject = one.get("subject") or one.get("patient")
        named = subject.get("reference") if isinstance(subject, dict) else None
        if isinstance(named, str) and "Patient/" in named and named.rpartition("/")[2] != patient.get("id"):
            yield f"{one.get('resourceType')} {one.get('id') or f'#{number + 1}'}"


def _json(path: Path) -> Resource:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path.name}: want JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def _resources(path: Path) -> list[Resource]:
    bundle = _json(path)
    if bundle.get("resourceType") != "Bundle":
        raise InvalidInput(f"{path.name}: want a FHIR R4 Bundle with a Patient")
    return members(bundle)
