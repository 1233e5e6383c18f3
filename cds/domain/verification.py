"""What people said about findings: a radiologist's verification, and the radiology report that closes the loop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Presence
from cds.domain.identity import Identifier


class Verdict(StrEnum):
    """What a radiologist says of a finding. None of them signs the radiology report: only the RIS does."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CORRECTED = "corrected"


#: Who may verify a finding.
VERIFIERS = frozenset({"radiologist"})


@dataclass(frozen=True, slots=True)
class FindingRef:
    """One finding of one model on one image revision of a study; the newest verification of it counts."""

    study_instance_uid: str
    image_revision: int
    model: str
    version: str
    key: str

    @property
    def name(self) -> str:
        """`<model>.<key>`, as the release matrix and `cds findings` name it."""
        return f"{self.model}.{self.key}"


@dataclass(frozen=True, slots=True)
class Verification:
    """Who said what of a finding, in which role, when and why. `corrected` replaces the value of a CORRECTED one."""

    finding: FindingRef
    verdict: Verdict
    by: str
    role: str
    at: datetime
    reason: str = ""
    corrected: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Stated:
    """A coded statement of a radiology report: the code, and whether it is there."""

    code: Coding
    presence: Presence


@dataclass(frozen=True, slots=True)
class FinalReport:
    """The radiologist's report as the RIS signed it, found by accession number and patient.

    `text` stays in the store: it is never logged, nor sent on. `identifier` is the report's own number, if it has one.
    """

    accession: Identifier
    patient: Identifier
    status: str
    issued: datetime | None
    source: str
    received_at: datetime
    stated: tuple[Stated, ...] = ()
    text: str = ""
    identifier: str = ""
    id: str = ""


class Agreement(StrEnum):
    """How a finding and the radiology report stand to each other. NOT_COMPARABLE is neither, and never guessed."""

    AGREES = "agrees"
    DISCORDANT = "discordant"
    NOT_COMPARABLE = "not-comparable"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One finding against the radiology report, with the reason in words that quote no report."""

    finding: str
    agreement: Agreement
    reason: str
