"""What leads to bone densitometry on images: a low attenuation of L1 at 120 kV, or a vertebral fracture."""

from __future__ import annotations

from dataclasses import dataclass

from cds import finding_codes, units
from cds.codes import SNOMED
from cds.domain.coding import Quantity, digits
from cds.domain.finding import Finding, Presence, kind_of
from cds.domain.recommendation import CouldNotTell, NothingToSay, Source
from cds.pathways._bedside import place
from cds.pathways._facts import Measured, Missing, Seen, findings, refused, values, where
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Option, Rule, number
from cds.risk import Scored
from cds.risk.l1_hu import SCORE as L1_HU

ID = "bone"
PICKHARDT = Source(
    "Pickhardt 2013, vertebral attenuation on CT", "https://doi.org/10.7326/0003-4819-158-8-201304160-00003"
)
#: Grade 2 is a loss of height of 25 to 40 %, grade 3 of more (Genant 1993, as quoted there).
GENANT = Source("Grades of vertebral fracture (Genant), QIMS 2019", "https://doi.org/10.21037/qims.2019.02.04")
#: Below 135 HU in L1 there is a risk of osteoporosis.
ANDERSON = Source(
    "Anderson 2018, opportunistic CT for osteoporosis (J Bone Joint Surg Am 100:2073)",
    "https://experts.umn.edu/en/publications/clinical-use-of-opportunistic-computed-tomography-screening-for-o",
)

LOW = Rule("low-attenuation", "An L1 attenuation of 110 HU or less at 120 kV leads to DXA.", PICKHARDT)
THRESHOLD = Rule("site-threshold", "A site may set the threshold of L1 attenuation from 100 to 135 HU.", ANDERSON)
BETWEEN = Rule(
    "between",
    "An L1 attenuation above the threshold and up to 160 HU makes no card of its own; it is noted beside a fracture.",
    PICKHARDT,
)
OTHER_LEVEL = Rule("level", "Only the attenuation of L1 is compared with the threshold.", PICKHARDT)
VOLTAGE = Rule("voltage", "An attenuation that was not measured at 120 kV is not compared.", PICKHARDT)
FRACTURE = Rule("fracture", "A vertebral fracture with a loss of height of 25 % or more leads to DXA.", GENANT)
NOT_DETECTED = Rule("not-detected", "A fracture that was not detected leads to nothing, whatever value stands with it.")
RULES = (LOW, THRESHOLD, BETWEEN, OTHER_LEVEL, VOLTAGE, FRACTURE, NOT_DETECTED)

L1_THRESHOLD = Option("l1_threshold_hu", "L1 attenuation up to which DXA is suggested", "110", "HU", 100, 135)
_L1_WORDS = {
    "osteoporosis_likely": "osteoporosis likely",
    "low_bone_mass_indeterminate": "low bone mass possible",
    "indeterminate_above_135": "undecided",
    "osteoporosis_unlikely": "osteoporosis unlikely",
    "osteoporosis_excluded_npv99": "osteoporosis very unlikely",
}
_INDETERMINATE_HU = 160
_L1_BODY_SITE = (SNOMED, "66794005")
_HOW_LOOK = "look at the images, or ask the radiologist"


@dataclass(frozen=True, slots=True)
class Trigger:
    """What leads to DXA: the lowest attenuation of L1 and the highest loss of height, where they do.

    `between` is an attenuation that leads to nothing; `ungraded` a fracture of which no loss of height is known.
    """

    attenuation: Measured | None = None
    fracture: Measured | None = None
    between: Measured | None = None
    ungraded: Seen | None = None

    @property
    def seen(self) -> tuple[Measured | Seen, ...]:
        """What sets it off, the fracture first."""
        return tuple(one for one in (self.fracture, self.ungraded, self.attenuation) if one is not None)

    @property
    def broken(self) -> bool:
        """Whether there is a fracture, of whatever grade."""
        return self.fracture is not None or self.ungraded is not None

    @property
    def leads_to_dxa(self) -> bool:
        """Whether it leads to DXA: a fracture of unknown grade alone does not."""
        return self.fracture is not None or self.attenuation is not None


def published(trigger: Trigger) -> bool:
    """Whether an attenuation is as low as Pickhardt's limit, which a site's own may be above."""
    return trigger.attenuation is not None and _hounsfield(trigger.attenuation) <= 110


def trigger(found: Reasoning) -> Trigger | NothingToSay | CouldNotTell:
    """What the images tell of, or why it leads to nothing."""
    attenuations = list(values(found.case, finding_codes.VERTEBRAL_ATTENUATION))
    fractures = list(findings(found.case, finding_codes.VERTEBRAL_FRACTURE))
    refusals = refused(found.case, finding_codes.VERTEBRAL_ATTENUATION, finding_codes.VERTEBRAL_FRACTURE)
    if not attenuations and not fractures and not refusals:
        return found.nothing("no vertebral attenuation and no vertebral fracture was looked for on this study")
    low, lowest = _attenuation(found, attenuations)
    there = [one for one in fractures if one.finding.presence is not Presence.NOT_DETECTED]
    found.apply(NOT_DETECTED, len(there) < len(fractures))
    there = [one for one in there if one.present or one.finding.value is not None]
    broken, worst = _fracture(found, there)
    ungraded = None if broken else min((one for one in there if one.finding.value is None), key=place, default=None)
    if low or broken or ungraded:
        between = lowest if lowest is not None and _hounsfield(lowest) <= _INDETERMINATE_HU else None
        return Trigger(lowest if low else None, worst if broken else None, None if low else between, ungraded)
    if refusals:
        why = "; ".join(refusals)
        found.missing.append(Missing(found.say("attenuation or height of a vertebra"), why, found.say(_HOW_LOOK)))
    if low is None or broken is None or refusals:
        return found.could_not_tell(found.say("the attenuation of L1 or the loss of height is not known"))
    return found.nothing("no low attenuation of L1 and no moderate vertebral fracture; that excludes no osteoporosis")


def _attenuation(found: Reasoning, measured: list[Measured]) -> tuple[bool | None, Measured | None]:
    """Whether L1 is low; None where it was not L1 that was measured, or not at 120 kV."""
    if not measured:
        return False, None
    of_l1 = [one for one in measured if _is_l1(one.finding)]
    if not found.apply(OTHER_LEVEL, bool(of_l1)):
        why = found.say("another vertebra was measured, which has other values")
        found.missing.append(Missing(found.say("attenuation of L1"), why, found.say(_HOW_LOOK)))
        return None, None
    lowest = min(of_l1, key=lambda one: (_hounsfield(one), one.finding.key, one.by.model))
    kilovolts = _kilovolts(lowest.finding)
    found.apply(VOLTAGE, None if kilovolts is None else kilovolts != 120)
    if kilovolts != 120:
        why = found.say("it is not stated") if kilovolts is None else found.say("it was not 120 kV")
        found.missing.append(Missing(found.say("tube voltage"), why, found.say("look at the header of the images")))
        return None, None
    return _compared(found, lowest), lowest


def _compared(found: Reasoning, lowest: Measured) -> bool:
    threshold, value, said_hu = number(found.case, ID, L1_THRESHOLD), _hounsfield(lowest), hu(lowest)
    found.measured(found.say("attenuation of L1"), said_hu, where(found.case, lowest))
    said = f"{said_hu}, {threshold:g} HU"
    found.apply(THRESHOLD, threshold != 110, f"{threshold:g} HU")
    held = bool(found.apply(LOW, value <= threshold, said))
    found.apply(BETWEEN, threshold < value <= _INDETERMINATE_HU, said)
    answer = L1_HU({"l1_trabecular_hu": value, "kvp": 120})
    found.risk(L1_HU, answer, found.say(_L1_WORDS[str(answer.outputs["band"])]) if isinstance(answer, Scored) else "")
    return held


def _fracture(found: Reasoning, fractures: list[Seen]) -> tuple[bool | None, Measured | None]:
    """Whether the worst vertebral fracture is moderate or severe; None where no loss of height is known."""
    if not fractures:
        return False, None
    graded = [Measured(one.finding, one.finding.value, one.by) for one in fractures if one.finding.value is not None]
    worst = max(graded, key=lambda one: (_percent(one), one.finding.key, one.by.model), default=None)
    if worst is not None and found.apply(FRACTURE, _percent(worst) >= 25, loss(worst)):
        found.measured(found.say("loss of vertebral height"), loss(worst), where(found.case, worst))
        return True, worst
    if len(graded) == len(fractures):
        return False, worst
    found.apply(FRACTURE, None)
    why = found.say("a vertebral fracture was found, and its grade was not given")
    found.missing.append(Missing(found.say("loss of vertebral height"), why, found.say(_HOW_LOOK)))
    return None, None


def _is_l1(finding: Finding) -> bool:
    if kind_of(finding.key) == "l1_attenuation":
        return True
    site = finding.body_site
    return site is not None and (site.system, site.code) == _L1_BODY_SITE and finding.presence is Presence.MEASURED


def _kilovolts(finding: Finding) -> float | None:
    """The tube voltage as the model's gate says it ("tube voltage: 120 kV"); None where it does not."""
    told = next((gate.partition(": ")[2] for gate in finding.gates if gate.startswith("tube voltage: ")), "")
    text = told.removesuffix(" kV")
    return float(text) if text.isdecimal() else None


def _hounsfield(measured: Measured) -> float:
    return _in(measured.value, "[hnsf'U]")


def _percent(measured: Measured) -> float:
    return _in(measured.value, "%")


def _in(quantity: Quantity, unit: str) -> float:
    """Nearly all come in this unit: then the registry of units is not asked."""
    return quantity.value if quantity.unit == unit else units.convert(quantity, unit).value


def hu(measured: Measured) -> str:
    """An attenuation with its unit."""
    return f"{digits(_hounsfield(measured))} HU"


def loss(measured: Measured) -> str:
    """A loss of height with its unit."""
    return f"{digits(_percent(measured))} %"
