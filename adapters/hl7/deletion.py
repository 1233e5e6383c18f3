"""What a message wants deleted of an order (`""`, HL7 v2.5.1 section 2.5.3): said, and not carried out.

An order's fields change only to another value; whoever wants one gone cancels the order or replaces it.
"""

from __future__ import annotations

from adapters.hl7.context import Context
from adapters.hl7.message import Message

#: The fields of an order that are read, and what they say.
_FIELDS = {
    "ORC": {5: "status", 7: "priority and time", 9: "time of the transaction", 12: "requester"},
    "OBR": {
        4: "procedure",
        5: "priority",
        6: "time",
        13: "clinical information",
        16: "requester",
        18: "accession number",
        24: "modality",
        27: "priority and time",
        31: "reason",
        36: "time",
        44: "procedure",
    },
    "TQ1": {7: "time", 9: "priority"},
    "IPC": {1: "accession number", 3: "study", 5: "modality", 6: "procedure"},
    "ZDS": {1: "study"},
}


def note_deletions(message: Message, context: Context) -> None:
    """Leave a warning for every field of an order that the message deletes."""
    for segment in message:
        for number, what in _FIELDS.get(segment.name, {}).items():
            if segment.value(number).deleted:
                context.note(f"{segment.name}-{number} deletes the {what} of an order: not carried out")
