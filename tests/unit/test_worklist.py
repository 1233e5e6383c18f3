"""Where a study stands on the worklist, and what its row says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cds.codes import SNOMED
from cds.domain.coding import Coding, Quantity
from cds.domain.critical import Category, CriticalFinding
from cds.domain.finding import NO_SERIES, Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.hold import Hold, HoldKind
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.order import OrderStatus, Priority, ServiceRequest
from cds.domain.revision import Revision, Work
from cds.domain.verification import FinalReport, FindingRef, Verdict, Verification
from cds.ui.worklist import Entry, Status, Urgency, Wanted, duration, in_order, named, values, wanted
from cds.ui.worklist_rows import Alarm, Facts, Judged, entry

UID = "1.2.826.0.1.3680043.8.498.7"
CAME = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
NOW = CAME + timedelta(minutes=12)
MRN = Identifier("4711", "HOSPITAL")
STUDY = Study(
    UID, MRN, Identifier("A1", "RIS"), date(1963, 5, 1), Sex.FEMALE, CAME.date(), "CT Head", ("CT",), "public-7", 1, 1
)
PATIENT = Patient((MRN,), HumanName("Unmistakable", "Ada"), date(1963, 5, 1), Sex.FEMALE, None, "patient-1")
BLEED = Finding("haemorrhage", Coding(SNOMED, "1386000", "Intracranial hemorrhage"), Presence.PRESENT, confidence=0.934)
ANSWER = Findings("head", "1.0", "", (BLEED,))
LOUD = CriticalFinding("head.haemorrhage", "Intracranial hemorrhage", Category.MINUTES)
MATCHED = Match(MatchState.MATCHED, ("agrees",), "order-1", "patient-1")
ANALYSED = Facts(
    STUDY, CAME, False, Work("dicom", UID, Revision(1, 1, 1)), "reported", MATCHED, patient=PATIENT, outcomes=(ANSWER,)
)
SEEN = Judged(seen=(ANSWER,))


def order(priority: Priority | None = None, status: OrderStatus = OrderStatus.ACTIVE) -> ServiceRequest:
    return ServiceRequest(Identifier("PL1", "EHR"), None, Identifier("A1", "RIS"), MRN, status, priority)


def hold(kind: HoldKind, reason: str = "because") -> Hold:
    return Hold("12345678", kind, reason, CAME, study_instance_uid=UID)


def final(at: datetime | None = None) -> FinalReport:
    return FinalReport(Identifier("A1", "RIS"), MRN, "final", at, "HL7 RIS", CAME + timedelta(hours=1))


def said(verdict: Verdict) -> Verification:
    return Verification(FindingRef(UID, 1, "head", "1.0", "haemorrhage"), verdict, "rad", "radiologist", CAME)


# --- urgency


@pytest.mark.parametrize(
    ("category", "urgency"),
    [(Category.MINUTES, Urgency.CRITICAL), (Category.HOURS, Urgency.ASAP), (Category.DAYS, Urgency.URGENT)],
)
def test_a_critical_finding_stands_by_its_acr_category(category: Category, urgency: Urgency) -> None:
    assert entry(ANALYSED, replace(SEEN, critical=(replace(LOUD, category=category),))).urgency is urgency


@pytest.mark.parametrize(
    ("priority", "urgency"),
    [
        (Priority.STAT, Urgency.STAT),
        (Priority.ASAP, Urgency.ASAP),
        (Priority.URGENT, Urgency.URGENT),
        (Priority.ROUTINE, Urgency.ROUTINE),
        (None, Urgency.ROUTINE),
    ],
)
def test_an_order_gives_its_own_priority(priority: Priority | None, urgency: Urgency) -> None:
    assert entry(replace(ANALYSED, order=order(priority)), SEEN).urgency is urgency


@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("priority", list(Priority))
def test_no_finding_lowers_what_the_order_says(priority: Priority, category: Category) -> None:
    ordered = replace(ANALYSED, order=order(priority))
    with_it = entry(ordered, replace(SEEN, critical=(replace(LOUD, category=category),)))
    assert with_it.urgency <= entry(ordered, SEEN).urgency


def test_a_negative_leaves_a_stat_study_where_it_is() -> None:
    nothing = replace(ANSWER, findings=(replace(BLEED, presence=Presence.NOT_DETECTED),))
    assert entry(replace(ANALYSED, order=order(Priority.STAT)), Judged(seen=(nothing,))).urgency is Urgency.STAT


def test_the_order_of_a_doubtful_match_speeds_the_study_up_all_the_same() -> None:
    doubtful = replace(ANALYSED, match=Match(MatchState.HELD, ("two patients",)), orders=(order(Priority.STAT),))
    assert entry(doubtful, Judged()).urgency is Urgency.STAT


def test_a_cancelled_order_speeds_nothing_up() -> None:
    cancelled = replace(ANALYSED, orders=(order(Priority.STAT, OrderStatus.REVOKED),))
    assert entry(cancelled, SEEN).urgency is Urgency.ROUTINE


def test_a_critical_result_that_nobody_acknowledged_stays_on_top_while_its_finding_is_not_shown() -> None:
    row = entry(replace(ANALYSED, alarms=(Alarm("Pneumothorax", Category.MINUTES),)), Judged())
    assert row.urgency is Urgency.CRITICAL
    assert row.why[0] == "critical result not acknowledged: Pneumothorax"


# --- status


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("pending", Status.WAITING),
        ("enqueued", Status.WAITING),
        ("running", Status.ANALYSING),
        ("failed", Status.FAILED),
        ("reported", Status.ANALYSED),
    ],
)
def test_the_newest_work_says_how_far_the_analysis_is(state: str, status: Status) -> None:
    assert entry(replace(ANALYSED, state=state), SEEN).status is status


def test_a_study_without_work_is_still_coming_or_waits() -> None:
    bare = Facts(STUDY, CAME, True)
    assert entry(bare, Judged()).status is Status.RECEIVING
    assert entry(replace(bare, is_coming=False), Judged()).status is Status.WAITING


def test_images_that_came_since_are_said_and_the_earlier_findings_stay() -> None:
    row = entry(replace(ANALYSED, is_coming=True, of_earlier_images=True), replace(SEEN, critical=(LOUD,)))
    assert (row.status, row.urgency) == (Status.RECEIVING, Urgency.CRITICAL)
    assert "images came since, which are not analysed yet" in row.why


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (NotEvaluated("lung", "1", ("the lung is not covered",), "coverage"), "the lung is not covered"),
        (NotEvaluated("lung", "1", ("no chest",), NO_SERIES), "no model here reads images like these"),
        (None, "no model here reads images like these"),
    ],
)
def test_what_was_not_analysed_says_why(outcome: ModelOutcome | None, reason: str) -> None:
    outcomes = (outcome,) if outcome else ()
    row = entry(replace(ANALYSED, outcomes=outcomes), Judged(seen=outcomes))
    assert row.status is Status.NOT_ANALYSED
    assert row.why[0] == f"not analysed: {reason}"


def test_a_failed_analysis_says_why() -> None:
    failed = replace(ANALYSED, state="failed", holds=(hold(HoldKind.WORK_FAILED, "step infer broke"),))
    assert entry(failed, SEEN).why[0] == "the analysis failed: step infer broke"


def test_a_final_report_ends_the_waiting_at_the_time_of_its_issue() -> None:
    signed = CAME + timedelta(minutes=30)
    row = entry(replace(ANALYSED, final=final(signed)), SEEN)
    assert (row.status, row.since) == (Status.REPORTED, signed)
    assert not row.status.is_open
    assert entry(replace(ANALYSED, final=final()), SEEN).since == CAME + timedelta(hours=1)


def test_a_final_report_that_contradicts_a_finding_keeps_the_study_on_the_list() -> None:
    row = entry(replace(ANALYSED, final=final(), holds=(hold(HoldKind.DISCORDANT, "it says the contrary"),)), SEEN)
    assert (row.status, row.urgency, row.since) == (Status.DISCORDANT, Urgency.URGENT, CAME)
    assert row.why[0] == "it says the contrary"


def test_the_study_of_a_training_order_is_test_data_whatever_else_holds() -> None:
    test = replace(order(Priority.STAT), test=True)
    assert entry(replace(ANALYSED, order=test, final=final()), SEEN).status is Status.TEST


@pytest.mark.parametrize(
    "kind",
    [HoldKind.STUDY_IDENTITY, HoldKind.WRONG_PATIENT, HoldKind.INSTANCE_CONFLICT, HoldKind.ORDER_CANCELLED],
)
def test_a_doubt_holds_the_study_names_nobody_and_shows_only_what_is_critical(kind: HoldKind) -> None:
    other = Finding("calcification", Coding(SNOMED, "54115004", "Calcification"), Presence.PRESENT)
    both = replace(ANSWER, findings=(BLEED, other))
    doubtful = replace(ANALYSED, outcomes=(both,), holds=(hold(kind, "two say so"),), final=final())
    row = entry(doubtful, Judged(critical=(LOUD,)))
    assert (row.status, row.urgency) == (Status.HELD, Urgency.CRITICAL)
    assert (row.patient_id, row.initials, row.number) == (None, "", "4711")
    assert [line.text for line in row.lines] == ["Intracranial hemorrhage 93 %"]
    assert row.found == ()
    assert "held: two say so" in row.why


# --- what a row says


def test_a_critical_row_says_what_and_how_sure_and_how_long_it_waits() -> None:
    row = entry(replace(ANALYSED, order=order(Priority.STAT)), replace(SEEN, critical=(LOUD,)))
    wanted_words = "critical: Intracranial hemorrhage detected, 93 %; STAT by the order, waiting 12 min"
    assert row.reason(NOW) == wanted_words


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ((), "no order is known"),
        ((order(),), "the order states no priority"),
        ((order(Priority.ROUTINE),), "routine by the order"),
        ((order(), order(Priority.ASAP)), "ASAP by the order"),
        ((order(Priority.URGENT),), "urgent by the order"),
    ],
)
def test_a_priority_that_nobody_stated_is_not_called_routine(orders: tuple[ServiceRequest, ...], words: str) -> None:
    assert entry(replace(ANALYSED, orders=orders), SEEN).why == (words,)


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (BLEED, "Intracranial hemorrhage 93 %"),
        (replace(BLEED, laterality="left", confidence=None), "Intracranial hemorrhage (left)"),
        (replace(BLEED, confidence=0.9999), "Intracranial hemorrhage > 99 %"),
        (replace(BLEED, confidence=0.001), "Intracranial hemorrhage < 1 %"),
        (
            replace(BLEED, presence=Presence.NOT_DETECTED, threshold=Quantity(0.5, "1")),
            "Intracranial hemorrhage not detected by head at threshold 0.5; does not exclude",
        ),
        (
            replace(BLEED, presence=Presence.NOT_DETECTED),
            "Intracranial hemorrhage not detected by head; does not exclude",
        ),
        (replace(BLEED, presence=Presence.NOT_EVALUATED, reason="metal"), "Intracranial hemorrhage: metal"),
        (
            replace(BLEED, presence=Presence.MEASURED, value=Quantity(12.5, "mL"), confidence=None),
            "Intracranial hemorrhage 12.5 mL",
        ),
    ],
)
def test_a_line_says_in_words_what_a_model_said(finding: Finding, text: str) -> None:
    [line] = entry(ANALYSED, Judged(seen=(replace(ANSWER, findings=(finding,)),))).lines
    assert line.text == text
    assert line.presence is finding.presence


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ((), "not verified"),
        ((said(Verdict.CONFIRMED),), "1 of 1 verified"),
        ((said(Verdict.REJECTED),), "1 of 1 verified, 1 rejected"),
    ],
)
def test_the_verification_is_counted(verdicts: tuple[Verification, ...], words: str) -> None:
    assert entry(replace(ANALYSED, verifications=verdicts), SEEN).verification == words


def test_nothing_to_verify_is_no_verification() -> None:
    assert entry(ANALYSED, Judged()).verification == "nothing to verify"


def test_what_a_radiologist_rejected_is_found_by_no_filter() -> None:
    assert entry(ANALYSED, SEEN).found == (("intracranial-hemorrhage", "Intracranial hemorrhage"),)
    assert entry(replace(ANALYSED, verifications=(said(Verdict.REJECTED),)), SEEN).found == ()


def test_an_unknown_birth_date_or_sex_stays_unknown() -> None:
    bare = replace(STUDY, patient=None, patient_birth_date=None, patient_sex=Sex.UNKNOWN)
    row = entry(replace(ANALYSED, study=bare, patient=None), SEEN)
    assert (row.age_years(NOW.date()), row.sex, row.number) == (None, Sex.UNKNOWN, "")


def test_an_age_is_in_completed_years() -> None:
    row = entry(ANALYSED, SEEN)
    assert row.age_years(date(2026, 4, 30)) == 62
    assert row.age_years(date(2026, 5, 1)) == 63


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(seconds=-5), "0 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=3, minutes=5), "3 h 05 min"),
        (timedelta(days=2, hours=4, minutes=50), "2 d 4 h"),
    ],
)
def test_a_time_is_told_in_the_unit_that_a_reader_thinks_in(time: timedelta, words: str) -> None:
    assert duration(time) == words


# --- lists and filters


def row(uid: str, urgency: Urgency, minutes: int, status: Status = Status.ANALYSED) -> Entry:
    return Entry(uid, uid, status, urgency, CAME + timedelta(minutes=minutes), ())


def test_the_list_is_by_urgency_then_age_and_finished_ones_follow_the_newest_first() -> None:
    rows = [
        row("new stat", Urgency.STAT, 9),
        row("old routine", Urgency.ROUTINE, 0),
        row("done early", Urgency.CRITICAL, 1, Status.REPORTED),
        row("old stat", Urgency.STAT, 2),
        row("done late", Urgency.ROUTINE, 8, Status.REPORTED),
        row("critical", Urgency.CRITICAL, 10),
    ]
    order_of_rows = [one.public_id for one in in_order(rows)]
    assert order_of_rows == ["critical", "old stat", "new stat", "old routine", "done late", "done early"]


def test_an_address_gives_what_is_wanted_and_takes_it_back() -> None:
    asked = wanted({"modality": "CT", "site": "north", "finding": "nodule", "status": "held", "page": "3"})
    assert asked == Wanted("CT", "north", "nodule", Status.HELD, 3)
    assert wanted(asked.address(3)) == asked
    assert Wanted().address() == {}


@pytest.mark.parametrize("page", ["0", "-1", "x", "²", "99999999999999999999", ""])
def test_a_page_that_is_none_is_the_first(page: str) -> None:
    assert wanted({"page": page}).page == 1


def test_what_no_filter_knows_is_left_out_and_what_is_too_long_cut() -> None:
    asked = wanted({"status": "everything", "finding": "n" * 500})
    assert asked.status is None
    assert len(asked.finding) == 64


def test_a_title_is_written_for_an_address() -> None:
    assert named("Emphysema (LAA -950), right!") == "emphysema-laa-950-right"


def test_filters_offer_what_rows_have() -> None:
    one = replace(row("1", Urgency.STAT, 0), site="north", modalities=("CT", "PT"), found=(("nodule", "Nodule"),))
    assert values((one,)) == {
        ("site", "north", "north"), ("modality", "CT", "CT"), ("modality", "PT", "PT"), ("finding", "nodule", "Nodule"),
    }  # fmt: skip
