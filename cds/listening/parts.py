"""What listening to one server is given: the server, its settings, and where all of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from cds.domain.fhir_news import Feed, Found, News, Outcome, Page, Reason, Remote, Wish
from cds.domain.notification import Notification
from cds.domain.subscription import Notice, Subscription, SubscriptionKind
from cds.fhir_peers import FhirSource
from cds.ports import Clock


class Server(Protocol):
    """Another FHIR server. Unavailable: later; PeerFailed: it failed itself; PeerRefused: it will say so again."""

    @property
    def name(self) -> str:
        """Its name in the settings."""
        ...

    def changed(self, resource_type: str, since: datetime) -> Iterator[Page]:
        """What changed since a moment of its clock, oldest change first, page by page; an error ends it."""
        ...

    def current(self, reference: str) -> Found:
        """The current version of "Type/id"; raise NotFound."""
        ...

    def came(self, body: bytes) -> Found:
        """The version that came along with a notification or a page; raise InvalidResource."""
        ...

    def news(self, found: Found, received_at: datetime) -> News:
        """What a version says that concerns us; raise InvalidResource and InsufficientData too."""
        ...


class Subscriptions(Protocol):
    """The Subscriptions at that server; errors likewise, NotFound where it lost one or has no such operation."""

    def possible(self) -> bool:
        """Whether it lets us create them."""
        ...

    def create(self, wish: Wish) -> Remote:
        """Make one; a failure does not say whether it was made."""
        ...

    def renew(self, remote_id: str, wish: Wish) -> Remote:
        """Give it a new end and secret."""
        ...

    def remove(self, remote_id: str) -> None:
        """Delete it, if it is there."""
        ...

    def at(self, endpoint: str) -> Sequence[str]:
        """The ids of those that notify this endpoint."""
        ...

    def read(self, remote_id: str, wish: Wish) -> Remote:
        """As it is there now, compared with what is wished."""
        ...

    def status(self, remote_id: str) -> Notification:
        """$status."""
        ...

    def events(self, remote_id: str, first: int, last: int) -> Notification:
        """$events of these numbers."""
        ...


class Feeds(Protocol):
    """How far servers were read, and which worker listens to one."""

    def claim(self, server: str, now: datetime, until: datetime) -> bool:
        """Listen to a server until then, if no other worker does; a claim of one's own is prolonged by `keep`."""
        ...

    def keep(self, server: str, until: datetime) -> None:
        """Go on listening until then."""
        ...

    def release(self, server: str) -> None:
        """Others may listen."""
        ...

    def of(self, server: str) -> Sequence[Feed]:
        """What is known of each type."""
        ...

    def begin(self, server: str, resource_type: str, now: datetime, *, first: datetime) -> datetime:
        """A look begins; answers how far the type was read. A new one counts as read up to `first`: no archive is."""
        ...

    def page(
        self, server: str, found: Sequence[Found], *, resource_type: str, up_to: datetime | None, now: datetime
    ) -> int:
        """Keep what of a page was not taken yet, and how far was read, at once; answers how many were kept."""
        ...

    def answered(
        self, server: str, resource_type: str, *, up_to: datetime | None, forget_before: datetime, now: datetime
    ) -> None:
        """A look ended well: everything up to then was kept. What was taken of before `forget_before` is forgotten."""
        ...

    def failed(self, server: str, resource_type: str, error: str) -> None:
        """A look ended in vain; the error in words without values."""
        ...


class Notices(Protocol):
    """What servers told and is not worked off, and the effects of working it off."""

    def due(self, server: str, now: datetime, limit: int = 100) -> Sequence[Notice]:
        """What is to be done now, in the order of its arrival."""
        ...

    def looks(self, server: str, resource_type: str) -> Sequence[int]:
        """The ids of all notices that one look answers."""
        ...

    def done(self, ids: Sequence[int]) -> None:
        """These are worked off."""
        ...

    def instead(self, notice: Notice, others: Sequence[Notice], now: datetime) -> None:
        """Put others in the place of one, at once."""
        ...

    def later(self, notice: Notice, at: datetime, *, all_of_server: bool) -> None:
        """An attempt failed: try again then, with `all_of_server` nothing of the server before."""
        ...

    def hold(self, notice: Notice, reason: str, now: datetime) -> None:
        """A person has to look at it."""
        ...

    def take(self, server: str, found: Found, news: News, notice: Notice, now: datetime) -> Outcome | Reason:
        """Carry out what a version says, keep that it was taken and remove its notices, all or nothing.

        Raise InsufficientData where a report is of a patient whom nobody here knows, Conflict where of several.
        """
        ...

    def taken(self, server: str, found: Found) -> bool:
        """Whether this version, or a newer one, was taken."""
        ...

    def drop(self, server: str, found: Found, notice: Notice, now: datetime) -> None:
        """This version concerns nobody: keep that it was taken, and remove its notices."""
        ...


class Kept(Protocol):
    """The subscriptions as we know them. Every change is made to what is there at that moment."""

    def of(self, server: str) -> Sequence[Subscription]:
        """Those of a server."""
        ...

    def want(self, server: str, resource_type: str, kind: SubscriptionKind, now: datetime) -> Subscription:
        """The one for a type of resource; made where there is none."""
        ...

    def change(
        self,
        subscription_id: str,
        change: Callable[[Subscription], Subscription],
        now: datetime,
        notices: Sequence[Notice] = (),
    ) -> Subscription | None:
        """Change one, and add notices; None where it is not there any more."""
        ...

    def tell(self, subscription_id: str, said: Notification, now: datetime) -> None:
        """What the server answered when we asked."""
        ...

    def secret(self, subscription_id: str, secret: str, *, renewing: bool) -> None:
        """Accept this secret from now on, `renewing` beside the one that the server has; digests are kept."""
        ...

    def begin_again(self, subscription_id: str, now: datetime) -> Subscription:
        """Another one in its place, under another address: what still notifies the old one is not heard."""
        ...

    def forget(self, subscription_id: str) -> None:
        """It is not wanted any more."""
        ...


@dataclass(frozen=True, slots=True)
class Listening:
    """Everything that listening to one server needs."""

    clock: Clock
    source: FhirSource
    server: Server
    subscriptions: Subscriptions
    feeds: Feeds
    notices: Notices
    kept: Kept
    #: The base URL under which the server reaches us.
    notify_url: str
    #: How long the server lets its Subscriptions live, by our id; those of before this process are not known.
    lives: dict[str, timedelta] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The server's name in the settings."""
        return self.server.name

    @property
    def overlap(self) -> timedelta:
        """So much of what was seen is asked for again."""
        return timedelta(seconds=self.source.overlap_s)

    def endpoint(self, subscription: Subscription) -> str:
        """Where a subscription notifies us."""
        return f"{self.notify_url}/subscriptions/{subscription.id}"

    def keep(self) -> None:
        """Prolong the claim: what comes next may take a while."""
        self.feeds.keep(self.name, self.clock.now() + self.lease)

    @property
    def lease(self) -> timedelta:
        """Longer than one request with its repeats."""
        return timedelta(seconds=max(60.0, 6 * self.source.timeout_s))
