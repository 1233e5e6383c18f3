"""What the store of the worklist promises, on every database: nothing that changes is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import Session, SQLModel, select

from cds.domain.finding import ModelOutcome
from cds.domain.hold import HoldKind
from cds.domain.matching import Match, MatchState
from cds.store import schema
from cds.store.reading_tables import SecondReadingRow
from cds.store.safety_tables import CriticalResultRow, SwitchRow, VerificationRow
from cds.store.studies import StudyStore
from cds.store.tables import (
    HoldRow,
    ModelOutcomeRow,
    OrderRow,
    PatientIdentifierRow,
    PatientRow,
    StudyRow,
    WorkRow,
    WorkStepRow,
)
from cds.store.values import dump
from cds.store.worklist import Making, WorklistStore
from cds.store.worklist_tables import WorklistMarkRow, WorklistRow
from cds.ui.worklist import PAGE_ROWS, Entry, Status, Urgency, Wanted
from cds.ui.worklist_rows import Facts, Judged, entry
from tests.contract.why_contract import final_row, order, patient, study
from tests.databases import Databases
from tests.unit.clinical import MRN, NOW, STUDY_UID, density

RULES = "m"


def store(databases: Databases, rules: str = RULES, enter: Callable[[Facts], Entry] | None = None) -> WorklistStore:
    studies = StudyStore(databases.app, assigning_authority="", accession_issuer="")
    return WorklistStore(databases.app, Making(enter or shown, studies.study, rules))


def shown(facts: Facts) -> Entry:
    return entry(facts, Judged(seen=facts.outcomes))


def put(databases: Databases, *rows: SQLModel) -> None:
    with databases.app.writing() as session:
        for row in rows:
            session.merge(row)


def marked(databases: Databases) -> set[tuple[str, str]]:
    """What was marked since the last time, which ends with it."""
    with databases.app.writing() as session:
        found = {(row.kind, row.about) for row in session.exec(select(WorklistMarkRow))}
        session.connection().execute(sa.delete(WorklistMarkRow))
        return found


def work(state: str = "running", image: int = 1, match: int = 1) -> WorkRow:
    return WorkRow(
        id=f"work-{image}-{match}", source="dicom", study_uid=STUDY_UID, image_revision=image, match_revision=match,
        analysis_run=1, priority=10, state=state, created_at=NOW, updated_at=NOW,
    )  # fmt: skip


def outcome(image: int = 1) -> ModelOutcomeRow:
    said = density()
    return ModelOutcomeRow(
        study_uid=STUDY_UID, image_revision=image, analysis_run=1, model=said.model, version=said.version,
        body=dump(ModelOutcome, said), at=NOW,
    )  # fmt: skip


def matched(patient_id: str = "patient-1") -> WorkStepRow:
    found = Match(MatchState.MATCHED, ("agrees",), f"order-{patient_id}", patient_id)
    return WorkStepRow(work_id="work-1-1", step="match", body=dump(Match, found), at=NOW)


def hold(reason: str = "why") -> HoldRow:
    return HoldRow(
        key="k", id="12345678", kind=HoldKind.STUDY_IDENTITY.value, reason=reason, study_uid=STUDY_UID, created_at=NOW
    )


def critical(state: str = "open") -> CriticalResultRow:
    return CriticalResultRow(
        id="c", token="t", study_uid=STUDY_UID, episode=1, work_id="work-1-1", finding="head.bleed", title="Bleed",
        category=1, route="pager", state=state, created_at=NOW, due_at=NOW,
    )  # fmt: skip


def verification() -> VerificationRow:
    return VerificationRow(
        study_uid=STUDY_UID, image_revision=1, model="ct_lung_density", version="0.1.0", finding_key="laa_950",
        verdict="confirmed", actor="rad", role="radiologist", at=NOW,
    )  # fmt: skip


def own_reading() -> SecondReadingRow:
    return SecondReadingRow(
        study_uid=STUDY_UID, image_revision=1, model="ct_lung_density", kind="own", state="", actor="rad",
        role="radiologist", at=NOW, body="{}",
    )  # fmt: skip


ABOUT_STUDY = {("study", STUDY_UID)}
#: What is written, and what it marks.
CHANGES: dict[str, tuple[SQLModel, set[tuple[str, str]]]] = {
    "a study": (study(), ABOUT_STUDY),
    "a work": (work(), ABOUT_STUDY),
    "a match": (matched(), ABOUT_STUDY),
    "a model's answer": (outcome(), ABOUT_STUDY),
    "a hold": (hold(), ABOUT_STUDY),
    "a critical result": (critical(), ABOUT_STUDY),
    "a verification": (verification(), ABOUT_STUDY),
    "a second reading": (own_reading(), ABOUT_STUDY),
    "a final report": (final_row("patient-1"), {("accession", "A1")}),
    "an order": (order(), {("accession", "A1")}),
    "an identifier": (
        PatientIdentifierRow(value="1", assigner="HOSPITAL", patient_id="p"),
        {("patient", "p")},
    ),
    "a switch": (
        SwitchRow(kind="model", name="ct_lung_density", actor="ada", at=NOW, reason="r"),
        {("model", "ct_lung_density")},
    ),
}


class WorklistContract:
    """Every promise, on the databases of a subclass."""

    @pytest.fixture
    def here(self, databases: Databases) -> Databases:
        """A matched study in analysis, of a patient who is known, with nothing marked."""
        put(databases, *patient("patient-1", MRN), order(), study(), work(), matched())
        marked(databases)
        return databases

    @pytest.mark.parametrize("what", CHANGES)
    def test_whatever_a_row_rests_on_is_marked_as_it_is_written(self, databases: Databases, what: str) -> None:
        if what == "a match":
            put(databases, work())
            marked(databases)
        row, marks = CHANGES[what]
        put(databases, row)
        assert marks <= marked(databases)

    @pytest.mark.parametrize(
        ("change", "marks"),
        [
            (lambda s: s.get(WorkRow, "work-1-1").__setattr__("state", "reported"), ABOUT_STUDY),
            (lambda s: s.get(StudyRow, STUDY_UID).__setattr__("stopped", "wrong patient"), ABOUT_STUDY),
            (lambda s: s.get(StudyRow, STUDY_UID).__setattr__("instances", 121), ABOUT_STUDY),
            (lambda s: s.get(WorkStepRow, ("work-1-1", "match")).__setattr__("body", "{}"), ABOUT_STUDY),
            (lambda s: s.get(PatientRow, "patient-1").__setattr__("merged_into", "p"), {("patient", "patient-1")}),
            (lambda s: s.get(PatientRow, "patient-1").__setattr__("sex", "female"), {("patient", "patient-1")}),
            (
                lambda s: s.get(OrderRow, "order-patient-1").__setattr__("body", "{}"),
                {("order", "order-patient-1"), ("accession", "A1")},
            ),
            (
                lambda s: s.get(OrderRow, "order-patient-1").__setattr__("accession_number", "A2"),
                {("accession", "A1"), ("accession", "A2")},
            ),
        ],
    )
    def test_whatever_a_row_rests_on_is_marked_as_it_changes(
        self, here: Databases, change: Callable[[Session], None], marks: set[tuple[str, str]]
    ) -> None:
        with here.app.writing() as session:
            change(session)
        assert marked(here) == marks

    def test_images_that_come_in_leave_no_marks_and_are_seen_all_the_same(self, here: Databases) -> None:
        seen: list[str] = []

        def noted(facts: Facts) -> Entry:
            seen.append(facts.study.study_instance_uid)
            return shown(facts)

        rows = store(here, enter=noted)
        with here.app.writing() as session:
            session.get_one(StudyRow, STUDY_UID).revision_open = True
        rows.keep()
        seen.clear()
        with here.app.writing() as session:
            session.get_one(StudyRow, STUDY_UID).instances += 1
        assert marked(here) == set()
        rows.keep()
        rows.keep()
        assert seen == [STUDY_UID]

    def test_what_is_undone_is_marked_too(self, here: Databases) -> None:
        rows = (hold(), SwitchRow(kind="model", name="m", actor="ada", at=NOW, reason="r"), outcome())
        put(here, *rows)
        marked(here)
        with here.app.writing() as session:
            session.get_one(HoldRow, "k").resolved_at = NOW
            for kind, key in (
                (SwitchRow, ("model", "m")),
                (ModelOutcomeRow, (STUDY_UID, 1, 1, "ct_lung_density", "0.1.0")),
            ):
                session.delete(session.get_one(kind, key))
        assert marked(here) == {*ABOUT_STUDY, ("model", "m")}

    def test_what_was_rolled_back_marks_nothing(self, here: Databases) -> None:
        with here.app.writing() as session:
            session.get_one(StudyRow, STUDY_UID).stopped = "wrong patient"
            session.flush()
            session.rollback()
        assert marked(here) == set()

    def test_a_row_follows_its_study(self, here: Databases) -> None:
        rows = store(here)
        put(here, outcome(), work("reported"))
        [one] = rows.fresh(Wanted()).entries
        assert (one.status, one.urgency, one.initials) == (Status.ANALYSED, Urgency.ROUTINE, "AU")
        assert [line.text.endswith(" 18.2 %") for line in one.lines] == [True]
        put(here, final_row("patient-1"))
        assert rows.fresh(Wanted()).entries == ()
        [done] = rows.fresh(Wanted(status=Status.REPORTED)).entries
        assert done.public_id == one.public_id

    def test_the_findings_of_earlier_images_stay_until_the_newest_are_analysed(self, here: Databases) -> None:
        rows = store(here)
        put(here, outcome(), work("reported"))
        with here.app.writing() as session:
            session.get_one(StudyRow, STUDY_UID).image_revision = 2
        put(here, work("running", image=2))
        [again] = rows.fresh(Wanted()).entries
        assert again.status is Status.ANALYSING
        assert again.lines
        put(here, work("reported", image=2))
        [done] = rows.fresh(Wanted()).entries
        assert (done.status, done.lines) == (Status.NOT_ANALYSED, ())

    def test_a_study_that_is_only_a_prior_is_not_listed_until_it_is_wanted_for_itself(self, here: Databases) -> None:
        rows = store(here)
        with here.app.writing() as session:
            session.get_one(StudyRow, STUDY_UID).purpose = "prior"
        assert rows.fresh(Wanted()).entries == ()
        with here.app.writing() as session:
            session.get_one(StudyRow, STUDY_UID).purpose = ""
        assert len(rows.fresh(Wanted()).entries) == 1

    def test_the_list_says_how_many_changes_it_lacks(self, here: Databases) -> None:
        rows = store(here)
        for number in range(30):
            put(here, study(uid=f"1.2.{number}", accession=f"B{number}"))
        first = rows.fresh(Wanted())
        assert first.behind == 10
        assert rows.fresh(Wanted()).behind == 0
        assert len(rows.fresh(Wanted()).entries) == 30

    def test_a_number_that_thousands_share_keeps_no_look_waiting(self, here: Databases) -> None:
        made: list[str] = []

        def noted(facts: Facts) -> Entry:
            made.append(facts.study.study_instance_uid)
            return shown(facts)

        some = [study(uid=f"1.2.{number}", accession="SAME") for number in range(150)]
        rows = store(here, enter=noted)
        put(here, *some)
        while rows.keep():
            pass
        made.clear()
        put(here, order(accession="SAME"))
        assert rows.keep() > 0
        assert len(made) == 100
        while rows.keep():
            pass
        assert set(made) >= {one.uid for one in some}

    def test_an_earlier_exam_that_comes_later_is_counted_in_the_rows_that_were_there(self, here: Databases) -> None:
        rows = store(here)
        newer, older = study(uid="1.2.1", accession="B1"), study(uid="1.2.2", accession="B2")
        newer.study_date, older.study_date = NOW.date(), NOW.date() - timedelta(days=400)
        put(here, newer)
        rows.keep()
        put(here, older)
        while rows.keep():
            pass
        assert {one.study_instance_uid: one.priors for one in rows.listed(Wanted()).entries} == {"1.2.1": 1, "1.2.2": 0}

    def test_the_newest_changes_are_made_good_first(self, here: Databases) -> None:
        rows = store(here)
        for number in range(30):
            put(here, study(uid=f"1.2.{number}", accession=f"B{number}"))
        assert "1.2.29" in {one.study_instance_uid for one in rows.fresh(Wanted()).entries}

    def test_pages_follow_each_other_without_gap_or_repeat(self, here: Databases) -> None:
        rows = store(here)
        some = [replace_study(number) for number in range(PAGE_ROWS + 20)]
        put(here, *some)
        while rows.keep():
            pass
        first, second = rows.listed(Wanted()), rows.listed(Wanted(page=2))
        assert (len(first.entries), first.has_next, second.has_next) == (PAGE_ROWS, True, False)
        listed = [one.study_instance_uid for one in (*first.entries, *second.entries)]
        assert listed == [f"1.3.{number}" for number in range(PAGE_ROWS + 20)]

    def test_rows_of_other_rules_are_made_for_the_answer_and_kept_by_and_by(self, here: Databases) -> None:
        put(here, outcome(), work("reported"))
        store(here).keep()
        for rules in ("a", "z"):  # before and behind the rules that it was made by
            other = store(here, rules, lambda facts: replace(shown(facts), description="by other rules"))
            assert [one.description for one in other.listed(Wanted()).entries] == ["by other rules"]
            other.keep()
            with here.app.reading() as session:
                assert session.exec(select(WorklistRow.rules)).one() == rules

    def test_a_value_with_signs_of_a_pattern_finds_nothing_else(self, here: Databases) -> None:
        rows = store(here)
        put(here, outcome(), work("reported"))
        rows.keep()
        for name in ("%", "_", "|", "'", "\\"):
            assert rows.listed(Wanted(modality=name)).entries == ()
            assert rows.listed(Wanted(finding=name)).entries == ()

    def test_upgrading_marks_the_studies_that_were_there(self, here: Databases) -> None:
        schema.downgrade(here.app, "app", "0015")
        schema.upgrade(here.app, "app")
        assert ("study", STUDY_UID) in marked(here)

    def test_who_was_seen_is_in_the_audit_log(self, here: Databases) -> None:
        rows = store(here)
        put(here, work("reported"))
        [one] = rows.fresh(Wanted()).entries
        rows.write_seen("rad", [one], "worklist viewed", NOW)
        with here.app.reading() as session:
            found = session.execute(
                sa.text("SELECT actor, action, study_uid, patient_id FROM audit WHERE action = 'worklist viewed'")
            ).all()
        assert [tuple(row) for row in found] == [("rad", "worklist viewed", STUDY_UID, "patient-1")]


def replace_study(number: int) -> StudyRow:
    """Of patients without a record, each a minute younger than the one before."""
    row = study(uid=f"1.3.{number}", accession="")
    row.patient_value, row.first_instance_at = "", NOW + timedelta(minutes=number)
    return row
