"""The settings as a page shows them: by a list of what may be seen."""

from __future__ import annotations

import re
from pathlib import Path

from cds.settings import Settings
from cds.ui.operations_settings import SHOWN, configuration, is_shown


def shown(settings: Settings) -> dict[str, str]:
    return {one.path: one.value for section in configuration(settings) for one in section.settings}


def test_what_is_not_on_the_list_is_named_and_not_shown(tmp_path: Path) -> None:
    token = tmp_path / "hidden-place"
    token.write_text("s3cret")
    found = shown(
        Settings(
            database_url="postgresql://user:s3cret@db.example/x",
            http_token_file=token,
            alarm_webhook_url="https://chat.example/hooks/s3cret",
            smtp_host="mail.example",
            fhir_destinations={
                "ehr": {"url": "https://fhir.example/r4", "client_id": "me", "client_secret_file": token}
            },
        )
    )
    told = " ".join(found.values())
    assert "s3cret" not in told
    assert "hidden-place" not in told
    for path in ("database_url", "http_token_file", "alarm_webhook_url", "fhir_destinations.ehr.client_secret_file"):
        assert found[path] == "set, not shown"
    assert found["fhir_destinations.ehr.url"] == "https://fhir.example/r4"
    assert found["smtp_host"] == "mail.example"


def test_what_no_site_set_says_so() -> None:
    found = shown(Settings())
    assert found["http_token_file"] == "not set"
    assert found["database_url"] == "not set"
    assert found["time_zone"] == "UTC"
    assert found["stat_per_series"] == "yes"
    assert found["insecure"] == "no"
    assert found["expected_roles"] == "worker, hl7, intake, dicom"


def test_what_this_site_set_is_told_from_what_is_a_default() -> None:
    own = {one.path: one.own for section in configuration(Settings(site_name="Clinic")) for one in section.settings}
    assert own["site_name"]
    assert not own["time_zone"]


def test_the_names_that_a_site_gave_stand_in_the_path() -> None:
    found = shown(
        Settings(
            model_modes={"ct_heart": "advisory"},
            sites={"North": {"issuers": ("N",), "pathway_modes": {"aorta": "off"}}},
            senders={"LAB|HOSP": {"time_zone": "Europe/Berlin", "values": {"OBR-5": {"U1": "S"}}}},
        )
    )
    assert found["model_modes.ct_heart"] == "advisory"
    assert found["sites.North.pathway_modes.aorta"] == "off"
    assert found["senders.LAB|HOSP.time_zone"] == "Europe/Berlin"
    assert found["senders.LAB|HOSP.values.OBR-5.U1"] == "set, not shown"


def test_an_address_is_shown_without_what_follows_a_question_mark() -> None:
    found = shown(Settings(base_url="https://sight.example/app?key=s3cret"))
    assert found["base_url"] == "https://sight.example/app"


def test_nothing_on_the_list_is_a_secret_or_a_file_that_holds_one() -> None:
    assert not [
        path for path in SHOWN if re.search(r"secret|password|token_file|key_file|_file$|client_id|mail_to", path)
    ]


def test_every_setting_of_the_list_is_a_setting() -> None:
    assert {path.partition(".")[0] for path in SHOWN} <= set(Settings.model_fields)


def test_a_setting_that_comes_tomorrow_is_not_shown() -> None:
    assert not is_shown("anything_new")
    assert not is_shown("oru_destinations.*.password")
    assert not is_shown("pacs_sources.*.dicomweb.user")
