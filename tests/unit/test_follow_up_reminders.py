"""A reminder of a follow-up on each wire: who is told what, and that mail and webhooks name no patient."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from adapters.fhir.client import open_client
from adapters.fhir.keys import SmartKeys
from adapters.fhir.reminder import IDENTIFIER, ReminderChannel
from adapters.fhir.task import IDENTIFIER as TASK_IDENTIFIER
from adapters.hl7.message import Message
from adapters.hl7.reminder import ReminderOru
from adapters.notify.reminder import reminder_mail, reminder_webhook
from cds.coordination import FollowUpCare
from cds.destinations import FhirDestination, MllpDestination
from cds.domain.follow_up import FollowUp, FollowUpState, ReminderStep
from cds.domain.follow_up_care import ReminderDue, ReminderNotice, message_number
from cds.errors import InvalidResource
from cds.store.follow_up_reminders import step_on
from tests.contract.critical_notices import PHI
from tests.unit.fhir_samples import PATIENT, STUDY, SYSTEMS

AT = datetime(2027, 1, 10, 8, 0, tzinfo=UTC)
DAY = date(2027, 1, 9)
ONE = FollowUp(
    "7d3c2a10-2b2f-5d3c-9d55-0f4a5a3b1c2d", STUDY.study_instance_uid, "lung_nodule", "ct", "CT of the chest", DAY,
    FollowUpState.OPEN, "", AT, AT,
)  # fmt: skip
DUE = ReminderDue(ONE, DAY, ReminderStep.OVERDUE, "Nodule clinic", STUDY, PATIENT, 1)
NOTICE = ReminderNotice(DUE, "Coordinator", "Sample Hospital", f"https://pages.example/follow-ups/{ONE.id}", AT)


@pytest.mark.parametrize(
    ("today", "step"),
    [
        (date(2026, 12, 25), None),
        (date(2026, 12, 26), ReminderStep.DUE_SOON),
        (DAY, ReminderStep.DUE_SOON),
        (date(2027, 1, 10), ReminderStep.OVERDUE),
        (date(2027, 1, 22), ReminderStep.OVERDUE),
        (date(2027, 1, 23), ReminderStep.ESCALATED),
        (date(2029, 1, 1), ReminderStep.ESCALATED),
    ],
)
def test_the_step_follows_from_the_day_and_the_site_s_intervals(today: date, step: ReminderStep | None) -> None:
    assert step_on(today, DAY, FollowUpCare(due_soon_days=14, overdue_days=1, escalate_days=14)) is step


def test_the_same_step_of_the_same_day_has_one_number_and_another_day_another() -> None:
    assert replace(DUE, owner="Somebody else").delivery_id == DUE.delivery_id
    others = (replace(DUE, step=ReminderStep.ESCALATED), replace(DUE, due=date(2027, 2, 1)))
    assert len({DUE.delivery_id, *(one.delivery_id for one in others)}) == 3
    assert len(message_number(DUE.delivery_id)) <= 20


def test_an_oru_is_preliminary_names_the_patient_and_no_order() -> None:
    to = MllpDestination.model_validate({"host": "127.0.0.1", "port": 9})
    channel = ReminderOru("follow-up:desk", to, facility="SITE", time_zone="Europe/Berlin")
    message = Message(channel.encode(NOTICE, DUE.delivery_id))
    obr, values = message.first("OBR"), message.all("OBX")
    assert message.first("PID").text(5) == "Unmistakable"
    assert message.first("MSH").text(10) == message_number(DUE.delivery_id)
    assert (obr.raw(2), obr.raw(18), obr.raw(25), obr.raw(29)) == ("", "", "P", "")
    assert obr.raw(3) == f"SL-{STUDY.public_id}-F7d3c2a10^SIGHTLINE"
    assert [value.raw(5) for value in values] == ["CT of the chest", "20270109", "overdue"]
    assert {value.raw(11) for value in values} == {"P"}
    assert "Its owner is Nodule clinic." in [note.text(3) for note in message.all("NTE")]


def test_a_communication_is_about_the_task_of_the_follow_up() -> None:
    to = FhirDestination.model_validate({"url": "http://127.0.0.1:9"})
    client = open_client("follow-up:ehr", to, SmartKeys(()))
    channel = ReminderChannel("follow-up:ehr", to, client=client, identifier_systems=SYSTEMS)
    [entry] = json.loads(channel.encode(NOTICE, DUE.delivery_id))["entry"]
    said = entry["resource"]
    number = message_number(DUE.delivery_id)
    assert entry["request"]["ifNoneExist"] == f"identifier=urn%3Asightline%3Afollow-up-reminder%7C{number}"
    assert said["identifier"] == [{"system": IDENTIFIER, "value": number}]
    assert said["category"][0]["coding"][0]["code"] == "reminder"
    assert [one["type"] for one in said["about"]] == ["Task", "ImagingStudy"]
    assert said["about"][0]["identifier"]["system"] == TASK_IDENTIFIER
    assert said["subject"]["identifier"]["value"] == "12345"
    assert (said["priority"], said["status"]) == ("urgent", "completed")


def test_a_server_is_not_told_of_somebody_without_an_identifier() -> None:
    to = FhirDestination.model_validate({"url": "http://127.0.0.1:9"})
    client = open_client("follow-up:ehr", to, SmartKeys(()))
    channel = ReminderChannel("follow-up:ehr", to, client=client, identifier_systems=SYSTEMS)
    nobody = replace(NOTICE, due=replace(DUE, patient=replace(PATIENT, identifiers=())))
    with pytest.raises(InvalidResource, match="identifier of the patient"):
        channel.encode(nobody, DUE.delivery_id)


def test_mail_and_webhooks_say_what_is_due_and_name_nobody() -> None:
    mail = reminder_mail(NOTICE, DUE.delivery_id, sender="sightline@site.example", to="desk@site.example")
    message = message_from_bytes(mail, policy=default)
    assert message["Subject"] == "[Sample Hospital] Follow-up overdue: CT of the chest"
    hook = reminder_webhook(NOTICE, DUE.delivery_id)
    body = json.loads(hook)
    assert (body["kind"], body["step"], body["due"]) == ("follow-up-reminder", "overdue", "2027-01-09")
    told = message.get_content() + hook.decode()
    assert NOTICE.link in told
    assert not [word for word in PHI if word in told]


def test_without_an_owner_the_reminder_says_that_nobody_owns_it() -> None:
    assert "Nobody owns it: make somebody its owner." in replace(NOTICE, due=replace(DUE, owner="")).lines


WITHDRAWN = ReminderNotice(
    replace(DUE, step=ReminderStep.WITHDRAWN, follow_up=replace(ONE, reason="version 3: another patient")),
    "Coordinator", "Sample Hospital", "https://pages.example/x", AT, (DUE.delivery_id,),
)  # fmt: skip
BACK = WITHDRAWN.due.delivery_over("ehr")


def test_an_oru_that_takes_a_reminder_back_has_its_filler_number() -> None:
    to = MllpDestination.model_validate({"host": "127.0.0.1", "port": 9})
    channel = ReminderOru("follow-up:desk", to, facility="SITE", time_zone="Europe/Berlin")
    first, back = Message(channel.encode(NOTICE, DUE.delivery_id)), Message(channel.encode(WITHDRAWN, BACK))
    assert back.first("OBR").raw(3) == first.first("OBR").raw(3)
    assert (back.first("OBR").raw(25), {value.raw(11) for value in back.all("OBX")}) == ("X", {"W"})
    assert "It does not hold any more: version 3: another patient." in [note.text(3) for note in back.all("NTE")]


def test_a_communication_that_was_sent_is_entered_in_error() -> None:
    to = FhirDestination.model_validate({"url": "http://127.0.0.1:9"})
    client = open_client("follow-up:ehr", to, SmartKeys(()))
    channel = ReminderChannel("follow-up:ehr", to, client=client, identifier_systems=SYSTEMS)
    taken, told = json.loads(channel.encode(WITHDRAWN, BACK))["entry"]
    number = message_number(DUE.delivery_id)
    assert taken["request"]["method"] == "PUT"
    assert taken["request"]["url"].endswith(f"%7C{number}")
    assert taken["resource"]["status"] == "entered-in-error"
    assert told["resource"]["identifier"][0]["value"] == message_number(BACK) != number
    assert told["resource"]["status"] == "completed"
