"""Each rule of what we send: a message that breaks it, and nothing else, is not sent; the value is never told."""

from __future__ import annotations

import pytest

from adapters.hl7.report import oru
from adapters.hl7.rules import UnreadableMessage, enforce
from adapters.hl7.segments import Envelope
from tests.contract.hl7_reports import report
from tests.unit.test_hl7_says_all import REPORTS

ENVELOPE = Envelope("M1", "SIGHTLINE", "CLINIC", "EHR", "SITE", "Europe/Berlin")
GOOD = oru(report(), ENVELOPE, document=b"%PDF-1.4").decode()


def changed(segment: str, number: int, value: str) -> bytes:
    """The first segment of this name with another value in one field."""
    lines = GOOD.split("\r")
    place = next(i for i, line in enumerate(lines) if line.startswith(segment))
    fields = lines[place].split("|")
    fields += [""] * (number + 1 - len(fields))
    fields[number - 1 if segment == "MSH" else number] = value
    lines[place] = "|".join(fields)
    return "\r".join(lines).encode()


def valued(kind: str, value: str) -> bytes:
    """The first OBX with another type and value."""
    lines = changed("OBX", 2, kind).decode().split("\r")
    place = next(i for i, line in enumerate(lines) if line.startswith("OBX"))
    fields = lines[place].split("|")
    fields[5] = value
    lines[place] = "|".join(fields)
    return "\r".join(lines).encode()


def test_what_we_build_keeps_every_rule() -> None:
    assert enforce(GOOD.encode()) == GOOD.encode()
    for said in REPORTS.values():
        enforce(oru(said, ENVELOPE, document=b"%PDF"))


@pytest.mark.parametrize(
    ("segment", "number", "value"),
    [
        ("MSH", 7, ""),
        ("MSH", 7, "20261301"),
        ("MSH", 7, "yesterday"),
        ("MSH", 9, ""),
        ("MSH", 9, "ORU^R01"),
        ("MSH", 10, ""),
        ("MSH", 10, "A" * 21),
        ("MSH", 10, "A^B"),
        ("MSH", 11, ""),
        ("MSH", 11, "Q"),
        ("MSH", 12, ""),
        ("MSH", 12, "2.3"),
        ("MSH", 18, "8859/1"),
        ("SFT", 2, ""),
        ("PID", 1, "2"),
        ("PID", 3, ""),
        ("PID", 3, "4711"),
        ("PID", 3, "4711^^^CLINIC~9"),
        ("PID", 5, ""),
        ("PID", 7, "196102"),
        ("PID", 7, "19610231"),
        ("PID", 8, "W"),
        ("PID", 30, "0"),
        ("OBR", 1, ""),
        ("OBR", 2, "P-1"),
        ("OBR", 3, ""),
        ("OBR", 4, ""),
        ("OBR", 4, "AI"),
        ("OBR", 7, "2026-11-01"),
        ("OBR", 22, ""),
        ("OBR", 22, "20261101250000"),
        ("OBR", 25, ""),
        ("OBR", 25, "F"),
        ("OBR", 25, "C"),
        ("OBR", 25, "W"),
        ("NTE", 1, "2"),
        ("NTE", 3, ""),
        ("OBX", 1, "7"),
        ("OBX", 2, ""),
        ("OBX", 2, "XX"),
        ("OBX", 3, ""),
        ("OBX", 3, "LAA950"),
        ("OBX", 4, "x" * 21),
        ("OBX", 5, ""),
        ("OBX", 6, "%"),
        ("OBX", 8, "N"),
        ("OBX", 8, "XYZ"),
        ("OBX", 11, ""),
        ("OBX", 11, "F"),
        ("OBX", 11, "C"),
        ("OBX", 11, "Q"),
        ("OBX", 14, "20261101T0930"),
        ("OBX", 19, "32"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named_by_its_place_alone(segment: str, number: int, value: str) -> None:
    with pytest.raises(UnreadableMessage) as caught:
        enforce(changed(segment, number, value))
    assert f"{segment}" in str(caught.value)
    assert f"field {number}:" in str(caught.value)
    assert value == "" or len(value) < 3 or value not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("NM", "14,25"),
        ("NM", "1e5"),
        ("NM", "fourteen"),
        ("NM", "14.25 %"),
        ("NM", "\u0661\u0664"),
        ("SN", "14"),
        ("SN", ">>^14"),
        ("SN", "^1^to^2"),
        ("SN", "^1^-^x"),
        ("SN", "^1^-^2^3"),
        ("CE", "260373001"),
        ("CWE", "^^SCT"),
        ("ST", "x" * 200),
        ("ST", "a\\.br\\b"),
        ("ST", "a^b"),
        ("TX", "a\\.br\\b"),
        ("TX", "a~b"),
        ("FT", "a&b"),
        ("DT", "202611"),
        ("DT", "20261101093000"),
        ("TS", "9:30"),
        ("ED", "JVBERg=="),
        ("ED", "S^Application^PDF^Base64^"),
        ("ED", "S^Application^PDF^Base64^JVBER"),
        ("ED", "S^Application^PDF^Base64^JVB\\E\\g=="),
        ("ED", "S^Application^PDF^Hex^255044"),
        ("ED", "S^Document^PDF^Base64^JVBERg=="),
        ("ED", "S^Application^^Base64^JVBERg=="),
    ],
)
def test_a_value_that_is_not_of_its_type_is_not_sent(kind: str, value: str) -> None:
    with pytest.raises(UnreadableMessage, match="OBX 1, field 5"):
        enforce(valued(kind, value))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("NM", "-14.25"),
        ("SN", ">^14"),
        ("SN", "^1^-^2"),
        ("CWE", "^words"),
        ("ST", "a\\T\\b"),
        ("FT", "a\\.br\\b"),
        ("DT", "20261101"),
        ("TS", "20261101093000.5+0100"),
        ("ED", "S^AP^PDF^Base64^JVBERg=="),
    ],
)
def test_a_value_of_its_type_passes(kind: str, value: str) -> None:
    assert enforce(valued(kind, value))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\rOBR|", "\rOBR|1|\rOBX\rOBR|"),
        ("\rOBR|", "\rPV1||I\rOBR|"),
        ("\rOBR|", "\r\rOBR|"),
        ("\rOBR|", "\rNTE||\rOBR|"),
        ("\rOBR|", "\nOBR|"),
        ("\rOBR|", "\rno segment\rOBR|"),
        ("Petra", "Pe\x0btra"),
        ("Petra", "Pe\x85tra"),
        ("Petra", "Pe\u2028tra"),
        ("MSH|^~\\&|", "MSH|^~\\#|"),
        ("Petra", "Pe\\tra"),
        ("Petra", "Pe\\Q\\tra"),
        ("Petra", "Pe\\X0\\tra"),
    ],
)
def test_a_block_that_is_no_row_of_segments_is_not_sent(before: str, after: str) -> None:
    assert before in GOOD
    with pytest.raises(UnreadableMessage) as caught:
        enforce(GOOD.replace(before, after, 1).encode())
    assert "tra" not in str(caught.value)


@pytest.mark.parametrize("name", ["PID", "OBR", "SFT"])
def test_a_segment_in_another_place_is_not_sent_though_hl7apy_would_take_it(name: str) -> None:
    lines = GOOD.removesuffix("\r").split("\r")
    moved = [*(line for line in lines if not line.startswith(name)), *(x for x in lines if x.startswith(name))]
    with pytest.raises(UnreadableMessage, match=r"order|under its parent"):
        enforce("".join(f"{line}\r" for line in moved).encode())


def test_a_block_without_its_last_end_or_in_another_encoding_is_not_sent() -> None:
    with pytest.raises(UnreadableMessage):
        enforce(GOOD.removesuffix("\r").encode())
    with pytest.raises(UnreadableMessage, match="UTF-8"):
        enforce(GOOD.replace("Petra", "Pétra").encode("latin-1"))


def test_observations_are_numbered_without_a_gap_and_notes_begin_anew_under_each() -> None:
    lines = GOOD.split("\r")
    label = next(i for i, line in enumerate(lines) if "AI-LABEL" in line)
    without = "\r".join(lines[:label] + lines[label + 1 :])
    with pytest.raises(UnreadableMessage, match="OBX 9, field 1"):
        enforce(without.encode())
    first = next(i for i, line in enumerate(lines) if line.startswith("OBX"))
    place = next(i for i, line in enumerate(lines) if line.startswith("NTE|1|") and i > first)
    renumbered = [*lines[:place], lines[place].replace("NTE|1|", "NTE|9|"), *lines[place + 1 :]]
    with pytest.raises(UnreadableMessage, match="NTE 1, field 1"):
        enforce("\r".join(renumbered).encode())
