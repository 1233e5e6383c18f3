"""`cds follow-ups` over a real data folder: listed, answered, refused in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds.commands.follow_ups import app
from cds.domain.follow_up import FollowUp, FollowUpState
from cds.render.follow_ups import as_json, as_text
from cds.store.acceptances import AcceptanceStore
from tests.contract.acceptances_contract import REFER, Site
from tests.contract.follow_up_site import CareSite
from tests.databases import Databases, fresh

PHYSICIAN = ("--by", "Dr Roe", "--role", "physician")
TODAY = date(2026, 12, 3)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    """A data folder with study 1.2 of accession number A1, whose report recommends a referral."""
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path))
    with fresh(tmp_path) as databases:
        filled = Site(databases)
        filled.report(filled.anna, REFER)
        yield databases


def cds(*arguments: str) -> str:
    """What a command prints, or the error that the program would tell."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exit_code == 0:
        return result.output
    return str(result.exception) if not isinstance(result.exception, SystemExit) else "usage"


def state(site: Databases) -> str:
    """Where the referral stands."""
    [one] = AcceptanceStore(site.app).follow_ups(study_uid="1.2")
    return one.state.value


def told(**more: object) -> FollowUp:
    """A follow-up as the store tells it."""
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    values: dict[str, object] = {
        "id": "f", "study_instance_uid": "1.2", "pathway": "p", "recommendation": "refer", "action": "Refer",
        "due": date(2026, 12, 1), "state": FollowUpState.OPEN, "reason": "", "created_at": at, "updated_at": at,
    }  # fmt: skip
    return FollowUp(**{**values, **more})


@pytest.mark.usefixtures("site")
def test_what_waits_is_listed_without_anybody_s_name() -> None:
    listed = cds("list")
    assert listed.splitlines()[0] == "study 1.2  p.refer: Refer"
    assert listed.splitlines()[1].startswith("  open, due 2026-12-01")
    assert cds("list", "--study", "A1") == listed
    for name in ("Tina", "P1"):
        assert name not in listed


def test_a_person_accepts_declines_and_completes(site: Databases) -> None:
    accept = ("accept", "A1", "p.refer", *PHYSICIAN)
    assert cds(*accept) == "p.refer: accepted\n"
    assert cds(*accept) == "p.refer: accepted before, nothing changed\n"
    assert "accepted by Dr Roe" in cds("list")
    assert cds("complete", "1.2", "p.refer", "--by", "Dr Poe", "--role", "nurse") == "p.refer: completed\n"
    assert cds("list") == "No follow-up waits.\n"
    assert "completed by Dr Poe" in cds("list", "--study", "1.2")
    refused = cds("decline", "A1", "p.refer", *PHYSICIAN)
    assert "another person has completed it" in refused
    assert cds("decline", "A1", "p.refer", *PHYSICIAN, "--overrule", "--reason", "moved") == "p.refer: declined\n"
    assert state(site) == "declined"


def test_who_acts_is_the_account_where_nobody_is_named(site: Databases) -> None:
    assert cds("accept", "A1", "p.refer", "--role", "physician") == "p.refer: accepted\n"
    [one] = AcceptanceStore(site.app).of_study("1.2", 1)
    assert one.by


def test_what_cannot_be_done_is_refused_in_words(site: Databases) -> None:
    refusals = {
        ("accept", "A9", "p.refer", *PHYSICIAN): "no such study",
        ("accept", "A1", "p.other", *PHYSICIAN): "want a follow-up of this study",
        ("accept", "A1", "refer", *PHYSICIAN): "want a recommendation as <pathway>.<recommendation>",
        ("accept", "A1", "p.refer", "--role", " "): "want the role",
        ("accept", "A1", "p.refer"): "usage",
        ("list", "--study", "A9"): "no such study",
    }
    for arguments, wanted in refusals.items():
        assert wanted in cds(*arguments), arguments
    assert state(site) == "open"


@pytest.mark.usefixtures("site")
def test_scripts_read_json_and_what_is_overdue() -> None:
    [row] = json.loads(cds("list", "--json"))
    assert (row["study"], row["recommendation"], row["due"], row["state"]) == ("1.2", "p.refer", "2026-12-01", "open")
    overdue = json.loads(cds("list", "--overdue", "--json"))
    assert overdue == ([row] if row["days_overdue"] else [])


@pytest.mark.parametrize(
    ("follow_up", "line", "days"),
    [
        (told(), "  open, due 2026-12-01, 2 days overdue", 2),
        (told(due=date(2026, 12, 2)), "  open, due 2026-12-02, 1 day overdue", 1),
        (told(due=TODAY), "  open, due 2026-12-03", 0),
        (told(due=None), "  open, no date", 0),
        (told(state=FollowUpState.COMPLETED, by="Dr Roe"), "  completed by Dr Roe, due 2026-12-01", 0),
        (told(state=FollowUpState.ACCEPTED, by="Dr Roe"), "  accepted by Dr Roe, due 2026-12-01, 2 days overdue", 2),
    ],
)
def test_each_says_where_it_stands_and_how_late_it_is(follow_up: FollowUp, line: str, days: int) -> None:
    assert as_text([follow_up], TODAY).splitlines() == ["study 1.2  p.refer: Refer", line]
    [row] = json.loads(as_json([follow_up], TODAY))
    assert row["days_overdue"] == days


def test_why_it_does_not_hold_any_more_is_told() -> None:
    closed = told(state=FollowUpState.CLOSED, reason="version 3: it is not recommended any more")
    assert as_text([closed], TODAY).splitlines()[-1] == "  version 3: it is not recommended any more"


# --- the verbs of a coordinator

CORA = ("--by", "Cora", "--role", "coordinator")


def test_a_follow_up_is_moved_assigned_and_opened_again(site: Databases) -> None:
    move = ("reschedule", "A1", "p.refer", "--by", "Cora", "--to")
    assert "want a reason" in cds(*move, "2027-03-01")
    assert cds(*move, "2027-03-01", "--reason", "on holiday") == "p.refer: due 2027-03-01\n"
    assert "due 2027-03-01" in cds("list")
    assert cds(*move, "soon", "--reason", "x") == "usage"
    assert cds("assign", "A1", "p.refer", "--owner", "Dr Poe", "--by", "Cora") == "p.refer: owned by Dr Poe\n"
    cds("complete", "A1", "p.refer", *CORA)
    assert "reopen it first" in cds("assign", "A1", "p.refer", "--owner", "Dr Roe")
    assert "want a reason" in cds("reopen", "A1", "p.refer", *CORA)
    assert cds("reopen", "A1", "p.refer", *CORA, "--reason", "a mistake") == "p.refer: waits again\n"
    assert state(site) == "open"
    assert "no follow-up has this id" in cds("assign", "A1", "p.other", "--owner", "Dr Poe")


def test_what_is_overdue_goes_by_the_day_that_holds(site: Databases) -> None:
    store = AcceptanceStore(site.app)
    assert len(store.follow_ups(overdue_on=date(2027, 1, 1))) == 1
    cds("reschedule", "A1", "p.refer", "--to", "2027-03-01", "--reason", "on holiday")
    assert store.follow_ups(overdue_on=date(2027, 1, 1)) == ()
    assert [one.due for one in store.follow_ups(overdue_on=date(2027, 3, 2))] == [date(2027, 3, 1)]


def test_a_person_confirms_or_refuses_what_may_be_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path))
    with fresh(tmp_path) as databases:
        care = CareSite(databases)
        assert cds("proposals") == "No result waits to be looked at.\n"
        care.images("A7", "1.3")
        care.images("A8", "1.4")
        care.look()
        first, one, other = cds("proposals").splitlines()
        assert first == "study 1.2  p.scan: CT of the chest in 6 months"
        assert "Images: CT CHEST of 2027-04-01 (dicom)" in one
        number, another = one.split()[0], other.split()[0]
        assert cds("refuse", number, *CORA) == f"{number}: refused\n"
        assert "decided already" in cds("confirm", number, *CORA)
        assert cds("confirm", another, *CORA) == f"{another}: confirmed, the follow-up is done\n"
        assert care.one().by == "Cora"
