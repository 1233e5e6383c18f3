"""Who a patient is: an identifier value together with the authority that assigned it (SAFETY section 1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Sex(StrEnum):
    """FHIR administrative-gender; HL7 v2 table 0001 and DICOM (0010,0040) are mapped to it at the edge."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value and the authority that assigned it (HL7 CX.1 and CX.4; DICOM (0010,0020) and (0010,0021))."""

    value: str
    assigner: str

    def __post_init__(self) -> None:
        if not self.value or not self.assigner:
            raise ValueError("an identifier needs a value and an assigning authority")


@dataclass(frozen=True, slots=True)
class HumanName:
    """A family and a given name, as sent; shown to people, never used to match."""

    family: str = ""
    given: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """Demographics of one patient. `id` is Sightline's own random id; None until the store has given one."""

    identifiers: tuple[Identifier, ...]
    name: HumanName = field(default_factory=HumanName)
    birth_date: date | None = None
    sex: Sex = Sex.UNKNOWN
    deceased: bool | None = None
    id: str | None = None

    def age_years(self, on: date) -> int | None:
        """Completed years on a day, None where the birth date is unknown or later than the day."""
        born = self.birth_date
        if born is None or born > on:
            return None
        return on.year - born.year - ((on.month, on.day) < (born.month, born.day))
