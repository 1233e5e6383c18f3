"""Which order is proposed for images without one: patient, time and procedure, and never more than a proposal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from cds.domain.coding import Coding
from cds.domain.identity import Identifier, Patient, Sex
from cds.domain.imaging import Study
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.proposal import propose

MRN = Identifier("P1", "HOSP")
TINA = Patient((MRN,), birth_date=date(1960, 3, 2), sex=Sex.FEMALE, id="tina")
STUDY = Study(
    study_instance_uid="1.2",
    patient=MRN,
    accession=None,
    patient_birth_date=date(1960, 3, 2),
    patient_sex=Sex.FEMALE,
    study_date=date(2026, 11, 20),
    description="CT Chest  native",
    modalities=("CT",),
    public_id="public",
    image_revision=1,
    match_revision=1,
)
ORDER = ServiceRequest(
    placer_order_number=Identifier("PL1", "EHR"),
    filler_order_number=None,
    accession=Identifier("A1", "RIS"),
    patient=MRN,
    status=OrderStatus.ACTIVE,
    procedure=Coding("local", "1", "ct chest native"),
    modality="CT",
    requested_at=datetime(2026, 11, 19, 23, 0, tzinfo=UTC),
    id="order",
)


def proposed(study: Study = STUDY, order: ServiceRequest = ORDER, patient: Patient = TINA) -> ServiceRequest | None:
    return propose(study, ((order, patient),))


def test_the_patients_order_of_the_same_time_and_modality_is_proposed() -> None:
    assert proposed() == ORDER


@pytest.mark.parametrize(
    "change",
    [
        {"requested_at": datetime(2026, 11, 18, 23, 0, tzinfo=UTC)},
        {"requested_at": None},
        {"scheduled_at": datetime(2026, 11, 22, 8, 0, tzinfo=UTC)},
        {"modality": "MR"},
        {"modality": None, "procedure": None},
        {"modality": None, "procedure": Coding("local", "1", "MR Head")},
        {"status": OrderStatus.REVOKED},
        {"study_instance_uid": "9.9"},
        {"test": True},
    ],
    ids=str,
)
def test_an_order_that_does_not_fit_is_not_proposed(change: dict[str, Any]) -> None:
    assert proposed(order=replace(ORDER, **change)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"patient": None},
        {"patient": Identifier("P1", "ELSEWHERE")},
        {"patient_birth_date": date(1950, 1, 1)},
        {"patient_sex": Sex.MALE},
        {"study_date": None},
        {"decided": "leave"},
        {"contradiction": "instances of this study name different patients"},
    ],
    ids=str,
)
def test_nothing_is_proposed_for_images_that_may_be_of_somebody_else(change: dict[str, Any]) -> None:
    assert proposed(study=replace(STUDY, **change)) is None


@pytest.mark.parametrize(("modalities", "modality"), [(("CT",), None), ((), "CT"), ((), None)])
def test_the_name_of_the_procedure_counts_where_a_modality_is_not_stated(
    modalities: tuple[str, ...], modality: str | None
) -> None:
    assert proposed(replace(STUDY, modalities=modalities), replace(ORDER, modality=modality)) is not None
    assert (
        proposed(replace(STUDY, modalities=modalities, description="MR Head"), replace(ORDER, modality=modality))
        is None
    )


def test_of_several_orders_that_fit_none_is_proposed() -> None:
    assert propose(STUDY, ((ORDER, TINA), (replace(ORDER, id="other"), TINA))) is None
    assert propose(STUDY, ((ORDER, TINA), (replace(ORDER, id="other", modality="MR"), TINA))) == ORDER


def test_a_deleted_patient_gets_no_proposal() -> None:
    assert proposed(patient=replace(TINA, deleted="the record was deleted")) is None
