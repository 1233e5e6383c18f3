"""What each ADT event that the edge promises does to the store, with real messages through the reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.domain.identity import Identifier
from cds.store.identity_undo import history
from tests.contract.identity_contract import ANNA, BEA, Feed, pid
from tests.databases import Databases

REGISTRATIONS = ("A01", "A03", "A04", "A05", "A08", "A28", "A31")
MERGES = ("A18", "A30", "A34", "A36", "A40", "A47")
VISIT = f"PV1|1|O{'|' * 17}V1"


class AdtContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def feed(self, databases: Databases) -> Feed:
        """Nobody is known yet."""
        return Feed(databases)

    @pytest.fixture
    def two(self, feed: Feed) -> Feed:
        """Anna (P1) has an order, Bea (P2) is known."""
        feed.register("P1")
        feed.register("P2")
        feed.order("P1", "A1", account="ACC1", visit="V1")
        return feed

    @pytest.mark.parametrize("event", REGISTRATIONS)
    def test_a_registration_makes_a_patient_and_corrects_one(self, feed: Feed, event: str) -> None:
        assert feed.register("P1", born="19600302", event=event) == "applied"
        assert feed.register("P1", born="19610203", event=event) == "applied"
        patient = feed.patient(ANNA)
        assert (patient.name.family, patient.birth_date and patient.birth_date.year) == ("Test", 1961)

    @pytest.mark.parametrize("event", REGISTRATIONS)
    def test_a_registration_brings_diagnoses_allergies_and_vital_signs(self, feed: Feed, event: str) -> None:
        feed.send(
            f"ADT^{event}", pid("P1"), "PV1|1|O", "OBX|1|NM|29463-7^Body weight^LN||80|kg|||||F",
            "AL1|1|DA|109218004^Iohexol^SCT|SV|HIVES", "DG1|1||J44.9^COPD^I10|||F",
        )  # fmt: skip
        said = feed.record.statements(feed.patient(ANNA)).statements
        assert sorted(one.value.category for one in said) == ["allergy", "condition", "observation"]

    @pytest.mark.parametrize("death", ["20261119|Y", "20261119|", "|Y"])
    def test_a_discharge_with_a_death_says_that_the_patient_is_dead(self, feed: Feed, death: str) -> None:
        feed.register("P1")
        assert feed.patient(ANNA).deceased is None
        feed.send("ADT^A03", f"{pid('P1')}{'|' * 21}{death}", "PV1|1|I")
        assert feed.patient(ANNA).deceased is True

    def test_a_discharge_alone_says_nothing_of_life_and_death(self, feed: Feed) -> None:
        feed.register("P1")
        feed.send("ADT^A03", pid("P1"), f"PV1|1|I{'|' * 34}20")  # table 0112 is each site's own
        assert feed.patient(ANNA).deceased is None

    @pytest.mark.parametrize("event", MERGES)
    def test_after_any_merge_the_survivor_has_the_order(self, two: Feed, event: str) -> None:
        lines = f"PID|1||P2^^^HOSP{'|' * 15}ACC9", "MRG|P1^^^HOSP||ACC1"
        assert two.send(f"ADT^{event}", *lines) == "applied"
        assert two.one(ANNA, BEA)
        assert two.record.order_candidates("A1")[0][1].id == two.patient(BEA).id
        two.undo(1)
        assert not two.one(ANNA, BEA)

    @pytest.mark.parametrize(
        ("event", "lines"),
        [
            ("A43", ("MRG|P1^^^HOSP",)),
            ("A44", ("MRG|P1^^^HOSP||ACC1",)),
            ("A45", ("MRG|P1^^^HOSP||||V1", f"PV1|1|O{'|' * 17}V2")),
        ],
    )
    def test_after_a_move_the_order_is_the_other_patients(self, two: Feed, event: str, lines: tuple[str, ...]) -> None:
        assert two.send(f"ADT^{event}", pid("P2"), *lines) == "applied"
        assert BEA in two.record.order_candidates("A1")[0][1].identifiers

    def test_two_are_linked_and_unlinked(self, two: Feed) -> None:
        assert two.link("P1", "P2") == "applied"
        assert two.one(ANNA, BEA)
        assert two.link("P1", "P2", "A37") == "applied"
        assert not two.one(ANNA, BEA)

    @pytest.mark.parametrize("event", ["A11", "A23", "A27", "A38"])
    def test_a_visit_that_did_not_take_place_leaves_the_patient_and_the_order(self, two: Feed, event: str) -> None:
        assert two.send(f"ADT^{event}", pid("P1"), VISIT) == "applied"
        assert two.patient(ANNA).deleted == ""
        assert [change.event.value for change in history(two.databases.app)] == ["cancel-visit"]

    @pytest.mark.parametrize("event", ["A23", "A29"])
    def test_a_record_that_is_deleted_holds_no_more_until_it_is_registered_again(self, two: Feed, event: str) -> None:
        assert two.send(f"ADT^{event}", pid("P1")) == "applied"
        assert event in two.patient(ANNA).deleted
        two.register("P1", event="A28")
        assert two.patient(ANNA).deleted == ""

    @pytest.mark.parametrize("event", ["A46", "A48", "A51"])
    def test_alternate_numbers_are_ignored_with_the_reason(self, two: Feed, event: str) -> None:
        said = two.send(f"ADT^{event}", pid("P2"), "MRG|P1^^^HOSP")
        assert said.startswith("ignored: an ")
        assert not two.one(ANNA, BEA)

    @pytest.mark.parametrize("event", ["A18", "A34", "A40", "A47"])
    def test_a_merge_of_a_patient_into_herself_is_ignored(self, two: Feed, event: str) -> None:
        before = len(history(two.databases.app))
        assert two.merge("P1", "P1", event) == "ignored: names the same patient twice"
        assert len(history(two.databases.app)) == before
        assert two.record.patient(Identifier("P1", "HOSP")) is not None
