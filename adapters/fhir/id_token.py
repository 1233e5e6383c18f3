"""The id_token of a launch (OpenID Connect Core 1.0 section 3.1.3.7): who the user is, by the word of the issuer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from adapters.fhir.tolerant import items, text
from cds.errors import Forbidden
from cds.logs import get_logger

log = get_logger(__name__)

#: Asymmetric alone: with a client secret as the key, whoever has that could name any user.
_ALGORITHMS = {"RSA": ("RS256", "RS384", "RS512", "PS256", "PS384"), "EC": ("ES256", "ES384")}
_LEEWAY_S = 60
_LONGEST = 16 * 1024


def verified(token: str, keys: Mapping[str, object], *, issuer: str, audience: str) -> Mapping[str, Any]:
    """The claims of a token that holds; raise Forbidden without a word why where it does not."""
    try:
        if len(token) > _LONGEST:
            raise jwt.DecodeError("too long")
        stated = _key(keys, text(jwt.get_unverified_header(token).get("kid")))
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(stated).key,
            algorithms=_ALGORITHMS[stated["kty"]],
            audience=audience,
            issuer=issuer,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except (jwt.PyJWTError, TypeError, ValueError, RecursionError) as error:
        log.warning("an id_token was refused", reason_code=type(error).__name__)
        raise Forbidden("The EHR did not prove who opens this page.") from None
    return claims


def _key(keys: Mapping[str, object], kid: str) -> dict[str, Any]:
    """The key of this id, without one the only key there is."""
    usable = [
        one for one in items(keys.get("keys")) if one.get("kty") in _ALGORITHMS and one.get("use", "sig") == "sig"
    ]
    named = [one for one in usable if text(one.get("kid")) == kid] if kid else usable
    if len(named) != 1:
        raise jwt.InvalidKeyError("no such key")
    return dict(named[0])
