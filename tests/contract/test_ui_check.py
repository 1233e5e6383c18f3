"""What `cds check` says of the pages: passwords that travel unprotected, pages that nobody can open, a provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cds.bootstrap.ui_check import ui_checks
from cds.checks import Check
from cds.domain.staff import Role
from cds.settings import Settings
from tests.contract.oidc_peer import CLIENT_ID, Provider, providing
from tests.contract.ui_site import serving
from tests.ui_doors import StandingClock


def checked(settings: Settings) -> dict[str, Check]:
    return {found.name: found for found in (check() for check in ui_checks(settings))}


@pytest.mark.parametrize(
    ("given", "ok"),
    [
        ({}, True),
        ({"ui_url": "https://pages.example"}, True),
        ({"base_url": "https://sightline.example"}, True),
        ({"ui_url": "http://pages.example"}, False),
        ({"base_url": "http://sightline.example"}, False),
    ],
    ids=str,
)
def test_passwords_travel_over_https_or_within_one_machine(given: dict[str, Any], ok: bool, tmp_path: Path) -> None:
    found = checked(Settings(data_dir=tmp_path, **given))["pages"]
    assert found.ok is ok
    assert ("unprotected" in found.detail) is not ok


def test_pages_that_nobody_can_open_are_told_until_somebody_can(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        before = checked(site.settings)["sign-in"]
        assert (before.ok, before.warns) == (True, True)
        assert "cds users add" in before.how_to_fix
        site.user("rita", Role.RADIOLOGIST)
        after = checked(site.settings)["sign-in"]
        assert (after.ok, after.warns, after.detail) == (True, False, "1 local users may sign in")


def test_before_the_first_start_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert not checked(Settings(data_dir=tmp_path / "nothing"))["sign-in"].warns


def test_a_provider_that_answers_is_fine_and_one_that_does_not_is_named(tmp_path: Path) -> None:
    provider = Provider(StandingClock().now)
    with providing(provider):
        table = {"issuer": provider.issuer, "client_id": CLIENT_ID, "roles": {"it": ["engineer"]}}
        settings = Settings.model_validate({"data_dir": tmp_path, "ui_oidc": table})
        assert checked(settings)["OpenID Connect"].ok
        provider.configuration = {"issuer": "https://evil.example"}
        refused = checked(settings)["OpenID Connect"]
    away = checked(settings)["OpenID Connect"]
    assert [one.ok for one in (refused, away)] == [False, False]
    assert "letter by letter" in refused.detail
