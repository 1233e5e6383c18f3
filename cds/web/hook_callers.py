"""Who calls CDS Hooks, and that nothing is answered to a token that was used before (CDS Hooks 2.0, section Security).

Discovery is behind the same door as calls and feedback: it tells what is installed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import g, request

from cds.errors import Unauthorized
from cds.services import Services

_CLOSED = (
    "CDS Hooks are closed here: no EHR is configured. The server wants CDS_HOOK_CLIENTS, the EHRs that call with their "
    "keys, or for development on this machine CDS_INSECURE=1"
)


def gate(services: Services) -> Callable[[str], None] | None:
    """Lets a caller in by its bearer token, or raises Unauthorized; None where the token of all of HTTP decides.

    The URL that a token must be meant for is that of the settings: a Host header is the caller's own word.
    """
    prove, public_url = services.hooks.prove, services.settings.public_url
    if prove is None:
        return None if services.token is not None or services.settings.insecure else _closed

    def proven(bearer: str) -> None:
        proof = prove(bearer, f"{public_url}{request.path}")
        g.hook_client, g.hook_fresh = proof.client, proof.fresh

    return proven


def client() -> str:
    """The name of the EHR that calls; empty where none is configured."""
    name: str = g.get("hook_client", "")
    return name


def used_once() -> None:
    """Raise Unauthorized where the caller's token was used before."""
    fresh: Callable[[], bool] | None = g.get("hook_fresh")
    if fresh is not None and not fresh():
        raise Unauthorized


@contextmanager
def meanwhile() -> Iterator[None]:
    """Work that goes on while it is written down that the token was used; neither answer nor error gets out before."""
    try:
        yield
    finally:
        used_once()


def _closed(bearer: str) -> None:
    raise Unauthorized(_CLOSED)
