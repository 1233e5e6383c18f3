"""A search and where it stopped as one opaque text: links may carry it, and nobody reads a patient's number in it.

Fernet (AES-128-CBC with HMAC-SHA-256) under a key that all web processes of an installation share.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import cast

import orjson
from cryptography.fernet import Fernet, InvalidToken

from cds.errors import InvalidResource

#: How long a link to a further page may be followed, in seconds.
LIFETIME_S = 3600
KEY_BYTES = 32
#: An address has to be within what servers and proxies take, 4094 bytes for gunicorn.
LONGEST = 3500

_LARGEST = 256 * 1024


def seal(value: Mapping[str, object], key: bytes, now: datetime) -> str:
    """Encrypt a JSON object with 32 random bytes; raise InvalidResource where it is too long for an address."""
    text = orjson.dumps(value)
    token = _fernet(key).encrypt_at_time(zlib.compress(text, 9), int(now.timestamp())).decode()
    if len(token) > LONGEST or len(text) > _LARGEST:
        raise InvalidResource("the search is too long for a link to its next page: want fewer values at a time")
    return token.rstrip("=")


def unseal(token: str, key: bytes, now: datetime) -> dict[str, object]:
    """What was sealed; raise InvalidResource for another text, for one that was changed and for one that is too old."""
    try:
        padded = token + "=" * (-len(token) % 4)
        sealed = _fernet(key).decrypt_at_time(padded.encode("ascii"), LIFETIME_S, int(now.timestamp()))
    except (InvalidToken, UnicodeEncodeError):
        raise InvalidResource(
            "_page wants what a link of this server says, within an hour: begin the search again"
        ) from None
    return cast("dict[str, object]", orjson.loads(zlib.decompress(sealed)))


def _fernet(key: bytes) -> Fernet:
    if len(key) != KEY_BYTES:
        raise ValueError(f"want a key of {KEY_BYTES} bytes, have {len(key)}")
    return Fernet(base64.urlsafe_b64encode(key))
