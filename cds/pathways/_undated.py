"""What is on record without a date: nobody can tell whether it is recent, so it is missing and silences nothing."""

from __future__ import annotations

from cds.codes import ValueSet
from cds.domain.ehr import Known
from cds.pathways._facts import Missing
from cds.pathways._reasoning import Reasoning


def undated(found: Reasoning, value_set: ValueSet) -> None:
    """Something that was done on a day that nobody stated stands as missing: its day decides."""
    fact = found.case.ehr.procedure(value_set.name)
    if isinstance(fact, Known) and fact.effective is None:
        how = found.say("find out its date")
        found.missing.append(Missing(found.say(value_set.title), found.say("it is on record without a date"), how))
