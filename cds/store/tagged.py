"""Unions of dataclasses that each have a `kind` of their own: pydantic tries all of them, where one look would do.

The domain knows no pydantic that it could name the discriminator to, so it is found in the schema that pydantic made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import CoreSchema

_TAG = "kind"
#: What of a schema holds no schemas, but values and settings.
_OPAQUE = frozenset({"cls", "config", "default", "metadata", "serialization"})


def tagged(schema: CoreSchema) -> Any:
    """The schema with each such union told apart by its tag; it reads the same values from what has tags."""
    shared = {one["ref"]: one for one in schema["definitions"]} if schema["type"] == "definitions" else {}
    return _rewritten(schema, shared)


def _rewritten(part: Any, shared: Mapping[str, Any]) -> Any:
    if isinstance(part, list | tuple):
        return type(part)(_rewritten(one, shared) for one in part)
    if not isinstance(part, dict):
        return part
    tags = [_tag_of(one, shared) for one in part["choices"]] if part.get("type") == "union" else []
    if tags and all(tags) and len(set(tags)) == len(tags):
        choices = {tag: _rewritten(_plain(one), shared) for tag, one in zip(tags, part["choices"], strict=True)}
        return {"type": "tagged-union", "discriminator": _TAG, "choices": choices}
    return {name: one if name in _OPAQUE else _rewritten(one, shared) for name, one in part.items()}


def _plain(choice: Any) -> Any:
    """A choice may come with a label."""
    return choice[0] if isinstance(choice, tuple) else choice


def _tag_of(choice: Any, shared: Mapping[str, Any]) -> str:
    """The one value that its `kind` may have; empty where it has none, or several."""
    schema = _plain(choice)
    schema = shared.get(schema.get("schema_ref", ""), schema)
    if schema["type"] != "dataclass":
        return ""
    said: Any = next((one["schema"] for one in schema["schema"]["fields"] if one["name"] == _TAG), {"type": "none"})
    said = said["schema"] if said["type"] == "default" else said
    return str(said["expected"][0]) if said["type"] == "literal" and len(said["expected"]) == 1 else ""
