r"""From bytes to text: the character set of MSH-18, and the escape sequences, decoded once and last.

A decoded CR is a character of a value; it never becomes a segment (HL7 v2.5.1 sections 2.7 and 2.15.9.18).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from adapters.hl7.delimiters import Delimiters
from cds.character_sets import CHARACTER_SETS
from cds.errors import InvalidMessage

_SHIFT = "\x1b"
#: C0 control characters except tab and line breaks: no value has them, and a database's text has no NUL.
_CONTROLS = dict.fromkeys(number for number in range(0x20) if chr(number) not in "\t\n\r")
#: What no identifier has: a control character, a line break, a character that replaces one which was lost, or one that
#: nobody sees, by which two numbers look alike.
_NEVER_IDENTIFIES = re.compile("[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffd]")
_C1 = re.compile("[\x80-\x9f]")
_BEHIND_MSH_2 = len("MSH|^~\\&#|")
_FORMATTING = r"\.(?:br|sp|fi|nf|in|ti|sk|ce)[ ]?[+-]?\d{0,4}"
_BREAKS = (".br", ".sp", ".ce")
#: Single-byte and multi-byte character set escapes (HL7 v2.5.1 section 2.7.2).
_CHARACTER_SET_ESCAPE = r"C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4}(?:[0-9A-Fa-f]{2})?"


@lru_cache(maxsize=256)
def codec(declared: str, repetition: str, *, shifted: bool = False) -> str | None:
    """The codec of MSH-18: the first repetition, or the one after it where the first is only ASCII; None if unknown.

    `shifted`: the bytes shift between character sets (ESC), so that one of ISO 2022 is taken where one is named.
    """
    if not declared:
        return None
    names = [name.strip().upper() for name in (declared.split(repetition) if repetition else [declared])]
    known = [CHARACTER_SETS[name] for name in names if name in CHARACTER_SETS]
    shifting = [name for name in known if shifted and name.startswith("iso2022")]
    return next((name for name in (*shifting, *known) if name != "ascii"), known[0] if known else None)


def decode(raw: bytes, declared: str | None, default: str | None = None) -> tuple[str, str, bool]:
    """The text, the codec it was read with, and whether that was a guess. No character is ever replaced.

    Tried are what MSH-18 declares, the sender's default, UTF-8 and Windows-1252. Plain ASCII is no guess.
    InvalidMessage where no character set fits: an identifier with a wrong character would be another patient's.
    """
    stated = declared or default
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii"), stated or "utf-8", False
    for name in filter(None, dict.fromkeys((declared, default, "utf-8", "cp1252"))):
        try:
            text = raw.decode(name)
        except UnicodeDecodeError:
            continue
        return text, name, name != stated
    raise InvalidMessage("the bytes fit neither MSH-18 nor UTF-8 nor Windows-1252", location="MSH^1^18")


def doubts(text: str, delimiters: Delimiters, codec_name: str) -> Iterator[str]:
    """What of a whole message cannot be read as it was meant; no value of it is in the words."""
    mark, end = delimiters.escape, delimiters.truncation
    if not text.isascii():
        yield from _lost_characters(text, codec_name)
    if _SHIFT in text:
        yield "a shift to another character set (ESC) that MSH-18 does not name was not decoded"
    if mark and text.find(mark, _BEHIND_MSH_2) >= 0:
        if _character_set_escape(mark).search(text):
            yield "a character set escape (HL7 v2.5.1 section 2.7.2) was left as it is written"
        if f"{mark}X" in text and _undecoded(text, delimiters, codec_name):
            yield "a hexadecimal escape that does not fit the character set was left as it is written"
    if end and _cut_off(delimiters).search(text, _BEHIND_MSH_2):
        yield "a value was cut off by its sender (HL7 v2.7 section 2.5.5.2)"


def _lost_characters(text: str, codec_name: str) -> Iterator[str]:
    if "\ufffd" in text:
        yield "a character had been replaced by U+FFFD before the message came"
    if codec_name.startswith("iso8859") and _C1.search(text):
        yield "bytes 0x80 to 0x9F are no characters of ISO 8859: the character set may be another one"
    if codec_name.startswith(("iso8859", "cp125")) and _reads_as_utf_8(text.encode(codec_name)):
        yield "the bytes are UTF-8 as well, which is no accident: the character set may be wrong"


def _reads_as_utf_8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def without_controls(text: str) -> str:
    """The text without C0 control characters except tab and line breaks."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def identifies(raw: str, delimiters: Delimiters, codec_name: str) -> bool:
    """False where some character of a field is not the one that was meant: nobody may be identified by it."""
    mark, end = delimiters.escape, delimiters.truncation
    if end and end in raw and _cut_off(delimiters).search(raw):
        return False
    if raw.isprintable() and raw.isascii() and not (mark and mark in raw):
        return True
    unread = mark and (_character_set_escape(mark).search(raw) or _undecoded(raw, delimiters, codec_name))
    return not (unread or _NEVER_IDENTIFIES.search(unescape(raw, delimiters, codec_name)))


def unescape(text: str, delimiters: Delimiters, codec_name: str) -> str:
    """Decode the escape sequences of one leaf; what is no known sequence stays as it was written."""
    mark = delimiters.escape
    if not mark or mark not in text:
        return text
    return _pattern(mark).sub(lambda found: _decoded(found, delimiters, codec_name), text)


@lru_cache(maxsize=32)
def _pattern(mark: str) -> re.Pattern[str]:
    """Hexadecimal escapes that stand side by side are taken together: a character may have been cut into bytes."""
    quoted = re.escape(mark)
    hexadecimal = rf"(?:{quoted}X(?:[0-9A-Fa-f]{{2}})+{quoted})+"
    return re.compile(rf"{hexadecimal}|{quoted}([FSTREPHN]|{_CHARACTER_SET_ESCAPE}|{_FORMATTING}){quoted}")


@lru_cache(maxsize=32)
def _character_set_escape(mark: str) -> re.Pattern[str]:
    quoted = re.escape(mark)
    return re.compile(rf"{quoted}(?:{_CHARACTER_SET_ESCAPE}){quoted}")


@lru_cache(maxsize=32)
def _cut_off(delimiters: Delimiters) -> re.Pattern[str]:
    ends = filter(None, (delimiters.field, delimiters.component, delimiters.repetition, delimiters.subcomponent))
    return re.compile(rf"{re.escape(delimiters.truncation)}(?:[{re.escape(''.join(ends))}\r\n]|$)")


def _undecoded(text: str, delimiters: Delimiters, codec_name: str) -> bool:
    """True where a hexadecimal escape stays as it is written."""
    found = _pattern(delimiters.escape).finditer(text)
    return any(not one.group(1) and _hexadecimal(one.group(), delimiters, codec_name) == one.group() for one in found)


def _decoded(found: re.Match[str], delimiters: Delimiters, codec_name: str) -> str:
    sequence = found.group(1)
    if not sequence:
        return _hexadecimal(found.group(), delimiters, codec_name)
    if sequence.startswith("."):
        return _formatting(sequence)
    meant = {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "P": delimiters.truncation or found.group(),
        "H": "",
        "N": "",
    }
    return meant.get(sequence, found.group())


def _hexadecimal(written: str, delimiters: Delimiters, codec_name: str) -> str:
    try:
        digits = written.replace(delimiters.escape, " ").replace("X", " ")
        return bytes.fromhex(digits).decode(codec_name)
    except UnicodeDecodeError:
        return written


def _formatting(sequence: str) -> str:
    if sequence.startswith(".sk"):
        return " "
    return "\n" if sequence.startswith(_BREAKS) else ""
