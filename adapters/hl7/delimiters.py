"""The delimiters of a message, which MSH-1 and MSH-2 state (HL7 v2.5.1 section 2.5.4)."""

from __future__ import annotations

import string
from dataclasses import dataclass

from cds.errors import InvalidMessage

_MAY_DELIMIT = frozenset(string.punctuation)
_MOST_ENCODING_CHARACTERS = 5


@dataclass(frozen=True, slots=True)
class Delimiters:
    """One character each; empty where MSH-2 was too short to state it, so that it separates nothing.

    `truncation` ends a value that its sender cut off (HL7 v2.7 section 2.5.5.2).
    """

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""


STANDARD = Delimiters()


def read_delimiters(field_separator: str, encoding_characters: str) -> Delimiters:
    """Read MSH-1 and MSH-2; InvalidMessage where they are no delimiters or contradict each other.

    A doubled escape character, which careless senders leave, is read as one.
    """
    encoding = encoding_characters
    if encoding[2:3] and encoding[2:3] == encoding[3:4]:
        encoding = encoding[:2] + encoding[3:]
    characters = field_separator + encoding
    distinct = len(set(characters)) == len(characters) and _MAY_DELIMIT.issuperset(characters)
    if not field_separator or not 1 <= len(encoding) <= _MOST_ENCODING_CHARACTERS or not distinct:
        raise InvalidMessage(
            "want distinct punctuation as delimiters in MSH-1 and MSH-2", location="MSH^1^2", condition="102"
        )
    return Delimiters(field_separator, *(encoding[i : i + 1] for i in range(_MOST_ENCODING_CHARACTERS)))


def split(text: str, delimiter: str) -> list[str]:
    """Split, where the message has this delimiter at all."""
    return text.split(delimiter) if delimiter else [text]
