"""CURB-65, oxygen and PSI of the pneumonia pathway: what is known of these days, and what the missing could make.

BTS 2009 (doi:10.1136/thx.2009.121434, section 7): a saturation below 94 % is an adverse sign and usually needs urgent
referral to hospital. An arterial pressure below 60 mmHg is the PSI's limit of low oxygen (Fine 1997).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cds import condition_codes, finding_codes, measurement_codes
from cds.codes import ValueSet
from cds.domain.ehr import Known, Unknown
from cds.domain.recommendation import Source
from cds.pathways._bedside import near, symptoms_near, value_near
from cds.pathways._facts import Missing, findings
from cds.pathways._guards import amount, stated
from cds.pathways._infection import SYMPTOM_DAYS, Signs
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Option, Rule, number
from cds.risk import NotScored, Scored
from cds.risk.curb65 import SCORE as CURB65
from cds.risk.curb65 import span
from cds.risk.psi import SCORE as PSI
from cds.risk.psi import least_class

FRESH = Rule("fresh", "CURB-65 takes values of no more than 1 day before or after the images.", CURB65.source)
CONFUSION = Rule("confusion", "Confusion that nobody recorded is asked for and never taken as absent.", CURB65.source)
PSI_HIGH = Rule(
    "psi",
    "A PSI of class IV or V, also by the known points alone, leads to hospital assessment.",
    Source("Fine 1997, Pneumonia Severity Index", "https://doi.org/10.1056/NEJM199701233360402"),
)
BTS = Source("BTS 2009, community acquired pneumonia", "https://doi.org/10.1136/thx.2009.121434")
OXYGEN = Rule(
    "oxygen",
    "A saturation below 94 % or an arterial oxygen pressure below 60 mmHg leads to hospital assessment.",
    BTS,
)
HYPOTENSION = Rule(
    "low-pressure",
    "A systolic pressure below 90 mmHg leads to hospital assessment as soon as possible, whatever is missing.",
    CURB65.source,
)
#: Below 90 % outpatients fared worse, between 90 and 92 % not (Majumdar, Clin Infect Dis 2011).
SATURATION = Option("saturation_percent", "Oxygen saturation from which care at home may do", "94", "%", 90, 94)
#: The score is one of the presentation to hospital: what was measured days apart is another day's.
VALUE_DAYS = Option("value_days", "Days around the images in which a value counts for CURB-65", "1", "days", 0, 3)

_PATHWAY = "pneumonia"
_CURB65 = {
    "bun_mg_dl": measurement_codes.UREA_NITROGEN,
    "respiratory_rate": measurement_codes.RESPIRATORY_RATE,
    "sbp": measurement_codes.SYSTOLIC,
    "dbp": measurement_codes.DIASTOLIC,
}
_HOW = "measure it now"
_LOW_PRESSURE, _LOW_SYSTOLIC = 60, 90
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
    measurement_codes.OXYGEN_SATURATION,
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
        if self.least == self.most:
            return holds(self.least)
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
    least, most = span(inputs)
    found.risk(CURB65, answer, found.say("{points} of 5 points", points=least) if least == most else "")
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


def short_of_oxygen(found: Reasoning) -> bool | None:
    """Whether oxygen was low on these days; None where the saturation is not known."""
    days = int(number(found.case, _PATHWAY, VALUE_DAYS))
    title = measurement_codes.OXYGEN_SATURATION.title
    saturation = value_near(found, measurement_codes.OXYGEN_SATURATION, days, found.say(_HOW))
    if saturation is not None and not 0 < saturation <= 100:
        saturation = None
        found.missing.append(Missing(title, found.say("the value on record cannot be one"), found.say(_HOW)))
    low = None if saturation is None else saturation < number(found.case, _PATHWAY, SATURATION)
    pressure = _quietly(found, measurement_codes.ARTERIAL_PO2, days)
    if pressure is not None and pressure < _LOW_PRESSURE:
        found.use(
            measurement_codes.ARTERIAL_PO2.title,
            found.case.ehr.measurement(measurement_codes.ARTERIAL_PO2.name),
            amount,
        )
        low = True
    return found.apply(OXYGEN, low)


def hypotensive(found: Reasoning) -> bool | None:
    """Whether the systolic pressure of these days was low: alone it may be a sepsis. None where it is not known."""
    days = int(number(found.case, _PATHWAY, VALUE_DAYS))
    pressure = _quietly(found, measurement_codes.SYSTOLIC, days)
    return found.apply(HYPOTENSION, None if pressure is None or pressure < 0 else pressure < _LOW_SYSTOLIC)


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
    severe = not (isinstance(answer, NotScored) and answer.out_of_range) and least_class(told) in ("IV", "V")
    return bool(found.apply(PSI_HIGH, severe or (False if isinstance(answer, Scored) else None), value))


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
