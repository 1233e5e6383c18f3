"""What waits for a person, as text, JSON and HTML; and which actions each kind has."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

from cds.domain.hold import ACTIONS, Action, Hold, HoldKind
from cds.render import holds

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
DOUBT = Hold(
    "0badcafe",
    HoldKind.MATCH_IN_DOUBT,
    "it is in doubt",
    NOW - timedelta(hours=3, minutes=59),
    study_instance_uid="1.2",
)


class Cells(HTMLParser):
    """The words of a page, and its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data)


def test_every_kind_can_be_resolved() -> None:
    assert set(ACTIONS) == set(HoldKind)
    assert all(ACTIONS.values())


def test_the_list_tells_id_age_owner_reason_and_actions() -> None:
    first, *more = holds.as_text((DOUBT, replace(DOUBT, owner="Ada")), NOW).splitlines()
    assert first.split() == ["0badcafe", "3", "h", "match-in-doubt", "nobody", "study", "1.2"]
    assert more[:2] == ["    it is in doubt", "    leave | attach | retract"]
    assert "  Ada  " in more[2]
    assert holds.as_text((), NOW) == "Nothing waits for a person."


def test_one_hold_is_told_with_the_commands_that_resolve_it() -> None:
    told = holds.in_full(replace(DOUBT, path="instances/ab/x.bin"), NOW, "Europe/Berlin")
    assert "  since    2026-11-20 07:01 (3 h)" in told
    assert "  file     instances/ab/x.bin" in told
    assert "cds holds resolve 0badcafe attach --to ORDER    ORDER is the accession number" in told


def test_what_is_resolved_offers_no_action() -> None:
    done = replace(DOUBT, resolved_at=NOW, resolution="leave, by Ada")
    assert "resolve 0badcafe" not in holds.in_full(done, NOW, "UTC")
    assert "leave, by Ada" in holds.as_text((done,), NOW)
    assert json.loads(holds.as_json((done,), NOW))[0]["actions"] == []


def test_the_page_shows_each_hold_and_what_alarms() -> None:
    page = Cells(holds.as_html((DOUBT,), NOW, ("LAB|HOSP is silent",)))
    assert "LAB|HOSP is silent" in page.words
    assert {"0badcafe", "match-in-doubt", "3 h", "study 1.2", "it is in doubt"} <= set(page.words)
    assert "cds holds resolve 0badcafe leave" in page.words
    assert "Nothing waits for a person." in Cells(holds.as_html((), NOW)).words


def test_nothing_in_the_page_is_active_whatever_a_hold_says() -> None:
    bad = "<script>alert(1)</script>\"'&"
    page = Cells(holds.as_html((replace(DOUBT, reason=bad, owner=bad, study_instance_uid=bad),), NOW, (bad,)))
    assert "script" not in page.elements
    assert page.words.count(bad) == 3
    assert f"study {bad}" in page.words


def test_an_action_with_an_argument_says_so_in_its_command() -> None:
    assert holds.command(DOUBT, Action.ATTACH).endswith("attach --to ORDER")
    assert holds.command(DOUBT, Action.LEAVE).endswith("leave")
