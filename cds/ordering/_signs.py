"""What only who sees the patient can say: each sign as yes, no, or a question that is still to be asked.

A record tells that a sign was there; that it does not tell of it is no "no". An order tells both: its reasons have
what was answered yes (by a public code or Sightline's own), and where they have `asked-<check>` the order's form asked
for all signs of that check, so that what is not among the reasons was answered no.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import Known
from cds.domain.imaging_order import ImagingOrder
from cds.pathways._facts import Missing, words
from cds.pathways._reasoning import Reasoning

#: Signs in ServiceRequest.reasonCode of an order whose form asks for them.
SIGHTLINE_SIGN = "urn:sightline:sign"
#: A symptom of the record is one of today where it is not older than this.
_OF_NOW = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign: its code, how it is called in a list of questions, and the value sets that say that it is there.

    Those of symptoms are looked for in the record too: a check declares them among what it asks.
    """

    code: str
    title: str
    value_sets: tuple[ValueSet, ...] = ()

    @property
    def coding(self) -> Coding:
        """As an order says that it is there."""
        return Coding(SIGHTLINE_SIGN, self.code, self.title)


def form_asked(order: ImagingOrder, check: str) -> bool:
    """Whether the order's form asked for the signs of a check."""
    return any(reason.same(Coding(SIGHTLINE_SIGN, f"asked-{check}")) for reason in order.reasons)


def told(found: Reasoning, order: ImagingOrder, check: str, sign: Sign) -> bool | None:
    """Whether a sign is there; None where nobody said, and then it is missing."""
    by_order = any(
        reason.same(sign.coding) or any(one.contains(reason) for one in sign.value_sets) for reason in order.reasons
    )
    title = found.say(sign.title)
    denied = not by_order and form_asked(order, check)
    if _on_record(found, sign):
        return True
    if by_order or denied:
        answer = found.say("no") if denied else found.say("yes")
        found.measured(title, answer, found.say("the order"), found.case.today)
        return by_order
    found.missing.append(Missing(title, found.say("nobody said"), found.say("ask and examine the patient")))
    return None


def _on_record(found: Reasoning, sign: Sign) -> bool:
    """Whether the record has it as a symptom of these days."""
    for value_set in (one for one in sign.value_sets if one.kind == "symptom"):
        fact = found.case.ehr.symptom(value_set.name)
        if isinstance(fact, Known) and fact.effective is not None and fact.effective + _OF_NOW >= found.case.today:
            found.use(found.say(sign.title), fact, words)
            return True
    return False
