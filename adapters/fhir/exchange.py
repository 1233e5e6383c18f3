"""One exchange with another FHIR server, bounded in time and size, and its answer judged before it is believed."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import orjson

from adapters.fhir.tolerant import items, obj, text
from cds.errors import PeerFailed, PeerRefused, Unavailable

FHIR_JSON = "application/fhir+json"
_LONGEST_ANSWER = 16 * 1024 * 1024
_SECONDS = re.compile(r"[0-9]{1,9}")
_WHO_ARE_YOU = frozenset({401, 403, 407})
_NO_SUCH_FUNCTION = 501
#: Answers that say nothing of what was sent: how busy they are, a proxy without its server.
_NOT_NOW = frozenset({408, 425, 429, 502, 503, 504})
#: http://hl7.org/fhir/R4/valueset-issue-type.html; anything else in an outcome may be a value of the message.
_ISSUE_TYPES = frozenset(
    {
        "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired",
        "forbidden", "suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found",
        "deleted", "too-long", "code-invalid", "extension", "too-costly", "business-rule", "conflict", "transient",
        "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled", "informational",
    }
)  # fmt: skip
#: http://hl7.org/fhir/R4/valueset-issue-severity.html
_SEVERITIES = frozenset({"fatal", "error", "warning", "information"})


class FhirRefused(PeerRefused):
    """A 4xx that will be said again: `status`, and the issue-type codes of the OperationOutcome that came with it."""

    def __init__(self, words: str, *, status: int, issues: tuple[str, ...] = ()) -> None:
        super().__init__(words)
        self.status = status
        self.issues = issues


class NotNow(Unavailable):
    """No answer, or one that says how busy the server is; `retry_after_s` where it says how long it wants to be left.

    The same request may be sent again where a repeat does no harm.
    """

    def __init__(self, words: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(words)
        self.retry_after_s = retry_after_s


class NotAllowed(Unavailable):
    """The server does not let us in, to this, or from this address: the request is not to blame, a person mends it."""


class NotSupported(PeerFailed):
    """501: the server has no such function, whatever it says of itself (RFC 9110 section 15.6.2)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer: its JSON object, {} where there is none; `etag` and `location` as sent, "" where they are not."""

    status: int
    body: dict[str, object]
    etag: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome: codes of issue-severity and issue-type, "" for what R4 does not know."""

    severity: str
    code: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, not yet judged."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(http: httpx.Client, request: httpx.Request, *, who: str, deadline: float) -> Reply:
    """Send and read all of the answer by `deadline` (time.monotonic); no redirect is followed.

    NotNow: no answer, half of one, or none in time. PeerFailed: one of more than 16 MiB.
    """
    try:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise httpx.ReadTimeout("no time left")
        request.extensions["timeout"] = httpx.Timeout(left_s).as_dict()
        return _read(http, request, who, deadline)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotNow(f"{who} does not answer: {_kind(error)}") from None


def _read(http: httpx.Client, request: httpx.Request, who: str, deadline: float) -> Reply:
    """httpx bounds each read, the deadline all of them."""
    response = http.send(request, stream=True, follow_redirects=False)
    try:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > _LONGEST_ANSWER:
                raise PeerFailed(f"{who} answers with too many bytes")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("no time left")
        return Reply(response.status_code, response.headers, b"".join(parts))
    finally:
        response.close()


def answer(reply: Reply, *, who: str) -> Answer:
    """What a reply says; see `judge` for the errors, and PeerFailed for a success that is no JSON object."""
    judge(reply.status, reply.body, retry_after_s(reply.headers), who=who)
    headers = reply.headers
    return Answer(reply.status, json_object(reply.body, who), headers.get("ETag", ""), headers.get("Location", ""))


def judge(status: int, outcome: bytes | object, wait_s: float | None = None, *, who: str) -> None:
    """Raise what a status means; `outcome` is the OperationOutcome that came with it.

    NotNow, NotAllowed: nothing is wrong with what was sent. FhirRefused: it will say so again. PeerFailed: the server
    itself failed. Texts have status and issue codes, never a diagnostic, which may quote a patient.
    """
    if httpx.codes.is_success(status):
        return
    codes = _codes(outcome)
    said = f"{status} ({', '.join(codes)})" if codes else f"{status}"
    if httpx.codes.is_redirect(status):
        said += ", and a redirect is not followed: want the URL that it leads to"
    if status in _NOT_NOW or status in _WHO_ARE_YOU or httpx.codes.is_redirect(status):
        said += "" if wait_s is None else f", which asks to wait {wait_s:.0f} s"
        words = f"{who} does not take it now: {said}"
        raise NotNow(words, retry_after_s=wait_s) if status in _NOT_NOW else NotAllowed(words)
    if httpx.codes.is_client_error(status):
        raise FhirRefused(f"{who} refuses it: {said}", status=status, issues=codes)
    failed = NotSupported if status == _NO_SUCH_FUNCTION else PeerFailed
    raise failed(f"{who} could not take it: {said}")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After (RFC 9110 section 10.2.3), a date by the server's own clock; None where it has none."""
    said = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(said):
        return float(said)
    until = _moment(said)
    if until is None:
        return None
    now = _moment(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def issues(outcome: bytes | object) -> tuple[Issue, ...]:
    """The issues of an OperationOutcome by the codes that R4 knows; () for anything else."""
    try:
        found = orjson.loads(outcome) if isinstance(outcome, bytes) else outcome
    except orjson.JSONDecodeError:
        return ()
    said = ((text(issue.get("severity")), text(issue.get("code"))) for issue in items(obj(found).get("issue")))
    return tuple(Issue(s if s in _SEVERITIES else "", c if c in _ISSUE_TYPES else "") for s, c in said)


def json_object(body: bytes, who: str) -> dict[str, object]:
    """The object of a body, {} for an empty one; raise PeerFailed for half a one and everything else."""
    try:
        found = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        raise PeerFailed(f"{who} answers with something that is not JSON") from None
    if not isinstance(found, dict):
        raise PeerFailed(f"{who} answers with something that is not a resource")
    return found


def _codes(outcome: bytes | object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(issue.code for issue in issues(outcome) if issue.code))


def _moment(date: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _kind(error: BaseException) -> str:
    """The class of an error; for TLS the reason, which says whose certificate is wrong and nothing else."""
    kind, cause = type(error).__name__, error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return f"{kind}, TLS {cause.reason}"
        cause = cause.__cause__ or cause.__context__
    return kind
