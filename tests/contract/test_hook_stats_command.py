"""`cds hooks stats` over a real data folder: since when, by what, as what."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cds.bootstrap.hook_memory import memory_over
from cds.clock import SystemClock
from cds.commands.hook_stats import stats
from cds.domain.hook import About, Feedback, HeldBack, HookCall, Outcome, Reader, ShownCard, Suppressed
from cds.hooks.parts import ALREADY_KNOWN
from cds.store.card_log import SqlCardLog
from tests.databases import Databases, fresh

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
SERVICE = "imaging-findings"
ABOUT = About("s/1/lung_nodule", "d", "lung_nodule", site="north", models=("ct_nodule 1.0",))
READER = Reader("general", "Practitioner/Unmistakable")


def kept(log: SqlCardLog, at: datetime, *cards: str, suppressed: tuple[Suppressed, ...] = ()) -> None:
    """A call that showed cards, and held some back."""
    shown = tuple(ShownCard(uuid, ABOUT) for uuid in cards)
    log.keep(HookCall(SERVICE, "patient-view", "i", at, READER, "patient-1", shown, suppressed))


def overridden(log: SqlCardLog, card: str, at: datetime) -> None:
    """A card was overridden as already known."""
    said = Feedback(card, Outcome.OVERRIDDEN, at, reason=ALREADY_KNOWN, comment="Unmistakable")
    assert log.feedback(SERVICE, "general", [said], at).recorded == 1


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    """A site in Auckland: two cards of its October, one of them overridden, one held back, and one of September."""
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CDS_TIME_ZONE", "Pacific/Auckland")
    with fresh(tmp_path) as databases:
        log = memory_over(databases.app, SystemClock("Pacific/Auckland")).cards
        kept(log, SINCE - timedelta(hours=12), "a" * 8)
        kept(log, SINCE + timedelta(days=1), "b" * 8)
        overridden(log, "b" * 8, SINCE + timedelta(days=1))
        kept(log, SINCE, suppressed=(Suppressed(ABOUT, HeldBack.CAP),))
        kept(log, SINCE - timedelta(days=2), "c" * 8)
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
