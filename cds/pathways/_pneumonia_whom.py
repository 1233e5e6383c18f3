"""Whom CURB-65 is not made for: people with a weak immune system, and in pregnancy (hospital assessment instead)."""

from __future__ import annotations

from cds import codes, condition_codes, medication_codes
from cds.codes import ValueSet
from cds.domain.ehr import Known, Unknown
from cds.domain.recommendation import Source
from cds.pathways._bedside import any_of
from cds.pathways._facts import add_months
from cds.pathways._guards import known, noted
from cds.pathways._pregnant import ionising as is_pregnant
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Rule

ATS = Source("ATS/IDSA 2019, community-acquired pneumonia", "https://doi.org/10.1164/rccm.201908-1581ST")
WEAK = Rule(
    "immunosuppression",
    "With immunosuppression, or a drug for it of 12 months, CURB-65 does not hold: hospital assessment.",
    ATS,
)
IMMUNITY = Rule("immunity", "Care at home is suggested only where immunosuppression was looked for and not found.", ATS)
PREGNANT = Rule("pregnant", "In pregnancy CURB-65 does not hold: hospital assessment.")
PREGNANCY = Rule("pregnancy", "Care at home is suggested only where pregnancy is excluded, which else is asked for.")
ASKS: tuple[ValueSet, ...] = (
    condition_codes.IMMUNOSUPPRESSION,
    medication_codes.IMMUNOSUPPRESSANT,
    codes.PREGNANCY,
)
_DRUG_MONTHS = 12


def immunosuppressed(found: Reasoning) -> bool | None:
    """Whether the immune system is weak; a drug that was last prescribed long ago may have been stopped."""
    disease = known(found, condition_codes.IMMUNOSUPPRESSION)
    fact, drug = found.case.ehr.medication(medication_codes.IMMUNOSUPPRESSANT.name), medication_codes.IMMUNOSUPPRESSANT
    if isinstance(fact, Known) and fact.effective is None:
        fact = Unknown(found.say("it has no date"))
    elif isinstance(fact, Known) and fact.effective and add_months(fact.effective, _DRUG_MONTHS) < found.case.today:
        fact = Unknown(found.say("the newest entry is of {day}: it may have been stopped", day=fact.effective))
    return found.apply(
        WEAK, any_of((disease, noted(found, fact, drug, "ask the patient, or look at the medication list")))
    )


def pregnant(found: Reasoning) -> bool | None:
    """Whether the patient is pregnant; None for a woman of 12 to 55 years of whom no new word is known."""
    return found.apply(PREGNANT, is_pregnant(found))
