"""The same exam, done lately or ordered already.

Directive 2013/59/Euratom, article 55(2)(d): earlier diagnostic information is sought and considered, to avoid
unnecessary exposure. How lately is the site's to say; studies of repeated imaging count 30 days
(doi:10.4236/ojrad.2018.84031) or 90 days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds import action_codes, exam_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.ehr import ClinicalItem, Known, Unknown
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.ordering._order import asked, within_days
from cds.pathways import Option, Rule, pathway
from cds.pathways._facts import Missing, words
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import number

ID = "duplicate_imaging"
TITLE = "The same exam lately"
EURATOM = Source("Directive 2013/59/Euratom, article 55", "https://eur-lex.europa.eu/eli/dir/2013/59/oj")
REPEATED = Source("Robert 2018, imaging repeated within 30 days", "https://doi.org/10.4236/ojrad.2018.84031")

DONE = Rule("done", "The same exam within the site's days before leads to reading it before it is repeated.")
CONTRAST = Rule("contrast", "The same exam with other contrast medium is told and is no duplicate.")
CONTRAST_UNKNOWN = Rule(
    "contrast-unknown", "Where the contrast medium of one of the two exams is not known that is asked."
)
UNDATED = Rule("undated", "An earlier exam without a date is told and its day is asked for.")
ORDERED = Rule("ordered", "An open order for the same exam is told and what it is for is asked.")
OLDER = Rule("older", "An earlier exam before the site's days is no duplicate.")
NOT_KNOWN = Rule("not-known", "Where nobody could be asked for earlier exams the check cannot tell.")
OTHER = Rule("other", "Of exams without a value set of earlier ones the check is silent.")

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


def _requests(*names: str) -> tuple[ValueSet, ...]:
    return tuple(procedure_codes.ORDERED[name] for name in names)


_KINDS = (
    _Kind(
        "CT",
        "chest",
        procedure_codes.CHEST_CT,
        _requests(action_codes.DIAGNOSTIC_CHEST_CT.code),
        _days("chest_ct", "CT of the chest"),
    ),
    _Kind(
        "CT",
        "head",
        procedure_codes.HEAD_CT,
        _requests(action_codes.CT_HEAD_UNENHANCED.code),
        _days("head_ct", "CT of the head"),
    ),
    _Kind("MG", "breast", procedure_codes.MAMMOGRAPHY, (), _days("mammography", "mammography")),
    _Kind("MR", "breast", procedure_codes.BREAST_MRI, (), _days("breast_mri", "MRI of the breast")),
    _Kind(
        "US",
        "heart",
        procedure_codes.ECHOCARDIOGRAPHY,
        _requests(action_codes.ECHOCARDIOGRAPHY.code),
        _days("echocardiography", "echocardiography"),
    ),
    _Kind(
        "US", "abdomen", procedure_codes.ABDOMINAL_ULTRASOUND, (), _days("abdominal_ultrasound", "abdominal ultrasound")
    ),
    _Kind("PT", "whole-body", procedure_codes.PET_CT, _requests(action_codes.PET_CT.code), _days("pet_ct", "PET-CT")),
    _Kind(
        "DXA", "spine", procedure_codes.DXA, _requests(action_codes.DXA.code), _days("dxa", "bone density", high=1095)
    ),
)
_SETS = (*(one.done for one in _KINDS), *(request for one in _KINDS for request in one.ordered))


@pathway(
    id=ID,
    title=TITLE,
    source=EURATOM,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=tuple(dict.fromkeys(_SETS)),
    rules=(DONE, CONTRAST, CONTRAST_UNKNOWN, UNDATED, ORDERED, OLDER, NOT_KNOWN, OTHER),
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
    if found.apply(OTHER, kind is None) or kind is None:
        return found.nothing("no earlier exams of this kind are looked for")
    questions = _earlier(found, order, exam, kind) + _open(found, kind)
    if found.recommendations:
        return _told(found, found.say("The same exam was done lately: read it first."), Indicator.WARNING, questions)
    if questions:
        return _told(found, found.say("A similar exam is on record."), Indicator.INFO, questions)
    if found.missing:
        found.apply(NOT_KNOWN, True)
        return found.could_not_tell(found.say("it is not known whether the exam was done lately"))
    return found.nothing("the exam was not done lately")


def _kind(exam: Exam) -> _Kind | None:
    """What it is compared with; an angiography is another exam than a CT of the same region."""
    if exam.angiography:
        return None
    return next((one for one in _KINDS if (one.modality, one.region) == (exam.modality, exam.region)), None)


def _earlier(found: Reasoning, order: ImagingOrder, exam: Exam, kind: _Kind) -> tuple[str, ...]:
    """What the reader is told of the last exam of this kind; a step where it is a duplicate."""
    fact = found.case.ehr.procedure(kind.done.name)
    found.use(kind.done.title, fact, words)
    if isinstance(fact, Unknown):
        found.unasked(kind.done.title, fact, found.say("look for earlier images"))
    if not isinstance(fact, Known):
        return ()
    if found.apply(UNDATED, fact.effective is None) or fact.effective is None:
        found.missing.append(Missing(kind.done.title, found.say("it has no date"), found.say("look when it was done")))
        return (found.say("An earlier exam is on record without a date."),)
    days = number(found.case, ID, kind.days)
    lately = within_days(fact.effective, order.wanted_on or found.case.today, days)
    if found.apply(OLDER, not lately, f"{days:g} d"):
        return ()
    return _same(found, exam, fact, fact.effective)


def _same(found: Reasoning, exam: Exam, fact: Known[ClinicalItem], day: date) -> tuple[str, ...]:
    """With the same contrast medium a duplicate; with another none; a question where that is not known."""
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
    found.recommend(
        Recommendation(
            key="read-first",
            action=found.say("No imaging now: read the exam of {day} first", day=day),
            code=action_codes.NO_IMAGING,
            reason=found.say("The same exam was done on {day}.", day=day),
            source=EURATOM,
            because=because(found),
            would_change=(
                found.say("A change in the patient since, or a follow-up that was planned."),
                found.say("A question that the earlier exam does not answer."),
            ),
            instead=True,
        )
    )
    return ()


def _open(found: Reasoning, kind: _Kind) -> tuple[str, ...]:
    """Open orders of the same kind: what they are for, and when, is not on record."""
    told: list[str] = []
    for request in kind.ordered:
        fact = found.case.ehr.request(request.name)
        if isinstance(fact, Known):
            found.use(request.title, fact, words)
            found.apply(ORDERED, True)
            told.append(found.say("An open order asks for the same exam; is it for the same question?"))
        elif isinstance(fact, Unknown):
            found.unasked(request.title, fact, found.say("look at the open orders"))
    return tuple(told)


def _told(found: Reasoning, summary: str, indicator: Indicator, questions: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=because(found),
        meaning=questions,
        limits=tuple(map(found.say, LIMITS)),
        further=(REPEATED,),
    )
