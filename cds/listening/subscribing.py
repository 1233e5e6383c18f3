"""Subscriptions from their making to their renewal: what is to be done about one now.

The endpoint of a subscription is random and is kept before the server is asked, so that one whose making was cut off is
found by it, and removed. Its secret is kept as a digest before the server is told, so that no notification comes too
early. What does not work is polled meanwhile: polling asks for the state.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from cds.domain.fhir_news import Remote, Wish
from cds.domain.notification import look
from cds.domain.subscription import Notice, Subscription, SubscriptionKind, SubscriptionState
from cds.errors import NotFound, PeerRefused, Unavailable
from cds.listening.parts import Listening
from cds.logs import get_logger

log = get_logger(__name__)

#: Heartbeats that may be late before a subscription is silent.
_SILENT_AFTER = 2.5
#: How often one is looked at that works, and one that does not yet.
_CHECK, _CHECK_SOON = timedelta(minutes=15), timedelta(minutes=1)
#: A server without Subscriptions is asked again whether it has them now.
_CANNOT = timedelta(hours=1)
#: One that stays silent, or of which no handshake came, is made anew.
_SILENCE_ENDS, _HANDSHAKE_WITHIN = timedelta(hours=1), timedelta(minutes=10)
_FIRST_DELAY_S, _LONGEST_DELAY_S = 10.0, 600.0
#: A server may write an instant with fewer digits than it was sent.
_ROUNDING = timedelta(seconds=2)
_KINDS: dict[str, SubscriptionKind] = {"subscription": "native", "topic": "topic"}
_BROKEN = (SubscriptionState.ERROR, SubscriptionState.OFF)
_UNMADE = (SubscriptionState.WANTED, *_BROKEN)
NO_SUBSCRIPTIONS = "the server does not let us create Subscriptions: it is polled"

Act = Callable[[Listening, Subscription], None]


def is_due(line: Listening, now: datetime) -> bool:
    """Whether `tend` has something to do."""
    kept = line.kept.of(line.name)
    wanted = set(line.source.resources) if line.source.events in _KINDS else set()
    return bool(wanted - {one.resource_type for one in kept}) or any(_act(line, one, now) for one in kept)


def tend(line: Listening) -> None:
    """Do what is due about every subscription of a server; raise Unavailable where our own tables are away."""
    kind = _KINDS.get(line.source.events)
    for resource_type in line.source.resources if kind is not None else ():
        line.kept.want(line.name, resource_type, kind or "native", line.clock.now())
    for subscription in line.kept.of(line.name):
        if act := _act(line, subscription, line.clock.now()):
            line.keep()
            _attempt(line, subscription, act)


def _act(line: Listening, subscription: Subscription, now: datetime) -> Act | None:
    """What is to be done about one now; None for nothing."""
    wanted = subscription.kind == _KINDS.get(line.source.events) and subscription.resource_type in line.source.resources
    is_late = subscription.due_at is None or subscription.due_at <= now
    if not wanted:
        return _end if is_late or not subscription.failures else None
    if _is_silent(line, subscription, now):
        return _silence
    if not is_late:
        return None
    return _make if subscription.state in _UNMADE else _check


def _attempt(line: Listening, subscription: Subscription, act: Act) -> None:
    """What the server says in vain is kept with the subscription; it is tried again later and later."""
    try:
        act(line, subscription)
    except NotFound as error:
        _broken(line, subscription, SubscriptionState.ERROR, f"the server lost it: {error}")
    except PeerRefused as error:
        _broken(line, subscription, SubscriptionState.ERROR, str(error))
    except Unavailable as error:
        _broken(line, subscription, None, str(error))


def _broken(line: Listening, subscription: Subscription, state: SubscriptionState | None, error: str) -> None:
    log.warning("a Subscription does not work", peer=line.name, state=(state or subscription.state).value)
    now, failures = line.clock.now(), subscription.failures + 1
    delay = timedelta(seconds=min(_FIRST_DELAY_S * 2.0 ** min(failures - 1, 10), _LONGEST_DELAY_S))

    def change(one: Subscription) -> Subscription:
        return replace(one.moved(state or one.state, now), error=error, failures=failures, due_at=now + delay)

    line.kept.change(subscription.id, change, now)


# --- making


def _make(line: Listening, subscription: Subscription) -> None:
    """Make it, after whatever is left of an earlier one is removed."""
    now = line.clock.now()
    if not line.subscriptions.possible():
        line.kept.change(subscription.id, lambda one: _impossible(one, now), now)
        return
    if subscription.remote_id:
        _remove(line, subscription.remote_id)
        _attempt(line, line.kept.begin_again(subscription.id, now), _make)
        return
    for orphan in line.subscriptions.at(line.endpoint(subscription)):
        line.subscriptions.remove(orphan)
    wish = _wish(line, subscription)
    line.kept.secret(subscription.id, wish.secret, renewing=False)
    _made(line, subscription, line.subscriptions.create(wish), wish)


def _impossible(one: Subscription, now: datetime) -> Subscription:
    off = one.moved(SubscriptionState.OFF, now)
    return replace(off, error=NO_SUBSCRIPTIONS, due_at=now + _CANNOT, failures=0)


def _made(line: Listening, subscription: Subscription, remote: Remote, wish: Wish) -> None:
    """What the server answered; its handshake may have come before its answer did."""
    now = line.clock.now()
    ends_at = min(remote.ends_at or wish.ends_at, wish.ends_at)
    line.lives[subscription.id] = ends_at - now

    def change(one: Subscription) -> Subscription:
        state = remote.state if one.state in _UNMADE else one.state
        known = replace(one.moved(state, now), remote_id=remote.id, ends_at=ends_at, renewing=False)
        return replace(known, due_at=now + _CHECK_SOON, error="")

    line.kept.change(subscription.id, change, now, _starting(subscription, remote))
    if remote.state in _BROKEN:
        _broken(line, subscription, remote.state, remote.error or f"the server says {remote.state.value}")


def _starting(subscription: Subscription, remote: Remote) -> tuple[Notice, ...]:
    """R4's own Subscription becomes active without a word to us: what came before is looked for."""
    starts = subscription.state is not SubscriptionState.ACTIVE and remote.state is SubscriptionState.ACTIVE
    return (look(subscription),) if starts else ()


# --- checking and renewing


def _check(line: Listening, subscription: Subscription) -> None:
    """Ask how it stands there, ask for what it may have missed, and renew it at half of its life."""
    wish = _wish(line, subscription)
    remote, now = line.subscriptions.read(subscription.remote_id, wish), line.clock.now()
    if remote.state in _BROKEN:
        _broken(line, subscription, remote.state, remote.error or f"the server says {remote.state.value}")
        return
    if reason := _given_up(line, subscription, now):
        _broken(line, subscription, SubscriptionState.ERROR, reason)
        return
    if subscription.kind == "topic":
        _ask_status(line, subscription)
    if _arrived(subscription, remote):
        line.kept.change(subscription.id, lambda one: replace(one, ends_at=remote.ends_at, renewing=False), now)
    elif now >= _half_life(line, subscription) or (not remote.fits and subscription.id not in line.lives):
        _renew(line, subscription, wish)
        return
    _stands(line, subscription, remote)


def _given_up(line: Listening, subscription: Subscription, now: datetime) -> str:
    """Why it is made anew; "" where it is not."""
    since = subscription.since or now
    if subscription.state is SubscriptionState.SILENT and now - since > _SILENCE_ENDS:
        return "its heartbeats stay away for long"
    made_at = subscription.ends_at - _life(line, subscription) if subscription.ends_at else since
    if subscription.state is SubscriptionState.REQUESTED and now - made_at > _HANDSHAKE_WITHIN:
        return "it does not become active"
    return ""


def _ask_status(line: Listening, subscription: Subscription) -> None:
    """$status tells which events were missed; not every server has it."""
    try:
        said = line.subscriptions.status(subscription.remote_id)
    except NotFound:
        return
    line.kept.tell(subscription.id, said, line.clock.now())


def _arrived(subscription: Subscription, remote: Remote) -> bool:
    """A renewal of which no answer came did arrive: the end there is later than the one that was known."""
    if remote.ends_at is None:
        return False
    known = subscription.ends_at
    return known is None or (subscription.renewing and remote.ends_at > known + _ROUNDING)


def _renew(line: Listening, subscription: Subscription, wish: Wish) -> None:
    """A new end and a new secret; where the server takes no updates it is made anew."""
    line.kept.secret(subscription.id, wish.secret, renewing=True)
    try:
        remote = line.subscriptions.renew(subscription.remote_id, wish)
    except PeerRefused:
        _make(line, subscription)
        return
    _made(line, subscription, remote, wish)


def _stands(line: Listening, subscription: Subscription, remote: Remote) -> None:
    """It stands as it should, or is waited for."""
    now, starting = line.clock.now(), _starting(subscription, remote)
    if subscription.state is SubscriptionState.SILENT:  # there it is active: but nothing of it comes
        starting = ()

    def change(one: Subscription) -> Subscription:
        state = remote.state if starting and one.state is subscription.state else one.state
        works = state is SubscriptionState.ACTIVE
        due_at = min(now + _CHECK, max(_half_life(line, one), now + _CHECK_SOON)) if works else now + _CHECK_SOON
        return replace(one.moved(state, now), failures=0 if works else one.failures, due_at=due_at)

    line.kept.change(subscription.id, change, now, starting)


def _half_life(line: Listening, subscription: Subscription) -> datetime:
    """When it is to be renewed. What its end is nobody knows of one whose making was cut off."""
    if subscription.ends_at is None:
        return line.clock.now()
    return subscription.ends_at - _life(line, subscription) / 2


def _life(line: Listening, subscription: Subscription) -> timedelta:
    """How long it lives: a server may shorten what it is asked for."""
    return line.lives.get(subscription.id, timedelta(hours=line.source.lifetime_h))


# --- silence and end


def _is_silent(line: Listening, subscription: Subscription, now: datetime) -> bool:
    if subscription.kind != "topic" or subscription.state is not SubscriptionState.ACTIVE:
        return False
    heard = subscription.heard_at or subscription.since
    return heard is not None and (now - heard).total_seconds() > _SILENT_AFTER * line.source.heartbeat_s


def _silence(line: Listening, subscription: Subscription) -> None:
    """Its heartbeats stay away: it is asked what it told meanwhile."""
    now = line.clock.now()
    log.warning("a Subscription is silent", peer=line.name)

    def change(one: Subscription) -> Subscription:
        if not _is_silent(line, one, now):  # it was heard in this moment
            return one
        return replace(one.moved(SubscriptionState.SILENT, now), error="its heartbeats stay away")

    changed = line.kept.change(subscription.id, change, now, (look(subscription),))
    if changed is not None:
        _check(line, changed)


def _end(line: Listening, subscription: Subscription) -> None:
    """It is not wanted any more."""
    if subscription.remote_id:
        _remove(line, subscription.remote_id)
    line.kept.forget(subscription.id)


def _remove(line: Listening, remote_id: str) -> None:
    """A server that does not let us remove it finds our address closed, and gives up."""
    try:
        line.subscriptions.remove(remote_id)
    except PeerRefused as error:
        log.warning("a Subscription could not be removed", peer=line.name, error=type(error).__name__)


def _wish(line: Listening, subscription: Subscription) -> Wish:
    """It as it is wanted from now on, with a secret of 256 bits."""
    ends_at = (line.clock.now() + timedelta(hours=line.source.lifetime_h)).replace(microsecond=0)
    endpoint = line.endpoint(subscription)
    return Wish(subscription.resource_type, subscription.kind, endpoint, secrets.token_urlsafe(32), ends_at)
