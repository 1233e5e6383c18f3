"""Working off what a server told, in its order. What cannot be done now is done later; what never can, a person sees.

Each version of a resource is taken in one transaction with the removal of its notice, so that a crash repeats at most
the asking.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cds import metrics
from cds.domain.fhir_news import Found, Outcome, Reason
from cds.domain.notification import answered, look
from cds.domain.subscription import Notice, NoticeKind
from cds.errors import (
    Conflict,
    InsufficientData,
    InvalidInput,
    NotFound,
    PeerFailed,
    PeerRefused,
    SightlineError,
    Unavailable,
)
from cds.listening.parts import Listening
from cds.listening.polling import try_poll
from cds.logs import get_logger

log = get_logger(__name__)

#: Of what the server refuses, and of what it fails at itself: with the delays below minutes, and some two hours.
_REFUSED_ATTEMPTS, _FAILED_ATTEMPTS = 5, 30
_FIRST_DELAY_S, _LONGEST_DELAY_S = 5.0, 300.0
#: A report may come before whatever makes its patient known here.
_PATIENT_WITHIN, _PATIENT_DELAY_S = timedelta(days=3), 3600.0
#: Of one look at a server: then others are due, and a worker that is to end does.
_AT_ONCE, _LONGEST = 200, timedelta(seconds=10)


def work_off(line: Listening) -> int:
    """Do what is due; answers how many notices were looked at. Raise Unavailable where our own tables are away."""
    begun, looked_at = line.clock.now(), 0
    while looked_at < _AT_ONCE and line.clock.now() - begun < _LONGEST:
        due = line.notices.due(line.name, line.clock.now(), limit=1)
        if not due:
            break
        line.keep()
        looked_at += 1
        if not _attempt(line, due[0]):
            break
    return looked_at


def _attempt(line: Listening, notice: Notice) -> bool:
    """One notice; False where the server is away, and the others of it wait as well."""
    try:
        _DOING[notice.kind](line, notice)
    except PeerFailed as error:
        _again_or_hold(line, notice, str(error), _FAILED_ATTEMPTS)
    except Unavailable as error:
        log.warning("a FHIR server is not available", peer=line.name, error=type(error).__name__)
        line.notices.later(notice, _next(line, notice), all_of_server=True)
        return False
    except PeerRefused as error:
        _again_or_hold(line, notice, str(error), _REFUSED_ATTEMPTS)
    except (InvalidInput, InsufficientData, Conflict) as error:
        _hold(line, notice, str(error))
    except SightlineError:
        raise
    except Exception as error:  # one that breaks our code holds up no other: a person sees it
        log.error("a notice of a FHIR server broke", peer=line.name, exc_info=error)
        _hold(line, notice, f"reading it broke with {type(error).__name__}; see the log")
    return True


def _resource(line: Listening, notice: Notice) -> None:
    """Take one resource: as it came, else as it is now."""
    try:
        reference = notice.reference.partition("/_history/")[0]
        found = line.server.came(notice.body) if notice.body else line.server.current(reference)
    except NotFound:
        line.notices.done([notice.id])
        _count(line, Outcome.GONE)
        return
    if line.notices.taken(line.name, found):
        line.notices.drop(line.name, found, notice, line.clock.now())
        _count(line, Outcome.TAKEN_BEFORE)
        return
    news = line.server.news(found, line.clock.now())
    try:
        _count(line, line.notices.take(line.name, found, news, notice, line.clock.now()))
    except InsufficientData:
        _wait_for_the_patient(line, found, notice)


def _wait_for_the_patient(line: Listening, found: Found, notice: Notice) -> None:
    """The report of a patient whom nobody here knows is tried again for a while; then it concerns nobody here."""
    now = line.clock.now()
    if notice.received_at is not None and now - notice.received_at < _PATIENT_WITHIN:
        line.notices.later(notice, _next(line, notice, _PATIENT_DELAY_S), all_of_server=False)
        return
    line.notices.drop(line.name, found, notice, now)
    _count(line, Outcome.UNKNOWN_PATIENT)


def _events(line: Listening, notice: Notice) -> None:
    """Ask for the events of a gap by their numbers; where the server cannot say, look for everything."""
    subscription = next((one for one in line.kept.of(line.name) if one.id == notice.subscription), None)
    if subscription is None or not subscription.remote_id:  # there is another in its place, which begins with a look
        line.notices.done([notice.id])
        return
    try:
        said = line.subscriptions.events(subscription.remote_id, notice.first, notice.last)
    except (NotFound, PeerFailed, PeerRefused):
        line.notices.instead(notice, (look(subscription),), line.clock.now())
        return
    line.notices.instead(notice, answered(subscription, said, notice.first, notice.last), line.clock.now())


def _look(line: Listening, notice: Notice) -> None:
    """One look answers all that were asked for before it. One in vain is repeated by polling, until it goes well."""
    asked_for = line.notices.looks(line.name, notice.resource_type)
    if notice.resource_type in line.source.resources:
        try_poll(line, notice.resource_type)
    line.notices.done([*asked_for, notice.id])


_DOING = {NoticeKind.RESOURCE: _resource, NoticeKind.EVENTS: _events, NoticeKind.LOOK: _look}


def _again_or_hold(line: Listening, notice: Notice, reason: str, attempts: int) -> None:
    if notice.attempts + 1 < attempts:
        line.notices.later(notice, _next(line, notice), all_of_server=False)
    else:
        _hold(line, notice, f"{reason} (tried {notice.attempts + 1} times)")


def _hold(line: Listening, notice: Notice, reason: str) -> None:
    log.warning("a notice of a FHIR server is held", peer=line.name)
    line.notices.hold(notice, f"{line.name}, {notice.resource_type}: {reason}", line.clock.now())
    _count(line, Outcome.HELD)


def _next(line: Listening, notice: Notice, longest_s: float = _LONGEST_DELAY_S) -> datetime:
    delay_s = min(_FIRST_DELAY_S * 2.0 ** min(notice.attempts, 10), longest_s)
    return line.clock.now() + timedelta(seconds=delay_s)


def _count(line: Listening, outcome: Outcome | Reason) -> None:
    metrics.FHIR_EVENTS.inc(source=line.name, outcome=outcome.value)
