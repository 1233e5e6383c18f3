"""What follows a wide thoracic aorta: a call, an examination, a referral to an aortic team, the next imaging."""

from __future__ import annotations

from dataclasses import dataclass, field

from cds import action_codes as actions
from cds import procedure_codes
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation, Source
from cds.pathways import Rule
from cds.pathways._aortic import diameter_cm, plan, shown
from cds.pathways._facts import Measured, add_months
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, done_from, ordered_already

ACC_AHA = Source("ACC/AHA 2022, aortic disease", "https://doi.org/10.1161/CIR.0000000000001106")

UNDER_SURVEILLANCE = Rule(
    "under-surveillance",
    "Where imaging of the thoracic aorta or chest CT was ordered since these images it is not asked for again.",
)
IMAGED_SINCE = Rule("imaged-since", "Imaging of the thoracic aorta from 6 months after the images on is the next one.")
OVERDUE = Rule("overdue", "Imaging that is overdue is said to be so.")
REFERRED = Rule(
    "referred",
    "An open referral for the aorta stops another; an older one than the images stops no urgent one.",
)

DILATED_CM, INHERITED_CM, TEAM_CM, SURGERY_CM = 4.0, 4.5, 5.0, 5.5


@dataclass(frozen=True, slots=True)
class Aorta:
    """The widest section of both parts, None where it was not measured; what is known besides with three values.

    `parts` are what was measured; the diameters are in cm, 0 where there is none.
    """

    ascending: Measured | None
    descending: Measured | None
    inherited: bool | None = None
    painful: bool | None = None
    parts: tuple[Measured, ...] = field(init=False)
    ascending_cm: float = field(init=False)
    descending_cm: float = field(init=False)
    widest_cm: float = field(init=False)

    def __post_init__(self) -> None:
        ascending = diameter_cm(self.ascending) if self.ascending else 0.0
        descending = diameter_cm(self.descending) if self.descending else 0.0
        both = (self.ascending, self.descending)
        object.__setattr__(self, "parts", tuple([one for one in both if one is not None]))
        object.__setattr__(self, "ascending_cm", ascending)
        object.__setattr__(self, "descending_cm", descending)
        object.__setattr__(self, "widest_cm", max(ascending, descending))


def call(found: Reasoning, seen: Aorta) -> None:
    """An open referral does not stop it: nobody who asked for one knew that it cannot wait."""
    found.recommend(
        Recommendation(
            key="aortic-team-now",
            action=found.say("Call cardiac or vascular surgery now: painful aneurysm of the thoracic aorta"),
            code=actions.THORACIC_AORTA_REFERRAL,
            reason=found.say("The thoracic aorta measures {said}, and pain is on record.", said=shown(seen.widest_cm)),
            source=ACC_AHA,
            priority=Priority.STAT,
            by=found.case.today,
            because=because(found),
            acr_category=1,
            would_change=(found.say("Another cause of the pain, found by whoever examines the patient."),),
        )
    )


def examine(found: Reasoning, seen: Aorta) -> None:
    """Below the sizes for a referral who examines the patient today tells whether the aorta is the cause."""
    found.recommend(
        Recommendation(
            key="examine-today",
            action=found.say("Examine the patient today: wide thoracic aorta and pain"),
            code=actions.ANEURYSM_EXAMINATION,
            reason=found.say("The thoracic aorta measures {said}, and pain is on record.", said=shown(seen.widest_cm)),
            source=ACC_AHA,
            priority=Priority.ASAP,
            by=found.case.today,
            because=because(found),
            acr_category=2,
            would_change=(found.say("No other cause of the pain: then a dissection has to be excluded at once."),),
        )
    )


def referral(found: Reasoning, seen: Aorta, reason: str) -> None:
    """An aortic team, urgently where the size is one for surgery."""
    surgical = seen.widest_cm >= SURGERY_CM
    if found.apply(REFERRED, ordered_already(found, actions.THORACIC_AORTA_REFERRAL, urgent=surgical)):
        return
    found.recommend(
        Recommendation(
            key="aortic-team",
            action=found.say("Referral to an aortic team (cardiology and cardiac or vascular surgery)"),
            code=actions.THORACIC_AORTA_REFERRAL,
            reason=reason,
            source=ACC_AHA,
            strength=_strength(found, seen),
            priority=Priority.URGENT if surgical else Priority.ROUTINE,
            because=because(found),
            would_change=(
                found.say("A smaller diameter when a radiologist measures it across the axis."),
                found.say("Chest or back pain: then it cannot wait."),
            ),
        )
    )


def _strength(found: Reasoning, seen: Aorta) -> str:
    """The class that the guideline gives for the ascending aorta; that of the others was not seen."""
    if seen.ascending_cm >= SURGERY_CM:
        return found.say("class 1")
    return found.say("class 2a") if seen.ascending_cm >= TEAM_CM else ""


def imaging(found: Reasoning, seen: Aorta) -> None:
    """The next imaging between 6 and 12 months, unless it is ordered or was done."""
    first, last = add_months(found.case.study_date, 6), add_months(found.case.study_date, 12)
    found.apply(OVERDUE, last < found.case.today)
    if found.apply(UNDER_SURVEILLANCE, ordered_already(found, actions.THORACIC_AORTA_IMAGING)):
        return
    if found.apply(IMAGED_SINCE, done_from(found, procedure_codes.THORACIC_AORTA_IMAGING, first)):
        found.note(found.say("The aorta was imaged again since: go by that."), "the aorta was imaged again since")
        return
    due = plan(found, first, last)
    measures = found.say("The ascending aorta measures {said}.", said=shown(seen.ascending_cm))
    found.recommend(
        Recommendation(
            key="surveillance",
            action=found.say("CT (or MRI) of the chest for the diameter of the aorta"),
            code=actions.THORACIC_AORTA_IMAGING,
            reason=" ".join(filter(None, (measures, due.said))),
            source=ACC_AHA,
            not_before=due.first,
            by=due.last,
            because=because(found),
            would_change=(
                found.say("Earlier diameters: where they were stable, the next imaging may wait longer."),
                found.say("Chest or back pain: then it cannot wait."),
            ),
        )
    )
