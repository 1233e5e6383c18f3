"""The reference messages, cut from their files without the product's reader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MESSAGE = re.compile(rb"(?:^|(?<=[\r\n\x0b\xbf]))(?=MSH[^A-Za-z0-9\r\n ])")
_BATCH = re.compile(rb"[\r\n](?:BTS|FTS|FHS|BHS)[^A-Za-z0-9].*", re.DOTALL)


@dataclass(frozen=True)
class Sample:
    """One message of the corpus: the folder it is from, its file, its bytes."""

    source: str
    file: str
    block: bytes

    @property
    def segments(self) -> list[list[str]]:
        """Naively split by the message's own separator."""
        text = self.block.decode("latin-1")
        return [line.split(text[3]) for line in re.split(r"[\r\n]+", text) if line]

    def fields(self, name: str, number: int) -> list[str]:
        """Field n of all segments of this name, empty where a segment is shorter; MSH counts its separator."""
        at = number - 1 if name == "MSH" else number
        return [segment[at] if at < len(segment) else "" for segment in self.segments if segment[0] == name]


def samples(reference_dir: Path) -> Iterator[Sample]:
    """Every message of every file, in the order of the names."""
    for path in sorted((reference_dir / "reference" / "hl7").glob("*/*")):
        if path.suffix not in (".hl7", ".txt") or path.name == "NOTE.txt":
            continue
        for piece in _MESSAGE.split(path.read_bytes()):
            block = _BATCH.sub(b"", piece.strip(b"\x0b\x1c\r\n "))
            if block.startswith(b"MSH"):
                yield Sample(path.parent.name, path.name, block)
