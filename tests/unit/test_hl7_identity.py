"""Merges, moves, links, cancels and deletions, as the reader takes them from ADT (HL7 v2.5.1 chapter 3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from adapters.hl7.check import kept, know
from adapters.hl7.header import read_header
from cds.destinations import Sender
from cds.domain.identity import Identifier, IdentityChange, IdentityEvent
from cds.errors import InvalidMessage
from tests.unit.hl7_content import PID, READER, content

ANNA, OLD = Identifier("4711", "CLINIC"), Identifier("4712", "CLINIC")
MRG = "MRG|4712^^^CLINIC^MR"


def identity(*lines: str, kind: str) -> tuple[IdentityChange, ...]:
    return content(*lines, kind=kind).identity


def number(value: str, assigner: str = "CLINIC") -> Identifier:
    return Identifier(value, assigner)


@pytest.mark.parametrize("event", ["A18", "A30", "A34", "A39", "A40", "A47"])
def test_the_prior_patient_of_a_merge_lives_on_as_the_one_in_pid(event: str) -> None:
    said = content(PID, MRG, kind=f"ADT^{event}")
    assert said.identity == (IdentityChange(IdentityEvent.MERGE, event, (ANNA,), (OLD,)),)
    assert said.patient is not None
    assert said.patient.identifiers == (ANNA,)


def test_every_pair_of_a_merge_is_a_change_of_its_own() -> None:
    said = content(PID, MRG, "PV1|1", "PID|2||9^^^CLINIC", "MRG|8^^^CLINIC~7^^^CLINIC", kind="ADT^A40")
    assert [(c.prior, c.survivor) for c in said.identity] == [
        ((OLD,), (ANNA,)),
        ((number("8"), number("7")), (number("9"),)),
    ]
    assert said.patient is None


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("ADT^A40", ("PID|1||4712^^^CLINIC", MRG)),
        ("ADT^A24", (PID.replace("4711^^^CLINIC^MR", "4711^^^CLINIC~9^^^CLINIC"), "PID|2||9^^^CLINIC")),
        ("ADT^A24", (PID, "PID|2||4711^^^CLINIC")),
        ("ADT^A37", (PID, "PID|2||4711^^^CLINIC")),
    ],
)
def test_who_is_named_twice_is_neither_merged_nor_linked(kind: str, lines: tuple[str, ...]) -> None:
    said = content(*lines, kind=kind)
    assert (said.ignored, said.identity, said.patient) == ("names the same patient twice", (), None)


def test_a_prior_number_beside_the_one_that_is_kept_is_still_merged() -> None:
    (change,) = identity("PID|1||4712^^^CLINIC", "MRG|4712^^^CLINIC~4711^^^CLINIC", kind="ADT^A40")
    assert (change.survivor, change.prior) == ((OLD,), (OLD, ANNA))


def test_a_pair_that_is_one_leaves_the_other_pairs_of_a_merge() -> None:
    said = content("PID|1||4712^^^CLINIC", MRG, "PID|2||9^^^CLINIC", "MRG|8^^^CLINIC", kind="ADT^A40")
    assert [(c.prior, c.survivor) for c in said.identity] == [((number("8"),), (number("9"),))]
    assert said.ignored == ""


def test_a_survivor_is_not_named_by_the_numbers_that_end() -> None:
    (change,) = identity("PID|1||4712^^^CLINIC~4711^^^CLINIC", MRG, kind="ADT^A40")
    assert change.survivor == (ANNA,)


def test_a_merge_of_accounts_and_patients_is_both() -> None:
    pid = f"PID|1||4711^^^CLINIC{'|' * 15}ACC2"
    merge, move = identity(pid, "MRG|4712^^^CLINIC||ACC1^^^CLINIC", kind="ADT^A36")
    assert (merge.event, move.event) == (IdentityEvent.MERGE, IdentityEvent.MOVE)
    assert (move.account, move.into_account) == (number("ACC1"), number("ACC2"))


@pytest.mark.parametrize("event", ["A35", "A41", "A49"])
def test_accounts_of_one_patient_need_no_prior_patient(event: str) -> None:
    pid = f"PID|1||4711^^^CLINIC{'|' * 15}ACC2^^^BILLING"
    (move,) = identity(pid, "MRG|||ACC1^^^BILLING", kind=f"ADT^{event}")
    assert (move.prior, move.survivor) == ((ANNA,), (ANNA,))
    assert (move.account, move.into_account) == (number("ACC1", "BILLING"), number("ACC2", "BILLING"))


def test_an_account_moves_from_one_patient_to_another() -> None:
    (move,) = identity(PID, f"{MRG}||ACC1", kind="ADT^A44")
    assert (move.event, move.prior, move.survivor) == (IdentityEvent.MOVE, (OLD,), (ANNA,))
    assert (move.account, move.visit) == (number("ACC1"), None)


def test_each_visit_of_a_move_has_the_new_number_behind_it() -> None:
    pv1 = "PV1|1|O" + "|" * 17
    moves = identity(PID, f"{MRG}||||V1", f"{pv1}V8", f"{MRG}||||V2", f"{pv1}V9", kind="ADT^A45")
    assert [(m.visit, m.into_visit) for m in moves] == [(number("V1"), number("V8")), (number("V2"), number("V9"))]


@pytest.mark.parametrize(
    ("pid", "target"),
    [
        ("PID|1||4711^^^CLINIC", ANNA),
        ("PID|1||4712^^^CLINIC~4711^^^CLINIC", ANNA),
        ("PID|1|E9^^^REGISTER|4712^^^CLINIC", Identifier("E9", "REGISTER")),
    ],
)
def test_identifiers_move_to_who_stands_beside_them(pid: str, target: Identifier) -> None:
    (move,) = identity(pid, MRG, kind="ADT^A43")
    assert (move.event, move.prior, move.survivor) == (IdentityEvent.MOVE, (OLD,), (target,))
    assert move.account is move.visit is None


@pytest.mark.parametrize(("event", "wanted"), [("A24", IdentityEvent.LINK), ("A37", IdentityEvent.UNLINK)])
def test_two_patients_are_linked_or_unlinked(event: str, wanted: IdentityEvent) -> None:
    said = content(PID, "PV1|1", "PID|2||4712^^^CLINIC", kind=f"ADT^{event}")
    assert said.identity == (IdentityChange(wanted, event, (ANNA,), (OLD,)),)
    assert said.patient is None


@pytest.mark.parametrize("event", ["A11", "A27", "A38", "A23"])
def test_a_visit_that_did_not_take_place_is_named_by_its_number(event: str) -> None:
    (change,) = identity(PID, "PV1|1|I" + "|" * 17 + "V1^^^HOSP", kind=f"ADT^{event}")
    assert change == IdentityChange(IdentityEvent.CANCEL_VISIT, event, (ANNA,), visit=number("V1", "HOSP"))


def test_a_merge_of_nobody_is_refused_by_the_reader_too() -> None:
    block = b"MSH|^~\\&|A|B|C|D|20261101||ADT^A40|1|P|2.5\rZPI|4711"
    with pytest.raises(InvalidMessage, match="prior patient in an MRG"):
        READER(kept(block, know(read_header(block)), "peer", datetime(2026, 11, 1, tzinfo=UTC)))


def test_a_deleted_record_is_more_than_the_visit_that_it_names() -> None:
    (change,) = identity(PID, "PV1|1|I" + "|" * 17 + "V1^^^HOSP", kind="ADT^A29")
    assert change.event is IdentityEvent.DELETE


@pytest.mark.parametrize("event", ["A23", "A29"])
def test_a_deleted_record_says_nothing_of_its_patient(event: str) -> None:
    said = content(PID, "PV1|1|I", kind=f"ADT^{event}")
    assert said.identity == (IdentityChange(IdentityEvent.DELETE, event, (ANNA,)),)
    assert said.patient is None


@pytest.mark.parametrize(
    ("kind", "lines", "field"),
    [
        ("ADT^A40", (PID,), "MRG"),
        ("ADT^A40", (MRG, PID), "MRG"),
        ("ADT^A40", (PID, "PID|2||9", "MRG|8"), "MRG"),
        ("ADT^A40", (PID, "MRG|"), "MRG-1"),
        ("ADT^A40", (PID, "MRG|4712^^^^SS"), "MRG-1"),
        ("ADT^A40", ("PID|1||4711^^^^SS", MRG), "PID-3"),
        ("ADT^A43", ("PID|1||4712^^^CLINIC", MRG), "PID-2"),
        ("ADT^A44", (PID, MRG), "MRG-3"),
        ("ADT^A44", (PID, "MRG|||ACC1"), "MRG-1"),
        ("ADT^A45", (PID, MRG), "MRG-5"),
        ("ADT^A24", (PID,), "two patients"),
    ],
)
def test_what_a_change_lacks_is_named(kind: str, lines: tuple[str, ...], field: str) -> None:
    with pytest.raises(InvalidMessage, match=field) as raised:
        content(*lines, kind=kind)
    assert raised.value.location


def test_orders_and_values_are_filed_under_account_and_visit() -> None:
    said = content(
        f"PID|1||4711^^^CLINIC{'|' * 15}ACC1^^^BILLING", "PV1|1|I" + "|" * 17 + "V1", "ORC|NW|1", "OBR|1",
        kind="ORM^O01",
    )  # fmt: skip
    assert (said.account, said.visit) == (number("ACC1", "BILLING"), number("V1"))


def test_a_test_merge_is_read_in_full_and_marked() -> None:
    said = content(PID, MRG, kind="ADT^A40", mode="T")
    assert said.test
    assert len(said.identity) == 1


def test_times_without_an_offset_are_read_in_the_zone_of_their_sender() -> None:
    lines = (PID, "ORC|NW|1|||||||20261101080000", "OBR|1")
    here = content(*lines, kind="ORM^O01").orders[0].order.requested_at
    abroad = replace(READER, senders={"LAB|HOSPITAL": Sender(time_zone="America/New_York"), "X|Y": Sender()})
    there = content(*lines, kind="ORM^O01", reader=abroad).orders[0].order.requested_at
    unset = replace(READER, senders={"LAB|HOSPITAL": Sender(expected_interval_s=5)})
    assert here == datetime(2026, 11, 1, 8, tzinfo=ZoneInfo("Europe/Berlin"))
    assert there == datetime(2026, 11, 1, 13, tzinfo=UTC)
    assert content(*lines, kind="ORM^O01", reader=unset).orders[0].order.requested_at == here
