"""A code in a code system, and a quantity with a UCUM unit."""

from __future__ import annotations

from cds.domain.value import value_type

#: Beyond these, six significant digits would need an exponent.
_SHORT, _SMALL = 1e6, 1e-4


@value_type(frozen=True, slots=True)
class Coding:
    """FHIR Coding: system URI, code, display."""

    system: str
    code: str
    display: str = ""

    def same(self, other: Coding) -> bool:
        """True where system and code agree; the display does not count."""
        return self.system == other.system and self.code == other.code


@value_type(frozen=True, slots=True)
class Quantity:
    """A number with its UCUM unit."""

    value: float
    unit: str

    @property
    def digits(self) -> str:
        """The number for a reader."""
        return digits(self.value)


def digits(value: float) -> str:
    """A number for a reader: six significant digits at most, and never an exponent or a rounded whole number."""
    if abs(value) >= _SHORT:
        return f"{value:.0f}"
    return f"{value:.6g}" if value == 0 or abs(value) >= _SMALL else f"{value:.6f}"
