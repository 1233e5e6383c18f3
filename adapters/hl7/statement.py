"""One observation of ours before it is an OBX, and how numbers, units and texts are written in it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from adapters.hl7.encode import NOTHING, Encoded, components, field
from cds.domain.coding import Quantity
from cds.domain.conclusion import unit_name
from cds.errors import InvalidInput

#: HL7 table 0085: preliminary; results cannot be obtained; post original as wrong, e.g. of the wrong patient.
PRELIMINARY, NOT_OBTAINED, WRONG = "P", "X", "W"
_BREAK = "\\.br\\"
_LONGEST_SUB_ID = 20  # OBX-4, HL7 v2.5.1
_LONGEST_STRING = 199  # ST, HL7 v2.5.1 section 2.A.73


@dataclass(frozen=True, slots=True)
class Observation:
    """One OBX with its NTEs: the value in its type, who said it, and what belongs to it in words."""

    value_type: str
    code: Encoded
    sub_id: str
    value: Encoded
    unit: Encoded = NOTHING
    #: OBX-8, HL7 table 0078.
    flag: str = ""
    #: OBX-11, HL7 table 0085.
    status: str = PRELIMINARY
    model: str = ""
    version: str = ""
    #: OBX-14 where that is not when the images were made.
    day: date | None = None
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """What a receiver files it under: the first component of OBX-3, and OBX-4."""
        return self.code.partition("^")[0], self.sub_id


def quantity(value: Quantity) -> str:
    """A number with its unit, as short as it can be said exactly."""
    return f"{number(value.value)} {value.unit}".strip()


def number(value: float) -> str:
    """NM has no exponent; InvalidInput where it is no number at all."""
    if not math.isfinite(value):
        raise InvalidInput("want finite numbers in a report")
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def unit(value: Quantity) -> Encoded:
    """OBX-6: the UCUM code, and what people call it."""
    return components(value.unit, unit_name(value.unit), "UCUM") if value.unit else NOTHING


def prose(text: str) -> tuple[str, Encoded]:
    """A text in the narrowest type that may hold it (OBX-2, OBX-5): FT alone has line breaks, ST has 199 characters."""
    encoded = field(text)
    if _BREAK in encoded:
        return "FT", encoded
    return ("ST" if len(text) <= _LONGEST_STRING else "TX"), encoded


def short_sub_id(key: str) -> str:
    """OBX-4 tells observations of one code apart, the same in every version; a long key is hashed to fit."""
    return key if len(field(key)) <= _LONGEST_SUB_ID else hashlib.sha256(key.encode()).hexdigest()[:_LONGEST_SUB_ID]
