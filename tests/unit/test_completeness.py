"""When the images of a study are all here: every case of the rules, as a table."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cds.domain.completeness import Action, Rules, SeriesProgress, StudyProgress, Verdict, judge, missing_slices
from cds.domain.imaging import InstanceHeader
from cds.domain.retrieval import NOT_KNOWN, RetrievalState

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
RULES = Rules(quiet_s=lambda modality: {"CT": 60.0, "DX": 15.0}.get(modality, 120.0), incomplete_after_s=3600)
DONE, RUNNING, FAILED = RetrievalState.DONE, RetrievalState.RUNNING, RetrievalState.FAILED


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def series(number: int = 3, *, quiet: float = 60, **more: Any) -> SeriesProgress:
    """A CT series of 200 images of which a model reads all; the last came `quiet` seconds ago."""
    values = {"modality": "CT", "consumed": True, "local": 200, "last_at": ago(quiet)}
    return SeriesProgress(series_instance_uid=f"1.2.{number}", number=number, **{**values, **more})


def counted(number: int = 3, *, quiet: float = 60, **more: Any) -> SeriesProgress:
    """The same as a PACS states it, twice."""
    return series(number, quiet=quiet, **{"stated": 200, "agreed": True, **more})


def pushed(*found: SeriesProgress, **more: Any) -> StudyProgress:
    """A study of a site that pushes everything."""
    return StudyProgress("1.2", ago(100), found, **more)


def asked(*found: SeriesProgress, **more: Any) -> StudyProgress:
    """A study that a PACS may hold, which was asked after the last image came."""
    return pushed(*found, **{"queryable": True, "retrieval": DONE, "asked_at": ago(20), **more})


def verdict(progress: StudyProgress, **rules: Any) -> Verdict:
    return judge(progress, replace(RULES, **rules), NOW)


GAP = "slices are missing between 1.0 mm and 4.0 mm along the slice normal"

CASES: list[tuple[str, StudyProgress, Action]] = [
    # --- a site that pushes everything
    ("pushed and quiet", pushed(series()), Action.CLOSE),
    ("pushed a moment ago", pushed(series(quiet=59)), Action.WAIT),
    ("its modality is quiet sooner", pushed(series(quiet=15, modality="DX")), Action.CLOSE),
    ("its modality takes its pauses", pushed(series(quiet=119, modality="MR")), Action.WAIT),
    ("one of two series still comes", pushed(series(3), series(4, quiet=5)), Action.WAIT),
    ("a series that no model reads still comes", pushed(series(3), series(4, quiet=5, consumed=False)), Action.CLOSE),
    ("no series that a model reads, and quiet", pushed(series(consumed=False)), Action.CLOSE),
    ("no series that a model reads, still coming", pushed(series(consumed=False, quiet=5)), Action.WAIT),
    ("a slice is missing", pushed(series(gap=GAP)), Action.WAIT),
    ("an event without counts, images still coming", pushed(series(quiet=5), announced=True), Action.WAIT),
    ("an event with counts", pushed(series(quiet=5, stated=200), announced=True), Action.CLOSE),
    ("an event stated more", pushed(series(stated=250), announced=True), Action.WAIT),
    ("an event stated fewer", pushed(series(stated=150), announced=True), Action.CLOSE),
    # --- a PACS may hold it
    ("still coming, not asked", asked(series(quiet=5), retrieval=None), Action.WAIT),
    ("quiet, never asked", asked(series(), retrieval=None), Action.ASK),
    ("announced, never asked", asked(series(quiet=5), retrieval=None, announced=True), Action.ASK),
    ("no series that a model reads, never asked", asked(series(consumed=False), retrieval=None), Action.ASK),
    ("no series that a model reads, asked", asked(series(consumed=False)), Action.CLOSE),
    ("being asked", asked(counted(), retrieval=RUNNING, asked_at=None), Action.WAIT),
    ("counts agree", asked(counted()), Action.CLOSE),
    ("counts agree, announced", asked(counted(quiet=25), announced=True), Action.CLOSE),
    ("counts agree, still coming", asked(counted(quiet=25)), Action.WAIT),
    ("counts agree, a slice is missing", asked(counted(gap=GAP)), Action.WAIT),
    ("stated once", asked(counted(agreed=False)), Action.WAIT),
    ("some are missing, asked just now", asked(counted(local=184)), Action.WAIT),
    ("some are missing, asked long ago", asked(counted(local=184, quiet=500), asked_at=ago(120)), Action.ASK),
    ("the PACS has fewer, asked long ago", asked(counted(stated=150, quiet=500), asked_at=ago(120)), Action.ASK),
    ("images came since, quiet again", asked(counted(quiet=60), asked_at=ago(61)), Action.CLOSE),
    ("more came since, quiet again", asked(counted(local=201), asked_at=ago(61)), Action.ASK),
    ("rejected ones count there", asked(counted(local=198, rejected=2)), Action.CLOSE),
    ("rejected ones count nowhere", asked(counted(local=198, rejected=2, stated=198)), Action.CLOSE),
    ("a wanted series is not here", asked(counted(), counted(4, local=0, last_at=None)), Action.WAIT),
    ("a wanted series is not here nor counted", asked(counted(), series(4, local=0, last_at=None)), Action.WAIT),
    ("the PACS states no counts", asked(series()), Action.CLOSE),
    ("the PACS has no such series, images came since", asked(series(), asked_at=ago(61)), Action.ASK),
    # --- a PACS that does not answer
    ("no PACS knows it", asked(series(), retrieval=FAILED, reason=NOT_KNOWN), Action.CLOSE),
    ("no PACS knows it, still coming", asked(series(quiet=19), retrieval=FAILED, reason=NOT_KNOWN), Action.WAIT),
    ("no PACS knew it, more came", asked(series(), retrieval=FAILED, reason=NOT_KNOWN, asked_at=ago(90)), Action.ASK),
    ("it could not be asked", asked(series(), retrieval=FAILED, reason="no connection"), Action.WAIT),
    ("not asked in vain, more came", asked(series(), retrieval=FAILED, reason="gone", asked_at=ago(90)), Action.ASK),
    ("it broke off after all had come", asked(counted(), retrieval=FAILED, reason="gone"), Action.CLOSE),
    # --- stat CT
    ("stat, one series complete", pushed(series(3), series(4, quiet=5), stat=True), Action.CLOSE),
    ("stat, none complete", pushed(series(3, quiet=5), series(4, quiet=5), stat=True), Action.WAIT),
    ("stat MR", pushed(series(3, modality="MR", quiet=500), series(4, modality="MR", quiet=5), stat=True), Action.WAIT),
    ("stat, complete before", pushed(series(3, fresh=False), series(4, quiet=5), stat=True), Action.WAIT),
    ("stat, counts of one agree", asked(counted(3), counted(4, local=9), stat=True, retrieval=RUNNING), Action.CLOSE),
    ("stat, stated once", asked(counted(agreed=False), series(4), stat=True, retrieval=RUNNING), Action.WAIT),
    ("stat, all agree, PACS still asked", asked(counted(3), stat=True, retrieval=RUNNING, asked_at=None), Action.WAIT),
]  # fmt: skip


@pytest.mark.parametrize(("progress", "action"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_done_about_an_open_revision(progress: StudyProgress, action: Action) -> None:
    assert verdict(progress).action is action


@pytest.mark.parametrize("progress", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_at_the_deadline_every_study_runs_with_what_there_is(progress: StudyProgress) -> None:
    before, after = verdict(progress), verdict(replace(progress, opened_at=ago(3600)))
    assert after.action is Action.CLOSE
    if before.action is Action.CLOSE:
        assert (after.incomplete == "") is (before.incomplete == "")
    else:
        assert after.incomplete


@pytest.mark.parametrize("progress", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_no_text_names_a_uid(progress: StudyProgress) -> None:
    for one in (verdict(progress), verdict(replace(progress, opened_at=ago(3600)))):
        assert "1.2" not in "".join((one.incomplete, *one.reasons))
        assert one.action is Action.WAIT or one.action is Action.ASK or one.reasons


@pytest.mark.parametrize(
    ("progress", "incomplete"),
    [
        (asked(counted(local=184)), "184 of 200 images of series 3"),
        (asked(counted(3), counted(4, local=0, last_at=None)), "0 of 200 images of series 4"),
        (asked(counted(agreed=False)), "the 200 images of series 3 were stated once, not twice"),
        (asked(counted(stated=150)), "200 images of series 3 are here, of which 150 were stated"),
        (pushed(series(gap=GAP)), f"series 3: {GAP}"),
        (pushed(series(quiet=1)), "images of series 3 are still coming"),
        (pushed(series(gap=GAP, number=None)), f"a series without number: {GAP}"),
        (
            asked(series(), retrieval=FAILED, reason="no connection"),
            "no PACS has stated how many images series 3 has; the PACS could not be asked for all images",
        ),
        (
            asked(counted(local=7), retrieval=RUNNING, asked_at=None),
            "7 of 200 images of series 3; the PACS did not answer in time",
        ),
        (
            asked(series(quiet=1), retrieval=None),
            "no PACS has stated how many images series 3 has; the PACS was not asked",
        ),
    ],
)
def test_what_is_missing_at_the_deadline_is_said_in_words(progress: StudyProgress, incomplete: str) -> None:
    found = verdict(replace(progress, opened_at=ago(3600)))
    assert found.incomplete == incomplete
    assert found.reasons[0] == "not complete after 3600 s"


@pytest.mark.parametrize(
    ("progress", "reasons"),
    [
        (pushed(series()), ("no PACS was asked: quiet for 60 s, no slice missing, 200 images",)),
        (
            pushed(series(stated=200, quiet=1), announced=True),
            ("no PACS was asked: an event said that the images are there, no slice missing, 200 images",),
        ),
        (
            asked(series(), retrieval=FAILED, reason=f"{NOT_KNOWN} (2 asked)"),
            (f"{NOT_KNOWN}: quiet for 60 s, no slice missing, 200 images",),
        ),
        (
            asked(counted()),
            ("quiet for 60 s", "the PACS stated twice that there are 200 images, no slice is missing"),
        ),
        (
            asked(counted(), series(4, local=50)),
            (
                "quiet for 60 s",
                "the PACS stated twice that there are 200 images, no slice is missing",
                "no PACS states a count of series 4",
            ),
        ),
        (pushed(series(consumed=False)), ("no series that a model reads, quiet for 60 s",)),
    ],
)
def test_why_a_study_is_complete_is_said(progress: StudyProgress, reasons: tuple[str, ...]) -> None:
    assert verdict(progress) == Verdict(Action.CLOSE, reasons=reasons)


def test_a_stat_ct_says_which_series_are_still_coming_and_leaves_them_to_the_next_revision() -> None:
    found = verdict(pushed(series(3), series(4, quiet=5), stat=True))
    assert found.later == ("1.2.4",)
    assert "begins with what is complete: series 3" in found.incomplete
    assert "images of series 4 are still coming" in found.incomplete
    assert "images of series 4 are still coming" in found.reasons


def test_a_site_may_want_stat_studies_whole() -> None:
    assert verdict(pushed(series(3), series(4, quiet=5), stat=True), stat_per_series=False).action is Action.WAIT


# --- geometry


def slices(
    along: Sequence[float], *, orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0), **more: Any
) -> list[InstanceHeader]:
    """Headers at these places along the normal."""
    x, y, z, u, v, w = orientation
    normal = (y * w - z * v, z * u - x * w, x * v - y * u)
    return [
        InstanceHeader(
            f"1.{i}", "1.2", "1.3", "1.4", "1.5", "CT", image_position=tuple(place * n for n in normal),
            image_orientation=orientation, **more,
        )
        for i, place in enumerate(along)
    ]  # fmt: skip


OBLIQUE = (math.cos(0.3), math.sin(0.3), 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
def test_a_missing_slice_is_found_wherever_it_is_and_in_whatever_order_they_came(
    orientation: tuple[float, ...],
) -> None:
    places = [1.25 * n for n in range(40) if n != 17]
    random.Random(1).shuffle(places)
    found = missing_slices(slices(places, orientation=orientation))
    assert found == (
        "slices are missing between 20.0 mm and 22.5 mm along the slice normal: 2.50 mm apart, usually 1.25 mm"
    )


@pytest.mark.parametrize(
    "headers",
    [
        slices([1.25 * n for n in range(40)]),
        slices([1.25 * n + 0.3 * (n % 2) for n in range(40)]),
        slices([0, 10]),
        [],
        slices([0, 1, 2, 2, 1, 0]),
        slices([0, 1, 2, 9], frames=30),
        slices([0, 1, 2], acquisition_number=1) + slices([100, 101, 102], acquisition_number=2),
        slices([0, 1, 2]) + slices([50, 51, 52], orientation=OBLIQUE),
        [replace(one, image_orientation=(), image_position=()) for one in slices([0, 1, 9])],
        [replace(one, image_position=(0.0, 0.0, math.nan)) for one in slices([0, 1, 9])],
        [replace(one, acquisition_number=n) for n, one in enumerate(slices([0, 1, 2, 9, 10]))],
    ],
    ids=[
        "regular", "uneven", "two", "none", "twice the same places", "multi-frame", "two acquisitions",
        "two orientations", "no positions", "no numbers", "an acquisition number for each slice",
    ],
)  # fmt: skip
def test_what_is_no_gap_is_none(headers: list[InstanceHeader]) -> None:
    assert missing_slices(headers) == ""


def test_series_in_which_every_image_has_its_own_direction_are_not_judged() -> None:
    turned = [slices([0], orientation=(math.cos(n), math.sin(n), 0, -math.sin(n), math.cos(n), 0)) for n in range(90)]
    assert missing_slices([one for [one] in turned]) == ""
