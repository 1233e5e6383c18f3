"""What the caller of the FHIR API may do: by the access token where there is one, else everything.

SMART App Launch 2.2: a scope names a type and interactions; a token of one patient sees her compartment alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, cast

from flask import g

from cds.domain.resource import ResourcePage
from cds.domain.search import ResourceQuery
from cds.errors import Forbidden

#: SMART 2 scopes: create, read (with vread and history), update, delete, search.
Interaction = Literal["c", "r", "u", "d", "s"]


class Access(Protocol):
    """What `flask.g.access` is, set before the request is answered."""

    @property
    def patient(self) -> str | None:
        """The id of the one Patient whose compartment may be seen; None for all."""
        ...

    def allows(self, resource_type: str, interaction: Interaction) -> bool:
        """True where a scope grants it."""
        ...


@dataclass(frozen=True, slots=True)
class _Everything:
    patient: str | None = None

    def allows(self, resource_type: str, interaction: Interaction) -> bool:
        return True


def current() -> Access:
    """Of this request."""
    return cast("Access", g.get("access") or _Everything())


def required(resource_type: str, interaction: Interaction) -> Access:
    """The access of this request; raise Forbidden where it does not grant this."""
    access = current()
    if not access.allows(resource_type, interaction):
        raise Forbidden(f"want a scope for {resource_type}.{interaction}")
    return access


def may_send(resource_type: str, interaction: Interaction) -> None:
    """Raise Forbidden where this may not be sent. A token of one patient may send nothing: identifiers file it."""
    if required(resource_type, interaction).patient is not None:
        raise Forbidden(f"want the scope system/{resource_type}.{interaction}")


def limited(query: ResourceQuery, access: Access) -> ResourceQuery | None:
    """The search within what may be seen; None where nothing could be found."""
    if access.patient is None:
        return query
    if query.compartment not in (None, access.patient):
        return None
    return replace(query, compartment=access.patient)


def readable(page: ResourcePage, access: Access) -> ResourcePage:
    """A page without what came along of types that may not be read."""
    return replace(page, included=tuple(one for one in page.included if access.allows(one.type, "r")))
