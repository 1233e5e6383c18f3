"""The same exam, done lately or ordered already.

Directive 2013/59/Euratom, article 55(2)(d): earlier diagnostic information is sought and considered, to avoid
unnecessary exposure. How lately is the site's to say; studies of repeated imaging count 30 days
(doi:10.4236/ojrad.2018.84031) or 90 days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds import action_codes, codes, condition_codes, exam_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.ehr import ClinicalItem, Known, Unknown
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Source
from cds.ordering._lately import undated
from cds.ordering._order import SIGHTLINE_SIGN, asked, hurried, stated, within_days
from cds.pathways import Option, Rule, pathway
from cds.pathways._facts import Missing, add_months, words
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import number
from cds.value_sets import icd

ID = "duplicate_imaging"
TITLE = "The same exam lately"
EURATOM = Source("Directive 2013/59/Euratom, article 55", "https://eur-lex.europa.eu/eli/dir/2013/59/oj")
REPEATED = Source("Robert 2018, imaging repeated within 30 days", "https://doi.org/10.4236/ojrad.2018.84031")

DONE = Rule(
    "done", "The same exam within the site's days before leads to a question, and never speaks against this one."
)
NEW = Rule(
    "new", "Of an order in haste, or for an injury, a thunderclap, bleeding or an embolism, the check is silent."
)
PLANNED = Rule("planned", "A follow-up that was planned after the earlier exam is no duplicate.")
CONTRAST = Rule("contrast", "The same exam with other contrast medium is told and is no duplicate.")
CONTRAST_UNKNOWN = Rule(
    "contrast-unknown", "Where the contrast medium of one of the two exams is not known that is asked."
)
UNDATED = Rule("undated", "An earlier exam without a date, or of a day to come, is told and its day is asked for.")
ORDERED = Rule("ordered", "An open order of the last 12 months for the same exam is told and what it is for is asked.")
OLDER = Rule("older", "An earlier exam before the site's days is no duplicate.")
NOT_KNOWN = Rule("not-known", "Where nobody could be asked for earlier exams the check cannot tell.")
OTHER = Rule("other", "Of exams without a value set of earlier ones the check is silent.")
BREAST = Rule("breast", "Of mammography and MRI of the breast the check is silent, for a recall repeats them.")

_WHO = "ICD-10, WHO tabular list (https://icd.who.int/browse10/2019/en)"
#: Reasons that are an event of their own, of which no earlier exam can tell.
NEW_EVENT = ValueSet(
    "new-event",
    "injury, thunderclap headache, bleeding or embolism",
    "condition",
    (
        *condition_codes.HEAD_INJURY.entries,
        *condition_codes.THUNDERCLAP_HEADACHE.entries,
        *condition_codes.INTRACRANIAL_HAEMORRHAGE.entries,
        *condition_codes.VENOUS_THROMBOEMBOLISM.entries,
        *codes.HAEMOPTYSIS.entries,
        *(icd(f"S{n}", "Injury", _WHO) for n in range(10)),
        icd("T0", "Injuries of several or unspecified parts of the body", _WHO),
        *(icd(f"T{n}", "Injury of an unspecified part of the body", _WHO) for n in range(10, 15)),
        icd("I74", "Arterial embolism and thrombosis", _WHO),
        icd("K92.0", "Haematemesis", _WHO),
        icd("K92.1", "Melaena", _WHO),
        icd("K92.2", "Gastrointestinal haemorrhage, unspecified", _WHO),
        icd("R04", "Haemorrhage from respiratory passages", _WHO),
        icd("R58", "Haemorrhage, not elsewhere classified", _WHO),
    ),
)
#: Reasons that say of an exam that it was planned.
FOLLOW_UP = ValueSet(
    "follow-up-exam",
    "follow-up",
    "condition",
    (
        icd("Z08", "Follow-up examination after treatment for malignant neoplasms", _WHO),
        icd("Z09", "Follow-up examination after treatment for other conditions", _WHO),
    ),
)
_ORDER_MONTHS = 12

LIMITS = (
    "Whether the earlier exam answers the question is for who reads it.",
    "Exams at other hospitals are seen only where they reach this record.",
)


def _days(name: str, what: str, default: str = "30", high: float = 365) -> Option:
    return Option(f"{name}_days", f"Days for which {what} is not repeated", default, "d", 1, high)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Exams that are the same, where they are found in the record, and for how many days they count."""

    modality: str
    region: str
    done: ValueSet
    ordered: tuple[ValueSet, ...]
    days: Option
    planned: tuple[ValueSet, ...] = ()


def _requests(*names: str) -> tuple[ValueSet, ...]:
    return tuple(procedure_codes.ORDERED[name] for name in names)


_KINDS = (
    _Kind(
        "CT",
        "chest",
        procedure_codes.CHEST_CT,
        _requests(action_codes.DIAGNOSTIC_CHEST_CT.code),
        _days("chest_ct", "CT of the chest", high=90),
        _requests(action_codes.CHEST_CT_FOLLOW_UP.code, action_codes.EARLIER_FOLLOW_UP.code),
    ),
    _Kind(
        "CT",
        "head",
        procedure_codes.HEAD_CT,
        _requests(action_codes.CT_HEAD_UNENHANCED.code),
        _days("head_ct", "CT of the head", high=90),
    ),
    _Kind(
        "US",
        "heart",
        procedure_codes.ECHOCARDIOGRAPHY,
        _requests(action_codes.ECHOCARDIOGRAPHY.code),
        _days("echocardiography", "echocardiography"),
    ),
    _Kind(
        "US",
        "abdomen",
        procedure_codes.ABDOMINAL_ULTRASOUND,
        (),
        _days("abdominal_ultrasound", "abdominal ultrasound"),
        _requests(action_codes.AORTIC_SURVEILLANCE.code),
    ),
    _Kind(
        "PT",
        "whole-body",
        procedure_codes.PET_CT,
        _requests(action_codes.PET_CT.code),
        _days("pet_ct", "PET-CT", high=90),
    ),
    _Kind(
        "DXA", "spine", procedure_codes.DXA, _requests(action_codes.DXA.code), _days("dxa", "bone density", high=1095)
    ),
)
_SETS = (
    *(one.done for one in _KINDS),
    *(request for one in _KINDS for request in (*one.ordered, *one.planned)),
)


@pathway(
    id=ID,
    title=TITLE,
    source=EURATOM,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=tuple(dict.fromkeys(_SETS)),
    rules=(DONE, NEW, PLANNED, CONTRAST, CONTRAST_UNKNOWN, UNDATED, ORDERED, OLDER, NOT_KNOWN, OTHER, BREAST),
    options=tuple(one.days for one in _KINDS),
    further=(REPEATED,),
    limits=LIMITS,
)
def duplicate_imaging(case: Case) -> PathwayOutcome:
    """Say whether the same exam was done lately, or is ordered already."""
    found = Reasoning(ID, TITLE, EURATOM, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    order, exam = wanted
    kind = _kind(exam)
    if kind is None or found.apply(NEW, _new(order)):
        return found.nothing(_silence(found, exam))
    questions = _earlier(found, order, exam, kind) + _open(found, order, kind)
    if questions:
        return _told(found, questions)
    if found.missing:
        found.apply(NOT_KNOWN, True)
        return found.could_not_tell(found.say("it is not known whether the exam was done lately"))
    return found.nothing("the exam was not done lately")


def _silence(found: Reasoning, exam: Exam) -> str:
    """Why nothing is said, whatever is on record."""
    if found.apply(BREAST, exam.region == "breast"):
        return "exams of the breast are repeated by recalls"
    if found.apply(OTHER, _kind(exam) is None):
        return "no earlier exams of this kind are looked for"
    return "the order is in haste, or for something new"


def _kind(exam: Exam) -> _Kind | None:
    """What it is compared with; an angiography is another exam than a CT of the same region."""
    if exam.angiography:
        return None
    return next((one for one in _KINDS if (one.modality, one.region) == (exam.modality, exam.region)), None)


def _new(order: ImagingOrder) -> bool:
    """Whether it cannot wait, or is for an event of its own; a sign of an order's form is one of these days."""
    signs = any(one.system == SIGHTLINE_SIGN and not one.code.startswith("asked-") for one in order.reasons)
    return hurried(order) or signs or stated(order, NEW_EVENT) is not None


def _planned(found: Reasoning, order: ImagingOrder, kind: _Kind, day: date) -> bool:
    """Whether the exam follows up by plan: the order says so, or it was asked for since the earlier exam."""
    if stated(order, FOLLOW_UP):
        return True
    for request in kind.planned:
        fact = found.case.ehr.request(request.name)
        if not isinstance(fact, Known) or fact.effective is None or fact.effective < day:
            continue
        if not any(one.contains(fact.value.code) for one in kind.ordered):
            found.use(found.say(request.title), fact, words)
            return True
    return False


def _earlier(found: Reasoning, order: ImagingOrder, exam: Exam, kind: _Kind) -> tuple[str, ...]:
    """What the reader is told of the last exam of this kind; a step where it is a duplicate."""
    fact = found.case.ehr.procedure(kind.done.name)
    found.use(kind.done.title, fact, words)
    if isinstance(fact, Unknown):
        found.unasked(kind.done.title, fact, found.say("look for earlier images"))
    if not isinstance(fact, Known):
        return ()
    if found.apply(UNDATED, undated(found, kind.done.title, fact.effective)) or fact.effective is None:
        return (found.say("An earlier exam is on record without a date that can be."),)
    days, today = number(found.case, ID, kind.days), found.case.today
    lately = within_days(fact.effective, max(order.wanted_on or today, today), days)
    if found.apply(OLDER, not lately, f"{days:g} d"):
        return ()
    if found.apply(PLANNED, _planned(found, order, kind, fact.effective)):
        return ()
    return _same(found, exam, fact, fact.effective)


def _same(found: Reasoning, exam: Exam, fact: Known[ClinicalItem], day: date) -> tuple[str, ...]:
    """A question for the same exam; with other contrast medium it is none."""
    before = exam_codes.exam((fact.value.code,), {})
    contrasts = (exam.contrast, before.contrast if before else None)
    if found.apply(CONTRAST_UNKNOWN, None in contrasts):
        what = found.say("contrast medium of both exams")
        why = found.say("one of them does not say it")
        found.missing.append(Missing(what, why, found.say("look at the earlier report, and say it in the order")))
        return (found.say("The same region was imaged on {day}.", day=day),)
    if found.apply(CONTRAST, contrasts[0] is not contrasts[1]):
        return (found.say("It was done on {day} with other contrast medium.", day=day),)
    found.apply(DONE, True)
    return (found.say("Read the exam of {day}: is this a follow-up, or a new event since?", day=day),)


def _open(found: Reasoning, order: ImagingOrder, kind: _Kind) -> tuple[str, ...]:
    """Open orders of the same kind: what they are for, and when, is not on record."""
    told: list[str] = []
    for request in kind.ordered:
        fact = found.case.ehr.request(request.name)
        if isinstance(fact, Known) and not _forgotten_or_own(found.case, order, fact):
            found.use(request.title, fact, words)
            found.apply(ORDERED, True)
            told.append(found.say("An open order asks for the same exam; is it for the same question?"))
        elif isinstance(fact, Unknown):
            found.unasked(request.title, fact, found.say("look at the open orders"))
    return tuple(told)


def _forgotten_or_own(case: Case, order: ImagingOrder, request: Known[ClinicalItem]) -> bool:
    """Whether an open order is older than 12 months, or is this order itself, as the record has it since that day."""
    day = request.effective
    if day is None:
        return False
    own = day in (case.today, order.authored_on) and any(one.same(request.value.code) for one in order.codes)
    return own or add_months(day, _ORDER_MONTHS) < case.today


def _told(found: Reasoning, questions: tuple[str, ...]) -> PathwayOutcome:
    summary = found.say("The same or a similar exam is on record: a follow-up, or something new?")
    return found.advice(
        summary,
        Indicator.INFO,
        (),
        seen=because(found),
        meaning=questions,
        limits=tuple(map(found.say, LIMITS)),
        further=(REPEATED,),
    )
