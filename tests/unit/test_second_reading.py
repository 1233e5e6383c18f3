"""Second reading: what a model's answer says of a part, when two readings differ, and what holds then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cds.domain.coding import Coding
from cds.domain.finding import NO_SERIES, Finding, Findings, NotEvaluated, Presence
from cds.domain.second_reading import (
    SIDES,
    WHOLE,
    About,
    Arbitration,
    Compared,
    OwnReading,
    PartRead,
    Readings,
    ReadingState,
    compare,
    is_wanted,
    model_reading,
    recalled,
    triage_rank,
)

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ABOUT = About("1.2", 1, "mammo")
REFUSED = NotEvaluated("mammo", "1", ("it has one view",), "views")


def seen(*findings: tuple[str, str, Presence], confidence: float | None = None) -> Findings:
    """A model's answer: key, side and presence of each finding."""
    made = (Finding(key, Coding("s", key), p, laterality=side, confidence=confidence) for key, side, p in findings)
    return Findings("mammo", "1", "1.2.1", tuple(made))


def own(left: bool | None, right: bool | None, **more: object) -> OwnReading:
    """A reading of both sides."""
    parts = (PartRead("left", left), PartRead("right", right))
    return replace(OwnReading(ABOUT, "rad", NOW, parts, id=1), **more)


PRESENT, ABSENT = Presence.PRESENT, Presence.NOT_DETECTED
UNKNOWN, MEASURED = Presence.NOT_EVALUATED, Presence.MEASURED

SAID = [
    (seen(("mass", "left", PRESENT), ("mass-2", "right", ABSENT)), {"left": True, "right": False}),
    (seen(("mass", "both", PRESENT)), {"left": True, "right": True}),
    (seen(("mass", "", PRESENT)), {"left": True, "right": True}),
    (seen(("mass", "", ABSENT)), {"left": False, "right": False}),
    (seen(("mass", "left", ABSENT)), {"left": False, "right": None}),
    (seen(("mass", "left", ABSENT), ("calc", "left", UNKNOWN)), {"left": None, "right": None}),
    (seen(("mass", "left", PRESENT), ("calc", "left", UNKNOWN)), {"left": True, "right": None}),
    (seen(("density", "left", MEASURED)), {"left": None, "right": None}),
    (seen(), {"left": None, "right": None}),
    (REFUSED, {"left": None, "right": None}),
]


@pytest.mark.parametrize(("answer", "expected"), SAID)
def test_what_a_model_says_of_a_side_is_recall_no_recall_or_not_known(
    answer: Findings | NotEvaluated, expected: dict[str, bool | None]
) -> None:
    assert {one.part: one.recall for one in model_reading(answer, SIDES).parts} == expected


def test_only_the_kinds_that_the_site_named_ask_for_a_recall() -> None:
    answer = seen(("mass-1", "left", ABSENT), ("calc", "left", PRESENT))
    assert model_reading(answer, ("left",), ("mass",)).parts == (PartRead("left", False),)
    assert model_reading(answer, ("mass", "calc", WHOLE)).parts == (
        PartRead("mass", False), PartRead("calc", True), PartRead(WHOLE, True),
    )  # fmt: skip


STATES = [
    (own(True, False), seen(("m", "left", PRESENT), ("m-2", "right", ABSENT)), ReadingState.AGREED, ()),
    (own(False, False), seen(("m", "left", PRESENT), ("m-2", "right", ABSENT)), ReadingState.ARBITRATION, ("left",)),
    (own(True, True), seen(("m", "", ABSENT)), ReadingState.ARBITRATION, ("left", "right")),
    (own(False, False), REFUSED, ReadingState.SINGLE, ()),
    (own(False, None), seen(("m", "left", ABSENT)), ReadingState.AGREED, ()),
    (own(False, None), seen(("m", "right", PRESENT)), ReadingState.SINGLE, ()),
    (own(True, False), seen(("m", "left", ABSENT)), ReadingState.ARBITRATION, ("left",)),
]


@pytest.mark.parametrize(("reading", "answer", "state", "differs"), STATES)
def test_two_readings_agree_differ_or_one_of_them_stands_alone(
    reading: OwnReading, answer: Findings | NotEvaluated, state: ReadingState, differs: tuple[str, ...]
) -> None:
    found = compare(reading, answer, NOW)
    assert (found.state, found.differs) == (state, differs)


def told(reading: OwnReading, answer: Findings | NotEvaluated, *decided: PartRead) -> Readings:
    """Both readings, and a third person's decision where one is given."""
    said = (Arbitration(ABOUT, "third", NOW, decided, "seen in both views"),) if decided else ()
    return Readings(ABOUT, (reading,), compare(reading, answer, NOW), said)


def test_nothing_is_decided_before_anybody_has_read_and_while_a_disagreement_is_open() -> None:
    positive = seen(("m", "left", PRESENT), ("m-2", "right", ABSENT))
    assert (Readings(ABOUT).state, Readings(ABOUT).outcome) == (ReadingState.WAITING, ())
    assert told(own(False, False), positive).outcome == ()
    assert recalled(told(own(False, False), positive).outcome) is None


def test_what_a_third_person_decides_holds_and_the_agreed_part_stays_as_it_was_read() -> None:
    positive = seen(("m", "left", PRESENT), ("m-2", "right", ABSENT))
    decided = told(own(False, False), positive, PartRead("left", True))
    assert decided.state is ReadingState.DECIDED
    assert decided.outcome == (PartRead("left", True), PartRead("right", False))
    assert recalled(decided.outcome) is True


def test_without_an_answer_of_the_model_the_persons_reading_holds() -> None:
    pending = Readings(ABOUT, (own(True, False),))
    assert pending.state is ReadingState.MODEL_PENDING
    assert recalled(pending.outcome) is True
    assert recalled(told(own(False, False), REFUSED).outcome) is False


def test_a_correction_after_the_model_was_shown_does_not_end_a_disagreement() -> None:
    first = own(False, False)
    compared = compare(first, seen(("m", "left", PRESENT), ("m-2", "right", ABSENT)), NOW)
    later = own(True, False, is_blind=False, corrects=1, reason="I see it now", id=2)
    readings = Readings(ABOUT, (first, later), compared)
    assert readings.state is ReadingState.ARBITRATION
    assert readings.blind == first


def test_what_was_not_read_is_neither_recall_nor_no_recall() -> None:
    assert recalled((PartRead("left", None), PartRead("right", None))) is None
    assert recalled((PartRead("left", None), PartRead("right", False))) is False
    assert recalled(()) is None


def test_triage_puts_what_the_model_would_recall_first_and_what_it_could_not_tell_before_a_negative() -> None:
    sure, unsure = seen(("m", "left", PRESENT), confidence=0.9), seen(("m", "left", PRESENT), confidence=0.6)
    unstated, negative = seen(("m", "", PRESENT)), seen(("m", "", ABSENT), confidence=0.99)
    ranked = sorted([negative, REFUSED, unstated, unsure, sure], key=triage_rank)
    assert ranked == [sure, unsure, unstated, REFUSED, negative]
    assert triage_rank(None) == triage_rank(REFUSED)


def test_a_model_that_reads_no_such_images_has_nobody_read_beside_it() -> None:
    assert not is_wanted(NotEvaluated("mammo", "1", ("no mammogram",), NO_SERIES))
    assert is_wanted(REFUSED)
    assert is_wanted(None)


def test_a_comparison_keeps_the_version_and_the_reasons_of_the_model() -> None:
    assert compare(own(False, False), REFUSED, NOW) == Compared(
        1, model_reading(REFUSED, SIDES), (), ReadingState.SINGLE, NOW
    )
    assert model_reading(REFUSED, SIDES).reasons == ("it has one view",)
