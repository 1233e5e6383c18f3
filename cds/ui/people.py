"""Who looks at the pages, and how they are let in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cds.domain.staff import Role

__all__ = ["LetIn", "Outward", "PeopleServices", "Person", "Role", "WayIn"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in; `user` is how the audit log names them, `name` how the page does.

    `patient_id` is our random id of the one patient whose chart an EHR opened the pages from (SMART App Launch 2.2);
    None for who signed in here.
    """

    user: str
    name: str
    roles: frozenset[Role]
    patient_id: str | None = None

    def is_any(self, *roles: Role) -> bool:
        """Whether they have one of these roles."""
        return not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True)
class Outward:
    """Where a browser is sent to prove who is there; `kept` is what it has to bring back, sealed, under `state`."""

    url: str
    state: str
    kept: str


@dataclass(frozen=True, slots=True)
class LetIn:
    """A new session: the secret that the browser keeps, and the address that the way in was about, "" for none."""

    token: str
    to: str = ""


#: A way in that leads over another server: begin, and finish with what was kept and the query that came back.
Begin = Callable[[Mapping[str, str]], Outward]
Finish = Callable[[str, Mapping[str, str]], LetIn]


@dataclass(frozen=True, slots=True)
class WayIn:
    """A sign-in that another server vouches for; both raise InvalidInput, Forbidden, Unavailable, PeerRefused."""

    begin: Begin
    finish: Finish


@dataclass(frozen=True, slots=True)
class PeopleServices:
    """Sessions, and the ways to one. Every sign-in, refusal and sign-out is in the audit log before it is answered."""

    #: (the secret of a session, whether the person does something) → who it is now, with the roles of now; raises
    #: Unauthorized. What a page asks by itself keeps no session alive.
    session: Callable[[str, bool], Person]
    #: (name, password) → a session; raises Unauthorized, in the same words and time whatever is wrong.
    by_password: Callable[[str, str], LetIn]
    #: Ends a session; nothing where there is none.
    sign_out: Callable[[str], None]
    #: Whether a local user exists: a page that nobody can sign in to says so.
    any_local: Callable[[], bool]
    #: OpenID Connect; None where no provider is configured.
    oidc: WayIn | None = None
    #: A launch from an EHR (SMART App Launch 2.2); None where no EHR is configured.
    launch: WayIn | None = None
