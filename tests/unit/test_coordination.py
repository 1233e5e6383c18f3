"""Who owns follow-ups by default, and which settings of reminders are refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cds.coordination import FollowUpCare

MAIL = {"recipient": "Clinic", "channel": "mail", "mail_to": "clinic@site.example"}


def test_the_most_exact_owner_counts() -> None:
    care = FollowUpCare(owners={"*": "desk", "lung": "lung clinic", "north/*": "north desk", "north/lung": "Dr N"})
    assert care.owner("lung", "north") == "Dr N"
    assert care.owner("bone", "north") == "north desk"
    assert care.owner("lung", "south") == "lung clinic"
    assert care.owner("bone", "") == "desk"
    assert FollowUpCare(owners={"lung": "x"}).owner("bone", "") == ""


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"remind": "nowhere"}, "which is none of the routes"),
        ({"routes": {"a": MAIL}, "escalate_to": "b"}, "which is none of the routes"),
        ({"routes": {"a": {**MAIL, "mail_to": ""}}}, "channel mail wants mail_to"),
        ({"routes": {"a": {**MAIL, "webhook_url": "https://x.example"}}}, "and no other"),
        ({"escalate_days": 1, "overdue_days": 2}, "at least overdue_days"),
        ({"due_soon_days": 0}, "greater than or equal to 1"),
        ({"owners": {"a/b/c": "x"}}, "String should match"),
    ],
)
def test_what_leads_nowhere_is_refused_in_words(given: dict[str, object], wanted: str) -> None:
    with pytest.raises(ValidationError, match=wanted):
        FollowUpCare.model_validate(given)


def test_what_the_rest_of_the_settings_lacks_is_said() -> None:
    server = {"recipient": "EHR", "channel": "fhir", "fhir": {"url": "https://ehr.example", "client_id": "us"}}
    care = FollowUpCare.model_validate({"routes": {"clinic": MAIL, "ehr": server}})
    assert care.mistakes(mail=True, signs=True) == []
    smtp, keys = care.mistakes(mail=False, signs=False)
    assert smtp.startswith("CDS_SMTP_HOST")
    assert keys.startswith("CDS_SMART_KEY_FILES is wanted: ehr")


def test_a_route_to_a_test_system_takes_tests_alone() -> None:
    hl7 = {"host": "127.0.0.1", "port": 9}
    routes = FollowUpCare.model_validate(
        {
            "routes": {
                "test": {"recipient": "T", "channel": "hl7", "hl7": {**hl7, "processing": "T"}},
                "real": {"recipient": "R", "channel": "hl7", "hl7": hl7},
                "mail": MAIL,
            }
        }
    ).routes
    assert {name: route.takes_tests for name, route in routes.items()} == {"test": True, "real": False, "mail": False}
