"""One POST to another FHIR server, bounded in time and size, and its answer judged before it is believed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import httpx
import orjson

from cds.destinations import FhirDestination
from cds.errors import PeerFailed, PeerRefused, Unavailable

_LONGEST_ANSWER = 16 * 1024 * 1024
_JSON = "application/fhir+json"
_SECONDS = re.compile(r"[0-9]{1,5}")
#: Answers that say nothing of what was sent: who we are, how busy they are, a proxy without its server.
_NOT_NOW = frozenset({401, 403, 407, 408, 425, 429, 502, 503, 504})
#: http://hl7.org/fhir/R4/valueset-issue-type.html; anything else in an outcome may be a value of the message.
_ISSUE_TYPES = frozenset(
    {
        "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired",
        "forbidden", "suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found",
        "deleted", "too-long", "code-invalid", "extension", "too-costly", "business-rule", "conflict", "transient",
        "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled", "informational",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer and its JSON object."""

    status: int
    body: dict[str, object]


def post(to: FhirDestination, payload: bytes, *, path: str = "") -> Answer:
    """POST a resource below the base URL, `to.timeout_s` for each step and for the whole answer.

    The token is read anew each time.

    Unavailable: send the same again (no answer, not allowed, too busy; PeerFailed where the server itself failed).
    PeerRefused: it will say so again. Texts have status and issue codes, never a diagnostic, which may quote a patient.
    """
    headers = {"Content-Type": _JSON, "Accept": _JSON, **_authorization(to)}
    try:
        status, retry_after, body = _exchange(f"{to.url}{path}", payload, headers, to.timeout_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"the FHIR destination does not answer: {type(error).__name__}") from None
    judge(status, body, retry_after)
    return Answer(status, _object(body))


def judge(status: int, outcome: bytes | object, retry_after: str = "") -> None:
    """Raise what a status means (see `post`); `outcome` is the OperationOutcome that came with it."""
    if httpx.codes.is_success(status):
        return
    said = f"{status}{_codes(outcome)}"
    if status in _NOT_NOW or httpx.codes.is_redirect(status):
        wait = f", which asks to wait {retry_after} s" if _SECONDS.fullmatch(retry_after) else ""
        raise Unavailable(f"the FHIR destination does not take it now: {said}{wait}")
    if httpx.codes.is_client_error(status):
        raise PeerRefused(f"the FHIR destination refuses it: {said}")
    raise PeerFailed(f"the FHIR destination could not take it: {said}")


def _exchange(url: str, payload: bytes, headers: dict[str, str], timeout_s: float) -> tuple[int, str, bytes]:
    """Status, Retry-After and body; httpx bounds each read, the deadline all of them."""
    deadline = time.monotonic() + timeout_s
    parts: list[bytes] = []
    size = 0
    with httpx.stream("POST", url, content=payload, headers=headers, timeout=timeout_s) as response:
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > _LONGEST_ANSWER:
                raise PeerFailed("the FHIR destination answers with too many bytes")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("no time left")
        return response.status_code, response.headers.get("Retry-After", ""), b"".join(parts)


def _authorization(to: FhirDestination) -> dict[str, str]:
    if to.token_file is None:
        return {}
    try:
        token = to.token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"the token of the FHIR destination cannot be read: {type(error).__name__}") from None
    if not token or not token.isprintable():
        raise Unavailable("the token file of the FHIR destination holds no token")
    return {"Authorization": f"Bearer {token}"}


def _codes(outcome: bytes | object) -> str:
    """The issue codes of an OperationOutcome that R4 knows."""
    try:
        found = orjson.loads(outcome) if isinstance(outcome, bytes) else outcome
    except orjson.JSONDecodeError:
        return ""
    issues = found.get("issue") if isinstance(found, dict) else None
    codes = [issue.get("code") for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []
    known = dict.fromkeys(code for code in codes if isinstance(code, str) and code in _ISSUE_TYPES)
    return f" ({', '.join(known)})" if known else ""


def _object(body: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        raise PeerFailed("the FHIR destination answers with something that is not JSON") from None
    if not isinstance(found, dict):
        raise PeerFailed("the FHIR destination answers with something that is not a resource")
    return found
