"""Our own rules for what we send, beside hl7apy, which lets a bad status, number or timestamp through.

Structure is hl7apy's part (`adapters.hl7.proof`); here are data types (HL7 v2.5.1 chapter 2, section 2.A), tables,
numbering and required fields of the segments that we write, and what SAFETY forbids. An error names segment and field.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC

from adapters.hl7.timestamp import moment
from cds.errors import SightlineError


class UnreadableMessage(SightlineError):
    """A block that we built is not what it claims to be; it never leaves."""


Check = Callable[[str], bool]

_MSH = "MSH|^~\\&|"
_REQUIRED: Mapping[str, tuple[int, ...]] = {
    "MSH": (7, 9, 10, 11, 12),
    "SFT": (1, 2, 3, 4),
    "PID": (1, 3, 5),
    "OBR": (1, 3, 4, 22, 25),
    "NTE": (1, 3),
    "OBX": (1, 2, 3, 5, 11),
}
#: What begins the numbering of another anew (SI, "set ID").
_PARENTS = {"OBR": "PID", "OBX": "OBR", "NTE": "OBR OBX"}
#: ORU_R01 as we write it (section 7.3.1); hl7apy takes a PID after its results.
_ORDER = re.compile("MSH(SFT)*(PID)?(OBR(NTE)*(OBX(NTE)*)+)+")
_NUMBERED = ("PID", "OBR", "OBX", "NTE")
_CONTROL = re.compile("[\x00-\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
#: Section 2.7. We write no other sequence; `.br` is for formatted text alone.
_ESCAPE = re.compile(r"\\(?:[FSTRE]|\.br|X(?:[0-9A-F]{2})+)\\")
_BREAK = "\\.br\\"
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?")
_COMPARATORS = frozenset({"", "<", ">", "<=", ">=", "=", "<>"})
_SEPARATORS = frozenset({"", "-", "+", "/", ".", ":"})
#: Table 0191, and "Application", which MIME made of AP and every receiver takes.
_DATA_TYPES = frozenset({"AP", "APPLICATION", "AU", "FT", "IM", "MULTIPART", "NS", "SD", "SI", "TEXT", "TX"})
_LONGEST_STRING = 199
_LONGEST_NUMBER = 20


def enforce(block: bytes) -> bytes:
    """Give the block back if it keeps every rule; raise UnreadableMessage with the place that does not."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        raise _broken("the block", "UTF-8, as MSH-18 says") from None
    if not text.startswith(_MSH) or not text.endswith("\r") or _CONTROL.search(text):
        raise _broken("the block", "MSH with the usual delimiters first, CR last, and no other control character")
    lines = text[:-1].split("\r")
    numbers: dict[str, int] = {}
    for line in lines:
        name, _, rest = line.partition("|")
        if name not in _REQUIRED or not rest.strip("|"):
            raise _broken("a segment", f"one of {', '.join(_REQUIRED)} with a value in it")
        fields = ["MSH", "|", "^~\\&", *line.split("|")[2:]] if name == "MSH" else line.split("|")
        numbers[name] = numbers.get(name, 0) + 1
        numbers |= {child: 0 for child, parents in _PARENTS.items() if name in parents}
        _segment(name, fields, numbers[name])
    if not _ORDER.fullmatch("".join(line[:3] for line in lines)):
        raise _broken("the segments", "the order of ORU_R01")
    return block


def _segment(name: str, fields: Sequence[str], number: int) -> None:
    place = f"{name} {number}" if name in _PARENTS else name
    for position in _REQUIRED[name]:
        if not _at(fields, position):
            raise _broken(f"{place}, field {position}", "a value")
    for position, text in enumerate(fields):
        if "\\" in _ESCAPE.sub("", text) and (name, position) != ("MSH", 2):
            raise _broken(f"{place}, field {position}", "escape sequences of section 2.7 alone")
    for position, (rule, wanted) in _rules(name, fields, number):
        if _at(fields, position) and not rule(_at(fields, position)):
            raise _broken(f"{place}, field {position}", wanted)


def _rules(name: str, fields: Sequence[str], number: int) -> list[tuple[int, tuple[Check, str]]]:
    rules = dict(_FIELDS.get(name, {}))
    if name in _NUMBERED:
        rules[1] = (str(number).__eq__, "the number of the segment under its parent")
    if name == "OBX":
        rules[5] = _VALUES.get(_at(fields, 2), rules[2])
    return sorted(rules.items(), key=lambda rule: rule[0])


def _broken(place: str, wanted: str) -> UnreadableMessage:
    return UnreadableMessage(f"the message we built breaks a rule: {place}: want {wanted}")


def _at(fields: Sequence[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""


def _moment(text: str) -> bool:
    """TS of at least a day: what we know, we know to the day."""
    try:
        moment(text, UTC)
    except ValueError:
        return False
    return text.isascii() and not text.endswith(" ") and not text.startswith(" ")


def _day(text: str) -> bool:
    return len(text) == len("YYYYMMDD") and _moment(text)


def _number(text: str) -> bool:
    return text.isascii() and _NUMBER.fullmatch(text) is not None


def _structured_number(text: str) -> bool:
    """SN: comparator ^ number ^ separator ^ number."""
    first, one, between, two, *more = [*text.split("^"), "", "", ""][: max(4, text.count("^") + 1)]
    numbers = _number(one) and (not two or _number(two))
    return numbers and not more and first in _COMPARATORS and between in _SEPARATORS


def _coded(text: str) -> bool:
    """CE and CWE: a code with its system, or a text."""
    code, words, system, *_ = [*text.split("^"), "", ""]
    return bool(system) if code else bool(words)


def _string(text: str) -> bool:
    return _BREAK not in text and len(_ESCAPE.sub("x", text)) <= _LONGEST_STRING and _plain(text)


def _plain(text: str) -> bool:
    """One text: no component, repetition or subcomponent that somebody forgot to escape."""
    return not any(mark in text for mark in "^~&")


def _embedded(text: str) -> bool:
    """ED: source ^ type ^ subtype ^ encoding ^ data (section 2.A.24); we write Base64 alone."""
    parts = text.split("^")
    if len(parts) != len(("source", "type", "subtype", "encoding", "data")):
        return False
    _, kind, subtype, encoding, data = parts
    try:
        decoded = base64.b64decode(data, validate=True)
    except binascii.Error:
        return False
    return bool(decoded) and kind.upper() in _DATA_TYPES and bool(subtype) and encoding == "Base64"


def _identified(text: str) -> bool:
    """PID-3: every repetition has a number and the authority that assigned it (SAFETY section 1)."""
    parts = [[*repetition.split("^"), "", "", ""] for repetition in text.split("~")]
    return all(part[0] and part[3] for part in parts)


def _short(text: str) -> bool:
    return len(text) <= _LONGEST_NUMBER and _plain(text)


def _among(*values: str) -> Check:
    return frozenset(values).__contains__


#: OBX-2 → what OBX-5 has to be. Table 0125, as far as we write it.
_VALUES: Mapping[str, tuple[Check, str]] = {
    "NM": (_number, "a number without exponent"),
    "SN": (_structured_number, "a structured number"),
    "CE": (_coded, "a code with its system, or a text"),
    "CWE": (_coded, "a code with its system, or a text"),
    "ST": (_string, f"one line of at most {_LONGEST_STRING} characters"),
    "TX": (lambda text: _plain(text) and _BREAK not in text, "one line"),
    "FT": (_plain, "one text"),
    "DT": (_day, "a day"),
    "TS": (_moment, "a moment"),
    "ED": (_embedded, "source, type, subtype, Base64 and the data"),
}
_TIME = (_moment, "a timestamp of at least a day")
#: Segment → field → what its value has to be where it has one.
_FIELDS: Mapping[str, Mapping[int, tuple[Check, str]]] = {
    "MSH": {
        7: _TIME,
        9: (_among("ORU^R01^ORU_R01"), "the message that we send"),
        10: (_short, f"at most {_LONGEST_NUMBER} characters"),
        11: (_among("P", "T", "D"), "a code of table 0103"),
        12: (_among("2.5.1"), "the version that we write"),
        18: (_among("UNICODE UTF-8"), "the character set that we write"),
    },
    "PID": {
        3: (_identified, "numbers with their authority"),
        7: _TIME,
        8: (_among("F", "M", "O", "U", "A", "N"), "a code of table 0001"),
        30: (_among("Y", "N"), "a code of table 0136"),
    },
    "OBR": {
        2: (_among(), "nothing: receivers complete the order that it names (SAFETY section 3)"),
        4: (_coded, "a code with its system"),
        7: _TIME,
        22: _TIME,
        25: (_among("P", "X"), "P or X of table 0123: nothing of ours is final (SAFETY section 3)"),
    },
    "OBX": {
        2: (_VALUES.__contains__, "a type of table 0125 that we write"),
        3: (_coded, "a code with its system"),
        4: (_short, f"at most {_LONGEST_NUMBER} characters"),
        6: (_coded, "a unit with its system"),
        8: (_among("A", "AA"), "A or AA of table 0078: a negative is not normal (SAFETY section 6)"),
        11: (_among("P", "X", "W"), "P, X or W of table 0085: nothing of ours is final (SAFETY section 3)"),
        14: _TIME,
        19: _TIME,
    },
}
