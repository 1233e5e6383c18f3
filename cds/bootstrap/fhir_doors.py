"""Who comes in at our FHIR API: access tokens, our own public keys, and the key that seals links."""

from __future__ import annotations

from collections.abc import Callable

from cds.services import Json
from cds.settings import Settings
from cds.store.engine import Database
from cds.store.own_keys import own_key


def access(settings: Settings) -> Callable[[str], object] | None:
    """Reads access tokens of the site's authorization servers; None where it has none."""
    if not settings.smart_issuers:
        return None
    from adapters.fhir.access import AccessTokens

    return AccessTokens(settings.smart_issuers, f"{settings.public_url}/fhir")


def capability(settings: Settings) -> Callable[[str], Json]:
    """The CapabilityStatement for a base URL; where tokens come from is the issuers' own to say (RFC 8414)."""
    from adapters.fhir.capability import capability as statement

    uris: dict[str, str] | None = {} if settings.smart_issuers else None
    return lambda base_url: statement(base_url, oauth_uris=uris)


def jwks(settings: Settings) -> Callable[[], Json]:
    """Our public keys; raise ConfigurationError where a key file holds none that may sign."""
    from adapters.fhir.keys import SmartKeys

    return SmartKeys(settings.smart_key_files).jwks


def seal_key(database: Database) -> Callable[[], bytes]:
    """The key of links to further pages, the same in every web process."""
    return lambda: own_key(database, "page-links")
