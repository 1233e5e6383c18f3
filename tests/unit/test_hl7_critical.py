"""A critical ORU is preliminary, stat, under a number of its own; and who has it says so by ORA."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.hl7.check import check
from adapters.hl7.critical import CriticalOru
from adapters.hl7.message import Message
from adapters.hl7.read import Reader
from cds.destinations import MllpDestination
from cds.domain.critical import CriticalNotice, delivery_id, message_number
from cds.domain.message import MessageContent
from cds.errors import InvalidMessage
from tests.contract.critical_notices import DOUBTFUL, NOTICE, RESULT, WITHDRAWN

DELIVERY = delivery_id(RESULT.id, "duty")


def made(notice: CriticalNotice, processing: str = "P") -> Message:
    to = MllpDestination.model_validate({"host": "127.0.0.1", "port": 9, "processing": processing})
    channel = CriticalOru("critical:duty", to, facility="SITE", time_zone="Europe/Berlin")
    return Message(channel.encode(notice, DELIVERY))


def test_it_is_preliminary_stat_and_very_abnormal_under_its_own_number() -> None:
    message = made(NOTICE)
    obr, obx = message.first("OBR"), message.first("OBX")
    assert (obr.raw(2), obr.raw(4)) == ("", "AI-ANALYSIS^AI analysis of imaging study^99SIGHTLINE")
    assert obr.raw(3) == f"SL-{NOTICE.study.public_id}-7d3c2a10^SIGHTLINE"
    assert (obr.raw(5), obr.raw(18), obr.raw(25), obr.raw(27)) == ("S", "ACC1", "P", "^^^^^S")
    assert obr.raw(29) == "P1&EHR"
    assert (obx.raw(5), obx.raw(8), obx.raw(11)) == ("Intracranial hemorrhage", "AA", "P")
    assert message.first("MSH").text(10) == message_number(DELIVERY)
    notes = [note.text(3) for note in message.all("NTE")]
    assert notes[0] == "Sample Hospital: Critical AI finding, ACR category 1: Intracranial hemorrhage."
    assert f"Acknowledge by name at {NOTICE.link}" in notes


def test_a_finding_of_a_long_name_is_told_all_the_same() -> None:
    long = replace(NOTICE, result=replace(RESULT, title="Intracranial hemorrhage " * 10))
    assert (made(long).first("OBX").raw(2), made(NOTICE).first("OBX").raw(2)) == ("TX", "ST")


def test_without_a_sure_match_nobody_can_file_it() -> None:
    message = made(DOUBTFUL)
    assert message.all("PID") == []
    obr = message.first("OBR")
    assert (obr.raw(18), obr.raw(29)) == ("", "")
    notes = [note.text(3) for note in message.all("NTE")]
    assert "The images state accession number ACC1." in notes
    assert "Whose images these are is in doubt: look at the study." in notes


def test_a_withdrawal_takes_the_same_number_back_and_cannot_cancel_the_exam() -> None:
    first, back = made(NOTICE), made(WITHDRAWN)
    assert back.first("OBR").raw(3) == first.first("OBR").raw(3)
    assert (back.first("OBR").raw(25), back.first("OBX").raw(11)) == ("X", "W")
    assert (back.first("OBR").raw(18), back.first("OBR").raw(29)) == ("", "")
    assert back.first("PID").text(5) == "Unmistakable"


def test_another_episode_has_another_number() -> None:
    other = replace(NOTICE, result=replace(RESULT, episode=2))
    assert made(other).first("OBR").raw(3) != made(NOTICE).first("OBR").raw(3)


def test_a_test_destination_is_told_that_it_is_a_test() -> None:
    assert made(NOTICE, "T").first("MSH").text(11) == "T"


def ora(*segments: str, kind: str = "ORA^R33^ORA_R33", processing: str = "P") -> MessageContent:
    lines = (f"MSH|^~\\&|EHR|SITE|SIGHTLINE|SITE|20261120100000||{kind}|A1|{processing}|2.5.1", *segments)
    block = "".join(f"{line}\r" for line in lines).encode()
    return Reader("HOSP", "RIS", "none", "UTC")(check(block, "peer", datetime(2026, 11, 20, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("who", "by"),
    [
        ("ORC|OK|||||||||1^Clerk^C|4711^Duty^Doris", "Doris Duty (4711)"),
        ("ORC|OK|||||||||4711^Duty", "Duty (4711)"),
        ("PRT|1|UC||AP|4711", "4711"),
    ],
)
def test_a_person_acknowledges_what_was_sent_under_a_number(who: str, by: str) -> None:
    said = ora(f"MSA|AA|{message_number(DELIVERY)}", who)
    assert (said.acknowledges, said.acknowledged_by, said.ignored) == (message_number(DELIVERY), by, "")


def test_an_answer_of_a_system_alone_is_no_acknowledgment() -> None:
    with pytest.raises(InvalidMessage, match="want the person"):
        ora(f"MSA|AA|{message_number(DELIVERY)}")


def test_an_answer_to_no_message_cannot_be_read() -> None:
    with pytest.raises(InvalidMessage, match="MSA-2"):
        ora("MSA|AA|", "ORC|OK|||||||||4711^Duty")


@pytest.mark.parametrize(("code", "processing"), [("AE", "P"), ("AR", "P"), ("AA", "T"), ("AA", "D")])
def test_a_refusal_or_a_test_acknowledges_nothing(code: str, processing: str) -> None:
    said = ora(f"MSA|{code}|X1", "ORC|OK|||||||||4711^Duty", processing=processing)
    assert (said.acknowledges, said.acknowledged_by, said.ignored) == ("", "", "it acknowledges nothing")
