"""What only who sees the patient can say: each sign as yes, no, or a question that is still to be asked.

A record tells that a sign was there; that it does not tell of it is no "no". An order tells both: its reasons have
what was answered yes (by a public code or Sightline's own), and where they have `asked-<check>` the order's form asked
for all signs of that check, so that what is not among the reasons was answered no. Where it asked for the history too
(`asked-<check>-history`) diseases and drugs of the check were answered so, by the names of their value sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import Known
from cds.domain.imaging_order import ImagingOrder
from cds.ordering._order import SIGHTLINE_SIGN, form_asked, stated
from cds.pathways import Rule
from cds.pathways._bedside import any_of
from cds.pathways._facts import Missing, words
from cds.pathways._reasoning import Reasoning

CONTRADICTED = Rule("contradicted", "A sign that the record has and the order's form denies is a question.")
FEVER_COUNTS = Rule("fever-counts", "Fever on record counts for 42 days, and is a question without a date.")
WEIGHT_LOSS_COUNTS = Rule(
    "weight-loss-counts", "Weight loss on record counts for 183 days, and is a question without a date."
)
#: A symptom of the record counts for so many days, unless its sign says more.
_OF_NOW = 14
FEVER_DAYS, WEIGHT_LOSS_DAYS = 42, 183


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign: its code, how it is called in a list of questions, and the value sets that say that it is there.

    Those of symptoms are looked for in the record too, and count for so many `days`: a check declares them among what
    it asks; `counts` is the rule that says so. A reason of the order that is `doubted_by` says that a "no" of the form
    is a question.
    """

    code: str
    title: str
    value_sets: tuple[ValueSet, ...] = ()
    days: int = _OF_NOW
    counts: Rule | None = None
    doubted_by: tuple[ValueSet, ...] = ()

    @property
    def coding(self) -> Coding:
        """As an order says that it is there."""
        return Coding(SIGHTLINE_SIGN, self.code, self.title)


def own_codings(signs: Iterable[Sign], history: Iterable[ValueSet] = ()) -> tuple[Coding, ...]:
    """The codes of Sightline's own that a check reads: its signs, and its history by the names of the value sets."""
    return (*(one.coding for one in signs), *(Coding(SIGHTLINE_SIGN, one.name, one.title) for one in history))


def by_order(order: ImagingOrder, sign: Sign) -> bool:
    """Whether the order says that a sign is there."""
    return any(reason.same(sign.coding) for reason in order.reasons) or stated(order, *sign.value_sets) is not None


def told(found: Reasoning, order: ImagingOrder, check: str, sign: Sign) -> bool | None:
    """Whether a sign is there; None where nobody said, or record and form contradict, and then it is missing."""
    title, there, asked = found.say(sign.title), by_order(order, sign), form_asked(order, check)
    recorded = False if there else _on_record(found, sign)
    doubted = asked and (recorded is not False or stated(order, *sign.doubted_by) is not None)
    if there or (asked and not doubted):
        answer = found.say("yes") if there else found.say("no")
        found.measured(title, answer, found.say("the order"), found.case.today)
        return there
    if recorded and not asked:
        return True
    found.missing.append(Missing(title, _why(found, recorded, doubted), found.say("ask and examine the patient")))
    return None


def _why(found: Reasoning, recorded: bool | None, doubted: bool) -> str:
    """Why nobody can tell whether a sign is there."""
    if doubted:
        found.apply(CONTRADICTED, True)
        if recorded is False:
            return found.say("the reason of the order and its form contradict each other")
        return found.say("the record has it and the order's form denies it")
    return found.say("nobody said") if recorded is False else found.say("the record has it without a date")


def _on_record(found: Reasoning, sign: Sign) -> bool | None:
    """Whether the record has it as a symptom of its days; None where it has it without a date."""
    recorded: list[bool | None] = []
    for value_set in (one for one in sign.value_sets if one.kind == "symptom"):
        fact = found.case.ehr.symptom(value_set.name)
        if not isinstance(fact, Known):
            continue
        day = fact.effective
        recorded.append(None if day is None else day + timedelta(days=sign.days) >= found.case.today)
        if recorded[-1]:
            found.use(found.say(sign.title), fact, words)
    there = any_of(recorded)
    if recorded and sign.counts is not None:
        found.apply(sign.counts, there)
    return there
