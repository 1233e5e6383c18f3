r"""From bytes to text: the character set of MSH-18, and the escape sequences, decoded once and last.

A decoded CR is a character of a value; it never becomes a segment (HL7 v2.5.1 sections 2.7 and 2.15.9.18).
"""

from __future__ import annotations

import re
from functools import lru_cache

from adapters.hl7.delimiters import Delimiters
from cds.errors import InvalidMessage

#: HL7 table 0211 and what senders write instead, to Python's codecs.
CODECS = {
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 12), 13, 14, 15, 16)},
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GBK": "gbk",
    "GB 18030-2000": "gb18030",
    "BIG-5": "big5",
    "KS X 1001": "euc_kr",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_2",
}
GUESSED = "the character set was guessed"

#: C0 control characters except tab and line breaks: no value has them, and a database's text has no NUL.
_CONTROLS = dict.fromkeys(number for number in range(0x20) if chr(number) not in "\t\n\r")
_FORMATTING = r"\.(?:br|sp|fi|nf|in|ti|sk|ce)[ ]?[+-]?\d{0,4}"
_BREAKS = (".br", ".sp", ".ce")


def codec(declared: str, repetition: str) -> str | None:
    """The codec of MSH-18: the first repetition, or the one after it where the first is only ASCII; None if unknown."""
    names = [name.strip().upper() for name in (declared.split(repetition) if repetition else [declared])]
    known = [CODECS[name] for name in names if name in CODECS]
    return next((name for name in known if name != "ascii"), known[0] if known else None)


def decode(raw: bytes, declared: str | None) -> tuple[str, str, bool]:
    """The text, the codec it was read with, and whether that was a guess. No character is ever replaced.

    InvalidMessage where no character set fits: an identifier with a wrong character would be another patient's.
    """
    for name in (declared, "utf-8", "cp1252"):
        if name is None:
            continue
        try:
            text = raw.decode(name)
        except UnicodeDecodeError:
            continue
        return text, name, not (name == declared or raw.isascii() or (declared is None and name == "utf-8"))
    raise InvalidMessage("the bytes fit neither MSH-18 nor UTF-8 nor Windows-1252", location="MSH^1^18")


def without_controls(text: str) -> str:
    """The text without C0 control characters except tab and line breaks."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def unescape(text: str, delimiters: Delimiters, codec_name: str) -> str:
    """Decode the escape sequences of one leaf; what is no known sequence stays as it was written."""
    mark = delimiters.escape
    if not mark or mark not in text:
        return text
    return _pattern(mark).sub(lambda found: _decoded(found, delimiters, codec_name), text)


@lru_cache(maxsize=32)
def _pattern(mark: str) -> re.Pattern[str]:
    quoted = re.escape(mark)
    return re.compile(rf"{quoted}([FSTREPHN]|X(?:[0-9A-Fa-f]{{2}})+|{_FORMATTING}){quoted}")


def _decoded(found: re.Match[str], delimiters: Delimiters, codec_name: str) -> str:
    sequence = found.group(1)
    if sequence.startswith("X"):
        return _hexadecimal(sequence[1:], codec_name, found.group())
    if sequence.startswith("."):
        return _formatting(sequence)
    return {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "P": "#",
        "H": "",
        "N": "",
    }[sequence]


def _hexadecimal(digits: str, codec_name: str, written: str) -> str:
    try:
        return bytes.fromhex(digits).decode(codec_name)
    except UnicodeDecodeError:
        return written


def _formatting(sequence: str) -> str:
    if sequence.startswith(".sk"):
        return " "
    return "\n" if sequence.startswith(_BREAKS) else ""
