"""Who is told what and when: HL7 v2.5.1 section 2.9, with tables 0008 and 0155."""

from __future__ import annotations

import pytest

from adapters.hl7.header import Header, read_header
from adapters.hl7.mode import Mode, Override, is_wanted, mode_of
from cds.domain.message import MessageState


def _header(accept: str, application: str, kind: str = "ORM^O01") -> Header:
    return read_header(f"MSH|^~\\&|A|B|C|D|20261101||{kind}|1|P|2.5|||{accept}|{application}\r".encode())


def _mode(accept: str, application: str, override: Override = "auto", *, replies: bool = False) -> Mode:
    return mode_of(_header(accept, application), override, replies=replies)


@pytest.mark.parametrize(
    ("accept", "application", "good", "error", "refused", "later"),
    [
        ("", "", "AA", "AE", "AR", ""),
        ('""', "", "AA", "AE", "AR", ""),
        ("XX", "YY", "AA", "AE", "AR", ""),
        ("AL", "NE", "CA", "CE", "CR", ""),
        ("AL", "", "CA", "CE", "CR", ""),
        ("al", "ne", "CA", "CE", "CR", ""),
        ("AL", "AL", "CA", "CE", "CR", "AL"),
        ("AL", "ER", "CA", "CE", "CR", "ER"),
        ("AL", "SU", "CA", "CE", "CR", "SU"),
        ("ER", "AL", "", "CE", "CR", "AL"),
        ("SU", "NE", "CA", "", "", ""),
        ("NE", "AL", "AA", "AE", "AR", ""),
        ("NE", "ER", "", "AE", "AR", ""),
        ("NE", "SU", "AA", "", "", ""),
        ("", "AL", "AA", "AE", "AR", ""),
        ("NE", "NE", "", "", "", ""),
        ("NE", "", "", "", "", ""),
        ("", "NE", "", "", "", ""),
    ],
)
def test_each_pair_of_conditions_has_its_answers(  # noqa: PLR0917 - a row of the table
    accept: str, application: str, good: str, error: str, refused: str, later: str
) -> None:
    mode = _mode(accept, application)
    assert (mode.says("AA"), mode.says("AE"), mode.says("AR"), mode.later) == (good, error, refused, later)


@pytest.mark.parametrize(
    ("application", "later"), [("AL", "ER"), ("ER", "ER"), ("SU", ""), ("NE", "")], ids=["AL", "ER", "SU", "NE"]
)
def test_a_later_failure_is_told_where_the_result_was_said_at_once(application: str, later: str) -> None:
    assert _mode("NE", application, replies=True).later == later
    assert _mode("NE", application).later == ""


def test_a_sender_whose_site_says_original_gets_one_application_acknowledgment_whatever_it_asks() -> None:
    for accept, application in (("AL", "NE"), ("AL", "AL"), ("NE", "NE"), ("", "")):
        mode = _mode(accept, application, "original", replies=True)
        assert (mode.says("AA"), mode.says("AE"), mode.says("AR"), mode.later) == ("AA", "AE", "AR", "")


def test_a_sender_whose_site_says_enhanced_gets_an_accept_acknowledgment_whatever_it_asks() -> None:
    for accept, application, later in (("", "", ""), ("NE", "NE", ""), ("SU", "AL", "AL"), ("", "ER", "ER")):
        mode = _mode(accept, application, "enhanced")
        assert (mode.says("AA"), mode.says("AE"), mode.says("AR"), mode.later) == ("CA", "CE", "CR", later)


@pytest.mark.parametrize("override", ["auto", "original", "enhanced"])
def test_an_acknowledgment_is_never_answered_unless_it_asks_to_be_accepted(override: Override) -> None:
    for accept, application in (("", ""), ("NE", "AL"), ("NE", "NE"), ("", "AL")):
        mode = mode_of(_header(accept, application, "ACK^O01^ACK"), override, replies=True)
        assert (mode.says("AA"), mode.says("AE"), mode.later, mode.answerable) == ("", "", "", False)


def test_an_acknowledgment_that_asks_to_be_accepted_is() -> None:
    mode = mode_of(_header("AL", "NE", "ACK"), "auto", replies=False)
    assert (mode.says("AA"), mode.later) == ("CA", "")
    assert mode_of(_header("AL", "NE", "ACK"), "original", replies=False).says("AA") == ""


@pytest.mark.parametrize(
    ("condition", "told"),
    [("AL", "applied ignored failed quarantined"), ("ER", "failed quarantined"), ("SU", "applied ignored"), ("", "")],
)
def test_a_result_is_told_where_it_was_asked_for(condition: str, told: str) -> None:
    assert " ".join(state for state in MessageState if is_wanted(condition, state)) == told
