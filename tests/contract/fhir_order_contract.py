"""What the store promises of orders that a FHIR server has: they find their images as those of HL7 v2 do.

Orders come with an ImagingStudy, pushed in a transaction or polled; messages of HL7 v2 go through the reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from adapters.fhir.pushed import read_bundle
from cds.bootstrap.fhir_events import news_reader
from cds.bootstrap.pushed import SOURCE
from cds.domain.fhir_news import Outcome
from cds.domain.hold import Hold, HoldKind
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import InstanceHeader, StoredInstance
from cds.domain.matching import Match, MatchState, match
from cds.domain.order import OrderStatus, Priority, ServiceRequest
from cds.domain.subscription import Notice, NoticeKind
from cds.errors import Conflict, InvalidMessage
from cds.settings import Settings
from cds.store.decisions import DecisionStore, Said
from cds.store.fhir_events import PushedStore
from cds.store.fhir_notices import NoticeQueue, add
from cds.store.holds import open_holds
from cds.store.studies import StudyStore
from cds.store.tables import OrderRow, PatientRow, StudyEventRow, TimelineRow
from cds.store.values import parse
from tests.contract.closing import ClosingStudies
from tests.contract.identity_contract import ANNA, BEA, NOW, Feed
from tests.contract.news_peer import Ehr, ehr
from tests.contract.news_site import MovingClock, Site
from tests.databases import Databases

Json = dict[str, Any]

V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
MRN, ORDERS = "https://hospital.example/mrn", "https://hospital.example/orders"
SYSTEMS = {MRN: "HOSP", ORDERS: "EHR", "https://hospital.example/placers": "OTHER"}
UID = "1.2.840.1"
HTEST: Json = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]}
#: When the messages of HL7 v2 say that they were written, in the site's zone: 08:00 in Berlin.
WRITTEN = datetime(2026, 11, 20, 7, tzinfo=UTC)
BEFORE, AFTER = (f"{WRITTEN + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (-1, 1))


def number(kind: str, value: str, system: str = "") -> Json:
    """An identifier of a type of HL7 table 0203."""
    typed = {"type": {"coding": [{"system": V2, "code": kind}]}, "value": value}
    return {**typed, "system": system} if system else typed


ACCESSION = number("ACSN", "A1")


def request(*, at: str = AFTER, **members: object) -> Json:
    """The order of a CT by the EHR, which gives it an accession number and no other."""
    return {
        "resourceType": "ServiceRequest", "id": "o1", "meta": {"lastUpdated": at}, "identifier": [ACCESSION],
        "status": "active", "intent": "order", "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2"}]},
        "authoredOn": "2026-11-20T08:00:00+01:00", **members,
    }  # fmt: skip


def patient(value: str = "P1", /, **members: object) -> Json:
    """Anna, as the EHR knows her."""
    return {
        "resourceType": "Patient", "id": "p1", "identifier": [{"system": MRN, "value": value}],
        "birthDate": "1960-03-02", "gender": "female", "name": [{"family": "Test", "given": ["Tina"]}], **members,
    }  # fmt: skip


def study(**members: object) -> Json:
    """The EHR's ImagingStudy, which names no number of the order itself."""
    return {
        "resourceType": "ImagingStudy", "id": "s1", "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{UID}"}],
        "subject": {"reference": "Patient/p1"}, "basedOn": [{"reference": "ServiceRequest/o1"}],
        "started": "2026-11-20T09:50:00Z",
        "series": [{"uid": f"{UID}.1", "modality": {"code": "CT"}, "numberOfInstances": 100}], **members,
    }  # fmt: skip


class Hospital(Feed):
    """A site to which an EHR pushes, and which may have a feed of HL7 v2 besides."""

    def __init__(self, databases: Databases) -> None:
        super().__init__(databases)
        settings = Settings(identifier_systems=SYSTEMS, accession_issuer="RIS", time_zone="Europe/Berlin")
        self.reader = news_reader(settings, SOURCE)
        self.studies = ClosingStudies(databases.app, assigning_authority="HOSP", accession_issuer="RIS")

    def push(self, *resources: Json) -> Outcome:
        """A transaction Bundle with a study; answers what became of the study."""
        self.number += 1
        entries = [{"resource": one, "request": {"method": "POST", "url": one["resourceType"]}} for one in resources]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        now = NOW + timedelta(minutes=self.number)
        (outcome,) = PushedStore(self.databases.app).take(read_bundle(self.reader, bundle, now).news, now)
        assert isinstance(outcome, Outcome)
        return outcome

    def ordered(self, **members: object) -> Outcome:
        """The EHR's order with its study."""
        return self.push(patient(), request(**members), study())

    def images(self, uid: str = UID, *, accession: str = "A1", owner: str = "P1") -> None:
        """One instance of a study, complete."""
        header = InstanceHeader(
            sop_instance_uid=f"{uid}.9",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            series_instance_uid=f"{uid}.1",
            study_instance_uid=uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality="CT",
            patient_id=owner,
            accession_number=accession,
            study_date=date(2026, 11, 20),
        )
        stored = StoredInstance(header, f"instances/{uid}.9", uid, 100)
        self.studies.add(stored, received_at=NOW, consumed=True, source="dicom")
        self.studies.close_quiet(NOW + timedelta(hours=1))

    @property
    def matched(self) -> Match:
        """What the pipeline makes of the images now."""
        return match(StudyStore.study(self.studies, UID), self.record.order_candidates("A1"))

    @property
    def orders(self) -> list[ServiceRequest]:
        """All orders, oldest first."""
        with self.databases.app.reading() as session:
            rows = session.exec(select(OrderRow).order_by(col(OrderRow.created_at))).all()
        return [parse(ServiceRequest, row.body) for row in rows]

    @property
    def order_only(self) -> ServiceRequest:
        """The only one."""
        (one,) = self.orders
        return one

    @property
    def lines(self) -> list[str]:
        """What the timeline says of orders, with its details."""
        with self.databases.app.reading() as session:
            rows = session.exec(select(TimelineRow).order_by(col(TimelineRow.id))).all()
        return [f"{row.outcome} {row.detail}" for row in rows if row.step == "order"]

    @property
    def announced(self) -> int:
        """How many events were filed."""
        with self.databases.app.reading() as session:
            return len(session.exec(select(StudyEventRow)).all())

    @property
    def people(self) -> int:
        """How many patients there are."""
        with self.databases.app.reading() as session:
            return len(session.exec(select(PatientRow)).all())

    @property
    def holds(self) -> list[Hold]:
        """What waits for a person."""
        return list(open_holds(self.databases.app))

    def decide(self, action: str) -> None:
        """A person decides about the only hold."""
        (hold,) = self.holds
        decide(self.databases, hold, action)


def decide(databases: Databases, hold: Hold, action: str) -> None:
    """A person resolves a hold."""

    def reread(_message: int) -> Any:
        raise InvalidMessage("there are no messages here")

    store = DecisionStore(databases.app, reread, lambda path: None)
    store.resolve(hold.id, Said(action, "Dr. Rufer", NOW + timedelta(hours=2)))


class FhirOrderContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def site(self, databases: Databases) -> Hospital:
        """A site that nobody has told anything yet."""
        return Hospital(databases)

    # --- an EHR that speaks FHIR alone

    def test_an_order_of_the_ehr_finds_the_images(self, site: Hospital) -> None:
        assert site.ordered(priority="stat") is Outcome.ANNOUNCED
        site.images()
        assert site.matched.state is MatchState.MATCHED
        assert site.matched.order_id == site.order_only.id
        assert site.order_only.source == "FHIR push"
        assert site.order_only.study_instance_uid == UID, "the event finds the order that it brought"
        assert site.order_only.priority is Priority.STAT
        whose = site.patient(ANNA)
        assert (whose.name, whose.birth_date, whose.sex) == (HumanName("Test", "Tina"), date(1960, 3, 2), Sex.FEMALE)
        assert site.lines == ["order received (ServiceRequest active, FHIR push) []"]

    def test_an_order_after_the_images_matches_them_again(self, site: Hospital) -> None:
        site.images()
        assert site.matched.state is MatchState.UNMATCHED
        site.ordered()
        assert site.matched.state is MatchState.MATCHED
        assert site.study(UID).match_revision == 2

    def test_twice_is_once(self, site: Hospital) -> None:
        site.ordered()
        site.images()
        revision = site.study(UID).match_revision
        assert [site.ordered(), site.ordered()] == [Outcome.KNOWN, Outcome.KNOWN]
        assert len(site.orders) == 1
        assert (site.announced, site.people, site.study(UID).match_revision) == (1, 1, revision)
        assert site.lines == [
            "order received (ServiceRequest active, FHIR push) []",
            'no change ["the message says nothing new"]',
        ]

    def test_a_later_version_of_the_study_brings_what_changed_of_the_order(self, site: Hospital) -> None:
        site.ordered()
        site.images()
        site.push(patient(), request(at="2026-11-20T12:00:00Z", priority="urgent"), study(description="Thorax"))
        assert site.order_only.priority is Priority.URGENT
        assert site.study(UID).match_revision == 2

    def test_the_accession_number_of_the_study_is_that_of_the_order(self, site: Hospital) -> None:
        uid = study()["identifier"]
        site.push(patient(), request(identifier=[]), study(identifier=[*uid, ACCESSION]))
        site.images()
        assert site.matched.state is MatchState.MATCHED

    def test_two_orders_under_one_accession_number_stay_two(self, site: Hospital) -> None:
        two = [
            request(id=f"o{n}", identifier=[ACCESSION, number("PLAC", f"PL{n}", ORDERS)], status=status)
            for n, status in ((1, "revoked"), (2, "active"))
        ]
        both = study(basedOn=[{"reference": "ServiceRequest/o1"}, {"reference": "ServiceRequest/o2"}])
        for _ in range(2):
            site.push(patient(), *two, both)
        assert sorted(order.status for order in site.orders) == [OrderStatus.ACTIVE, OrderStatus.REVOKED]
        site.images()
        assert site.matched.state is MatchState.MATCHED

    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({"status": "draft"}, "the ServiceRequest is a draft, or its status is not known"),
            ({"intent": "proposal"}, "the ServiceRequest's intent is not that of an order"),
            (
                {"identifier": [number("PLAC", "PL1", ORDERS)]},
                "neither ServiceRequest nor ImagingStudy has an accession number of an issuer known here",
            ),
            ({"subject": {"reference": "Group/1"}}, "the ServiceRequest names no Patient"),
        ],
    )
    def test_what_is_no_order_is_told_once_and_the_images_are_announced_all_the_same(
        self, site: Hospital, members: Json, reason: str
    ) -> None:
        assert site.ordered(**members) is Outcome.ANNOUNCED
        site.ordered(**members)
        assert site.orders == []
        (line,) = site.lines
        assert line.startswith(f'not taken from FHIR push ["{reason}')
        assert (site.announced, site.people, site.holds) == (1, 0, [])

    # --- cancels

    @pytest.mark.parametrize("status", ["revoked", "entered-in-error"])
    def test_a_cancel_before_the_images_closes_the_order_and_it_stays_closed(self, site: Hospital, status: str) -> None:
        site.ordered()
        site.ordered(status=status, at="2026-11-20T12:00:00Z")
        assert site.order_only.status is OrderStatus.REVOKED
        site.ordered(at="2026-11-20T13:00:00Z")
        assert site.order_only.status is OrderStatus.REVOKED
        site.images()
        assert site.matched.state is MatchState.DETACHED
        assert site.kinds() == []

    @pytest.mark.parametrize("status", ["revoked", "entered-in-error"])
    def test_a_cancel_after_the_images_detaches_them_and_a_person_is_asked(self, site: Hospital, status: str) -> None:
        site.ordered()
        site.images()
        site.ordered(status=status, at="2026-11-20T12:00:00Z")
        assert site.matched.state is MatchState.DETACHED
        assert site.kinds() == [HoldKind.ORDER_CANCELLED]
        assert site.study(UID).match_revision == 2

    # --- the same order by HL7 v2

    @pytest.mark.parametrize("numbers", [[], [number("PLAC", "E-77", "https://hospital.example/placers")]])
    def test_the_order_of_hl7_v2_and_that_of_fhir_are_one(self, site: Hospital, numbers: list[Json]) -> None:
        site.register("P1")
        site.order("P1", "A1")
        assert site.ordered(identifier=[ACCESSION, *numbers], priority="stat") is Outcome.ANNOUNCED
        assert site.order_only.priority is Priority.STAT
        assert site.order_only.placer_order_number == Identifier("PL-A1", "EHR"), "messages find the order by it"
        assert site.order("P1", "A1", "XO") == "applied"
        assert len(site.orders) == 1

    @pytest.mark.parametrize("at", [BEFORE, AFTER])
    @pytest.mark.parametrize("numbers", [[], [number("PLAC", "E-77", "https://hospital.example/placers")]])
    def test_the_order_of_fhir_and_that_of_hl7_v2_are_one(self, site: Hospital, numbers: list[Json], at: str) -> None:
        site.ordered(identifier=[ACCESSION, *numbers], at=at)
        site.order("P1", "A1")
        assert site.order_only.placer_order_number == Identifier("PL-A1", "EHR"), "however old the message is"
        site.send("ORM^O01", "PID|1||P1^^^HOSP", "ORC|CA|PL-A1^EHR", "OBR|1")
        assert site.order_only.status is OrderStatus.REVOKED, "a cancel by no other number"
        site.ordered(identifier=[ACCESSION, *numbers], at="2026-11-20T12:00:00Z")
        assert site.order_only.status is OrderStatus.REVOKED
        assert 'no change ["the order was cancelled; a later message does not revive it"]' in site.lines

    def test_the_same_placer_number_names_the_order_before_its_accession_number_is_known(self, site: Hospital) -> None:
        site.register("P1")
        site.send("ORM^O01", "PID|1||P1^^^HOSP", "ORC|NW|PL1^EHR|||||||20261120080000", "OBR|1")
        site.ordered(identifier=[ACCESSION, number("PLAC", "PL1", ORDERS)])
        assert site.order_only.accession == Identifier("A1", "RIS")

    @pytest.mark.parametrize("at", [{"at": BEFORE}, {"meta": {}, "authoredOn": None}])
    def test_an_older_or_undated_statement_changes_nothing_that_hl7_v2_said(self, site: Hospital, at: Json) -> None:
        site.register("P1")
        site.order("P1", "A1")
        before = site.order_only
        site.ordered(priority="stat", **at)
        assert site.order_only.priority is None
        assert site.order_only.changed_at == before.changed_at
        assert 'no change ["the message is older than what is known of the order"]' in site.lines

    def test_a_cancel_is_never_older(self, site: Hospital) -> None:
        site.register("P1")
        site.order("P1", "A1")
        site.ordered(status="revoked", at=BEFORE)
        assert site.order_only.status is OrderStatus.REVOKED

    def test_two_orders_of_one_placer_stay_two_whichever_wire_brings_them(self, site: Hospital) -> None:
        site.register("P1")
        site.order("P1", "A1")
        site.ordered(identifier=[ACCESSION, number("PLAC", "PL-2", ORDERS)])
        assert len(site.orders) == 2
        assert len({order.placer_order_number for order in site.orders}) == 2

    def test_where_nothing_tells_which_order_is_meant_none_is_changed(self, site: Hospital) -> None:
        site.register("P1")
        for placer in ("PL1", "PL2"):
            site.send("ORM^O01", "PID|1||P1^^^HOSP", f"ORC|NW|{placer}^EHR|||||||20261120080000", f"OBR|1{'|' * 17}A1")
        site.ordered(priority="stat")
        assert [order.priority for order in site.orders] == [None, None]
        assert "nothing tells which of them it is" in site.lines[-1]
        site.images()
        assert site.matched.state is MatchState.MATCHED

    def test_a_number_that_was_given_out_again_is_another_order(self, site: Hospital) -> None:
        site.register("P1")
        long_ago = "ORC|NW|PL1^EHR|||||||20240120080000"
        site.send("ORM^O01", "PID|1||P1^^^HOSP", long_ago, f"OBR|1{'|' * 17}A1")
        site.ordered()
        assert len(site.orders) == 2

    def test_the_order_of_somebody_else_with_the_number_is_another_one(self, site: Hospital) -> None:
        site.register("P2")
        site.order("P2", "A1")
        site.ordered()
        assert len(site.orders) == 2
        site.images()
        assert site.matched.state is MatchState.HELD

    # --- who she is

    def test_what_is_known_of_the_patient_stays(self, site: Hospital) -> None:
        site.send("ADT^A04", "PID|1||P1^^^HOSP||Known^Name||19600302|||||||||||||||||||||||N")
        site.push(patient(deceasedBoolean=True), request(), study())
        whose = site.patient(ANNA)
        assert (whose.name, whose.birth_date) == (HumanName("Known", "Name"), date(1960, 3, 2))
        assert whose.sex is Sex.FEMALE, "what was not known is filled in"
        assert whose.deceased is True, "one statement of death is enough"

    def test_a_stale_statement_does_not_bring_the_dead_back(self, site: Hospital) -> None:
        site.send("ADT^A04", "PID|1||P1^^^HOSP||T^T||19600302|F||||||||||||||||||||||Y")
        site.push(patient(deceasedBoolean=False), request(), study())
        assert site.patient(ANNA).deceased is True

    def test_registration_corrects_what_fhir_said(self, site: Hospital) -> None:
        site.ordered()
        assert site.register("P1", born="19600203") == "applied"
        assert site.patient(ANNA).birth_date == date(1960, 2, 3)

    @pytest.mark.parametrize(
        ("members", "differs"),
        [
            ({"birthDate": "1961-03-02"}, "birth date"),
            ({"gender": "male"}, "sex"),
            ({"birthDate": "1961-03-02", "gender": "male"}, "birth date and sex"),
        ],
    )
    def test_a_patient_who_contradicts_whom_we_know_is_for_a_person(
        self, site: Hospital, members: Json, differs: str
    ) -> None:
        site.register("P1")
        assert site.push(patient(**members), request(), study()) is Outcome.HELD
        assert (site.orders, site.announced) == ([], 1)
        (hold,) = site.holds
        assert hold.kind is HoldKind.NOTICE_FAILED
        assert hold.about == f"study {UID}"
        assert f"has another {differs} here" in hold.reason
        for secret in ("P1", "1961", "Tina", "A1"):
            assert secret not in f"{hold} {site.lines}"

    def test_identifiers_of_several_patients_are_for_a_person(self, site: Hospital) -> None:
        site.register("P1")
        site.register("P2")
        both = [{"system": MRN, "value": value} for value in ("P1", "P2")]
        assert site.push(patient(identifier=both), request(), study()) is Outcome.HELD
        assert site.orders == []
        assert not site.one(ANNA, BEA)

    def test_a_study_and_an_order_of_two_patients_are_for_a_person(self, site: Hospital) -> None:
        subject = {"identifier": {"system": MRN, "value": "P2"}}
        assert site.push(patient(), request(), study(subject=subject)) is Outcome.HELD
        assert (site.orders, site.announced, site.people) == ([], 1, 0)

    def test_what_was_pushed_in_doubt_is_asked_once_and_ends_when_it_comes_without(self, site: Hospital) -> None:
        site.register("P1", born="19610101")
        for _ in range(2):
            site.ordered()
        (hold,) = site.holds
        with pytest.raises(Conflict, match="its sender has to send it again"):
            site.decide("run-again")
        site.push(study())
        assert [one.id for one in site.holds] == [hold.id], "without its order it says nothing of it"
        site.register("P1")
        assert site.ordered() is Outcome.ANNOUNCED
        assert site.holds == []
        site.images()
        assert site.matched.state is MatchState.MATCHED

    def test_what_a_person_gave_up_is_asked_again_when_it_comes_again(self, site: Hospital) -> None:
        site.register("P1", born="19610101")
        site.ordered()
        site.decide("give-up")
        assert site.holds == []
        site.ordered()
        assert len(site.holds) == 1

    def test_another_number_of_the_patient_matches_her_images_again(self, site: Hospital) -> None:
        site.register("P1")
        site.order("P1", "A1")
        site.images(owner="P9")
        assert site.matched.state is MatchState.HELD
        numbers = [{"system": MRN, "value": value} for value in ("P1", "P9")]
        site.push(patient(identifier=numbers), request(at=BEFORE), study())
        assert site.matched.state is MatchState.MATCHED
        assert site.study(UID).match_revision == 2

    # --- tests

    @pytest.mark.parametrize("labelled", ["ServiceRequest", "Patient", "ImagingStudy"])
    def test_test_data_is_ordered_in_the_test_realm_alone(self, site: Hospital, labelled: str) -> None:
        sent = [patient(), request(), study()]
        site.push(*({**one, "meta": HTEST} if one["resourceType"] == labelled else one for one in sent))
        assert site.order_only.test
        assert site.record.patient(ANNA) is None
        assert site.record.patient(ANNA.in_test()) is not None
        site.images()
        found = site.matched
        assert found.state is MatchState.MATCHED
        whose: Patient = site.record.patient_by_id(found.patient_id or "")
        assert whose.test, "what is made of it never reaches a production sink"

    def test_a_test_order_leaves_that_of_production_as_it_is(self, site: Hospital) -> None:
        site.ordered()
        site.images()
        site.ordered(meta={**HTEST, "lastUpdated": "2026-11-20T12:00:00Z"}, status="revoked")
        assert sorted((order.test, order.status) for order in site.orders) == [
            (False, OrderStatus.ACTIVE),
            (True, OrderStatus.REVOKED),
        ]
        assert site.matched.state is MatchState.MATCHED
        assert site.study(UID).match_revision == 1

    # --- a server that is asked

    @pytest.fixture
    def server(self) -> Iterator[Ehr]:
        """An EHR that is polled; it has the patient and her order."""
        with ehr() as one:
            one.put(patient())
            one.put(request())
            yield one

    @pytest.fixture
    def polling(self, databases: Databases, server: Ehr, tmp_path: Path) -> Iterator[Site]:
        """A site that polls it."""
        source = {"url": server.url, "resources": ["ImagingStudy"], "timeout_s": 2}
        settings = Settings(
            data_dir=tmp_path, fhir_sources={"ehr": source}, identifier_systems=SYSTEMS, accession_issuer="RIS"
        )
        with Site(databases, server, MovingClock(), settings) as one:
            one.look()
            yield one

    def test_a_study_that_is_polled_brings_its_order(self, site: Hospital, polling: Site, server: Ehr) -> None:
        server.put(study())
        polling.look(after=60, times=3)
        assert site.order_only.source == "FHIR ehr"
        site.images()
        assert site.matched.state is MatchState.MATCHED
        assert polling.uids == [UID]
        assert polling.waiting == []
        assert server.asked("GET", "ServiceRequest/o1") == 1

    def test_each_version_of_the_study_brings_the_order_as_it_is_now(
        self, site: Hospital, polling: Site, server: Ehr
    ) -> None:
        server.put(study())
        polling.look(after=60)
        server.put(request(priority="stat"))
        polling.look(after=60)
        assert site.order_only.priority is None, "the order alone is no event"
        server.put(study(description="Thorax"))
        polling.look(after=60)
        assert site.order_only.priority is Priority.STAT

    def test_a_doubt_waits_for_a_person_who_has_it_read_again(self, site: Hospital, polling: Site, server: Ehr) -> None:
        site.register("P1", born="19610101")
        server.put(study())
        polling.look(after=60, times=3)
        assert (polling.uids, site.orders) == ([UID], [])
        (hold,) = site.holds
        assert hold.reason.startswith("ehr, ImagingStudy: ")
        decide(site.databases, hold, "run-again")
        polling.look(after=60)
        (again,) = site.holds
        assert again.id != hold.id, "it is as it was"
        site.register("P1")
        decide(site.databases, again, "run-again")
        polling.look(after=60, times=2)
        assert (len(site.orders), site.holds, polling.waiting) == (1, [], [])
        assert polling.uids == [UID, UID], "announced for itself, then for its order"

    def test_a_newer_version_ends_what_a_person_was_asked_about_the_one_before(
        self, site: Hospital, polling: Site, server: Ehr
    ) -> None:
        site.register("P1", born="19610101")
        server.put(study())
        polling.look(after=60)
        server.put(study(description="Thorax"))
        polling.look(after=60)
        assert len(site.holds) == 1
        assert len(polling.waiting) == 1
        site.register("P1")
        server.put(study(description="Thorax nativ"))
        polling.look(after=60)
        assert (len(site.orders), site.holds, polling.waiting) == (1, [], [])

    def test_a_version_in_doubt_is_asked_about_once_however_often_it_is_told(
        self, site: Hospital, polling: Site, server: Ehr
    ) -> None:
        site.register("P1", born="19610101")
        told = Notice(0, "ehr", NoticeKind.RESOURCE, "ImagingStudy", "ImagingStudy/s1")
        server.put(study())
        asked = []
        for _ in range(2):
            with site.databases.app.writing() as session:
                add(session, [told], NOW)
            polling.look(after=60, times=2)
            asked += [hold.id for hold in site.holds]
        assert len(asked) == 2
        assert len(set(asked)) == 1
        assert [notice.reference for notice in polling.waiting] == ["ImagingStudy/s1/_history/1"]

    def test_what_a_person_gave_up_stays_as_it_is(self, site: Hospital, polling: Site, server: Ehr) -> None:
        site.register("P1", born="19610101")
        server.put(study())
        polling.look(after=60)
        (hold,) = site.holds
        decide(site.databases, hold, "give-up")
        polling.look(after=60, times=3)
        assert (site.orders, site.holds, polling.waiting) == ([], [], [])
        assert NoticeQueue(site.databases.app).counts() == {}

    def test_a_server_that_gives_no_order_is_told_of_and_the_images_come(
        self, site: Hospital, polling: Site, server: Ehr
    ) -> None:
        server.put(study(basedOn=[{"reference": "ServiceRequest/none"}]))
        polling.look(after=60)
        assert polling.uids == [UID]
        assert site.lines == ['not taken from FHIR ehr ["its ServiceRequest could not be had"]']
