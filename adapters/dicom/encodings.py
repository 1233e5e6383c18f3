"""Transfer syntaxes (PS3.5 annex A): which are uncompressed, and what they are called. Light: decoders load it."""

from __future__ import annotations

from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

UNCOMPRESSED: frozenset[str] = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian})


def name_of(syntax: str) -> str:
    """The standard's name of a transfer syntax, for texts."""
    return UID(syntax).name
