"""`EhrData`: what is known of a patient, each value with its date and source; absence has three values (SAFETY 6)."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from cds.domain.coding import Coding, Quantity
from cds.domain.identity import Sex

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A value that some source stated. `source` names the wire and the sender, never the patient."""

    value: T
    effective: date | None
    source: str
    kind: Literal["known"] = "known"


@dataclass(frozen=True, slots=True)
class NotFoundSince:
    """It was searched for and not found: where, and how far back the search reaches. Not the same as "no"."""

    searched: tuple[str, ...]
    since: date | None
    kind: Literal["not-found"] = "not-found"

    def sentence(self, what: str) -> str:
        """For the reader: "no spirometry found in HL7 data of X since 2026-03-02"."""
        reach = f" since {self.since.isoformat()}" if self.since else ""
        return f"no {what} found in {' and '.join(self.searched)}{reach}"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody could be asked; the reason says why."""

    reason: str
    kind: Literal["unknown"] = "unknown"


Fact = Known[T] | NotFoundSince | Unknown


class SmokingStatus(StrEnum):
    """What the SNOMED and LOINC answer codes of LOINC 72166-2 are folded into."""

    CURRENT = "current"
    FORMER = "former"
    NEVER = "never"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClinicalItem:
    """A coded thing of the record (condition, procedure, symptom, report) with its own words."""

    code: Coding
    text: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A coded laboratory value or vital sign."""

    code: Coding
    quantity: Quantity


@functools.cache
def _unasked(name: str) -> Unknown:
    """Names are those of value sets: a few hundred."""
    return Unknown(f"{name} was not asked for")


@dataclass(frozen=True, slots=True)
class EhrData:
    """Everything that pathways and scores may ask about one patient.

    Demographics are facts like all others. `measurements` maps a value set of `cds.codes` to its newest valid value.
    `conditions`, `procedures`, `symptoms`, `allergies`, `medications`, `immunizations`, `family_history` and `requests`
    (what was ordered and is not done) map a value-set name to the newest matching item or to an absence. `pregnancy`
    is as of the day that it was stated for; `race` is a code of CDC Race and Ethnicity, for the few published scores
    that have a term for it. `pathways` ask by name; a name that no source was asked for is Unknown.
    """

    birth_date: Fact[date]
    sex: Fact[Sex]
    deceased: Fact[bool]
    smoking_status: Fact[SmokingStatus]
    pack_years: Fact[Quantity]
    quit_date: Fact[date]
    measurements: dict[str, Fact[Measurement]]
    conditions: dict[str, Fact[ClinicalItem]]
    procedures: dict[str, Fact[ClinicalItem]]
    symptoms: dict[str, Fact[ClinicalItem]]
    assembled_at: datetime | None = None
    allergies: dict[str, Fact[ClinicalItem]] = field(default_factory=dict)
    pregnancy: Fact[bool] = Unknown("pregnancy was not asked for")
    medications: dict[str, Fact[ClinicalItem]] = field(default_factory=dict)
    immunizations: dict[str, Fact[ClinicalItem]] = field(default_factory=dict)
    family_history: dict[str, Fact[ClinicalItem]] = field(default_factory=dict)
    requests: dict[str, Fact[ClinicalItem]] = field(default_factory=dict)
    race: Fact[Coding] = Unknown("race was not asked for")

    def measurement(self, name: str) -> Fact[Measurement]:
        """The newest value of a value set; Unknown where nothing was asked."""
        return self.measurements.get(name) or _unasked(name)

    def condition(self, name: str) -> Fact[ClinicalItem]:
        """The newest condition of a value set; Unknown where nothing was asked."""
        return self.conditions.get(name) or _unasked(name)

    def procedure(self, name: str) -> Fact[ClinicalItem]:
        """The newest procedure of a value set; Unknown where nothing was asked."""
        return self.procedures.get(name) or _unasked(name)

    def symptom(self, name: str) -> Fact[ClinicalItem]:
        """The newest symptom of a value set; Unknown where nothing was asked."""
        return self.symptoms.get(name) or _unasked(name)

    def allergy(self, name: str) -> Fact[ClinicalItem]:
        """The newest allergy of a value set; Unknown where nothing was asked."""
        return self.allergies.get(name) or _unasked(name)

    def medication(self, name: str) -> Fact[ClinicalItem]:
        """The newest drug of a value set that was prescribed or is taken; Unknown where nothing was asked."""
        return self.medications.get(name) or _unasked(name)

    def immunization(self, name: str) -> Fact[ClinicalItem]:
        """The newest vaccination of a value set; Unknown where nothing was asked."""
        return self.immunizations.get(name) or _unasked(name)

    def relative(self, name: str) -> Fact[ClinicalItem]:
        """The newest word of a relative who has a disease of a value set; Unknown where nothing was asked."""
        return self.family_history.get(name) or _unasked(name)

    def request(self, name: str) -> Fact[ClinicalItem]:
        """The newest open request for something of a value set; Unknown where nothing was asked."""
        return self.requests.get(name) or _unasked(name)
