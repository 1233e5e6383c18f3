"""What a series of order messages makes of an order: read by the edge and applied to a real record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds.domain.hold import HoldKind
from cds.domain.message import LoggedMessage
from cds.domain.order import ServiceRequest
from cds.store.orders import order_of
from cds.store.record import RecordStore
from cds.store.tables import HoldRow, MessageOutcomeRow, OrderRow
from tests.databases import Databases, fresh

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
READER = Reader("CLINIC", "CLINIC", "ORC-3", "Europe/Berlin")


class Feed:
    """A sender of orders for one patient, a minute apart, and the record that they are applied to."""

    def __init__(self, databases: Databases, read: Reader = READER) -> None:
        self.databases = databases
        self._read = read
        self._record = RecordStore(databases.app)
        self._sent = 0

    def send(self, *lines: str, kind: str = "ORM^O01") -> None:
        """One message, applied."""
        self._sent += 1
        at = NOW + timedelta(minutes=self._sent)
        header = f"MSH|^~\\&|RIS|CLINIC|S|S|{at:%Y%m%d%H%M%S}+0000||{kind}|M{self._sent}|P|2.5.1"
        pid = "PID|1||4711^^^CLINIC^MR||Probe^Petra||19610203|F"
        message = check("\r".join([header, pid, *lines]).encode(), "peer", at)
        self._record.apply([(LoggedMessage(self._sent, message), self._read(message))], at)

    @property
    def orders(self) -> dict[str, ServiceRequest]:
        """The stored orders by their number: the placer's, else the filler's."""
        with self.databases.app.reading() as session:
            orders = [order_of(row) for row in session.exec(select(OrderRow).order_by(col(OrderRow.created_at)))]
        numbers = [order.placer_order_number or order.filler_order_number for order in orders]
        assert len(set(numbers)) == len(numbers)
        return {number.value if number else "": order for number, order in zip(numbers, orders, strict=True)}

    def state(self, number: str = "P-1") -> str:
        """The status of an order."""
        return self.orders[number].status.value

    def asked(self) -> int:
        """How often a person is asked about images of a cancelled order."""
        with self.databases.app.reading() as session:
            found = session.exec(select(HoldRow).where(HoldRow.kind == HoldKind.ORDER_CANCELLED.value)).all()
            assert all(row.state == "applied" for row in session.exec(select(MessageOutcomeRow)))
        return len(found)


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    """An empty record."""
    with fresh(tmp_path) as databases:
        yield Feed(databases)


@pytest.mark.parametrize("control", ["CA", "DC", "OC", "OD", "CR", "DR"])
def test_a_cancelled_order_is_not_revived(feed: Feed, control: str) -> None:
    feed.send("ORC|NW|P-1^HIS|F-1^RIS", "OBR|1|||CTCH^CT chest^L")
    feed.send(f"ORC|{control}|P-1^HIS|F-1^RIS")
    feed.send("ORC|NW|P-1^HIS|F-1^RIS", "OBR|1|||CTCH^CT chest^L")
    feed.send("ORC|SC|P-1^HIS|F-1^RIS||IP")
    assert (list(feed.orders), feed.state()) == (["P-1"], "revoked")


@pytest.mark.parametrize("control", ["CA", "OC"])
def test_a_cancel_before_its_order_closes_it(feed: Feed, control: str) -> None:
    feed.send(f"ORC|{control}|P-1^HIS")
    feed.send("ORC|NW|P-1^HIS", "OBR|1|||CTCH^CT chest^L")
    assert (list(feed.orders), feed.state()) == (["P-1"], "revoked")


@pytest.mark.parametrize(("hold", "release"), [("HD", "RL"), ("OH", "OE"), ("HR", "OR"), ("HD", "SC")])
def test_a_hold_is_released(feed: Feed, hold: str, release: str) -> None:
    feed.send("ORC|NW|P-1^HIS", "OBR|1|||CTCH^CT chest^L")
    feed.send(f"ORC|{hold}|P-1^HIS")
    feed.send("ORC|XO|P-1^HIS", "OBR|1||||S")
    assert feed.state() == "on-hold"
    feed.send(f"ORC|{release}|P-1^HIS{'|||SC' if release == 'SC' else ''}")
    assert (feed.state(), feed.orders["P-1"].priority) == ("active", "stat")


def test_a_status_goes_its_way_and_a_notification_changes_none(feed: Feed) -> None:
    feed.send("ORC|NW|P-1^HIS", "OBR|1|||CTCH^CT chest^L")
    for orc, wanted in (("SC|P-1^HIS|||IP", "active"), ("SC|P-1^HIS|||CM", "completed"), ("OP|P-1^HIS", "completed")):
        feed.send(f"ORC|{orc}")
        assert feed.state() == wanted


def test_numbers_that_are_assigned_later_are_those_of_the_same_order(feed: Feed) -> None:
    feed.send("ORC|NW|P-1^HIS", "OBR|1|||CTCH^CT chest^L")
    feed.send("ORC|NA|P-1^HIS|F-1^RIS")
    feed.send("ORC|SN||F-2^RIS", "OBR|1|||MRHD^MR head^L")
    feed.send("ORC|NA|P-2^HIS|F-2^RIS")
    found = {placer: (order.accession and order.accession.value) for placer, order in feed.orders.items()}
    assert found == {"P-1": "F-1", "P-2": "F-2"}


def test_a_replacement_ends_the_old_order_and_is_a_new_one(feed: Feed) -> None:
    feed.send("ORC|NW|P-1^HIS|F-1^RIS", "OBR|1|||OLD")
    feed.send("ORC|RP|P-1^HIS|F-1^RIS", "OBR|1|||OLD", "ORC|RO|P-2^HIS|F-2^RIS", "OBR|2|||NEW")
    assert {number: order.status.value for number, order in feed.orders.items()} == {"P-1": "revoked", "P-2": "active"}


def test_a_replacement_under_the_same_numbers_goes_on_as_the_same_order(feed: Feed) -> None:
    feed.send("ORC|NW|P-1^HIS|F-1^RIS", "OBR|1|||OLD")
    feed.send("ORC|RU|P-1^HIS|F-1^RIS", "OBR|1|||OLD", "ORC|RO|P-1^HIS|F-1^RIS", "OBR|2|||NEW")
    procedure = feed.orders["P-1"].procedure
    assert (feed.state(), procedure and procedure.code, feed.asked()) == ("active", "NEW", 0)


def test_children_are_orders_of_their_own_and_their_parent_stays_as_it_was(feed: Feed) -> None:
    feed.send("ORC|NW|P-1^HIS", "OBR|1|||XR")
    feed.send("ORC|PA|P-1^HIS", "ORC|CH|P-2^HIS|F-2^RIS", "OBR|1|||XR", "ORC|CH|P-3^HIS|F-3^RIS", "OBR|2|||XR")
    assert {number: order.status.value for number, order in feed.orders.items()} == {
        "P-1": "active",
        "P-2": "active",
        "P-3": "active",
    }


def test_an_answer_that_refuses_leaves_no_order_behind(feed: Feed) -> None:
    feed.send("ORC|UC|P-9^HIS")
    feed.send("ORC|SC|P-8^HIS|||ER")
    feed.send("ORC|SS|P-7^HIS")
    assert feed.orders == {}


def test_a_status_of_an_unknown_order_is_its_first_word(feed: Feed) -> None:
    feed.send("ORC|SC|P-1^HIS|F-1^RIS||IP", "OBR|1|||CTCH^CT chest^L")
    feed.send("ORC|NW|P-1^HIS|F-1^RIS", f"OBR|1|||CTCH^CT chest^L{'|' * 9}cough")
    assert (list(feed.orders), feed.orders["P-1"].clinical_information) == (["P-1"], "cough")


def test_steps_with_accession_numbers_of_their_own_are_cancelled_together_or_apart(feed: Feed) -> None:
    steps = ("IPC|A-1|RP1|1.2.3|S1|CT", "IPC|A-2|RP2|1.2.4|S2|MR")
    feed.send("ORC|NW|P-1^HIS", "OBR|1|||X^x^L", *steps, kind="OMI^O23")
    feed.send("ORC|CA|P-1^HIS", "OBR|1|||X^x^L", steps[1], kind="OMI^O23")

    def states() -> dict[str, str]:
        with feed.databases.app.reading() as session:
            return {row.accession_number or "": row.status for row in session.exec(select(OrderRow))}

    assert states() == {"A-1": "active", "A-2": "revoked"}
    feed.send("ORC|CA|P-1^HIS", "OBR|1|||X^x^L", kind="OMI^O23")
    assert states() == {"A-1": "revoked", "A-2": "revoked"}


def studies(feed: Feed) -> list[str | None]:
    """The studies of the stored orders."""
    with feed.databases.app.reading() as session:
        return sorted(str(order_of(row).study_instance_uid) for row in session.exec(select(OrderRow)))


def test_two_exams_under_the_same_numbers_are_two_and_stay_apart(feed: Feed) -> None:
    steps = ("IPC|A1^CLINIC||1.2.3.1||CT", "IPC|A1^CLINIC||1.2.3.2||CT")
    group = ("ORC|NW|P-1^HIS|F-1^RIS", "OBR|1|P-1^HIS|F-1^RIS|CT^CT^L")
    for _ in range(2):
        feed.send(*group, *steps, kind="OMI^O23^OMI_O23")
        assert studies(feed) == ["1.2.3.1", "1.2.3.2"]


def test_one_exam_that_gets_another_study_is_corrected(feed: Feed) -> None:
    for uid in ("1.2.3.1", "1.2.3.9"):
        feed.send(
            "ORC|XO|P-1^HIS|F-1^RIS", "OBR|1|P-1^HIS|F-1^RIS|CT^CT^L", f"IPC|A1^CLINIC||{uid}||CT", kind="OMI^O23"
        )
    assert studies(feed) == ["1.2.3.9"]


@pytest.mark.parametrize("cancel", [("ORC|CA|P-1^HIS|F-1^RIS",), ("ORC|CA|P-1^HIS|F-1^RIS", "OBR|1|||CT")])
def test_a_cancel_need_not_repeat_the_accession_number(feed: Feed, cancel: tuple[str, ...]) -> None:
    feed.send("ORC|NW|P-1^HIS|F-1^RIS", f"OBR|1|||CT{'|' * 14}ACC1")
    feed.send("ORC|XO|P-1^HIS|F-1^RIS", "OBR|1|||MR")
    accession, procedure = feed.orders["P-1"].accession, feed.orders["P-1"].procedure
    assert (accession and accession.value, procedure and procedure.code) == ("ACC1", "MR")
    feed.send(*cancel)
    assert feed.state() == "revoked"


def test_two_exams_of_one_placer_without_accession_numbers_are_two(tmp_path: Path) -> None:
    feed = Feed(fresh(tmp_path), Reader("CLINIC", "CLINIC", "none", "Europe/Berlin"))
    for filler in ("F-1", "F-2", "F-1"):
        feed.send(f"ORC|NW|P-1^HIS|{filler}^RIS", "OBR|1|||CT")
    with feed.databases.app.reading() as session:
        orders = [order_of(row) for row in session.exec(select(OrderRow))]
    assert sorted(o.filler_order_number.value for o in orders if o.filler_order_number) == ["F-1", "F-2"]


def test_a_cancel_ends_the_exam_whose_filler_number_it_names_and_no_other(tmp_path: Path) -> None:
    feed = Feed(fresh(tmp_path), Reader("CLINIC", "CLINIC", "none", "Europe/Berlin"))
    for number in ("1", "2"):
        feed.send(f"ORC|NW|P-1^HIS|F-{number}^RIS", f"OBR|1|||CT{'|' * 14}ACC{number}")
    feed.send("ORC|CA|P-1^HIS|F-2^RIS")
    with feed.databases.app.reading() as session:
        orders = [order_of(row) for row in session.exec(select(OrderRow))]
    ended = {o.filler_order_number.value: o.status.value for o in orders if o.filler_order_number}
    assert ended == {"F-1": "active", "F-2": "revoked"}
