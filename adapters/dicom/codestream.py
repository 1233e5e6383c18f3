"""What a compressed frame says of itself, before a native codec allocates memory for it."""

from __future__ import annotations

import struct

#: ISO/IEC 15444-1 annex A: SOC, SIZ, EOC.
_J2K_START = b"\xff\x4f\xff\x51"
#: ISO/IEC 10918-1 and 14495-1: SOI; the frame headers SOF0 … SOF15 (not DHT, JPG, DAC) and SOF55 of JPEG-LS.
_JPEG_START = b"\xff\xd8"
_FRAME_HEADERS = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
_END = b"\xff\xd9"
#: Writers pad after the end marker, with zeros or with 0xFF.
_TAIL = 8


def declared_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG 2000, JPEG-LS or JPEG codestream declares; None where it is none or has no header."""
    try:
        if frame.startswith(_J2K_START):
            width, height, left, top = struct.unpack_from(">4I", frame, 8)
            return height - top, width - left
        return _jpeg_size(frame) if frame.startswith(_JPEG_START) else None
    except struct.error:
        return None


def is_whole(frame: bytes) -> bool:
    """False where a codestream lacks its end marker: a codec may make a half grey image of it. RLE has no marker."""
    if not frame.startswith((_J2K_START, _JPEG_START)):
        return True
    return _END in frame[-_TAIL:]


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    at = len(_JPEG_START)
    while True:
        marker, length = struct.unpack_from(">HH", frame, at)
        if marker >> 8 != 0xFF:  # noqa: PLR2004  every marker begins with this byte
            return None
        if marker & 0xFF in _FRAME_HEADERS:
            rows, columns = struct.unpack_from(">HH", frame, at + 5)
            return int(rows), int(columns)
        at += 2 + length
