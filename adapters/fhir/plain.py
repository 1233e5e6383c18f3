"""What no text of a resource may have, for it could not be kept: R4 datatypes.html#string."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from cds.errors import InvalidResource

_NUL = rb"\u0000"


def refuse_what_cannot_be_kept(resource: Mapping[str, object]) -> None:
    """Raise InvalidResource where a text has a NUL character, or elements are nested too deeply."""
    try:
        written = orjson.dumps(resource)
    except orjson.JSONEncodeError:
        raise InvalidResource("want a resource that is not nested so deeply, of Unicode texts") from None
    if _NUL in written:
        raise InvalidResource("want texts without NUL characters (R4 datatypes.html#string)")
