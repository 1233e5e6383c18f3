"""An urgent finding raises its study in a worklist, over real MLLP and HTTP, and never lowers what the RIS set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from adapters.dicom.priority import UpsPriority
from adapters.hl7.message import Message
from adapters.hl7.priority import PriorityMessage
from cds import prioritising
from cds.demo.engine import Engine
from cds.destinations import MllpDestination
from cds.domain.coding import Coding
from cds.domain.finding import Presence
from cds.domain.identity import Identifier
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.order import OrderChange, OrderStatus, Priority, ServiceRequest
from cds.domain.priority import Move, PriorityNotice, delivery_id
from cds.domain.report import DeliveryState, Mode
from cds.domain.revision import Work
from cds.domain.switch import SwitchKind
from cds.domain.verification import FinalReport, FindingRef, Verdict, Verification
from cds.errors import ConfigurationError, InvalidInput, PeerRefused
from cds.imaging_peers import DicomwebServer, PriorityDestination
from cds.store.deliveries import DeliveryStore
from cds.store.priorities import PriorityStore
from cds.store.tables import TimelineRow
from tests.contract.critical_site import BLEED, NOW, ORDER, PATIENT, CriticalSite, Said
from tests.contract.criticals_contract import emptied
from tests.contract.dicomweb_peer import Reply, Request, serving
from tests.contract.store_contract import raw
from tests.databases import Databases, fresh

STUDY = "1.2"
HEAD_CT = Coding("http://loinc.org", "24725-4", "CT Head")


@dataclass
class Reported(Said):
    """What radiologists said; the report is there or not."""

    report: FinalReport | None = None

    def final_report(
        self, accession: Identifier, patient_id: str, *, made: datetime | date | None = None
    ) -> FinalReport | None:
        return self.report


class PrioritySite(CriticalSite):
    """A site with one worklist, and what its RIS says of the order."""

    def __init__(self, databases: Databases, **changes: Any) -> None:
        super().__init__(databases, critical_routes={}, critical_route="")
        self.deliveries = DeliveryStore(databases.app)
        self.priorities = PriorityStore(databases.app)
        self.opinions: Reported = Reported()
        self.raisers = {"ris": message(**changes)}

    def says(self, priority: Priority | None, number: str = "A1", **changes: Any) -> Match:
        """The RIS states its order, a priority with it or none; images with that number match it."""
        self._messages += 1
        placer = Identifier(f"PL-{number}", "EHR")
        stated = replace(
            ORDER, placer_order_number=placer, filler_order_number=Identifier(f"F-{number}", "RIS"),
            accession=Identifier(number, "RIS"), priority=priority, procedure=HEAD_CT, changed_at=self.clock.now(),
            **changes,
        )  # fmt: skip
        change = OrderChange(stated, "CA" if stated.status is OrderStatus.REVOKED else "XO")
        content = MessageContent(PATIENT, orders=(change,))
        self.record.apply([(LoggedMessage(self._messages, raw(str(self._messages))), content)], self.clock.now())
        [(order, owner)] = self.record.order_candidates(number)
        return Match(MatchState.MATCHED, ("accession number and issuer agree",), order.id, owner.id)

    def told(self, work: Work) -> list[Message]:
        """The messages that a work leads to, in their order."""
        ids = prioritising.prioritise(self, work.id)
        assert prioritising.prioritise(self, work.id) == []  # repeated, it changes nothing
        return [Message(self.deliveries.delivery(one).payload) for one in ids]

    def detail(self) -> list[str]:
        """What the timeline says of it."""
        with self.databases.app.reading() as session:
            rows = session.exec(select(TimelineRow).where(TimelineRow.step == "prioritise")).all()
            return [line for row in rows for line in json.loads(row.detail)]


def message(kind: str = "ORM^O01", port: int = 1, **changes: Any) -> PriorityMessage:
    hl7 = MllpDestination(host="127.0.0.1", port=port, application="RIS", facility="HOSP")
    to = PriorityDestination(**{"message": kind, "hl7": hl7, **changes})
    return PriorityMessage("ris", to, facility="SITE", time_zone="Europe/Berlin")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with fresh(tmp_path_factory.mktemp("priority")) as databases:
        yield databases


@pytest.fixture
def site(tables: Databases) -> PrioritySite:
    return PrioritySite(emptied(tables))


def rejected() -> tuple[Verification, ...]:
    ref = FindingRef(STUDY, 1, "ct_head", "1.0", "bleed")
    return (Verification(ref, Verdict.REJECTED, "dr-1", "radiologist", NOW),)


def final() -> FinalReport:
    return FinalReport("f1", Identifier("A1", "RIS"), "patient", "no bleeding", NOW, NOW)


class TestWhenItIsRaised:
    """SAFETY sections 3 and 6."""

    def test_a_critical_finding_raises_the_order_of_its_exam_once(self, site: PrioritySite) -> None:
        work = site.work(match=site.says(Priority.ROUTINE))
        [sent] = site.told(work)
        assert (sent.first("ORC").text(1), sent.first("OBR").text(27, 6)) == ("XO", "S")
        assert (sent.first("ORC").text(2), sent.first("ORC").text(3)) == ("PL-A1", "F-A1")
        assert sent.first("OBR").text(18) == "A1"
        assert site.told(site.again(match=site.says(Priority.ROUTINE))) == []

    def test_an_order_without_a_priority_is_raised(self, site: PrioritySite) -> None:
        assert len(site.told(site.work(match=site.says(None)))) == 1

    def test_an_order_that_is_stat_already_is_left_as_it_is(self, site: PrioritySite) -> None:
        assert site.told(site.work(match=site.says(Priority.STAT))) == []
        assert site.detail() == ["ris: the RIS has it as urgent already"]

    @pytest.mark.parametrize(("urgent", "raised"), [("A", 0), ("U", 0), ("S", 1), ("1", 1)])
    def test_a_worklist_whose_urgent_is_less_than_the_order_never_lowers_it(
        self, tables: Databases, urgent: str, raised: int
    ) -> None:
        site = PrioritySite(emptied(tables), urgent=urgent)
        assert len(site.told(site.work(match=site.says(Priority.ASAP)))) == raised

    @pytest.mark.parametrize("state", [MatchState.UNMATCHED, MatchState.DETACHED, MatchState.HELD])
    def test_images_that_belong_to_no_order_raise_nothing(self, site: PrioritySite, state: MatchState) -> None:
        found = site.says(Priority.ROUTINE)
        assert site.told(site.work(match=replace(found, state=state))) == []

    def test_a_negative_raises_nothing(self, site: PrioritySite) -> None:
        absent = replace(BLEED, presence=Presence.NOT_DETECTED)
        assert site.told(site.work(absent, match=site.says(Priority.ROUTINE))) == []

    @pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
    def test_a_model_that_is_not_advisory_raises_nothing(self, site: PrioritySite, mode: Mode) -> None:
        site.settings = site.settings.model_copy(update={"model_modes": {"ct_head": mode}})
        assert site.told(site.work(match=site.says(Priority.ROUTINE))) == []

    def test_a_model_that_is_switched_off_raises_nothing(self, site: PrioritySite) -> None:
        site.switches.names.add((SwitchKind.MODEL, "ct_head"))
        assert site.told(site.work(match=site.says(Priority.ROUTINE))) == []

    def test_old_images_are_not_urgent_as_new(self, site: PrioritySite) -> None:
        assert site.told(site.work(match=site.says(Priority.ROUTINE), made=NOW - timedelta(hours=5))) == []

    def test_a_study_that_is_reported_already_raises_nothing(self, site: PrioritySite) -> None:
        site.opinions.report = final()
        assert site.told(site.work(match=site.says(Priority.ROUTINE))) == []

    def test_a_test_order_goes_to_no_production_worklist_and_a_real_one_to_no_test_one(self, tables: Databases) -> None:
        for test, processing in ((True, "P"), (False, "T")):
            site = PrioritySite(emptied(tables), processing=processing)
            assert site.told(site.work(match=site.says(Priority.ROUTINE, test=test))) == []
        site = PrioritySite(emptied(tables), processing="T")
        [sent] = site.told(site.work(match=site.says(Priority.ROUTINE, test=True)))
        assert sent.first("MSH").text(11) == "T"

    def test_a_site_without_a_worklist_is_told_nothing(self, site: PrioritySite) -> None:
        site.raisers = {}
        assert site.told(site.work(match=site.says(Priority.ROUTINE))) == []
        assert site.detail() == []

    def test_an_order_that_nothing_names_is_said_and_holds_nothing_up(self, site: PrioritySite) -> None:
        found = site.says(Priority.ROUTINE)
        work = site.work(match=found)
        stored = site.record.order(str(found.order_id))
        nameless = replace(stored, placer_order_number=None, filler_order_number=None)
        with pytest.raises(InvalidInput, match="placer or filler"):
            message().encode(notice(order=nameless), "d1")
        assert len(site.told(work)) == 1


class TestWhenItEnds:
    """The worklist gets the order's own priority back."""

    def raised(self, site: PrioritySite, own: Priority | None = Priority.URGENT) -> Match:
        found = site.says(own)
        assert len(site.told(site.work(match=found))) == 1
        return found

    def test_the_radiologists_report_ends_it(self, site: PrioritySite) -> None:
        found = self.raised(site)
        site.opinions.report = final()
        [sent] = site.told(site.again(match=found))
        assert (sent.first("ORC").text(1), sent.first("OBR").text(27, 6)) == ("XO", "U")
        assert site.detail()[-1] == "ris: ended: the radiologist's report is there"

    def test_the_rejection_of_the_finding_ends_it(self, site: PrioritySite) -> None:
        found = self.raised(site)
        site.opinions.given = rejected()
        [sent] = site.told(site.again(match=found))
        assert sent.first("OBR").text(27, 6) == "U"
        assert site.told(site.again(match=found)) == []

    def test_an_order_that_had_no_priority_is_routine_again(self, site: PrioritySite) -> None:
        found = self.raised(site, own=None)
        site.opinions.given = rejected()
        assert [sent.first("OBR").text(27, 6) for sent in site.told(site.again(match=found))] == ["R"]

    def test_our_own_raise_that_comes_back_from_the_ris_is_ended_all_the_same(self, site: PrioritySite) -> None:
        self.raised(site, own=Priority.ROUTINE)
        site.opinions.given = rejected()
        echo = site.says(Priority.STAT)
        assert [sent.first("OBR").text(27, 6) for sent in site.told(site.again(match=echo))] == ["R"]

    def test_a_priority_that_the_ris_set_since_stands(self, site: PrioritySite) -> None:
        self.raised(site, own=Priority.ROUTINE)
        site.opinions.given = rejected()
        assert site.told(site.again(match=site.says(Priority.ASAP))) == []
        assert "the RIS has set a priority of its own since" in site.detail()[-1]

    def test_images_of_another_order_end_it_there_and_raise_it_here(self, site: PrioritySite) -> None:
        self.raised(site)
        ended, raised = site.told(site.again(match=site.says(Priority.ROUTINE, number="A2")))
        assert (ended.first("OBR").text(18), ended.first("OBR").text(27, 6)) == ("A1", "U")
        assert (raised.first("OBR").text(18), raised.first("OBR").text(27, 6)) == ("A2", "S")

    def test_images_of_nobody_end_it(self, site: PrioritySite) -> None:
        self.raised(site)
        [ended] = site.told(site.again(match=Match(MatchState.HELD, ("the sex contradicts",))))
        assert ended.first("OBR").text(27, 6) == "U"

    def test_a_cancelled_order_is_told_nothing_more(self, site: PrioritySite) -> None:
        self.raised(site)
        gone = replace(site.says(None, status=OrderStatus.REVOKED), state=MatchState.DETACHED)
        assert site.told(site.again(match=gone)) == []

    def test_a_finding_that_comes_again_raises_it_again(self, site: PrioritySite) -> None:
        found = self.raised(site)
        site.opinions.given = rejected()
        assert len(site.told(site.again(match=found))) == 1
        site.opinions.given = ()
        assert [sent.first("OBR").text(27, 6) for sent in site.told(site.again(match=found))] == ["S"]


class TestWhatWaits:
    """A message that could not be sent at once does not undo what the RIS set meanwhile."""

    def test_a_raise_that_waits_is_overtaken_by_the_ris(self, site: PrioritySite) -> None:
        site.told(site.work(match=site.says(Priority.ROUTINE)))
        waiting = site.deliveries.delivery(delivery_id("ris", STUDY, 1))
        assert prioritising.overtaken(site, waiting) == ""
        site.says(Priority.STAT)
        assert prioritising.overtaken(site, waiting) == "the RIS made it as urgent meanwhile"

    def test_a_raise_that_may_have_arrived_goes_on_so_that_it_can_be_ended(self, site: PrioritySite) -> None:
        site.told(site.work(match=site.says(Priority.ROUTINE)))
        named = delivery_id("ris", STUDY, 1)
        assert site.deliveries.begin(named, NOW)
        site.says(Priority.STAT)
        assert prioritising.overtaken(site, site.deliveries.delivery(named)) == ""

    def test_an_end_that_waits_is_overtaken_by_the_ris(self, site: PrioritySite) -> None:
        found = site.says(Priority.ROUTINE)
        site.told(site.work(match=found))
        site.opinions.given = rejected()
        site.told(site.again(match=found))
        waiting = site.deliveries.delivery(delivery_id("ris", STUDY, 2))
        assert prioritising.overtaken(site, waiting) == ""
        site.says(Priority.ASAP)
        assert "of its own since" in prioritising.overtaken(site, waiting)

    def test_a_raise_that_never_left_is_not_ended(self, site: PrioritySite) -> None:
        found = site.says(Priority.ROUTINE)
        site.told(site.work(match=found))
        site.deliveries.withheld(delivery_id("ris", STUDY, 1), "overtaken", NOW)
        site.opinions.given = rejected()
        assert site.told(site.again(match=found)) == []

    def test_what_was_told_is_known_with_its_order_and_its_priority(self, site: PrioritySite) -> None:
        found = site.says(Priority.URGENT)
        site.told(site.work(match=found))
        told = site.priorities.told(STUDY, "ris")
        assert told is not None
        assert (told.move, told.order_id, told.own) == (Move.RAISE, found.order_id, Priority.URGENT)
        assert told.state is DeliveryState.PENDING


def notice(order: ServiceRequest | None = None, **changes: Any) -> PriorityNotice:
    from tests.contract.critical_notices import NOTICE

    given = order or replace(
        ORDER, id="order-1", filler_order_number=Identifier("F1", "RIS"), procedure=HEAD_CT, priority=Priority.ROUTINE
    )
    return PriorityNotice(**{"move": Move.RAISE, "study": NOTICE.study, "patient": PATIENT, "order": given,
                             "sent_at": NOW, **changes})  # fmt: skip


class TestTheMessages:
    """What each of them says, read back."""

    def test_orm_asks_for_a_change_and_claims_nothing_else(self) -> None:
        read = Message(message().encode(notice(), "d1"))
        assert [read.first("MSH").text(9, n) for n in (1, 2, 3)] == ["ORM", "O01", "ORM_O01"]
        assert (read.first("ORC").text(1), read.first("ORC").text(5)) == ("XO", "")
        assert (read.first("OBR").text(4), read.first("OBR").text(25)) == ("24725-4", "")
        assert read.first("PID").text(3) == "P1"
        assert not read.all("OBX")

    def test_omi_names_the_study_and_may_have_it_in_tq1(self) -> None:
        read = Message(message("OMI^O23", field="TQ1-9", urgent="STAT").encode(notice(), "d1"))
        assert read.first("TQ1").text(9) == "STAT"
        assert read.first("OBR").text(27, 6) == ""
        assert read.first("IPC").text(3) == notice().study.study_instance_uid
        assert read.first("IPC").text(1) == "A1"

    def test_oru_is_a_preliminary_observation_of_our_own_with_the_exam_as_parent(self) -> None:
        read = Message(message("ORU^R01").encode(notice(), "d1"))
        obr = read.first("OBR")
        assert not read.all("ORC")
        assert (obr.text(2), obr.text(25), obr.text(27, 6), obr.text(18)) == ("", "P", "S", "A1")
        assert obr.text(3).startswith("SL-")
        assert (read.first("OBX").text(5), read.first("OBX").text(11)) == ("S", "P")

    def test_a_field_of_a_segment_of_the_sites_own_comes_last(self) -> None:
        read = Message(message(field="ZPR-2.3", urgent="HOT").encode(notice(), "d1"))
        assert read.first("ZPR").text(2, 3) == "HOT"

    @pytest.mark.parametrize("priority", list(Priority))
    def test_the_end_has_the_letter_of_table_0485(self, priority: Priority) -> None:
        read = Message(message().encode(notice(move=Move.END, priority=priority), "d1"))
        assert read.first("OBR").text(27, 6) == {"stat": "S", "asap": "A", "urgent": "U", "routine": "R"}[priority]
        assert "does not ask any more" in read.first("NTE").text(3)

    @pytest.mark.parametrize(
        ("kind", "where"),
        [("ORM^O01", "OBR-2"), ("ORM^O01", "ORC-1"), ("ORM^O01", "PID-3"), ("ORM^O01", "TQ1-9"), ("ORU^R01", "ORC-7.6"),
         ("ORU^R01", "ZPR-1"), ("OMI^O23", "ORC-5"), ("OMI^O23", "MSH-11")],
    )  # fmt: skip
    def test_a_field_that_says_something_else_is_a_mistake_of_the_settings(self, kind: str, where: str) -> None:
        with pytest.raises(ConfigurationError):
            message(kind, field=where)

    def test_the_same_delivery_is_the_same_bytes_and_a_value_ends_no_field(self) -> None:
        assert message().encode(notice(), "d1") == message().encode(notice(), "d1")
        read = Message(message(urgent="S|X^Y\rEVN").encode(notice(), "d1"))
        assert read.first("OBR").text(27, 6).startswith("S|X^Y")
        assert not read.all("EVN")


class TestTheWires:
    """To real peers."""

    def test_a_raise_arrives_over_mllp(self) -> None:
        with Engine() as engine:
            to = message(port=engine.port)
            assert to.send(to.encode(notice(), "d1")).startswith("AA for message ")
            block = engine.wait(5)
        assert block is not None
        assert Message(block).first("OBR").text(27, 6) == "S"

    def test_a_workitem_becomes_high_over_http(self) -> None:
        worklist = Worklist(notice().study.study_instance_uid)
        with serving(worklist) as peer:
            to = ups(peer.server)
            said = to.send(to.encode(notice(), "d1"))
        assert said.startswith("HIGH set for 1 of 1 scheduled workitems, 0 had it; before: ")
        assert worklist.changes == [[{"00741200": {"vr": "CS", "Value": ["HIGH"]}}]]

    def test_a_worklist_without_the_study_is_for_a_person(self) -> None:
        with serving(Worklist("9.9")) as peer, pytest.raises(PeerRefused, match="no scheduled workitem"):
            ups(peer.server).send(ups(peer.server).encode(notice(), "d1"))

    def test_a_ups_worklist_has_its_own_priority_again_when_the_raise_ends(self, site: PrioritySite) -> None:
        worklist = Worklist(STUDY)
        with serving(worklist) as peer:
            to = ups(peer.server)
            site.raisers = {"ris": to}
            found = site.says(Priority.ROUTINE)
            [raised] = prioritising.prioritise(site, site.work(match=found).id)
            site.deliveries.sent(raised, to.send(site.deliveries.delivery(raised).payload), NOW)
            assert worklist.priority == "HIGH"
            site.opinions.given = rejected()
            [ended] = prioritising.prioritise(site, site.again(match=found).id)
            to.send(site.deliveries.delivery(ended).payload)
        assert worklist.priority == "MEDIUM"

    def test_a_ups_worklist_that_never_said_what_it_raised_keeps_it(self, site: PrioritySite) -> None:
        with serving(Worklist(STUDY)) as peer:
            site.raisers = {"ris": ups(peer.server)}
        found = site.says(Priority.ROUTINE)
        prioritising.prioritise(site, site.work(match=found).id)
        site.opinions.given = rejected()
        assert prioritising.prioritise(site, site.again(match=found).id) == []
        assert "they keep it until the exam is read" in site.detail()[-1]


def ups(server: DicomwebServer) -> UpsPriority:
    return UpsPriority("ris", PriorityDestination(message="UPS-RS", dicomweb=server))


@dataclass
class Worklist:
    """One scheduled workitem of a study."""

    study: str
    changes: list[Any] = field(default_factory=list)

    @property
    def priority(self) -> str:
        """What the workitem has now."""
        return str(self.changes[-1][0]["00741200"]["Value"][0]) if self.changes else "MEDIUM"

    def __call__(self, request: Request) -> Reply:
        if request.method == "GET":
            reference = {"0020000D": {"vr": "UI", "Value": [self.study]}}
            item = {
                "00080018": {"vr": "UI", "Value": ["1.4"]},
                "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
                "00741200": {"vr": "CS", "Value": [self.priority]},
                "0040A370": {"vr": "SQ", "Value": [reference]},
            }
            return Reply(body=json.dumps([item]).encode())
        self.changes.append(json.loads(request.body))
        return Reply(200)
