"""A code in a code system, and a quantity with a UCUM unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Coding:
    """FHIR Coding: system URI, code, display."""

    system: str
    code: str
    display: str = ""

    def same(self, other: Coding) -> bool:
        """True where system and code agree; the display does not count."""
        return self.system == other.system and self.code == other.code


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its UCUM unit."""

    value: float
    unit: str
