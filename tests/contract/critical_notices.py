"""A critical result as recipients are told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cds.domain.critical import Category, CriticalNotice, CriticalResult, CriticalState
from tests.unit.fhir_samples import ORDER, PATIENT, STUDY

NOW = datetime(2026, 3, 4, 9, 15, tzinfo=UTC)
TOKEN = "s" * 43
RESULT = CriticalResult(
    id="7d3c2a10-2b2f-4d3c-9d55-0f4a5a3b1c2d",
    token=TOKEN,
    study_instance_uid=STUDY.study_instance_uid,
    work_id="dicom-1-i1m1a1",
    finding="ct_head.bleed",
    title="Intracranial hemorrhage",
    category=Category.MINUTES,
    route="duty",
    state=CriticalState.OPEN,
    created_at=NOW,
    due_at=NOW + timedelta(minutes=15),
    images_at=NOW - timedelta(minutes=20),
)
NOTICE = CriticalNotice(
    result=RESULT,
    recipient="Duty radiologist",
    site="Sample Hospital",
    link=f"https://sightline.example/critical/{TOKEN}",
    time_zone="Europe/Berlin",
    sent_at=NOW,
    study=STUDY,
    patient=PATIENT,
    order=ORDER,
)
DOUBTFUL = replace(NOTICE, patient=None, order=None, doubt="the images' birth date contradicts the order's patient")
WITHDRAWN = replace(NOTICE, withdrawn="a radiologist rejected the finding")
#: What would name the patient, the order or the study.
PHI = ("Unmistakable", "Quentina", "12345", "1958", "ACC1", "P1", STUDY.study_instance_uid, STUDY.public_id)
