"""Orders: whose number the accession number is, what is no imaging, and what a message says of an order's status."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds.domain.identity import Identifier
from cds.domain.order import OrderStatus, merge_order
from cds.errors import InvalidMessage
from tests.unit.hl7_content import PID, READER, change, content

_NEW = "ORC|NW|P-1^HIS|F-1^RIS||||||20261101080000"


@pytest.mark.parametrize(
    ("fallback", "issuer", "orc", "obr", "wanted"),
    [
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1^RIS", "OBR|1", Identifier("F-1", "RIS")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1^^1.2.9^ISO", "OBR|1", Identifier("F-1", "1.2.9")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1", "OBR|1|P-1|F-1^RIS", Identifier("F-1", "RIS")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1", "OBR|1|P-1|F-2^RIS", Identifier("F-1", "CLINIC")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS", "OBR|1|P-1|F-1^RIS", Identifier("F-1", "RIS")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1", "OBR|1", Identifier("F-1", "CLINIC")),
        ("ORC-2", "CLINIC", "ORC|NW|P-1^HIS|F-1", "OBR|1", Identifier("P-1", "HIS")),
        ("ORC-2", "CLINIC", "ORC|NW|P-1|F-1^RIS", "OBR|1", Identifier("P-1", "CLINIC")),
        ("ORC-3", "", "ORC|NW|P-1^HIS|F-1", "OBR|1", None),
    ],
)
def test_a_number_that_names_its_issuer_keeps_it(
    fallback: str, issuer: str, orc: str, obr: str, wanted: Identifier | None
) -> None:
    reader = replace(READER, accession_fallback=fallback, accession_issuer=issuer)
    assert change(orc, obr, reader=reader).order.accession == wanted


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("ACC1^ISS", Identifier("ACC1", "ISS")),
        ("ACC1^^1.2.9^ISO", Identifier("ACC1", "1.2.9")),
        ("ACC1", Identifier("ACC1", "CLINIC")),
    ],
)
def test_the_step_of_an_exam_names_its_issuer_too(written: str, wanted: Identifier) -> None:
    assert change(_NEW, "OBR|1", f"IPC|{written}|RP1|1.2.3", kind="OMI^O23").order.accession == wanted


def test_the_issuer_is_the_one_of_the_obr_where_several_share_an_orc() -> None:
    found = content(PID, "ORC|NW|1|9^A", "OBR|1|1|11^B", "OBR|2|2|12^C", kind="ORM^O01").orders
    assert [said.order.accession for said in found] == [Identifier("9", "A"), Identifier("12", "C")]


def test_a_number_with_control_characters_is_no_orders() -> None:
    with pytest.raises(InvalidMessage, match="order number"):
        change("ORC|CA|P\\X00\\-1^HIS")
    assert change(_NEW, f"OBR|1{'|' * 17}A\\X01\\CC").order.accession == Identifier("F-1", "RIS")


@pytest.mark.parametrize("section", ["LAB", "lab", "HM", "CH", "MB", "BLB", "SP", "TX", "URN"])
def test_an_order_of_a_laboratory_is_left_out(section: str) -> None:
    said = content(PID, _NEW, f"OBR|1|||CBC^Blood count^L{'|' * 20}{section}", kind="OMG^O19")
    assert said.orders == ()
    assert said.warnings == ("an order that is no imaging order was left out",)


@pytest.mark.parametrize("section", ["", "RAD", "IMG", "CT", "CUS", "RUS", "OTH", "SR", "PF", "XYZ"])
def test_any_other_section_is_not_judged(section: str) -> None:
    assert change(_NEW, f"OBR|1|||X^x^L{'|' * 20}{section}").order.filler_order_number == Identifier("F-1", "RIS")


@pytest.mark.parametrize("line", ["IPC|ACC1|RP1|1.2.3||CT", "ZDS|1.2.3^100^Application^DICOM"])
def test_an_order_that_names_a_study_is_never_a_laboratorys(line: str) -> None:
    assert change(_NEW, f"OBR|1|||X^x^L{'|' * 20}LAB", line).order.study_instance_uid == "1.2.3"


@pytest.mark.parametrize(
    ("control", "state", "states"),
    [
        *((control, "", False) for control in ("NW", "XO", "XX", "RE", "SC", "SN", "NA", "UC", "PA")),
        ("SC", "ER", False),
        ("XO", "QQ", False),
        *((control, "", True) for control in ("CA", "DC", "OC", "CR", "HD", "OH", "RL", "OE", "OR")),
        *(("SC", state, True) for state in ("CM", "CA", "HD", "IP", "SC", "A")),
        ("XO", "CM", True),
    ],
)
def test_a_message_states_a_status_or_does_not(control: str, state: str, states: bool) -> None:
    assert change(f"ORC|{control}|P-1|||{state}", "OBR|1|P-1||X^x^L").states_status is states


@pytest.mark.parametrize("control", ["NW", "XO", "XX", "RE", "SC"])
@pytest.mark.parametrize("status", [OrderStatus.COMPLETED, OrderStatus.ON_HOLD, OrderStatus.REVOKED])
def test_what_says_nothing_of_the_status_leaves_it(status: OrderStatus, control: str) -> None:
    known = replace(change(_NEW, "OBR|1").order, status=status)
    said = change(f"ORC|{control}|P-1^HIS|F-1^RIS||||||20261101090000", "OBR|1|||X^x^L|STAT")
    after, _ = merge_order(known, said)
    assert after.status is status
    assert (after.procedure is None) is (status is OrderStatus.REVOKED)


@pytest.mark.parametrize("control", ["RL", "OE", "OR"])
def test_a_hold_is_ended_by_its_release(control: str) -> None:
    held = replace(change(_NEW, "OBR|1").order, status=OrderStatus.ON_HOLD)
    said = change(f"ORC|{control}|P-1^HIS|F-1^RIS||||||20261101090000", "OBR|1")
    assert merge_order(held, said)[0].status is OrderStatus.ACTIVE


def test_a_cancel_is_never_older_than_what_is_known() -> None:
    known = change("ORC|XO|P-1^HIS|F-1^RIS||||||20261101100000", "OBR|1").order
    after, reason = merge_order(known, change("ORC|CA|P-1^HIS|F-1^RIS||||||20261101090000"))
    assert (after.status, reason) == (OrderStatus.REVOKED, "cancelled")
    older = change("ORC|HD|P-1^HIS|F-1^RIS||||||20261101090000", "OBR|1")
    assert merge_order(known, older)[0] is known
