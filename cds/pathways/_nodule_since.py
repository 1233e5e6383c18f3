"""What was done since a lung nodule was seen: a later CT of the chest, and what it takes the place of."""

from __future__ import annotations

from datetime import date

from cds import codes, procedure_codes
from cds.domain.ehr import Known
from cds.pathways._reasoning import Reasoning
from cds.pathways._undated import undated
from cds.pathways.declaration import Rule

ORDERED = Rule("ordered", "A CT of the chest that was ordered after the images is not asked for again.")
SINCE = Rule(
    "done-since",
    "A later CT of the chest takes the place of a follow-up only from the first month of its interval on.",
)
BEFORE = Rule("done-before", "A later CT of the chest before that month is noted, and the follow-up stays.")
_CTS = (procedure_codes.CHEST_CT, codes.LOW_DOSE_CT)


def done_since(found: Reasoning, rule: Rule, first: date) -> bool:
    """Whether a CT of the chest was made after these images and not before a day; an earlier one is noted alone."""
    case = found.case
    facts = [case.ehr.procedure(one.name) for one in _CTS]
    later = [
        (fact.effective, fact.source)
        for fact in facts
        if isinstance(fact, Known) and fact.effective is not None and fact.effective > case.study_date
    ]
    if not later:
        for one in _CTS:
            undated(found, one)
        found.apply(rule, False)
        return False
    day, source = max(later)
    done = bool(found.apply(rule, day >= first, day.isoformat()))
    if not done:
        found.apply(BEFORE, True, day.isoformat())
        early = "Follow-up CT: a CT of the chest was made on {day} ({source}), before it is due: compare with it."
        found.note(found.say(early, day=day, source=source))
        return False
    text = found.say(
        "Follow-up CT: a CT of the chest was made since ({day}, {source}): compare with it.", day=day, source=source
    )
    found.note(text, "a CT of the chest was made since")
    return True
