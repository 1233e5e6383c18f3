"""What `cds check` asks of EHRs that call CDS Hooks: whether the keys that prove who calls can be had."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cds.checks import Check
from cds.errors import Unavailable
from cds.settings import Settings

#: A person waits for the answer.
_LONGEST_S = 5.0


def hook_checks(settings: Settings) -> list[Callable[[], Check]]:
    """A check for every EHR that may call."""
    return [partial(client_check, settings, name) for name in settings.hook_clients]


def client_check(settings: Settings, name: str) -> Check:
    """The public keys of an EHR are there: without them every call of it is answered 503."""
    from adapters.fhir.jwks import KeyPlace, keys_at

    client = settings.hook_clients[name]
    where = f"{client.jwks_file or client.jwks_url}"
    label = f"CDS Hooks client {name}"
    fix = "correct jwks_url or jwks_file: want a JWK Set; `cds hooks jwks` makes one of a key"
    try:
        keys = keys_at(KeyPlace(client.jwks_url, client.jwks_file, timeout_s=_LONGEST_S))
    except Unavailable as error:
        return Check(label, False, f"{where}: {error}", fix)
    return Check(label, bool(keys), f"{where}: {len(keys)} keys that tokens may be signed with", fix)
