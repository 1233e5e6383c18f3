"""Where a page ended: the value it was sorted by and the number of its last resource, as a text for the next page."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import orjson

from cds.domain.search import Sort
from cds.errors import InvalidResource

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """`key` is milliseconds since 1970, an id, or seconds since 1970, by what the search is sorted."""

    key: int | float | str
    number: int

    @property
    def text(self) -> str:
        """What `read` reads."""
        return base64.urlsafe_b64encode(orjson.dumps([self.key, self.number])).decode().rstrip("=")


def read(text: str | None, sort: Sort) -> Cursor | None:
    """Raise InvalidResource for a cursor that is none, or that of another order."""
    if text is None:
        return None
    try:
        content = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise refused() from None
    if not isinstance(content, list) or len(content) != 2:  # noqa: PLR2004 - key and number
        raise refused()
    key, number = content
    if not _is_key(key, sort) or type(number) is not int or abs(number) > _LARGEST:
        raise refused()
    return Cursor(key, number)


def _is_key(key: object, sort: Sort) -> bool:
    if sort.param == "_id":
        return isinstance(key, str) and "\0" not in key
    if sort.param == "_lastUpdated":
        return type(key) is int and abs(key) <= _LARGEST
    return type(key) is float or (type(key) is int and abs(key) <= _LARGEST)


def refused() -> InvalidResource:
    """What a cursor that is none gets."""
    return InvalidResource("the page cursor is not one that this server gave")
