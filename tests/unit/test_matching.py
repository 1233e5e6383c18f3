"""Images ↔ order, row by row (SAFETY section 1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from cds.domain.identity import Identifier, Patient, Sex
from cds.domain.imaging import Study
from cds.domain.matching import ACCESSION_REUSE_WINDOW, Match, MatchState, match
from cds.domain.order import OrderStatus, ServiceRequest

ORDERED = datetime(2026, 11, 1, 8, tzinfo=UTC)
ANNA = Patient(
    (Identifier("1", "HOSP"), Identifier("77", "INSURER")), birth_date=date(1960, 3, 2), sex=Sex.FEMALE, id="a"
)
ORDER = ServiceRequest(
    Identifier("P1", "EHR"),
    None,
    Identifier("A1", "RIS"),
    Identifier("1", "HOSP"),
    OrderStatus.ACTIVE,
    requested_at=ORDERED,
    id="o",
)
STUDY = Study(
    study_instance_uid="1.2",
    patient=Identifier("1", "HOSP"),
    accession=Identifier("A1", "RIS"),
    patient_birth_date=date(1960, 3, 2),
    patient_sex=Sex.FEMALE,
    study_date=date(2026, 11, 2),
    description="",
    modalities=("CT",),
    public_id="00000000-0000-4000-8000-000000000000",
    image_revision=1,
    match_revision=1,
)
REUSED = ORDERED + ACCESSION_REUSE_WINDOW * 2

ROWS = {
    "all agrees": (STUDY, ORDER, ANNA, MatchState.MATCHED),
    "another identifier of the same patient": (
        replace(STUDY, patient=Identifier("77", "INSURER")), ORDER, ANNA, MatchState.MATCHED,
    ),
    "birth date and sex are not stated": (
        replace(STUDY, patient_birth_date=None, patient_sex=Sex.UNKNOWN), ORDER, ANNA, MatchState.MATCHED,
    ),
    "the same patient number of another authority": (
        replace(STUDY, patient=Identifier("1", "ELSEWHERE")), ORDER, ANNA, MatchState.HELD,
    ),
    "another patient number": (replace(STUDY, patient=Identifier("2", "HOSP")), ORDER, ANNA, MatchState.HELD),
    "no patient number": (replace(STUDY, patient=None), ORDER, ANNA, MatchState.HELD),
    "another birth date": (replace(STUDY, patient_birth_date=date(1961, 3, 2)), ORDER, ANNA, MatchState.HELD),
    "another sex": (replace(STUDY, patient_sex=Sex.MALE), ORDER, ANNA, MatchState.HELD),
    "the order names another study": (STUDY, replace(ORDER, study_instance_uid="9.9"), ANNA, MatchState.HELD),
    "images without a date": (replace(STUDY, study_date=None), ORDER, ANNA, MatchState.HELD),
    "no accession number": (replace(STUDY, accession=None), ORDER, ANNA, MatchState.UNMATCHED),
    "the same number of another issuer": (
        replace(STUDY, accession=Identifier("A1", "OTHER")), ORDER, ANNA, MatchState.UNMATCHED,
    ),
    "a reused accession number": (STUDY, replace(ORDER, requested_at=REUSED), ANNA, MatchState.UNMATCHED),
    "a cancelled order": (STUDY, replace(ORDER, status=OrderStatus.REVOKED), ANNA, MatchState.DETACHED),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_a_study_finds_its_order_only_where_everything_agrees(row: str) -> None:
    study, order, patient, wanted = ROWS[row]
    found = match(study, ((order, patient),))
    assert found.state is wanted
    assert found.reasons
    known = {MatchState.MATCHED: ("a", "o"), MatchState.DETACHED: ("a", None)}
    assert (found.patient_id, found.order_id) == known.get(wanted, (None, None))


def test_open_orders_of_two_patients_under_one_accession_number_are_held() -> None:
    boris = Patient((Identifier("2", "HOSP"),), id="b")
    assert match(STUDY, ((ORDER, ANNA), (replace(ORDER, id="p"), boris))).state is MatchState.HELD


def test_of_two_procedures_under_one_number_the_one_that_names_the_images_is_theirs() -> None:
    named = replace(ORDER, id="n", study_instance_uid="1.2")
    assert match(STUDY, ((ORDER, ANNA), (named, ANNA))).order_id == "n"
    assert match(STUDY, ((ORDER, ANNA), (replace(ORDER, id="p"), ANNA))).order_id == "o"


def test_a_reused_number_finds_the_order_of_its_own_time() -> None:
    old = replace(ORDER, id="old", requested_at=datetime(2019, 1, 1, tzinfo=UTC))
    boris = Patient((Identifier("2", "HOSP"),), id="b")
    assert match(STUDY, ((old, boris), (ORDER, ANNA))).order_id == "o"


def test_a_cancelled_duplicate_does_not_hide_the_open_order() -> None:
    cancelled = replace(ORDER, id="c", status=OrderStatus.REVOKED)
    assert match(STUDY, ((cancelled, ANNA), (ORDER, ANNA))).order_id == "o"


def test_a_study_without_any_order_is_for_the_radiologist_alone() -> None:
    assert match(STUDY, ()) == Match(MatchState.UNMATCHED, ("no order has this accession number and issuer",))


TEST_ANNA = replace(ANNA, identifiers=tuple(i.in_test() for i in ANNA.identifiers), id="ta")
TEST_ORDER = replace(
    ORDER, accession=Identifier("A1", "RIS").in_test(), patient=Identifier("1", "HOSP").in_test(), id="to", test=True
)


def test_images_find_a_test_order_by_its_numbers_as_sent() -> None:
    found = match(STUDY, ((TEST_ORDER, TEST_ANNA),))
    assert (found.state, found.order_id, found.patient_id) == (MatchState.MATCHED, "to", "ta")


def test_a_production_order_wins_over_a_test_order_with_its_number() -> None:
    assert match(STUDY, ((TEST_ORDER, TEST_ANNA), (ORDER, ANNA))).order_id == "o"
    held = replace(ANNA, identifiers=(Identifier("2", "HOSP"),))
    assert match(STUDY, ((TEST_ORDER, TEST_ANNA), (ORDER, held))).state is MatchState.HELD


def test_a_cancelled_production_order_does_not_leave_its_images_to_a_test_order() -> None:
    cancelled = replace(ORDER, status=OrderStatus.REVOKED)
    assert match(STUDY, ((TEST_ORDER, TEST_ANNA), (cancelled, ANNA))).state is MatchState.DETACHED


def test_a_production_order_of_another_time_leaves_its_number_to_a_test_order() -> None:
    old = replace(ORDER, requested_at=datetime(2019, 1, 1, tzinfo=UTC))
    assert match(STUDY, ((old, ANNA), (TEST_ORDER, TEST_ANNA))).order_id == "to"


def test_a_test_order_must_agree_like_any_other() -> None:
    other = replace(STUDY, patient=Identifier("2", "HOSP"))
    assert match(other, ((TEST_ORDER, TEST_ANNA),)).state is MatchState.HELD
