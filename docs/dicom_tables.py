"""Writes the tables of docs/dicom-conformance.md that the code decides: `.venv/bin/python docs/dicom_tables.py`.

A test holds the file to `rendered`, so that neither can change alone. Names are those of PS3.6 as pydicom has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pydicom.datadict import dictionary_description
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import AllStoragePresentationContexts

from adapters.dicom.frames import FRAME_TAGS
from adapters.dicom.header import HEADER_TAGS
from adapters.dicom.scan import MEASURED_TAGS
from adapters.dicom.syntaxes import ACCEPTED_SYNTAXES

CONFORMANCE = Path(__file__).with_name("dicom-conformance.md")


def rendered(text: str) -> str:
    """The document with its tables as the code has them now."""
    tables = (
        ("syntaxes", _table(("transfer syntax", "UID", "stored", "decoded"), _syntaxes())),
        ("classes", _table(("SOP class", "UID"), _classes())),
        ("attributes", _table(("attribute", "tag", "used for"), _attributes())),
    )
    for name, table in tables:
        pattern = rf"(<!-- table: {name} -->\n).*?(\n<!-- end -->)"
        text, found = re.subn(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"want one table {name} between its marks, found {found}")
    return text


def _syntaxes() -> Iterable[tuple[str, ...]]:
    taken = frozenset(ACCEPTED_SYNTAXES)
    for syntax in (*ACCEPTED_SYNTAXES, *(str(one) for one in ALL_TRANSFER_SYNTAXES if str(one) not in taken)):
        stored = syntax in taken
        yield UID(syntax).name, syntax, "yes" if stored else "refused", _decoded(syntax) if stored else ""


def _decoded(syntax: str) -> str:
    try:
        return "yes" if get_decoder(UID(syntax)).is_available else "no"
    except NotImplementedError:
        return "no"


def _classes() -> Iterable[tuple[str, ...]]:
    for context in AllStoragePresentationContexts:
        yield UID(str(context.abstract_syntax)).name, str(context.abstract_syntax)


def _attributes() -> Iterable[tuple[str, ...]]:
    for tag in sorted(HEADER_TAGS | FRAME_TAGS | MEASURED_TAGS):
        uses = (("index", HEADER_TAGS), ("pixels", FRAME_TAGS), ("the same pixels", MEASURED_TAGS))
        try:
            name = dictionary_description(tag)
        except KeyError:
            name = "private"
        yield name, f"({tag >> 16:04X},{tag & 0xFFFF:04X})", ", ".join(use for use, tags in uses if tag in tags)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    CONFORMANCE.write_text(rendered(CONFORMANCE.read_text()))
