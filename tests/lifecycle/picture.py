"""What the outside has, as text that a clinician can read and that is the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cds.store.holds import open_holds
from tests.lifecycle.texts import each

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from tests.lifecycle.stage import Person, Stage

Json = dict[str, Any]
#: Notes that say what became of a result.
_TOLD = ("replaces", "A radiologist", "radiologist's final", "ithdrawn")
_SR, _SEG, _KO = "SR", "SEG", "KO"


def draw(stage: Stage, people: tuple[Person, ...]) -> str:
    """The five views, each with a line that says so where there is nothing."""
    parts = {
        "ORU at the engine": [line for block in stage.orus for line in _oru(block)],
        "FHIR server": sorted(_resources(stage.fhir.of_type("DiagnosticReport"), stage.fhir.of_type("Observation"))),
        "PACS": [line for one in stage.pacs.instances.values() for line in _instance(one)],
        "critical results at the radiologist's": [line for block in stage.pages for line in _oru(block)],
        "cards": [line for person in people for line in _cards(stage, person)],
        "held for a person": sorted(f"{hold.kind.value}: {hold.reason}" for hold in open_holds(stage.held.database)),
    }
    return "\n".join(
        f"{title}\n" + "\n".join(f"  {line}" for line in lines or ["nothing"]) for title, lines in parts.items()
    )


def _oru(block: str) -> Iterator[str]:
    segments = list(each(block))
    patient = next((s[3].split("^")[0] for s in segments if s[0] == "PID"), "not named")
    request = next(s for s in segments if s[0] == "OBR")
    processing = next(s[10] for s in segments if s[0] == "MSH")
    order = request[29].split("&")[0] if len(request) > 29 and request[29] else "none"
    episode = request[3].split("^")[0].partition(".")[2].partition("-")[0] or "1"
    mark = "" if processing == "P" else f" (MSH-11 {processing})"
    yield f"patient {patient}, report {episode}, order {order}, OBR-25 {request[25]}{mark}"
    for observation in (s for s in segments if s[0] == "OBX"):
        value = observation[5].split("^")[1] if "^" in observation[5] else observation[5]
        yield f"    {observation[3].split('^')[1]}: {value or '(no value)'} [{observation[11]}]"
    notes = dict.fromkeys(s[3] for s in segments if s[0] == "NTE" and any(word in s[3] for word in _TOLD))
    yield from (f"    note: {note}" for note in notes)


def _resources(reports: list[Json], observations: list[Json]) -> Iterator[str]:
    for report in reports:
        number = report["identifier"][0]["value"].partition(".")[2] or "1"
        text = (report.get("conclusion") or "").splitlines()
        said = next((line for line in text if "ithdrawn" in line), "")
        yield f"DiagnosticReport {number}: {report['status']}, subject {_subject(report)}{', ' + said if said else ''}"
    for observation in observations:
        name = observation["code"].get("text") or observation["code"]["coding"][0]["display"]
        notes = "; ".join(n["text"] for n in observation.get("note", []) if any(word in n["text"] for word in _TOLD))
        told = f": {notes}" if notes else ""
        yield f"Observation {name}: {observation['status']}, subject {_subject(observation)}{told}"


def _subject(resource: Json) -> str:
    subject = resource.get("subject", {})
    return str(subject.get("identifier", {}).get("value") or subject.get("reference") or "not known")


def _instance(dataset: Dataset) -> Iterator[str]:
    if dataset.Modality == _SEG:
        yield f"SEG, patient {dataset.PatientID}"
        return
    if dataset.Modality == _KO:
        rejected = [
            item
            for study in dataset.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        ]
        title = dataset.ConceptNameCodeSequence[0]
        yield f"KO {title.CodeValue}, patient {dataset.PatientID}: rejects {len(rejected)} instances"
        return
    before = "PredecessorDocumentsSequence" in dataset
    texts = " ".join(str(e.value) for e in dataset.iterall() if e.keyword == "TextValue")
    withdrawn = ", withdrawn" if "ithdrawn" in texts else ""
    yield (
        f"SR, patient {dataset.PatientID}, {dataset.get('PreliminaryFlag', '')}, {dataset.VerificationFlag}"
        f"{', replaces an earlier one' if before else ''}{withdrawn}"
    )


def _cards(stage: Stage, person: Person) -> Iterator[str]:
    found = stage.cards(person)
    for card in found:
        suggested = "; ".join(s["label"] for s in card.get("suggestions", []))
        yield f"{person.mrn}: {card['summary']}{' → ' + suggested if suggested else ''}"
    if not found:
        yield f"{person.mrn}: none"
