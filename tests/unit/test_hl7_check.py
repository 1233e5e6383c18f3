"""The bounded check and its acknowledgments: what is missing, where, and whether sending again can help."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7 import ack
from adapters.hl7.check import check
from adapters.hl7.header import read_header
from cds.errors import InvalidMessage, OutOfResources, SightlineError, Unavailable
from tests.contract.hl7_wire import fields, order

_NOW = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)


def _refusal(block: bytes) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        check(block, "peer", _NOW)
    return caught.value


def test_a_complete_order_is_taken_with_what_the_log_needs() -> None:
    message = check(order(7), "127.0.0.1:9", _NOW)
    assert message.raw == order(7)
    assert message.sha256 == hashlib.sha256(order(7)).hexdigest()
    assert (message.sender, message.control_id) == ("RIS|CLINIC", "MSG-7")
    assert (message.message_type, message.trigger_event, message.version) == ("ORM", "O01", "2.4")
    assert (message.processing_id, message.peer, message.received_at) == ("P", "127.0.0.1:9", _NOW)


@pytest.mark.parametrize(
    ("old", "new", "condition", "location", "code"),
    [
        (b"MSH|^~\\&", b"HELLO WORLD", "100", "", "AR"),
        (b"|ORM^O01|", b"||", "101", "MSH^1^9", "AE"),
        (b"|ORM^O01|", b"|ORM~O01|", "200", "MSH^1^9", "AR"),
        (b"|ORM^O01|", b"|order|", "200", "MSH^1^9", "AR"),
        (b"|MSG-1|", b"||", "101", "MSH^1^10", "AE"),
        (b"|MSG-1|", b"|" + b"9" * 200 + b"|", "102", "MSH^1^10", "AR"),
        (b"|MSG-1|", b"|M\x1c1|", "102", "MSH^1^10", "AR"),
        (b"|MSG-1|", b"|M\x001|", "102", "", "AR"),
        (b"|CLINIC|SIGHTLINE|", b"|CLI\x00NIC|SIGHTLINE|", "102", "", "AR"),
        (b"Probe^Petra", b"Probe^Pe\x00tra", "102", "", "AR"),
        (b"|P|2.4", b"||2.4", "101", "MSH^1^11", "AE"),
        (b"|P|2.4", b"|X|2.4", "202", "MSH^1^11", "AR"),
        (b"|P|2.4", b"|P|", "101", "MSH^1^12", "AE"),
        (b"|P|2.4", b"|P|3.0", "203", "MSH^1^12", "AR"),
        (b"PID|1||4711^^^CLINIC^MR|", b"PID|1|4711||", "101", "PID^1^3", "AE"),
        (b"PID|1||4711^^^CLINIC^MR|", b'PID|1||""|', "101", "PID^1^3", "AE"),
        (b"PID|1||4711^^^CLINIC^MR|", b"PID|1||^^^CLINIC^MR|", "101", "PID^1^3", "AE"),
        (b"PID|", b"ZID|", "101", "PID^1^3", "AE"),
        (b"ORC|NW|", b"ORC||", "101", "ORC^1^1", "AE"),
        (b"ORC|NW|", b"ORC|QQ|", "103", "ORC^1^1", "AE"),
        (b"ORC|NW|", b"ZRC|NW|", "101", "ORC^1^1", "AE"),
        (b"|P-1^HIS|F-1^RIS", b"|^HIS|", "101", "ORC^1^2", "AE"),
        (b"ORC|NW", b"PID|2||4712^^^CLINIC\rORC|NW", "100", "PID^2", "AR"),
        (b"ORC|NW", b"MSH|^~\\&|X\rORC|NW", "100", "MSH^2", "AR"),
    ],
)
def test_each_fault_has_its_condition_and_its_place(
    old: bytes, new: bytes, condition: str, location: str, code: str
) -> None:
    assert old in order()
    error = _refusal(order().replace(old, new))
    assert (error.condition, error.location, ack.code(error)) == (condition, location, code)


def test_the_second_order_of_a_message_is_checked_too() -> None:
    assert _refusal(order() + b"ORC|NW\rOBR|2\r").location == "ORC^2^2"


@pytest.mark.parametrize(
    "block",
    [
        order().replace(b"ORC|NW|P-1^HIS|F-1^RIS", b"ORC|NW"),  # the numbers stand in OBR
        order().replace(b"\r", b"\n"),
        order().replace(b"\r", b"\r\n"),
        order().replace(b"\r", b"\r\r"),
        b"\xef\xbb\xbf\r\n" + order(),
        order().replace(b"|2.4", b"|2.9"),
        order().replace(b"|2.4", b"|2.5.1^DEU"),
        order().replace(b"|P|", b"|T^T|"),
        order().replace(b"||4711^^^CLINIC^MR|", b"||~4711^^^CLINIC^MR|"),
        b"MSH|^~\\&|A|B|C|D|20261101||SIU^S12|1|P|2.5\rSCH|1\r",
        b"MSH|^~\\&|A|B|C|D|20261101||MDM^T02|1|P|2.5\rTXA|1\r",
        b"MSH|^~\\&|A|B|C|D|20261101||ACK|1|P|2.5\rMSA|AA|9\r",
        b"MSH|^~\\&|A|B|C|D|20261101||ZZZ^Z99|1|P|2.5\rZZZ|1\r",
        b"MSH|^~\\&|A|B|C|D|20261101||ADT^A20|1|P|2.5\rNPU|1\r",
        b"MSH|^~\\&|A|B|C|D|20261101||ADT^A40|1|P|2.5\rPID|1||1\rMRG|2\rPID|1||3\rMRG|4\r",
    ],
)
def test_what_senders_do_differently_is_taken(block: bytes) -> None:
    assert check(block, "peer", _NOW).raw == block


@pytest.mark.parametrize("charset", [b"", b"8859/1", b"~ISO IR87"])
def test_what_the_log_is_told_holds_no_control_character(charset: bytes) -> None:
    block = order().replace(b"|RIS|CLINIC|", b"|R\x01IS\x07|CLIN\x02IC\xc3\xa9|")
    message = check(block.replace(b"|2.4", b"|2.4||||||" + charset), "peer", _NOW)
    assert message.sending_application == "RIS"
    assert message.sending_facility.startswith("CLINIC")
    stated = [value for value in asdict(message).values() if isinstance(value, str)]
    assert len(stated) == 13
    assert not any(ord(character) < 0x20 for value in stated for character in value)


def test_a_sender_in_shifted_characters_is_read_in_its_character_set() -> None:
    block = order().replace(b"|RIS|", b"|" + "山田".encode("iso2022_jp") + b"|")
    message = check(block.replace(b"|2.4", b"|2.4||||||~ISO IR87"), "peer", _NOW)
    assert message.sending_application == "山田"


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_check_or_the_answer(tail: bytes) -> None:
    for block in (tail, b"MSH|" + tail, order()[:60] + tail, order() + tail):
        try:
            check(block, "peer", _NOW)
        except InvalidMessage as error:
            answer = ack.reject(None, error, _NOW)
            assert b"\rMSA|A" in answer


def test_the_answer_swaps_the_names_and_echoes_the_id() -> None:
    header = read_header(order(3))
    msh, msa = fields(ack.accept(header, _NOW))
    assert msh[2:6] == ["SIGHTLINE", "CLINIC", "RIS", "CLINIC"]
    assert msh[6] == "20261101083000+0000"
    assert msh[8] == "ACK^O01^ACK"
    assert msh[10:12] == ["P", "2.4"]
    assert msa == ["MSA", "AA", "MSG-3"]
    assert fields(ack.accept(header, _NOW))[0][9] != msh[9] != "MSG-3"


def test_the_answer_keeps_charset_delimiters_and_training_flag() -> None:
    block = order().replace(b"|P|2.4", b"|T|2.4||||||8859/1")
    assert fields(ack.accept(read_header(block), _NOW))[0][10:18] == ["T", "2.4", "", "", "", "", "", "8859/1"]
    odd = b"MSH#!@%*#M\xfcnchen#B#C#D#20261101##ADT!A04#77#P#2.5\r"
    error = InvalidMessage("want a#b", location="PID^1^3", condition="101", permanent=False)
    answer = ack.reject(read_header(odd), error, _NOW)
    assert answer.startswith(b"MSH#!@%*#C#D#M\xfcnchen#B#")
    assert b"\rMSA#AE#77#want a%F%b\r" in answer
    assert b"\rERR##PID!1!3#101!Required field missing!HL70357#E####want a%F%b\r" in answer


def test_the_error_segment_has_the_form_of_the_senders_version() -> None:
    error = _refusal(order().replace(b"PID|", b"ZID|"))
    old = fields(ack.reject(read_header(order()), error, _NOW))
    assert old[1] == ["MSA", "AE", "MSG-1", "want a patient identifier in PID-3"]
    assert old[2] == ["ERR", "PID^1^3^101&Required field missing&HL70357"]
    new = fields(ack.reject(read_header(order().replace(b"2.4", b"2.5.1")), error, _NOW))
    assert new[2] == ["ERR", "", "PID^1^3", "101^Required field missing^HL70357", "E", "", "", "", str(error)]


@pytest.mark.parametrize("error", [Unavailable("the log is busy"), OutOfResources("no space left")])
def test_a_log_that_cannot_be_written_asks_to_try_again(error: SightlineError) -> None:
    _, msa, err = fields(ack.reject(read_header(order()), error, _NOW))
    assert msa[1] == "AE"
    assert msa[3].endswith("; try again")
    assert "207" in err[1]


def test_what_is_not_hl7_is_answered_with_an_empty_id() -> None:
    msh, msa, err = fields(ack.reject(None, _refusal(b"GET / HTTP/1.1\r\n\r\n"), _NOW))
    assert msh[8] == "ACK"
    assert msa[:3] == ["MSA", "AR", ""]
    assert err[3] == "100^Segment sequence error^HL70357"


def test_an_id_with_control_characters_cannot_break_the_answers_frame() -> None:
    block = order().replace(b"|MSG-1|", b"|M\x1c\x00\x7f|")
    assert b"\x1c" not in ack.reject(read_header(block), _refusal(block), _NOW)


def test_another_library_reads_the_answer() -> None:
    answer = hl7.parse(ack.accept(read_header(order(5)), _NOW).decode())
    assert str(answer.segment("MSA")(2)) == "MSG-5"
