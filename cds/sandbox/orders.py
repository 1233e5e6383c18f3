"""The little order editor of a played EHR, and the hook contexts that it leads to (CDS Hooks library)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cds.domain.imaging_order import Contrast, Exam
from cds.exam_codes import EXAMS
from cds.sandbox.chart import Chart, Json
from cds.value_sets import ICD10_CM, LOINC, SNOMED

PRIORITIES = ("routine", "urgent", "asap", "stat")
#: Hooks of which the context has draft orders, and all that the page can play.
WITH_DRAFTS = frozenset({"order-select", "order-sign"})
WITH_ORDER = WITH_DRAFTS | {"order-dispatch"}
PLAYED = WITH_ORDER | {"patient-view", "encounter-start", "encounter-discharge"}

_MODALITIES = {"DX": "Radiograph", "US": "Ultrasound", "MG": "Mammogram", "NM": "Nuclear medicine", "PT": "PET",
               "DXA": "Bone densitometry"}  # fmt: skip
_CONTRASTS = {
    None: "contrast not said",
    Contrast.NONE: "without contrast",
    Contrast.IODINATED: "with iodinated contrast",
    Contrast.GADOLINIUM: "with gadolinium",
}
_WITH_CONTRAST = frozenset({"CT", "MR"})


@dataclass(frozen=True, slots=True)
class Choice:
    """An exam that can be ordered, by its LOINC code."""

    code: str
    label: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What the editor was filled with; `reason_codes` are "system|code", or an ICD-10-CM or SNOMED CT code alone."""

    exam: str
    priority: str = "routine"
    reason: str = ""
    reason_codes: str = ""
    performer: str = "Organization/sandbox-imaging"


@dataclass(frozen=True, slots=True)
class Visit:
    """Who looks at whose chart, and in which visit."""

    user: str
    patient: str
    encounter: str = ""


def choices() -> tuple[Choice, ...]:
    """One LOINC code for each exam that is known, by name."""
    found: dict[Exam, str] = {}
    for (system, code), (exam, _) in EXAMS.items():
        if system == LOINC:
            found.setdefault(exam, code)
    return tuple(sorted((Choice(code, _label(exam)) for exam, code in found.items()), key=lambda one: one.label))


def order(draft: Draft, patient_id: str, order_id: str, *, status: str = "draft") -> Json:
    """The ServiceRequest of an order."""
    text = {one.code: one.label for one in choices()}.get(draft.exam, draft.exam)
    said: Json = {
        "resourceType": "ServiceRequest",
        "id": order_id,
        "status": status,
        "intent": "order",
        "priority": draft.priority,
        "subject": {"reference": f"Patient/{patient_id}"},
        "code": {"coding": [{"system": LOINC, "code": draft.exam}], "text": text},
    }
    reasons: list[Json] = [{"coding": [_coding(one)]} for one in draft.reason_codes.split()]
    reasons += [{"text": draft.reason}] if draft.reason else []
    return said | ({"reasonCode": reasons} if reasons else {})


def context(hook: str, visit: Visit, orders: Sequence[Mapping[str, object]] = (), performer: str = "") -> Json:
    """The context of a hook; `orders` are those that it is about."""
    who: Json = {"userId": visit.user, "patientId": visit.patient}
    where: Json = {"encounterId": visit.encounter} if visit.encounter else {}
    references = [f"ServiceRequest/{one['id']}" for one in orders]
    if hook == "order-dispatch":
        return {"patientId": visit.patient, "order": references[0], "performer": performer}
    if hook in WITH_DRAFTS:
        bundle: Json = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in orders]}
        selected: Json = {"selections": references} if hook == "order-select" else {}
        return who | where | selected | {"draftOrders": bundle}
    return who | where


def visit(chart: Chart, user: str, hook: str) -> Visit:
    """The visit of a chart; one is made up where the hook wants one and the chart has none."""
    made_up = "sandbox-encounter" if hook.startswith("encounter-") else ""
    return Visit(user, chart.patient_id, chart.first("Encounter") or made_up)


def _label(exam: Exam) -> str:
    name = _MODALITIES.get(exam.modality, exam.modality)
    vessels = " angiography" if exam.angiography else ""
    medium = f", {_CONTRASTS[exam.contrast]}" if exam.modality in _WITH_CONTRAST else ""
    return f"{name}{vessels}: {exam.region or 'region not said'}{medium}"


def _coding(written: str) -> Json:
    system, bar, code = written.rpartition("|")
    return {"system": system if bar else SNOMED if code.isdecimal() else ICD10_CM, "code": code}
