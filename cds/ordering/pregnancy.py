"""Possible pregnancy before radiation or contrast medium: ask, test, or choose ultrasound or MRI.

ACR-SPR practice parameter: who is asked, and which exams need no word. ACOG Committee Opinion 723,
doi:10.1097/AOG.0000000000002355: ultrasound and MRI first; radiation that is needed is not withheld.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes, procedure_codes
from cds import action_codes as actions
from cds.domain.coding import Coding
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.ordering._kidney import MANUAL
from cds.ordering._lately import ordered_lately
from cds.ordering._order import asked, needs, stated
from cds.ordering._pregnancy import ACR_SPR, ASKS, NOT_PREGNANT_DAYS, REASONS, askable, doubtful, pregnant
from cds.pathways import Rule, pathway
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import number

ID = "pregnancy"
TITLE = "Possible pregnancy before imaging"
ACOG = Source("ACOG 723, imaging in pregnancy", "https://doi.org/10.1097/AOG.0000000000002355")
GADOLINIUM = Source(
    "ACR statement on gadolinium in pregnancy",
    "https://www.acr.org/Advocacy/Position-Statements/Gadolinium-Pregnancy-Screening",
)

FAR = Rule(
    "far", "Radiation of head, neck, chest, breast or limb without contrast needs no question on pregnancy.", ACR_SPR
)
FAR_PREGNANT = Rule(
    "far-pregnant", "In pregnancy a CT that does not reach the pelvis is told with one line, and not withheld.", ACOG
)
UNDATED = Rule("undated", "A pregnancy on record without a usable date is asked for with a warning.")
BY_ORDER = Rule("by-order", "A pregnancy among the reasons of the order counts as known.")
TEST = Rule("test", "A request for a pregnancy test counts as asked for 3 days.")
NOT_ASKED = Rule("not-asked", "Men, and patients below 12 or above 50 years, are not asked for pregnancy.", ACR_SPR)
ASK = Rule(
    "ask",
    "From 12 to 50 years pregnancy is asked for before radiation of abdomen, pelvis or spine and before gadolinium.",
    ACR_SPR,
)
FRESH = Rule("fresh", "A word that she is not pregnant counts for 3 days unless the site says otherwise.", ACR_SPR)
PREGNANT = Rule(
    "pregnant", "In pregnancy ultrasound or MRI takes the place of radiation of abdomen, pelvis or spine.", ACOG
)
NEEDED = Rule("needed", "Imaging that is needed is not withheld in pregnancy.", ACOG)
WITH_GADOLINIUM = Rule(
    "with-gadolinium", "In pregnancy gadolinium is given only where its benefit outweighs the risk.", GADOLINIUM
)
WITH_IODINE = Rule(
    "with-iodine",
    "In pregnancy iodinated contrast is given only where the answer needs it and cannot wait.",
    MANUAL,
)

#: What exposes the pelvis hardly at all, where the beam does not go there.
_FAR_REGIONS = frozenset({"head", "neck", "chest", "heart", "breast", "limb"})
#: What is injected, or seen for long, exposes the whole body or may.
_NEAR_MODALITIES = frozenset({"NM", "PT", "XA", "RF"})
_TEST_DAYS = 3
_INFO = Indicator.INFO
_INSTEAD: dict[str, Coding] = {
    "abdomen": actions.ABDOMINAL_ULTRASOUND,
    "pelvis": actions.PELVIC_ULTRASOUND,
    "spine": actions.LUMBAR_MRI,
}
LIMITS = (
    "An operation or a disease that excludes pregnancy is not looked for.",
    "Early in pregnancy a test can be negative.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=ACR_SPR,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=(*ASKS, procedure_codes.ORDERED[action_codes.PREGNANCY_TEST.code]),
    rules=(
        FAR,
        FAR_PREGNANT,
        UNDATED,
        BY_ORDER,
        TEST,
        NOT_ASKED,
        ASK,
        FRESH,
        PREGNANT,
        NEEDED,
        WITH_GADOLINIUM,
        WITH_IODINE,
    ),
    options=(NOT_PREGNANT_DAYS,),
    further=(ACOG, GADOLINIUM, MANUAL),
    limits=LIMITS,
    urgent=True,
)
def pregnancy(case: Case) -> PathwayOutcome:
    """Say what a possible pregnancy asks for before an exam."""
    found = Reasoning(ID, TITLE, ACR_SPR, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    exam = wanted[1]
    near, gadolinium = _near(exam), needs(exam, Contrast.GADOLINIUM)
    iodine = needs(exam, Contrast.IODINATED)
    held = pregnant(found, number(case, ID, NOT_PREGNANT_DAYS))
    found.apply(BY_ORDER, stated(case.order, REASONS) is not None)
    if found.apply(FAR, near is False and gadolinium is False and iodine is False):
        return _far(found, exam, held=held)
    found.apply(FRESH, held is not None if askable(found) else None)
    if held:
        return _pregnant(found, exam, near=near is not False)
    doubt = bool(found.apply(UNDATED, doubtful(found)))
    if found.apply(NOT_ASKED, not askable(found)) and not doubt:
        return found.nothing("the patient is not of those who are asked")
    if held is False or (near is False and gadolinium is False and not doubt):
        return found.nothing("she is not pregnant, or the exam needs no word on it")
    return _ask(found, exam, doubt=doubt)


def _far(found: Reasoning, exam: Exam, *, held: bool | None) -> PathwayOutcome:
    if not found.apply(FAR_PREGNANT, held and exam.modality == "CT"):
        return found.nothing("the exam needs no word on pregnancy")
    line = found.say("A CT that does not reach the pelvis gives the child little radiation: tell her so.")
    return _told(found, found.say("The patient is pregnant, and this CT does not reach the pelvis."), _INFO, (line,))


def _near(exam: Exam) -> bool | None:
    """Whether radiation may reach the pelvis; None where the region is not known."""
    if exam.ionising is False:
        return False
    if exam.ionising is None or exam.region is None:
        return None
    return exam.modality in _NEAR_MODALITIES or exam.region not in _FAR_REGIONS


def _ask(found: Reasoning, exam: Exam, *, doubt: bool) -> PathwayOutcome:
    found.apply(ASK, True, exam.modality)
    if not found.apply(TEST, ordered_lately(found, action_codes.PREGNANCY_TEST, _TEST_DAYS)):
        found.recommend(
            Recommendation(
                key="ask",
                action=found.say("Ask whether she can be pregnant; where that is not excluded, a pregnancy test"),
                code=action_codes.PREGNANCY_TEST,
                reason=found.say("Whether she is pregnant is not known."),
                source=ACR_SPR,
                because=because(found),
                would_change=(
                    found.say("An emergency: then the exam does not wait."),
                    found.say("A word on it of these days."),
                ),
            )
        )
    if doubt:
        summary = found.say("A pregnancy is on record without a usable date: ask before the exam.")
        return _told(found, summary, Indicator.WARNING, ())
    return _told(found, found.say("Pregnancy is not known: ask before the exam."), _INFO, ())


def _pregnant(found: Reasoning, exam: Exam, *, near: bool) -> PathwayOutcome:
    gadolinium = found.apply(WITH_GADOLINIUM, needs(exam, Contrast.GADOLINIUM))
    iodine = found.apply(WITH_IODINE, needs(exam, Contrast.IODINATED))
    found.apply(NEEDED, True)
    if found.apply(PREGNANT, near, exam.region or ""):
        _other_test(found, exam)
    if gadolinium is not False:
        _without_gadolinium(found)
    if not found.recommendations and iodine is False:
        return found.nothing("the exam needs no word on pregnancy")
    said = found.say("The contrast medium only where the answer needs it and cannot wait; write down why.")
    meaning = (said,) if iodine is not False else ()
    return _told(found, found.say("The patient is pregnant: choose the exam with care."), Indicator.WARNING, meaning)


def _other_test(found: Reasoning, exam: Exam) -> None:
    code = _INSTEAD.get(exam.region or "", actions.WITHOUT_RADIATION)
    found.recommend(
        Recommendation(
            key="without-radiation",
            action=found.say("Ultrasound or MRI, if it answers the question"),
            code=code,
            reason=found.say("She is pregnant, and the exam may expose the child to radiation."),
            source=ACOG,
            because=because(found),
            would_change=(
                found.say("A question that only this exam answers, or answers in time: then it is not withheld."),
            ),
            instead=True,
        )
    )


def _without_gadolinium(found: Reasoning) -> None:
    found.recommend(
        Recommendation(
            key="without-gadolinium",
            action=found.say("MRI without gadolinium, unless its benefit outweighs the risk"),
            code=actions.WITHOUT_GADOLINIUM,
            reason=found.say("She is pregnant, and gadolinium reaches the child."),
            source=GADOLINIUM,
            because=because(found),
            would_change=(found.say("A decision of the radiologist and her doctor that it is needed."),),
        )
    )


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=because(found),
        meaning=(*meaning, found.say("Imaging that is needed is not withheld in pregnancy.")),
        limits=tuple(map(found.say, LIMITS)),
        further=(ACOG, GADOLINIUM, MANUAL),
    )
