"""Domain values as JSON text and back. The kind may be a union, which `type[T]` cannot name: hence Any."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from cds.store.tagged import tagged


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _quick(kind: Any) -> SchemaValidator:
    """What reads a value whose unions say by their `kind` which of them they are, in a third of the time."""
    return SchemaValidator(tagged(_adapter(kind).core_schema))


def dump(kind: Any, value: object) -> str:
    """The JSON of a domain value of the given type."""
    return _adapter(kind).dump_json(value).decode()


def parse(kind: Any, text: str) -> Any:
    """The domain value of a JSON text; raise pydantic's ValidationError where it is not one."""
    try:
        return _quick(kind).validate_json(text)
    except ValidationError:
        return _adapter(kind).validate_json(text)
