"""Blood tests and elastography of the liver pathway: what they say, and what of them does not count and why.

FIB-4 is no index of scars while the liver is acutely inflamed. EASL-ALEH 2015 (doi:10.1016/j.jhep.2015.04.006) takes
elastography below 5 times the upper limit of ALT alone; at a common upper limit of 40 U/L that is 200 U/L.
"""

from __future__ import annotations

from dataclasses import dataclass

from cds import measurement_codes
from cds.domain.ehr import Fact, Known, Measurement
from cds.domain.recommendation import Source
from cds.pathways._facts import Missing
from cds.pathways._guards import amount, fresh, within
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Option, Rule, number
from cds.risk import NotScored, Scored
from cds.risk.fib4 import SCORE as FIB4
from cds.risk.lsm_pathway import SCORE as STIFFNESS
from cds.risk.steatosis_fib4_pathway import SCORE as NEXT_STEP

EASL_ALEH = Source("EASL-ALEH 2015, non-invasive tests", "https://doi.org/10.1016/j.jhep.2015.04.006")

ACUTE = Rule(
    "acute",
    "With an AST or ALT of 200 U/L or more FIB-4 is not used, and acute liver disease is looked for now.",
    source=EASL_ALEH,
)
LOW = Rule("low", "A FIB-4 below 1.3, or below 2.0 from 65 years on, is repeated after 2 to 3 years in primary care.")
BETWEEN = Rule("between", "A FIB-4 from 1.3, or from 2.0 at 65 years on, up to 2.67 is followed by elastography.")
HIGH = Rule("high", "A FIB-4 above 2.67 is referred to hepatology.")
IMPOSSIBLE = Rule("impossible", "A blood test or a stiffness that cannot be one is missing.")
STIFF = Rule("stiff", "A liver stiffness of 8 to 12 kPa is referred to hepatology.")
VERY_STIFF = Rule("very-stiff", "A liver stiffness above 12 kPa is referred to hepatology with priority.")
OLD_STIFF = Rule(
    "old-stiff",
    "A stiffness from 8 kPa, older than 12 months or undated, leads to elastography, not to FIB-4.",
)

#: 5 times the upper limit: from 25 U/L (women, ACG 2017) to 45 U/L (men, in common use).
ACUTE_U_L = Option("acute_u_l", "AST or ALT from which acute liver disease is looked for", "200", "U/L", 125, 225)
#: Results of blood tests and of elastography count for so many months.
LABS_MONTHS, STIFFNESS_MONTHS = 6, 12
LABORATORY = (measurement_codes.AST, measurement_codes.ALT, measurement_codes.PLATELETS)

_PATHWAY = "liver"
_INPUTS = {"ast_u_l": LABORATORY[0], "alt_u_l": LABORATORY[1], "platelets_10e9_l": LABORATORY[2]}


@dataclass(frozen=True, slots=True)
class BloodTests:
    """The next step by FIB-4 and the index in words, "" where there is none that counts; whether the liver is acute."""

    action: str = ""
    index: str = ""
    acute: bool = False


def blood_tests(found: Reasoning, years: int) -> BloodTests:
    """What AST, ALT and platelets of the last months say."""
    how = found.say("take blood for AST, ALT and platelets")
    inputs: dict[str, object] = {name: fresh(found, one, LABS_MONTHS, how) for name, one in _INPUTS.items()}
    answer = FIB4(inputs | {"age": years})
    refused = answer.out_of_range if isinstance(answer, NotScored) else ()
    for name in refused:
        _impossible(found, FIB4.title_of(name) if name not in _INPUTS else _INPUTS[name].title, how)
    limit = number(found.case, _PATHWAY, ACUTE_U_L)
    high = [value for name in ("ast_u_l", "alt_u_l") if name not in refused and _reaches(value := inputs[name], limit)]
    if found.apply(ACUTE, bool(high)):
        found.note(found.say("FIB-4: not used, it does not hold with such an AST or ALT."))
        return BloodTests(acute=True)
    if not isinstance(answer, Scored):
        found.risk(FIB4, answer)
        return BloodTests()
    return _by_index(found, answer, years)


def _reaches(value: object, limit: float) -> bool:
    return isinstance(value, float | int) and value >= limit


def _by_index(found: Reasoning, answer: Scored, years: int) -> BloodTests:
    value = answer.number("fib4")
    index = f"{value:.2f}"
    found.risk(FIB4, answer, index)
    step = NEXT_STEP({"steatosis_on_ct": True, "age": years, "fib4": value})
    action = str(step.outputs["action"]) if isinstance(step, Scored) else ""
    found.risk(NEXT_STEP, step, _step_said(found, action))
    for rule, one in ((LOW, "repeat_nit_2_3y_primary_care"), (BETWEEN, "lsm_vcte"), (HIGH, "refer_hepatology")):
        found.apply(rule, action == one, index)
    return BloodTests(action, index)


def _step_said(found: Reasoning, action: str) -> str:
    if action == "refer_hepatology":
        return found.say("refer to hepatology")
    if action == "lsm_vcte":
        return found.say("elastography of the liver")
    return found.say("repeat in 2 to 3 years in primary care")


def _impossible(found: Reasoning, title: str, how: str) -> None:
    found.apply(IMPOSSIBLE, True)
    found.missing.append(Missing(found.say(title), found.say("the value on record cannot be one"), how))


def stiffness(found: Reasoning) -> str:
    """What a stiffness on record says: a step, "old" for a high one that is too old, "" where none is to go by."""
    title = found.say(measurement_codes.LIVER_STIFFNESS.title)
    fact = found.case.ehr.measurement(measurement_codes.LIVER_STIFFNESS.name)
    found.unasked(title, fact, found.say("ask for the result of earlier elastography"))
    if not isinstance(fact, Known):
        return ""
    answer = STIFFNESS({"lsm_kpa": fact.value.quantity.value})
    if not isinstance(answer, Scored):
        _impossible(found, measurement_codes.LIVER_STIFFNESS.title, found.say("ask for the result of the elastography"))
        return ""
    action = str(answer.outputs["action"])
    timely = within(found, fact, STIFFNESS_MONTHS, title)
    if not isinstance(timely, Known):
        found.lacks(title, timely, found.say("measure it again, or ask for its date"))
        return _old(found, fact, title) if action.startswith("refer") else ""
    found.use(title, timely, amount)
    found.risk(STIFFNESS, answer, _stiffness_said(found, action))
    said = amount(timely.value)
    found.apply(STIFF, action == "refer_hepatology_indeterminate", said)
    found.apply(VERY_STIFF, action == "refer_hepatology_high", said)
    return action


def _old(found: Reasoning, fact: Fact[Measurement], title: str) -> str:
    """A high stiffness that is too old is shown with its date, and keeps a low FIB-4 from reassuring."""
    found.use(title, fact, amount)
    found.apply(OLD_STIFF, True)
    return "old"


def _stiffness_said(found: Reasoning, action: str) -> str:
    if action == "primary_care":
        return found.say("below 8 kPa: primary care")
    if action == "refer_hepatology_high":
        return found.say("above 12 kPa: refer to hepatology")
    return found.say("8 to 12 kPa: refer to hepatology")
