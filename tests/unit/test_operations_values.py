"""What the pages of operations show, as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cds.domain.hold import Action
from cds.ui.operations_values import IN_WORDS, AuditAsked, Beat, Disk, Overview, PeerAnswer, Standing, paged

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
ASKED = PeerAnswer("PACS main", asked_at=NOW, asked_by="ada")


def test_a_peer_that_nobody_asked_is_neither_fine_nor_wrong() -> None:
    assert PeerAnswer("PACS main").state(NOW) == "not asked"


def test_a_peer_that_does_not_answer_within_half_a_minute_has_no_answer() -> None:
    assert ASKED.state(NOW + timedelta(seconds=29)) == "asking"
    assert ASKED.state(NOW + timedelta(seconds=30)) == "no answer"


def test_an_answer_is_fine_or_warns_or_fails() -> None:
    answered = replace(ASKED, answered_at=NOW, ok=True)
    assert answered.state(NOW) == "fine"
    assert replace(answered, warns=True).state(NOW) == "warns"
    assert replace(answered, ok=False).state(NOW) == "fails"


def test_a_role_that_was_heard_long_ago_is_missing() -> None:
    beats = (
        Beat("a/worker-0", "worker", NOW - timedelta(seconds=5)),
        Beat("a/hl7", "hl7", NOW - timedelta(seconds=20)),
    )
    seen = Overview(NOW, Standing((), beats, (), ()), ("worker", "hl7", "dicom"), Disk(1, 2, 0), None, ())
    assert seen.missing == ("hl7", "dicom")


def test_a_disk_that_cannot_be_looked_at_is_short() -> None:
    assert Disk(None, None, 1).is_short
    assert Disk(99, 1000, 100).is_short
    assert not Disk(100, 1000, 100).is_short


def test_a_page_knows_whether_there_are_more() -> None:
    assert paged((1, 2, 3), 1, 2).items == (1, 2)
    assert paged((1, 2, 3), 1, 2).more
    assert paged((1, 2, 3), 2, 2).items == (3,)
    assert not paged((1, 2, 3), 2, 2).more
    assert paged((1, 2), 9, 2).items == ()


def test_what_was_searched_is_told_without_what_was_not_asked() -> None:
    assert AuditAsked(who="ada", since=NOW).words == ("who ada", "since 2026-11-22T14:00:00+00:00", "page 1")
    assert AuditAsked().words == ("page 1",)


def test_every_action_is_told_in_words() -> None:
    assert set(IN_WORDS) == set(Action)
