"""Who a patient is: an identifier value together with the authority that assigned it (SAFETY section 1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

#: Ends the assigner of identifiers that only test messages use; no authority's own name ends so.
_TEST_REALM = "\N{SYMBOL FOR SUBSTITUTE}test"


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

    @property
    def test(self) -> bool:
        """True for an identifier that only test and training messages use (MSH-11 T, D)."""
        return self.assigner.endswith(_TEST_REALM)

    def in_test(self) -> Identifier:
        """The same identifier in the realm of test messages, where no production patient has it."""
        return self if self.test else Identifier(self.value, self.assigner + _TEST_REALM)

    def as_sent(self) -> Identifier:
        """The identifier as its sender writes it, whatever its realm."""
        return Identifier(self.value, self.assigner.removesuffix(_TEST_REALM)) if self.test else self


class IdentityEvent(StrEnum):
    """What a message or a person does to who is who (HL7 v2.5.1 chapter 3)."""

    MERGE = "merge"
    LINK = "link"
    UNLINK = "unlink"
    MOVE = "move"
    CANCEL_VISIT = "cancel-visit"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class IdentityChange:
    """One change of identity as a message states it.

    MERGE: `prior` lives on as `survivor` (A40, A18, A34, A30 …). LINK and UNLINK: both name one person, or no longer.
    MOVE: what is filed under `account`, `visit` or, without either, the identifiers `prior` moves to `survivor` (A43,
    A44, A45); `into_account` and `into_visit` are the numbers that it is filed under from now on, where some are given
    (also A35, A41, A42, A49, A50, within one patient). CANCEL_VISIT: the visit or admission did not take place (A11,
    A27, A38). DELETE: the record of `survivor` is deleted (A23, A29). `trigger` is the event as sent.
    """

    event: IdentityEvent
    trigger: str
    survivor: tuple[Identifier, ...]
    prior: tuple[Identifier, ...] = ()
    account: Identifier | None = None
    visit: Identifier | None = None
    into_account: Identifier | None = None
    into_visit: Identifier | None = None


@dataclass(frozen=True, slots=True)
class AppliedIdentity:
    """A change of identity as it was applied: it can be undone by its id. Patients are named by their random ids."""

    id: int
    event: IdentityEvent
    trigger: str
    at: datetime
    survivor_id: str
    prior_id: str | None
    message_id: int | None
    by: str
    undone_at: datetime | None = None
    undone_by: str = ""


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
    #: Why the record does not hold any more (A23, A29); empty where it does.
    deleted: str = ""
    #: Identifiers of records that were merged into this one: images may carry them, nothing is sent under them.
    former: tuple[Identifier, ...] = ()

    @property
    def known_as(self) -> tuple[Identifier, ...]:
        """Every identifier that means this patient."""
        return (*self.identifiers, *self.former)

    @property
    def test(self) -> bool:
        """True for a patient that only test and training messages know."""
        return any(identifier.test for identifier in self.identifiers)

    def age_years(self, on: date) -> int | None:
        """Completed years on a day, None where the birth date is unknown or later than the day."""
        born = self.birth_date
        if born is None or born > on:
            return None
        return on.year - born.year - ((on.month, on.day) < (born.month, born.day))
