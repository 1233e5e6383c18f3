"""What follows an aneurysm of the abdominal aorta: a call, an examination, surgery, imaging, a first referral."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cds import action_codes as actions
from cds import procedure_codes
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation, Source
from cds.pathways import Rule
from cds.pathways._aortic import plan, shown
from cds.pathways._facts import Measured, add_months
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, done_from, lacks_sex, ordered_already

SVS = Source("SVS 2018, abdominal aortic aneurysm", "https://doi.org/10.1016/j.jvs.2017.10.044")
ACC_AHA = Source("ACC/AHA 2022, aortic disease", "https://doi.org/10.1161/CIR.0000000000001106")

RESCREEN = Rule("rescreen", "An abdominal aorta above 2.5 cm and below 3.0 cm is imaged again after 10 years.")
THREE_YEARS = Rule("three-years", "An abdominal aortic aneurysm of 3.0 to 3.9 cm is imaged again after 3 years.")
ONE_YEAR = Rule("one-year", "An abdominal aortic aneurysm of 4.0 to 4.9 cm is imaged again after 12 months.")
SIX_MONTHS = Rule("six-months", "An abdominal aortic aneurysm of 5.0 to 5.4 cm in men is imaged again after 6 months.")
SEX = Rule(
    "sex",
    "At 5.0 to 5.4 cm without a known sex it is imaged again within 6 months, with the remark on repair in women.",
)
WINDOW = Rule("window", "The next imaging is planned for the last tenth of its interval.")
OVERDUE = Rule("overdue", "Imaging that is overdue is said to be so, and is urgent from 4.0 cm on.")
FIRST = Rule(
    "first-diagnosis", "An abdominal aortic aneurysm of 3.0 cm or more that is not on record is referred once."
)
PLACELESS = Rule(
    "placeless", "An aortic aneurysm on record without its place is told, to be found out which, and is not denied."
)
UNDER_SURVEILLANCE = Rule(
    "under-surveillance", "Where imaging of the aorta was ordered after these images it is not asked for again."
)
IMAGED_SINCE = Rule(
    "imaged-since", "Imaging of the abdominal aorta from the middle of the interval on stands for the next one."
)
REFERRED = Rule(
    "referred",
    "An open referral to vascular surgery stops another; an older one than the images stops no urgent one.",
)

#: From this diameter on the aorta is called an aneurysm; from these on imaging cannot be late, and pain is a call.
ANEURYSM_CM, MEDIUM_CM, LARGE_CM = 3.0, 4.0, 5.0
#: What SVS 2018 says by the score's answer: the rule, and after how many months the next imaging is due.
INTERVALS = {
    "rescreen_10y": (RESCREEN, 120),
    "us_3y": (THREE_YEARS, 36),
    "us_12mo": (ONE_YEAR, 12),
    "us_6mo": (SIX_MONTHS, 6),
    "": (SEX, 6),
}
#: What the score's answers are called.
_ANSWERS = {
    "none": "no follow-up",
    "rescreen_10y": "ultrasound after 10 years",
    "us_3y": "ultrasound after 3 years",
    "us_12mo": "ultrasound after 12 months",
    "us_6mo": "ultrasound after 6 months",
    "vascular_surgery_repair": "vascular surgery: repair",
    "vascular_surgery_consider_repair": "vascular surgery: repair is considered",
}


@dataclass(frozen=True, slots=True)
class Aneurysm:
    """The widest section, what SVS 2018 says of it by size ("" where the sex decides), and what is known besides."""

    widest: Measured
    diameter: float
    action: str
    known: bool | None
    repaired: bool | None
    growing: bool | None
    #: Growth at the limit whose error is not known.
    may_grow: bool
    painful: bool | None
    #: An aneurysm is on record, and not of which part of the aorta: it may be this one.
    placeless: bool = False

    @property
    def surgical(self) -> bool:
        """Whether its size alone is for vascular surgery; after repair those of women below 5.5 cm are not."""
        if self.repaired:
            return self.action == "vascular_surgery_repair"
        return self.action.startswith("vascular_surgery")

    @property
    def at_once(self) -> bool:
        """Whether pain cannot wait: size, or growth, even one that may be error."""
        return bool(self.painful) and (self.diameter >= LARGE_CM or bool(self.growing) or self.may_grow)


def answer_said(found: Reasoning, action: str) -> str:
    """The score's answer in words."""
    return found.say(_ANSWERS[action]) if action else ""


def call(found: Reasoning, seen: Aneurysm) -> None:
    """An open referral does not stop it: nobody who asked for one knew that it cannot wait."""
    found.recommend(
        Recommendation(
            key="vascular-surgery-now",
            action=found.say("Call vascular surgery now: painful abdominal aortic aneurysm"),
            code=actions.VASCULAR_SURGERY_REFERRAL,
            reason=found.say("The abdominal aorta measures {said}, and pain is on record.", said=shown(seen.diameter)),
            source=SVS,
            strength="" if seen.repaired else found.say("strong recommendation, low-quality evidence"),
            priority=Priority.STAT,
            by=found.case.today,
            because=because(found),
            acr_category=1,
            would_change=(found.say("Another cause of the pain, found by whoever examines the patient."),),
        )
    )


def examine(found: Reasoning, seen: Aneurysm) -> None:
    """A small aneurysm is seldom the cause, and who examines the patient today tells."""
    found.recommend(
        Recommendation(
            key="examine-today",
            action=found.say("Examine the patient today: abdominal aortic aneurysm and pain"),
            code=actions.ANEURYSM_EXAMINATION,
            reason=found.say("The abdominal aorta measures {said}, and pain is on record.", said=shown(seen.diameter)),
            source=SVS,
            priority=Priority.ASAP,
            by=found.case.today,
            because=because(found),
            acr_category=2,
            would_change=(
                found.say("A tender aneurysm, or no other cause of the pain: then call vascular surgery now."),
            ),
        )
    )


def surgery(found: Reasoning, seen: Aneurysm) -> None:
    """By its size, or for its growth; a graded recommendation is for an aorta that was not repaired."""
    if found.apply(REFERRED, ordered_already(found, actions.VASCULAR_SURGERY_REFERRAL, urgent=True)):
        return
    said = shown(seen.diameter)
    found.recommend(
        Recommendation(
            key="vascular-surgery",
            action=found.say("Referral to vascular surgery"),
            code=actions.VASCULAR_SURGERY_REFERRAL,
            reason=found.say("The abdominal aorta measures {said}.", said=said)
            if seen.surgical
            else found.say("The abdominal aorta measures {said} and grows fast.", said=said),
            source=SVS if seen.surgical else ACC_AHA,
            strength=_strength(found, seen.action) if seen.surgical and not seen.repaired else "",
            priority=Priority.URGENT,
            because=because(found),
            would_change=(
                found.say("A smaller diameter when a radiologist measures it."),
                found.say("Abdominal or back pain: then it cannot wait."),
            ),
        )
    )


def _strength(found: Reasoning, action: str) -> str:
    """The grade that SVS 2018 gives, as far as it was seen."""
    if action == "vascular_surgery_repair":
        return found.say("strong recommendation, high-quality evidence")
    if action == "vascular_surgery_consider_repair":
        return found.say("weak recommendation, moderate-quality evidence")
    if action == "us_6mo":
        return found.say("weak recommendation")
    return found.say("weak recommendation, low-quality evidence") if action else ""


def surveillance(found: Reasoning, seen: Aneurysm) -> None:
    """The next ultrasound in the last tenth of its interval, unless it is ordered or was done."""
    rule, months = INTERVALS[seen.action]
    found.apply(rule, True, shown(seen.diameter))
    if not seen.action:
        lacks_sex(found)
    start = found.case.study_date
    last = add_months(start, months)
    overdue = bool(found.apply(OVERDUE, last < found.case.today))
    urgent = overdue and seen.diameter >= MEDIUM_CM
    if found.apply(UNDER_SURVEILLANCE, ordered_already(found, actions.AORTIC_SURVEILLANCE, urgent=urgent)):
        return
    middle = add_months(start, months // 2)
    if found.apply(IMAGED_SINCE, done_from(found, procedure_codes.ABDOMINAL_AORTA_IMAGING, middle)):
        found.note(found.say("The aorta was imaged again since: go by that."), "the aorta was imaged again since")
        return
    found.apply(WINDOW, True)
    due = plan(found, last - timedelta(days=(last - start).days // 10), last)
    measures = found.say("The abdominal aorta measures {said}.", said=shown(seen.diameter))
    found.recommend(
        Recommendation(
            key="surveillance",
            action=found.say("Ultrasound of the abdominal aorta"),
            code=actions.AORTIC_SURVEILLANCE,
            reason=" ".join(filter(None, (measures, due.said))),
            source=SVS,
            strength=_strength(found, seen.action),
            priority=Priority.URGENT if urgent else Priority.ROUTINE,
            not_before=due.first if seen.action else None,
            by=due.last,
            because=because(found),
            would_change=(
                found.say("Growth since an earlier study, by 1.0 cm in a year or 0.5 cm in 6 months."),
                found.say("Abdominal or back pain: then it cannot wait."),
            ),
        )
    )


def first_diagnosis(found: Reasoning, seen: Aneurysm) -> None:
    """Who is not known to have an aneurysm is referred once; a problem list that nobody could read says nothing."""
    if not found.apply(FIRST, seen.diameter >= ANEURYSM_CM and seen.known is not True, shown(seen.diameter)):
        return
    if found.apply(REFERRED, ordered_already(found, actions.VASCULAR_SURGERY_REFERRAL)):
        return
    found.recommend(
        Recommendation(
            key="first-referral",
            action=found.say("Referral to vascular surgery, unless the aneurysm on record is this one")
            if seen.placeless
            else found.say("Referral to vascular surgery: first diagnosis"),
            code=actions.VASCULAR_SURGERY_REFERRAL,
            reason=found.say("An aneurysm without its place is on record: find out which.")
            if seen.placeless
            else found.say("No aneurysm of the abdominal aorta is known of in the record."),
            source=SVS,
            strength=found.say("good practice, not graded"),
            because=because(found),
            would_change=(found.say("A vascular surgeon knows the patient already."),),
        )
    )
