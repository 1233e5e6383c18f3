"""What is promised of second reading, on every database; a subclass gives `databases`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cds.domain.coding import Coding
from cds.domain.finding import NO_SERIES, Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.identity import Identifier
from cds.domain.second_reading import (
    About,
    Arbitration,
    OwnReading,
    PartRead,
    ReadingState,
    ScreeningResult,
)
from cds.domain.verification import FinalReport
from cds.errors import Conflict, InvalidInput, NotFound
from cds.store.final_reports import file_report
from cds.store.reading_lists import ReadingLists
from cds.store.readings import ReadingStore
from cds.store.studies import StudyStore
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, instance
from tests.databases import Databases

MODEL = "mammo"
ABOUT = About("1.2", 1, MODEL)
LATER = NOW + timedelta(hours=2)


def answer(left: Presence, right: Presence, version: str = "1") -> Findings:
    """What the model said of both sides."""
    said = (("left", left), ("right", right))
    found = tuple(Finding(f"mass-{side}", Coding("s", "mass"), p, laterality=side) for side, p in said)
    return Findings(MODEL, version, "1.2.1", found)


POSITIVE = answer(Presence.PRESENT, Presence.NOT_DETECTED)


def own(left: bool | None = False, right: bool | None = False, by: str = "rad", **more: object) -> OwnReading:
    """A reading of both sides."""
    parts = (PartRead("left", left), PartRead("right", right))
    return replace(OwnReading(ABOUT, by, NOW, parts), **more)


def third(left: bool | None = True, by: str = "third", reason: str = "seen in both views") -> Arbitration:
    """A decision on the left side."""
    return Arbitration(ABOUT, by, NOW, (PartRead("left", left),), reason)


class ReadingsContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def studies(self, databases: Databases) -> StudyStore:
        """Study 1.2 with accession number A1, complete."""
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        self._study(databases, studies, "1.2", "A1")
        return studies

    @pytest.fixture
    def store(self, databases: Databases, studies: StudyStore) -> ReadingStore:
        """The store beside the study."""
        return ReadingStore(databases.app)

    @pytest.fixture
    def lists(self, databases: Databases, studies: StudyStore) -> ReadingLists:
        """The lists over the same."""
        return ReadingLists(databases.app, studies)

    def _study(self, databases: Databases, studies: StudyStore, uid: str, accession: str) -> None:
        studies.add(
            instance(f"{uid}.9", study=uid, accession=accession), received_at=NOW, consumed=True, source="dicom"
        )
        close_quiet(databases.app, NOW + timedelta(hours=1))

    def _answer(self, databases: Databases, said: ModelOutcome, uid: str = "1.2") -> None:
        works = WorkStore(databases.app)
        work = next(works.work(one.id) for one in works.pending() if works.work(one.id).study_instance_uid == uid)
        works.save_outcome(work, said, LATER)

    # --- own readings

    def test_the_first_reading_is_blind_and_has_the_study_decided_again(
        self, studies: StudyStore, store: ReadingStore
    ) -> None:
        assert store.read_models("1.2", 1) == frozenset()
        store.read(own(left=True), LATER)
        assert store.read_models("1.2", 1) == {MODEL}
        assert store.read_models("1.2", 2) == frozenset()
        assert studies.study("1.2").match_revision == 2
        assert store.of(ABOUT).state is ReadingState.MODEL_PENDING

    def test_only_one_of_two_who_read_at_once_is_taken(self, store: ReadingStore) -> None:
        def read(by: str) -> bool:
            try:
                store.read(own(by=by), LATER)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(read, ("a", "b", "c", "d")))
        assert sum(taken) == 1
        assert len(store.of(ABOUT).own) == 1

    def test_a_correction_names_what_it_corrects_and_why_and_is_of_the_same_person(self, store: ReadingStore) -> None:
        number = store.read(own(), LATER)
        for wrong in (own(), own(corrects=number), own(corrects=number + 1, reason="x"), own(reason="x")):
            with pytest.raises(InvalidInput, match="want what is corrected"):
                store.read(wrong, LATER)
        with pytest.raises(Conflict, match="somebody else"):
            store.read(own(by="two", corrects=number, reason="x"), LATER)
        store.read(own(left=True, corrects=number, reason="the other side"), LATER)
        assert [one.is_blind for one in store.of(ABOUT).own] == [True, True]

    def test_a_correction_once_the_model_has_answered_is_not_blind(
        self, databases: Databases, store: ReadingStore
    ) -> None:
        number = store.read(own(), LATER)
        self._answer(databases, POSITIVE)
        store.read(own(left=True, corrects=number, reason="I see it now"), LATER)
        said = store.of(ABOUT)
        assert [one.is_blind for one in said.own] == [True, False]
        assert said.state is ReadingState.ARBITRATION

    def test_what_is_no_reading_is_refused(self, store: ReadingStore) -> None:
        with pytest.raises(InvalidInput, match="no reading"):
            store.read(own(None, None), LATER)
        with pytest.raises(InvalidInput, match="want the name"):
            store.read(own(by=" "), LATER)
        with pytest.raises(Conflict, match="the images have changed"):
            store.read(own(about=replace(ABOUT, image_revision=2)), LATER)
        with pytest.raises(NotFound):
            store.read(own(about=replace(ABOUT, study_instance_uid="9.9")), LATER)
        assert store.of(ABOUT).own == ()

    # --- comparison

    def test_both_are_compared_when_the_second_of_them_comes_whichever_it_is(
        self, databases: Databases, store: ReadingStore
    ) -> None:
        store.read(own(), LATER)
        assert store.settle(LATER) == 0
        self._answer(databases, POSITIVE)
        assert (store.settle(LATER), store.settle(LATER)) == (1, 0)
        compared = store.of(ABOUT).compared
        assert compared is not None
        assert (compared.differs, compared.said.version) == (("left",), "1")

    def test_findings_count_before_an_earlier_refusal_and_the_first_of_them_stands(
        self, databases: Databases, store: ReadingStore
    ) -> None:
        self._answer(databases, NotEvaluated(MODEL, "0", ("its files were damaged",), "installation"))
        self._answer(databases, POSITIVE)
        store.read(own(left=True), LATER)
        self._answer(databases, answer(Presence.NOT_DETECTED, Presence.NOT_DETECTED, "2"))
        store.settle(LATER)
        said = store.of(ABOUT)
        assert said.compared is not None
        assert (said.state, said.compared.said.version) == (ReadingState.AGREED, "1")

    # --- arbitration and results

    def test_a_third_person_decides_what_differs(self, databases: Databases, store: ReadingStore) -> None:
        self._answer(databases, POSITIVE)
        with pytest.raises(Conflict, match="nothing to decide"):
            store.arbitrate(third(), LATER)
        store.read(own(), LATER)
        for wrong, words in (
            (third(by="rad"), "want a third person"),
            (third(reason=" "), "want the reason"),
            (third(left=None), "want an answer"),
        ):
            with pytest.raises(InvalidInput, match=words):
                store.arbitrate(wrong, LATER)
        store.arbitrate(third(), LATER)
        assert store.of(ABOUT).outcome == (PartRead("left", True), PartRead("right", False))
        with pytest.raises(Conflict, match="only they can correct it"):
            store.arbitrate(third(left=False, by="fourth"), LATER)
        store.arbitrate(third(left=False, reason="an artefact"), LATER)
        assert [one.parts[0].recall for one in store.of(ABOUT).arbitrations] == [True, False]

    def test_the_newest_result_counts(self, store: ReadingStore) -> None:
        assert store.results({"1.2"}) == {}
        for malignant in (False, True):
            store.result(ScreeningResult("1.2", malignant, "histology", "rad", NOW), LATER)
        assert store.results({"1.2"})["1.2"].is_malignant
        with pytest.raises(InvalidInput, match="the source"):
            store.result(ScreeningResult("1.2", True, " ", "rad", NOW), LATER)

    # --- lists

    def test_what_waits_is_what_a_model_answered_and_nobody_read(
        self, databases: Databases, studies: StudyStore, store: ReadingStore, lists: ReadingLists
    ) -> None:
        self._study(databases, studies, "1.3", "A3")
        self._answer(databases, POSITIVE)
        self._answer(databases, NotEvaluated(MODEL, "1", ("no mammogram",), NO_SERIES), "1.3")
        assert [(one.study.study_instance_uid, model) for one, model in lists.unread({MODEL})] == [("1.2", MODEL)]
        assert list(lists.unread({"another"})) == list(lists.unread(())) == []
        store.read(own(), LATER)
        assert list(lists.unread({MODEL})) == []
        [(exam, said)] = lists.differing(9)
        assert (exam.study.study_instance_uid, said.state) == ("1.2", ReadingState.ARBITRATION)
        store.arbitrate(third(), LATER)
        assert list(lists.differing(9)) == []

    def test_a_signed_report_takes_a_study_from_triage_and_not_from_what_is_to_be_read(
        self, databases: Databases, lists: ReadingLists
    ) -> None:
        self._answer(databases, POSITIVE)
        assert len(list(lists.unread({MODEL}, reported=False))) == 1
        signed = FinalReport(Identifier("A1", "RIS"), Identifier("P1", "HOSP"), "final", NOW, "HL7 RIS", NOW)
        with databases.app.writing() as session:
            file_report(session, signed, "somebody", None, NOW)
        assert list(lists.unread({MODEL}, reported=False)) == []
        [(exam, _)] = lists.unread({MODEL})
        assert exam.is_reported

    def test_a_list_tells_the_state_of_each_study(
        self, databases: Databases, store: ReadingStore, lists: ReadingLists
    ) -> None:
        def states() -> list[ReadingState]:
            return [one.state for one in lists.states({"1.2", "9.9"}, {MODEL})]

        assert states() == []
        store.read(own(), LATER)
        assert states() == [ReadingState.MODEL_PENDING]
        self._answer(databases, POSITIVE)
        store.settle(LATER)
        assert states() == [ReadingState.ARBITRATION]
        store.arbitrate(third(), LATER)
        assert states() == [ReadingState.DECIDED] == [store.of(ABOUT).state]

    def test_a_period_has_what_was_first_read_in_it(self, store: ReadingStore) -> None:
        number = store.read(own(), NOW)
        store.read(own(corrects=number, reason="again"), NOW + timedelta(days=3))
        day = timedelta(days=1)
        assert [one.about for one in store.period(NOW, NOW + day)] == [ABOUT]
        assert list(store.period(NOW + day, NOW + 9 * day)) == []
        assert list(store.period(NOW - day, NOW)) == []
