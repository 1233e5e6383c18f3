"""Who may see the pages, wired: local users, the organisation's sign-in, and the launch from an EHR."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cds.bootstrap import Stores
from cds.bootstrap.sealed import Sealer
from cds.domain.audit import AuditEvent
from cds.domain.staff import Role
from cds.errors import Forbidden, InvalidInput, Unauthorized
from cds.ports import AuditLog, Clock
from cds.settings import Settings
from cds.store.own_keys import own_key
from cds.store.sessions import Lasting, SessionStore, Whose
from cds.store.users import LOCAL, UserStore, known_roles
from cds.ui.people import LetIn, Outward, PeopleServices, Person, WayIn
from cds.web.ui import passwords

if TYPE_CHECKING:
    from adapters.oidc import Provider

OIDC, LAUNCH = "oidc", "launch"
_OUT_LASTS = timedelta(minutes=10)
_WRONG = "This name and password do not belong together."
_SIGN_IN = "Sign in to see this page."
_AGAIN = "The sign-in took too long, or began in another browser. Begin again."
_NO_ROLE = (
    "The sign-in worked, but your account has no role in Sightline. "
    "Ask your administrator for one of the groups that have one."
)


@dataclass(frozen=True, slots=True)
class Doors:
    """Local users and sessions."""

    settings: Settings
    sessions: SessionStore
    users: UserStore
    #: Our id of a patient → the id of whoever owns now what is filed there; raises KeyError.
    owner: Callable[[str], str | None]
    audit: AuditLog
    clock: Clock

    def session(self, token: str, active: bool) -> Person:
        """See `cds.ui.people.PeopleServices`."""
        whose = self.sessions.whose(token, active=active)
        if whose is None:
            raise Unauthorized(_SIGN_IN)
        roles = self.roles(whose)
        if not roles:
            raise Unauthorized(_NO_ROLE)
        return Person(whose.user, whose.name, roles, self._patient(whose))

    def by_password(self, name: str, password: str) -> LetIn:
        """See `cds.ui.people.PeopleServices`; the password of nobody takes as long as that of somebody."""
        user = self.users.find(name.casefold())
        fits = passwords.fits(user.password if user else passwords.NOBODY, password)
        if user is None or not fits:
            self.refused(user.name if user else "unknown", LOCAL)
            raise Unauthorized(_WRONG)
        return LetIn(self.sessions.begin(Whose(user.name, user.name, LOCAL)))

    def refused(self, user: str, way: str) -> None:
        """Write that somebody was not let in. What was typed is not kept: it may be a password."""
        self.audit.write(AuditEvent(self.clock.now(), user, "sign-in refused", detail=(way,)))

    def roles(self, whose: Whose) -> frozenset[Role]:
        """What somebody may be, by the users and settings of now."""
        if whose.way == LAUNCH:
            return frozenset({Role.CLINICIAN})
        if whose.way == LOCAL:
            return known_roles(whose.granted)
        groups = self.settings.ui_oidc.roles if self.settings.ui_oidc else {}
        return frozenset(role for one in whose.granted for role in groups.get(one, ()))

    def _patient(self, whose: Whose) -> str | None:
        if whose.patient_id is None:
            return None
        try:
            return self.owner(whose.patient_id)
        except KeyError:
            raise Unauthorized(_SIGN_IN) from None


@dataclass(frozen=True, slots=True)
class _Oidc:
    """Implements the two halves of a sign-in by OpenID Connect."""

    provider: Provider
    doors: Doors
    sealer: Sealer

    def begin(self, asked: Mapping[str, str]) -> Outward:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "next": asked.get("next", "/")[:500]}
        url = self.provider.authorize_url(state, nonce, verifier)
        return Outward(url, state, self.sealer.seal(OIDC, kept, _OUT_LASTS))

    def finish(self, kept: str, returned: Mapping[str, str]) -> LetIn:
        begun = self.sealer.unseal(OIDC, kept)
        if begun is None or not secrets.compare_digest(begun["state"].encode(), returned.get("state", "").encode()):
            raise InvalidInput(_AGAIN)
        said = self.provider.finish(returned, begun["nonce"], begun["verifier"])
        whose = Whose(f"{OIDC}:{said.user}", said.name, OIDC, said.granted)
        if not self.doors.roles(whose):
            self.doors.refused(whose.user, OIDC)
            raise Forbidden(_NO_ROLE)
        return LetIn(self.doors.sessions.begin(whose), begun["next"])


def people(settings: Settings, held: Stores, clock: Clock, launch: WayIn | None = None) -> PeopleServices:
    """Every way in that the settings have."""
    doors = door_keeper(settings, held, clock)
    return PeopleServices(
        session=doors.session,
        by_password=doors.by_password,
        sign_out=doors.sessions.end,
        any_local=doors.users.any,
        oidc=_oidc(settings, held, doors, clock),
        launch=launch,
    )


def door_keeper(settings: Settings, held: Stores, clock: Clock) -> Doors:
    """Local users and sessions over the stores."""
    lasting = Lasting(timedelta(minutes=settings.ui_idle_minutes), timedelta(hours=settings.ui_session_hours))
    return Doors(
        settings,
        SessionStore(held.database, clock, lasting),
        UserStore(held.database),
        lambda patient_id: held.record.patient_by_id(patient_id).id,
        held.audit,
        clock,
    )


def _oidc(settings: Settings, held: Stores, doors: Doors, clock: Clock) -> WayIn | None:
    if settings.ui_oidc is None:
        return None
    from adapters.oidc import Provider

    provider = Provider(settings.ui_oidc, f"{settings.ui_address}/sign-in/oidc/callback", clock)
    way = _Oidc(provider, doors, Sealer(lambda: own_key(held.database, "sessions"), clock))
    return WayIn(way.begin, way.finish)
