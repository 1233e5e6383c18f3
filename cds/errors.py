"""The error tree. Each error knows what to say on every wire.

SightlineError
├── InvalidInput                what came in cannot be used; the sender must change it
│   ├── InvalidMessage          HL7 v2
│   │   └── BrokenMessage       applying it broke our code
│   ├── InvalidInstance         DICOM
│   └── InvalidResource         FHIR and CDS Hooks
├── NotFound
├── Unauthorized
├── Forbidden                   the caller is known and may not do this
├── TooManyRequests             the caller comes more often than its share
├── PreconditionFailed          CDS Hooks 412: patient identity or a required key cannot be had
├── InsufficientData            a score or pathway lacks an input
├── NothingEvaluated            no guideline could be evaluated for a hook
├── NotEvaluable                a model refuses what it was given, with the reason
├── Conflict                    two things contradict each other; a person decides
├── Unavailable                 try again: disk, database or peer
│   ├── OutOfResources          disk full, inbox full
│   └── PeerFailed              the other side answered that it failed
├── PeerRefused                 the other side said no, permanently
└── ConfigurationError          the installation is wrong; names every mistake at once

Texts say what was wanted. They never contain a value that came from a patient's message, image or record.
"""

from __future__ import annotations

from typing import ClassVar


class SightlineError(Exception):
    """Base of all errors of the project; carries its answer for HTTP, HL7 v2, DIMSE and FHIR."""

    http_status: ClassVar[int] = 500
    #: MSA-1 in original mode, HL7 v2 table 0008.
    ack_code: ClassVar[str] = "AE"
    #: ERR-3, HL7 v2 table 0357.
    hl7_error: ClassVar[str] = "207"
    #: DIMSE status, PS3.4 annex B.2.3 and PS3.7 annex C.
    dimse_status: ClassVar[int] = 0x0110
    #: OperationOutcome.issue.code, http://hl7.org/fhir/issue-type.
    issue_code: ClassVar[str] = "exception"


class InvalidInput(SightlineError):
    """What came in cannot be used as it is; sending it again will not help."""

    http_status = 400
    ack_code = "AR"
    hl7_error = "207"
    dimse_status = 0xC000
    issue_code = "invalid"


class InvalidMessage(InvalidInput):
    """An HL7 v2 message fails the bounded check or cannot be read.

    `location` is an ERL (segment^sequence^field), `condition` a code of table 0357, `permanent` decides AR or AE.
    """

    def __init__(self, text: str, *, location: str = "", condition: str = "207", permanent: bool = True) -> None:
        super().__init__(text)
        self.location = location
        self.condition = condition
        self.permanent = permanent


class BrokenMessage(InvalidMessage):
    """Applying an HL7 v2 message broke our code; the text names the kind of error and nothing of the message."""


class InvalidInstance(InvalidInput):
    """A DICOM instance cannot be understood (PS3.4 B.2.3: 0xC000 range)."""


class InvalidResource(InvalidInput):
    """A FHIR resource, a search or a CDS Hooks request is malformed."""


class NotFound(SightlineError):
    """There is no such thing here."""

    http_status = 404
    issue_code = "not-found"


class Unauthorized(SightlineError):
    """The caller did not prove who it is."""

    http_status = 401
    dimse_status = 0x0124
    issue_code = "login"


class Forbidden(SightlineError):
    """The caller proved who it is, and may not do this; the text says which scope was wanted."""

    http_status = 403
    dimse_status = 0x0124
    issue_code = "forbidden"


class TooManyRequests(SightlineError):
    """The caller comes more often than its share allows; it may come again after some seconds."""

    http_status = 429
    issue_code = "throttled"

    def __init__(self, text: str, *, retry_after_s: int) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class PreconditionFailed(SightlineError):
    """CDS Hooks 2.0: a required prefetch key or the patient's identity is unavailable."""

    http_status = 412
    issue_code = "required"


class InsufficientData(SightlineError):
    """A score or pathway cannot be evaluated; the argument names the missing input."""

    http_status = 422
    issue_code = "incomplete"


class NothingEvaluated(SightlineError):
    """A hook was called and nothing could be evaluated: an empty answer would read as nothing found."""


class NotEvaluable(SightlineError):
    """A model cannot measure this input; the text is the reason shown to the reader."""

    http_status = 422
    issue_code = "not-supported"

    def __init__(self, reason: str, *, gate: str) -> None:
        super().__init__(reason)
        self.gate = gate


class Cancelled(SightlineError):
    """The work is no longer wanted; what was computed so far is thrown away."""


class Conflict(SightlineError):
    """Two statements contradict each other; nothing is overwritten, a person decides."""

    http_status = 409
    issue_code = "conflict"


class Unavailable(SightlineError):
    """A disk, database or peer cannot be used now; the sender should try again."""

    http_status = 503
    issue_code = "transient"


class PeerFailed(Unavailable):
    """The other side answers that it could not take this now; asked too often in vain, a person has to look."""


class OutOfResources(Unavailable):
    """No space or no room in the inbox (DIMSE 0xA700, PS3.4 table B.2-1)."""

    http_status = 507
    dimse_status = 0xA700
    issue_code = "no-store"


class PeerRefused(SightlineError):
    """The other side refused for good; the delivery is held for a person."""

    http_status = 502
    issue_code = "processing"


class ConfigurationError(SightlineError):
    """The installation is configured wrongly; lists every mistake."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
