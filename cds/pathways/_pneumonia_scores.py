"""CURB-65 and PSI of the pneumonia pathway: what is known of the day of the images, and what the missing could make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cds import condition_codes, finding_codes, measurement_codes
from cds.codes import ValueSet
from cds.domain.ehr import Known, Unknown
from cds.domain.recommendation import Source
from cds.errors import InsufficientData
from cds.pathways._bedside import near, symptoms_near, value_near
from cds.pathways._facts import Missing, findings
from cds.pathways._guards import stated
from cds.pathways._infection import SYMPTOM_DAYS, Signs
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Option, Rule, number
from cds.risk import Answer, NotScored, Scored
from cds.risk.curb65 import SCORE as CURB65
from cds.risk.psi import SCORE as PSI

FRESH = Rule("fresh", "CURB-65 takes values of no more than 1 day before or after the images.", CURB65.source)
CONFUSION = Rule("confusion", "Confusion that nobody recorded is asked for and never taken as absent.", CURB65.source)
PSI_HIGH = Rule(
    "psi",
    "A PSI of class IV or V, also by the known points alone, leads to hospital assessment.",
    Source("Fine 1997, Pneumonia Severity Index", "https://doi.org/10.1056/NEJM199701233360402"),
)
#: The score is one of the presentation to hospital: what was measured days apart is another day's.
VALUE_DAYS = Option("value_days", "Days around the images in which a value counts for CURB-65", "1", "days", 0, 3)

_PATHWAY = "pneumonia"
#: What gives no point where it is not known, and what gives one.
_NO_POINT: dict[str, object] = {
    "age": 18,
    "confusion": False,
    "bun_mg_dl": 10,
    "respiratory_rate": 16,
    "sbp": 120,
    "dbp": 80,
}
_A_POINT: dict[str, object] = {
    "age": 80,
    "confusion": True,
    "bun_mg_dl": 60,
    "respiratory_rate": 40,
    "sbp": 80,
    "dbp": 50,
}
_CURB65 = {
    "bun_mg_dl": measurement_codes.UREA_NITROGEN,
    "respiratory_rate": measurement_codes.RESPIRATORY_RATE,
    "sbp": measurement_codes.SYSTOLIC,
    "dbp": measurement_codes.DIASTOLIC,
}
_HOW = "measure it now"
_PSI_MEASURED = {
    "t": measurement_codes.BODY_TEMPERATURE,
    "hr": measurement_codes.HEART_RATE,
    "ph": measurement_codes.ARTERIAL_PH,
    "na": measurement_codes.SODIUM,
    "glu": measurement_codes.GLUCOSE,
    "hct": measurement_codes.HAEMATOCRIT,
    "po2": measurement_codes.ARTERIAL_PO2,
}
_PSI_DISEASES = {
    "nursing_home_resident": condition_codes.NURSING_HOME,
    "neoplastic_disease": condition_codes.CANCER,
    "liver_disease": condition_codes.CHRONIC_LIVER_DISEASE,
    "chf": condition_codes.HEART_FAILURE,
    "cerebrovascular_disease": condition_codes.STROKE,
    "renal_disease": condition_codes.CHRONIC_KIDNEY_DISEASE,
}
ASKS: tuple[ValueSet, ...] = (
    *_CURB65.values(),
    *_PSI_MEASURED.values(),
    *_PSI_DISEASES.values(),
)


@dataclass(frozen=True, slots=True)
class Points:
    """CURB-65 with the points that are known, and with all that the missing ones could add; `missing` by title."""

    least: int
    most: int
    missing: tuple[str, ...]
    inputs: dict[str, object]

    @property
    def known(self) -> bool:
        """Whether the missing values cannot change the points."""
        return self.least == self.most

    def sure(self, holds: Callable[[int], bool]) -> bool | None:
        """Whether something holds whatever the missing values are; None where they decide it."""
        told = {holds(points) for points in range(self.least, self.most + 1)}
        return told.pop() if len(told) == 1 else None


def curb65(found: Reasoning, age: int) -> Points:
    """CURB-65 of the day of the images: least and most points."""
    days = int(number(found.case, _PATHWAY, VALUE_DAYS))
    inputs: dict[str, object] = {"age": age, "confusion": _confused(found)}
    inputs |= {name: value_near(found, one, days, found.say(_HOW)) for name, one in _CURB65.items()}
    answer = CURB65(inputs)
    if isinstance(answer, NotScored):
        _refuse(found, inputs, answer.out_of_range)
    missing = [name for name, value in inputs.items() if value is None]
    found.apply(FRESH, not missing)
    least, most = _span(answer, inputs)
    found.risk(CURB65, answer, str(least) if least == most else "")
    return Points(least, most, tuple(CURB65.title_of(name) for name in missing), inputs)


def _confused(found: Reasoning) -> bool | None:
    """New confusion around the day of the images; that nobody recorded it does not say that somebody looked."""
    days = int(number(found.case, _PATHWAY, SYMPTOM_DAYS))
    told = symptoms_near(found, (condition_codes.CONFUSION,), days)[condition_codes.CONFUSION.name]
    if found.apply(CONFUSION, not told):
        how = found.say("examine the patient (new disorientation, or an Abbreviated Mental Test of 8 or less)")
        found.lacks(condition_codes.CONFUSION.title, Unknown(found.say("nobody recorded it for these days")), how)
    return True if told else None


def _refuse(found: Reasoning, inputs: dict[str, object], names: tuple[str, ...]) -> None:
    """What cannot be a measurement is not known."""
    for name in names:
        inputs[name] = None
        why = found.say("the value on record cannot be one")
        found.missing.append(Missing(CURB65.title_of(name), why, found.say(_HOW)))


def _span(answer: Answer, inputs: dict[str, object]) -> tuple[int, int]:
    """The fewest and the most points that the missing values leave possible."""
    if isinstance(answer, Scored):
        return int(answer.number("curb65")), int(answer.number("curb65"))
    return _points(_NO_POINT, inputs), _points(_A_POINT, inputs)


def _points(filled: dict[str, object], known: dict[str, object]) -> int:
    answer = CURB65(filled | {name: value for name, value in known.items() if value is not None})
    if isinstance(answer, NotScored):
        raise InsufficientData(", ".join(CURB65.title_of(name) for name in answer.missing))
    return int(answer.number("curb65"))


def psi_is_high(found: Reasoning, seen: Signs, points: Points) -> bool:
    """Whether the PSI is of class IV or V for certain: its items only add points, so the known ones are the least."""
    case, inputs = found.case, points.inputs
    days = int(number(case, _PATHWAY, VALUE_DAYS))
    sex = case.ehr.sex
    told: dict[str, object] = {
        "age": inputs["age"],
        "sex": sex.value.value if isinstance(sex, Known) else None,
        "altered_mental_status": inputs["confusion"],
        "pleural_effusion": _effusion(found, seen),
        "rr": inputs["respiratory_rate"],
        "sbp": inputs["sbp"],
        "bun": inputs["bun_mg_dl"],
    }
    told |= {name: stated(case.ehr.condition(one.name)) for name, one in _PSI_DISEASES.items()}
    told |= {name: _quietly(found, one, days) for name, one in _PSI_MEASURED.items()}
    answer = PSI(told)
    value = found.say("{points} points", points=f"{answer.number('psi'):g}") if isinstance(answer, Scored) else ""
    found.risk(PSI, answer, value)
    # Women have ten points less: where the sex is not known the least is theirs.
    filled = {"sex": "female"} | {name: one for name, one in told.items() if one is not None}
    least = answer if isinstance(answer, Scored) else PSI(PSI.described(filled))
    severe = isinstance(least, Scored) and least.outputs["risk_class_if_not_class_I"] in ("IV", "V")
    return bool(found.apply(PSI_HIGH, severe or (False if least is answer else None), value))


def unasked_diseases(found: Reasoning) -> None:
    """The diseases of the PSI that nobody could be asked for stand as missing: they speak against care at home."""
    for one in _PSI_DISEASES.values():
        found.unasked(one.title, found.case.ehr.condition(one.name), found.say("look at the problem list"))


def _effusion(found: Reasoning, seen: Signs) -> bool | None:
    """Whether there is an effusion, as far as the images tell; None where nobody looked for one."""
    if seen.effusions:
        return True
    return False if any(findings(found.case, finding_codes.PLEURAL_EFFUSION)) else None


def _quietly(found: Reasoning, value_set: ValueSet, days: int) -> float | None:
    """A value for PSI: where it lacks, the score says so, and the card does not ask for arterial blood."""
    fact = found.case.ehr.measurement(value_set.name)
    if isinstance(fact, Known) and near(fact, found.case.study_date, days):
        return fact.value.quantity.value
    return None
