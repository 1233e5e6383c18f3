"""Public keys of those who sign tokens for us (RFC 7517): kept, and asked for again when they are old or one is new."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import orjson

from cds.errors import Unavailable

#: Kinds of keys that a token may be signed with: asymmetric alone, for whoever verifies must not be able to make one.
KINDS = ("RSA", "EC")
#: Keys are asked for again after this time, and for an unknown `kid` at most once in the shorter one.
_KEPT_S, _ASKED_AGAIN_S = 3600.0, 60.0
#: An issuer that did not answer is left alone for so long: nobody's token makes every caller wait for it.
_LEFT_ALONE_S = 10.0
_LONGEST_JWKS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where the public keys of an issuer are: a file, or else an address."""

    url: str | None = None
    file: Path | None = None
    timeout_s: float = 10.0

    def read(self) -> bytes:
        """The key set as it lies there; raise OSError or httpx.HTTPError."""
        if self.file is not None:
            return self.file.read_bytes()
        found = b""
        with httpx.stream("GET", self.url or "", timeout=self.timeout_s, follow_redirects=False) as answer:
            for part in answer.raise_for_status().iter_bytes():
                found += part
                if len(found) > _LONGEST_JWKS:
                    raise httpx.HTTPError("no key set is so long")
        return found


class Keys:
    """The public keys of one issuer, asked for when they are wanted, and again for a `kid` that is new.

    Where they cannot be renewed, those that are known are believed for `stale_s` longer.
    """

    def __init__(self, place: KeyPlace, clock: Callable[[], float], *, stale_s: float = 0.0) -> None:
        self._place, self._clock, self._stale_s = place, clock, stale_s
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[str, Any]] = {}
        self._asked_at: float | None = None
        self._failed_at: float | None = None

    def key(self, kid: str) -> tuple[str, Any]:
        """Kind and key of this id, without one the only key there is.

        Raise jwt.InvalidKeyError where there is none, Unavailable where the keys cannot be had.
        """
        if self._due(known=kid in self._keys):
            self._ask_once(kid)
        found = self._found(kid)
        if found is None:
            raise jwt.InvalidKeyError("no such key")
        return found

    def _ask_once(self, kid: str) -> None:
        """Who may still go by what is known does not wait for another caller who asks."""
        if self._lock.acquire(blocking=not self._bridged(kid)):
            try:
                if self._due(known=kid in self._keys):  # who waited finds them renewed
                    self._renew(kid)
            finally:
                self._lock.release()

    def _renew(self, kid: str) -> None:
        try:
            self._keys = self._asked()
        except Unavailable:
            if not self._bridged(kid):
                raise
        else:
            self._asked_at, self._failed_at = self._clock(), None

    def _asked(self) -> dict[str, tuple[str, Any]]:
        if self._failed_at is not None and self._clock() - self._failed_at < _LEFT_ALONE_S:
            raise Unavailable("the keys of the token issuer could not be read some seconds ago: ask again later")
        try:
            return keys_at(self._place)
        except Unavailable:
            self._failed_at = self._clock()
            raise

    def _bridged(self, kid: str) -> bool:
        return self._found(kid) is not None and self._age() < _KEPT_S + self._stale_s

    def _found(self, kid: str) -> tuple[str, Any] | None:
        keys = self._keys
        return next(iter(keys.values())) if not kid and len(keys) == 1 else keys.get(kid)

    def _due(self, *, known: bool) -> bool:
        return self._age() > (_KEPT_S if known else _ASKED_AGAIN_S)

    def _age(self) -> float:
        return float("inf") if self._asked_at is None else self._clock() - self._asked_at


def keys_at(place: KeyPlace) -> dict[str, tuple[str, Any]]:
    """Kind and key by `kid` of those that a token may be signed with; raise Unavailable where they cannot be had."""
    try:
        found = orjson.loads(place.read())
    except (OSError, httpx.HTTPError, orjson.JSONDecodeError) as error:
        raise Unavailable(f"the keys of the token issuer cannot be read: {type(error).__name__}") from None
    listed = found.get("keys") if isinstance(found, dict) else None
    usable = [
        one
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict) and one.get("use", "sig") == "sig"
    ]
    return {str(one.get("kid", "")): key for one in usable if (key := _public(one)) is not None}


def _public(stated: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Kind and key, whatever algorithm the set names for it; None for a kind that no token here may be signed with.

    An issuer may publish such keys too.
    """
    kind = stated.get("kty")
    try:
        return (str(kind), jwt.PyJWK(dict(stated)).key) if kind in KINDS else None
    except (jwt.PyJWTError, TypeError):  # the latter where a member is of a type that no key has
        return None
