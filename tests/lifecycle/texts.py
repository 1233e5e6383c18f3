"""Reading what was sent."""

from __future__ import annotations

from collections.abc import Iterator


def each(text: str) -> Iterator[list[str]]:
    """The segments of an HL7 v2 block as fields; MSH counts from its separator, so that MSH-11 is at 10."""
    for segment in text.strip("\x0b\x1c\r").split("\r"):
        yield segment.split("|")
