"""Allergies: AL1 (HL7 v2.5.1 section 3.4.6; v2-to-fhir AL1[AllergyIntolerance])."""

from __future__ import annotations

from adapters.hl7.coded import coding
from adapters.hl7.context import Context
from adapters.hl7.message import Message, Segment, Value
from cds.domain.coding import Coding
from cds.domain.message import RecordValue

#: HL7 table 0127 (AL1-2).
_KINDS = {
    "DA": "drug allergy",
    "FA": "food allergy",
    "MA": "miscellaneous allergy",
    "MC": "miscellaneous contraindication",
    "EA": "environmental allergy",
    "AA": "animal allergy",
    "PA": "plant allergy",
    "LA": "pollen allergy",
}
#: HL7 table 0128 (AL1-4).
_SEVERITIES = {"SV": "severe", "MO": "moderate", "MI": "mild", "U": "severity unknown"}


def read_allergies(message: Message, context: Context) -> list[RecordValue]:
    """What a patient is allergic to, with kind, severity and reactions as text; the newest under one allergen counts.

    AL1 takes nothing back: an allergy that a message does not repeat stays.
    """
    found = [_allergy(segment, context) for segment in message.all("AL1")]
    return list({value.key: value for value in found if value}.values())


def _allergy(segment: Segment, context: Context) -> RecordValue | None:
    allergen = segment.value(3)
    code = coding(allergen, context) or _named(allergen, context)
    if code is None:
        context.note("an AL1 without an allergen in AL1-3 was left out")
        return None
    said = [_KINDS.get(segment.text(2).upper(), ""), _SEVERITIES.get(segment.text(4).upper(), "")]
    said += [value.text() for value in segment.values(5)]
    text = "; ".join(part for part in said if part)
    return RecordValue("allergy", f"AL1:{code.system}|{code.code}", code, text or None, context.day(segment, 6))


def _named(allergen: Value, context: Context) -> Coding | None:
    """An allergen in words alone: a name of the sender's own, which is in no value set."""
    name = allergen.text(2) or allergen.text(9)
    return Coding(context.local_system(), name, name) if name else None
