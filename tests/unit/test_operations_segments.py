"""An HL7 v2 message as people read it."""

from __future__ import annotations

from cds.ui.operations_segments import MOST_SHOWN, Segment, segments


def test_the_separator_is_the_first_field_of_the_header_and_empty_fields_are_left_out() -> None:
    found = segments("MSH|^~\\&|LAB|HOSP|||20261120||ADT^A04|7\rPID|1||P7^^^^MR||Test^Tom\r")
    assert found == (
        Segment(
            "MSH",
            ((1, "|"), (2, "^~\\&"), (3, "LAB"), (4, "HOSP"), (7, "20261120"), (9, "ADT^A04"), (10, "7")),
        ),
        Segment("PID", ((1, "1"), (3, "P7^^^^MR"), (5, "Test^Tom"))),
    )


def test_another_separator_is_that_of_the_header() -> None:
    assert segments("MSH#^~\\&#LAB\nZDS#a|b")[1] == Segment("ZDS", ((1, "a|b"),))


def test_a_line_that_is_no_segment_is_shown_as_it_is_without_what_cannot_be_printed() -> None:
    assert segments("x\x1b[2Jy") == (Segment("", ((0, "x\N{REPLACEMENT CHARACTER}[2Jy"),)),)
    assert segments("") == ()


def test_a_huge_message_is_cut() -> None:
    (found,) = segments("OBX|" + "A" * (MOST_SHOWN + 10))
    assert len(found.fields[0][1]) == MOST_SHOWN - len("OBX|")
