"""The patient-view call that is measured, and the reports that it finds. Every name and number is invented.

The chart is that of the first three sample patients of `tests/unit/patients` as one person, whose three CTs have what
models found on theirs; laboratory values fill the call up to the size of a real one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from cds import pathways
from cds.bootstrap.case_files import read_findings
from cds.bootstrap.explaining import read
from cds.codes import UCUM
from cds.domain.finding import Findings
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.revision import Revision, Work
from cds.hooks import prefetch
from cds.pathways.merging import together
from cds.searches import Search

Json = dict[str, Any]

SYSTEM, AUTHORITY = "urn:test:mrn", "HOSPITAL"
BORN = date(1962, 7, 9)
TODAY = date(2026, 11, 22)
ISSUED = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
#: The size of the call that is measured, and of the prefetch of a patient with a long history.
CALL_BYTES, LARGE_BYTES = 18_500, 441_000
FILES = tuple(
    Path(__file__).parents[1] / "unit" / "patients" / f"{name}.findings.json"
    for name in ("01-calcium", "02-emphysema", "03-lung-nodule")
)
_PATIENT = "ehr-1"
_META = {"versionId": "3", "lastUpdated": "2026-10-01T08:00:00.123+00:00"}
_LABORATORY = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}


def mrn(number: int) -> str:
    """The medical record number of one of the stored patients; all are equally long."""
    return f"M{number:08d}"


def models() -> list[str]:
    """The models of the findings."""
    return sorted({outcome.model for file in FILES for outcome in read_findings(file).outcomes})


# --- the call


def call(number: int, size: int = CALL_BYTES) -> bytes:
    """A patient-view call of so many bytes in all, with everything prefetched that the service asks for.

    Each patient is opened by another person.
    """
    bundles = {key: [one for one in _chart() if _answers(search, one)] for key, search in _templates().items()}
    keys = [key for key, search in _templates().items() if search.type == "Observation"]
    found = _written(number, bundles)
    for further in range(10_000):
        if len(found) >= size:
            return found
        key = keys[further % len(keys)]
        bundles[key].append(_laboratory(further, _templates()[key]))
        if size - len(found) < len(keys) * 1000 or further % len(keys) == 0:
            found = _written(number, bundles)
    raise AssertionError("want a call of that size")


def _templates() -> Mapping[str, Search]:
    return prefetch.templates(pathways.asked())


def _written(number: int, bundles: dict[str, list[Json]]) -> bytes:
    identifier = [{"system": SYSTEM, "value": mrn(number), "use": "usual"}]
    name = [{"use": "official", "family": "Unmistakable", "given": ["Ada"]}]
    who: Json = {"resourceType": "Patient", "id": _PATIENT, "meta": _META, "identifier": identifier, "name": name}
    body = {
        "hook": "patient-view",
        "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
        "context": {"userId": f"Practitioner/{number}", "patientId": _PATIENT},
        "prefetch": {
            "patient": who | {"gender": "male", "birthDate": BORN.isoformat()},
            **{key: _searchset(found) for key, found in bundles.items()},
        },
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _searchset(found: list[Json]) -> Json:
    entries = [
        {"fullUrl": f"https://ehr.example/fhir/{one['resourceType']}/{one['id']}", "resource": one} for one in found
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found)} | ({"entry": entries} if found else {})


def _chart() -> Iterator[Json]:
    """What the three say, the first of each question, as one person's."""
    seen: set[str] = set()
    for file in FILES:
        for entry in json.loads(file.with_name(file.name.replace("findings", "bundle")).read_bytes())["entry"]:
            one = entry["resource"]
            about = json.dumps(one.get("code") or one.get("medicationCodeableConcept") or one.get("condition"))
            if one["resourceType"] == "Patient" or about in seen:
                continue
            seen.add(about)
            whose = "patient" if "patient" in one else "subject"
            yield {**one, "id": f"{file.name[:2]}{one['id']}", whose: {"reference": f"Patient/{_PATIENT}"}}


def _answers(search: Search, one: Json) -> bool:
    if one["resourceType"] != search.type:
        return False
    tokens = {f"{c.get('system')}|{c.get('code')}" for c in one.get("code", {}).get("coding", ())}
    return not search.codes or bool(tokens & {*search.codes, *search.panels})


def _laboratory(number: int, search: Search) -> Json:
    """An older value of a question, as an EHR writes it."""
    system, _, code = search.codes[0].partition("|")
    day = f"{2005 + number % 20}-{1 + number % 12:02d}-{1 + number % 28:02d}T08:00:00+01:00"
    return {
        "resourceType": "Observation", "id": f"lab-{number}", "meta": _META, "status": "final",
        "category": [{"coding": [_LABORATORY]}],
        "code": {"coding": [{"system": system, "code": code}], "text": search.key},
        "subject": {"reference": f"Patient/{_PATIENT}"}, "effectiveDateTime": day, "issued": day,
        "valueQuantity": {"value": 1 + number % 50 / 10, "unit": "1", "system": UCUM, "code": "1"},
    }  # fmt: skip


# --- what is stored


def reports(number: int) -> tuple[Report, ...]:
    """The newest reports of one patient, as the pipeline decided them."""
    return tuple(_report(number, place, file) for place, file in enumerate(FILES))


def patient(number: int) -> Patient:
    """The patient as the images and the messages name her."""
    known = (Identifier(mrn(number), AUTHORITY),)
    return Patient(known, HumanName("Unmistakable", "Ada"), BORN, Sex.MALE, None, f"patient-{number:08d}")


def _report(number: int, place: int, file: Path) -> Report:
    case = read(file.with_name(file.name.replace("findings", "bundle")), file)
    uid = f"1.2.826.0.1.3680043.10.{place}.{number:08d}"
    who = patient(number)
    series = tuple(
        replace(one, series_instance_uid=f"{uid}.1") if isinstance(one, Findings) else one for one in case.outcomes
    )
    names = {
        f"{one.model}.{finding.key}": frozenset(Audience)
        for one in series
        for finding in (one.findings if isinstance(one, Findings) else ())
    }
    images = Study(
        study_instance_uid=uid, patient=who.identifiers[0], accession=Identifier(f"A{place}{number:08d}", "RIS"),
        patient_birth_date=BORN, patient_sex=Sex.MALE, study_date=case.study_date, description="CT chest",
        modalities=("CT",), public_id=f"{place}aaaaaaa-0000-4000-8000-{number:012d}",
        image_revision=1, match_revision=1,
        started_at=datetime.combine(case.study_date, time(8), UTC),
    )  # fmt: skip
    return Report(
        work=Work("dicom", uid, Revision(1, 1, 1)),
        version=1,
        study=images,
        match=Match(MatchState.MATCHED, ("accession number and patient agree",), f"order-{place}-{number}", who.id),
        patient=who,
        order=None,
        outcomes=series,
        ehr=case.ehr,
        decision=Decision(
            together(pathways.evaluate(case, pathways.load().keys())), Release(frozenset(Audience), (), names), TODAY
        ),
        issued=ISSUED,
    )
