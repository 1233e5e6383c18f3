"""A suspected pulmonary embolism: what Wells, YEARS and PERC ask, by the order and by the record of these days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cds import codes, condition_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.ehr import Known
from cds.domain.imaging_order import ImagingOrder
from cds.ordering import _reasons as reasons
from cds.ordering._order import DISEASE_MONTHS, DRUG_MONTHS, age, known, measured_lately, signed, taken
from cds.ordering._pregnancy import NOT_PREGNANT_DAYS, pregnant
from cds.ordering._signs import Sign, own_codings, told
from cds.pathways import Rule
from cds.pathways._bedside import any_of
from cds.pathways._facts import Missing, add_months, words
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import number
from cds.risk.years import SCORE as YEARS

OUTSIDE = Rule(
    "outside",
    "Below 18 years, in pregnancy, with an anticoagulant or below 90 mmHg nothing is said against it.",
    YEARS.source,
)
OXYGEN_LOW = Rule(
    "oxygen", "With an oxygen saturation below 90 % or not known nothing is said against CT pulmonary angiography."
)
RECENT = Rule("recent", "With a venous thromboembolism within 3 months nothing is said against CT angiography.")
BOTH = Rule("both", "An embolism that the order calls both improbable and most likely is a question.")

DVT = Sign(
    "dvt-signs",
    "clinical signs of deep vein thrombosis",
    (reasons.DEEP_VEIN,),
    doubted_by=(condition_codes.LEG_SWELLING,),
)
MOST_LIKELY = Sign("pe-most-likely", "no other diagnosis as likely as pulmonary embolism")
IMMOBILE = Sign("immobilised-or-operated", "immobilised for 3 days, or an operation within 4 weeks")
HAEMOPTYSIS = Sign("haemoptysis", "coughing up blood", (codes.HAEMOPTYSIS,))
LEG = Sign("one-leg-swollen", "swelling of one leg", (condition_codes.LEG_SWELLING,))
TRAUMA = Sign("surgery-or-trauma-4-weeks", "an operation or an accident within 4 weeks")
OXYGEN = Sign("on-oxygen", "breathing oxygen")
LATELY = Sign("embolism-3-months", "deep vein thrombosis or pulmonary embolism within 3 months")
#: Only an order says it; without it nothing is missing: D-dimer is measured.
IMPROBABLE = Sign("pe-improbable", "pulmonary embolism improbable by the clinician's own estimate")
OWN = own_codings(
    (DVT, MOST_LIKELY, IMMOBILE, HAEMOPTYSIS, LEG, TRAUMA, OXYGEN, LATELY, IMPROBABLE),
    (
        condition_codes.VENOUS_THROMBOEMBOLISM,
        condition_codes.CANCER,
        medication_codes.ANTICOAGULANT,
        medication_codes.OESTROGEN,
    ),
)
#: ESC 2019 (doi:10.1093/eurheartj/ehz405): systolic, haemodynamic instability; saturation, severity index (PESI).
_SHOCK_MM_HG, _SATURATION, _ADULT = 90, 90, 18
_RECENT_MONTHS = 3
_FOUR_WEEKS = timedelta(weeks=4)


@dataclass(frozen=True, slots=True)
class Patient:
    """What Wells, YEARS and PERC ask; None where it is not known. `outside` where the rules are not for the patient."""

    outside: bool | None
    saturation: float | None
    years: int | None
    heart_rate: float | None
    dvt: bool | None
    most_likely: bool | None
    immobile: bool | None
    previous: bool | None
    haemoptysis: bool | None
    cancer: bool | None

    @property
    def years_items(self) -> int | None:
        """How many items of YEARS are there; None where one is not known."""
        items = (self.dvt, self.haemoptysis, self.most_likely)
        return None if None in items else sum(bool(one) for one in items)


def _outside(found: Reasoning, order: ImagingOrder, years: int | None, saturation: float | None) -> bool | None:
    """Whether the rules are not for this patient; None where that is not known."""
    pressure = measured_lately(found, measurement_codes.SYSTOLIC, 1, found.say("measure it"))
    thinned = (medication_codes.ANTICOAGULANT, reasons.ANTICOAGULATED)
    outside = any_of(
        (
            None if years is None else years < _ADULT,
            pregnant(found, number(found.case, found.pathway, NOT_PREGNANT_DAYS)),
            taken(found, medication_codes.ANTICOAGULANT, back=DRUG_MONTHS, reasons=thinned),
            None if pressure is None else pressure < _SHOCK_MM_HG,
        )
    )
    low = None if saturation is None else saturation < _SATURATION
    return any_of((found.apply(OUTSIDE, outside), found.apply(OXYGEN_LOW, low), _recent(found, order)))


def _recent(found: Reasoning, order: ImagingOrder) -> bool | None:
    """Whether there was an embolism within three months, by the record's date or by the order."""
    fact = found.case.ehr.condition(condition_codes.VENOUS_THROMBOEMBOLISM.name)
    day = fact.effective if isinstance(fact, Known) else None
    if day is not None and add_months(day, _RECENT_MONTHS) >= found.case.today:
        found.use(condition_codes.VENOUS_THROMBOEMBOLISM.title, fact, words)
        return found.apply(RECENT, True)
    return found.apply(RECENT, told(found, order, found.pathway, LATELY))


def patient(found: Reasoning, order: ImagingOrder) -> Patient:
    """What is known of the patient; what is not stands as missing."""
    years = age(found)
    saturation = measured_lately(
        found, measurement_codes.OXYGEN_SATURATION, 1, found.say("measure it, and say whether on room air")
    )
    past = (reasons.DEEP_VEIN, reasons.EARLIER_EMBOLISM)
    return Patient(
        outside=_outside(found, order, years, saturation),
        saturation=saturation,
        years=years,
        heart_rate=measured_lately(found, measurement_codes.HEART_RATE, 1, found.say("measure it")),
        dvt=told(found, order, found.pathway, DVT),
        most_likely=_most_likely(found, order),
        immobile=True if operated(found) else told(found, order, found.pathway, IMMOBILE),
        previous=known(found, condition_codes.VENOUS_THROMBOEMBOLISM, back=DISEASE_MONTHS, reasons=past),
        haemoptysis=told(found, order, found.pathway, HAEMOPTYSIS),
        cancer=known(found, condition_codes.CANCER, back=DISEASE_MONTHS),
    )


def _most_likely(found: Reasoning, order: ImagingOrder) -> bool | None:
    """Whether embolism is the most likely diagnosis; not known where the order calls it improbable as well."""
    if not found.apply(BOTH, signed(order, MOST_LIKELY.code) and signed(order, IMPROBABLE.code)):
        return told(found, order, found.pathway, MOST_LIKELY)
    why = found.say("the order says that embolism is improbable, and that it is the most likely diagnosis")
    found.missing.append(Missing(found.say(MOST_LIKELY.title), why, found.say("ask who orders the exam")))
    return None


def operated(found: Reasoning) -> bool:
    """Whether an operation of the last four weeks is on record; that none is found says little."""
    fact = found.case.ehr.procedure(procedure_codes.SURGERY.name)
    if isinstance(fact, Known) and fact.effective is not None and fact.effective + _FOUR_WEEKS >= found.case.today:
        found.use(procedure_codes.SURGERY.title, fact, words)
        return True
    return False
