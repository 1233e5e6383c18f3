"""`cds hooks stats` over a real data folder: since when, by what, as what."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cds.commands.hook_stats import stats
from cds.domain.hook import HeldBack, Outcome
from cds.store.hook_tables import HookAnswerRow, HookCardRow, HookSuppressedRow
from tests.databases import Databases, fresh

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
MODELS = '["ct_nodule 1.0"]'
ABOUT: dict[str, Any] = {
    "service": "imaging-findings",
    "pathway": "lung_nodule",
    "key": "s/1/lung_nodule",
    "client": "general",
    "user_id": "Practitioner/Unmistakable",
    "whose": "patient-1",
    "site": "north",
    "models": MODELS,
}


def shown(uuid: str, at: datetime) -> HookCardRow:
    """A card that was shown."""
    rest: dict[str, Any] = {"hook": "patient-view", "instance": "i", "roles": "[]", "episode": 1, "suggestions": "{}"}
    return HookCardRow(uuid=uuid, at=at, digest="d", indicator="info", **rest, **ABOUT)


def overridden(card: str, at: datetime) -> HookAnswerRow:
    """A card that was overridden as already known."""
    rest: dict[str, Any] = {"accepted": "[]", "reason_system": "s", "reason_display": "", "comment": "Unmistakable"}
    return HookAnswerRow(
        card=card,
        outcome=Outcome.OVERRIDDEN.value,
        at=at,
        taken_at=at,
        reason_code="already-known",
        digest="d",
        roles="[]",
        **rest,
        **ABOUT,
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    """A site in Auckland: two cards of its October, one of them overridden, one held back, and one of September."""
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CDS_TIME_ZONE", "Pacific/Auckland")
    with fresh(tmp_path) as databases:
        with databases.app.writing() as session:
            session.add(shown("a", SINCE - timedelta(hours=12)))
            session.add(shown("b", SINCE + timedelta(days=1)))
            session.add(overridden("b", SINCE + timedelta(days=1)))
            session.add(HookSuppressedRow(at=SINCE, why=HeldBack.CAP.value, **ABOUT))
            session.add(shown("c", SINCE - timedelta(days=2)))
        yield databases


def cds(*arguments: str) -> tuple[int, str]:
    """The exit code of the command, and what it prints."""
    app = typer.Typer()
    app.command()(stats)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_it_tells_what_was_shown_since_a_day_at_the_site(site: Databases) -> None:
    code, text = cds("--since", "2026-10-01")
    assert code == 0
    assert text.splitlines() == [
        "imaging-findings  lung_nodule  ct_nodule 1.0  site north",
        "  shown 2; unanswered 1",
        "  accepted 0 (0.0 %, 95 % interval 0.0 to 65.8)",
        "  overridden 1 (50.0 %, 95 % interval 9.5 to 90.5): already-known 1",
        "  held back 1: daily-cap 1",
    ]
    assert "Unmistakable" not in text


def test_json_and_csv_have_the_same_numbers(site: Databases) -> None:
    [row] = json.loads(cds("--since", "2026-09-01", "--by", "model", "--json")[1])
    assert (row["models"], row["shown"], row["reasons"]) == (["ct_nodule 1.0"], 3, {"already-known": 1})
    [line] = csv.DictReader(io.StringIO(cds("--since", "2026-09-01", "--by", "model", "--csv")[1]))
    assert (line["models"], line["shown"], line["reasons"]) == ("ct_nodule 1.0", "3", "already-known=1")


def test_a_day_of_which_nothing_is_known_says_so(site: Databases) -> None:
    assert cds("--since", "2199-01-01") == (0, "No card was shown or held back.\n")


@pytest.mark.parametrize("wrong", [("--json", "--csv"), ("--since", "yesterday"), ("--by", "patient")])
def test_what_cannot_be_told_is_bad_usage(site: Databases, wrong: tuple[str, ...]) -> None:
    assert cds(*wrong)[0] == 2
