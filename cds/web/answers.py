"""JSON answers."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from flask import Response

JSON = "application/json"
FHIR_JSON = "application/fhir+json"


def answer(body: Mapping[str, object] | bytes, *, status: int = 200, content_type: str = JSON) -> Response:
    """A response of a JSON object, or of bytes that are JSON already."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(data, status=status, content_type=content_type)
