"""Who calls CDS Hooks (CDS Hooks 2.0, section Security).

Discovery is behind the same door as calls and feedback: it tells what is installed here.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import g, request

from cds.errors import Unauthorized
from cds.services import Services
from cds.web.hook_calls import Caller

_CLOSED = (
    "CDS Hooks are closed here: no EHR is configured. The server wants CDS_HOOK_CLIENTS, the EHRs that call with their "
    "keys, or for development on this machine CDS_INSECURE=1"
)


def gate(services: Services) -> Callable[[str], None] | None:
    """Lets a caller in by its bearer token, or raises Unauthorized; None where the token of all of HTTP decides."""
    known = proven(services)
    if known is None:
        return None if services.token is not None or services.settings.insecure else _closed

    def enter(bearer: str) -> None:
        g.hook_caller = known(bearer, request.path, request.remote_addr or "")

    return enter


def proven(services: Services) -> Callable[[str, str, str], Caller] | None:
    """(bearer token, path, address) → who calls, or Unauthorized; None where no EHR is configured.

    The URL that a token must be meant for is that of the settings: a Host header is the caller's own word.
    """
    prove, public_url = services.hooks.prove, services.settings.public_url
    if prove is None:
        return None

    def known(bearer: str, path: str, address: str) -> Caller:
        proof = prove(bearer, f"{public_url}{path}")
        return Caller(proof.client, address, proof.fresh)

    return known


def caller() -> Caller:
    """Who calls now."""
    found: Caller | None = g.get("hook_caller")
    return found or Caller(address=request.remote_addr or "")


def _closed(bearer: str) -> None:
    raise Unauthorized(_CLOSED)
