"""The numbers of the cards, told: sums, shares with their intervals, and nothing that a client sends unseen."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.domain.hook_stats import NO_REASON, CardCount
from cds.render.hook_stats import By, as_csv, as_json, as_text, share, told_by

NODULE = CardCount(
    service="imaging-findings",
    pathway="nodule",
    models=("ct_nodule 1.0",),
    site="north",
    shown=263,
    critical=2,
    accepted=81,
    overridden={"already-known": 12, NO_REASON: 3},
    unanswered=167,
    suppressed={"overridden": 4, "daily-cap": 9},
)
EMPHYSEMA = CardCount(
    "imaging-findings", "emphysema", ("ct_lung_density 0.1.0", "ct_nodule 1.0"), "south", shown=10, unanswered=10
)
TELLING = CardCount("imaging-findings", shown=40, unanswered=40)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilsons_as_newcombe_tabulates_it(count: int, of: int, low: float, high: float) -> None:
    """Table I, method 3: https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C857::AID-SIM777%3E3.0.CO;2-E."""
    told = share(count, of)
    assert (round(told.value, 4), round(told.low, 4), round(told.high, 4)) == (round(count / of, 4), low, high)


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_holds_its_share_and_stays_a_share(counted: tuple[int, int]) -> None:
    told = share(*counted)
    assert 0 <= told.low <= told.value + 1e-12
    assert told.value - 1e-12 <= told.high <= 1


def test_text_tells_what_came_of_the_cards_and_the_most_frequent_reason_first() -> None:
    assert as_text([NODULE]).splitlines() == [
        "imaging-findings  nodule  ct_nodule 1.0  site north",
        "  shown 263, 2 of them critical; unanswered 167",
        "  accepted 81 (30.8 %, 95 % interval 25.5 to 36.6)",
        "  overridden 15 (5.7 %, 95 % interval 3.5 to 9.2): already-known 12, none 3",
        "  held back 13: daily-cap 9, overridden 4",
    ]


def test_where_nobody_answered_there_is_no_share() -> None:
    assert "accepted 0 (nobody answered)" in as_text([EMPHYSEMA])
    [row] = json.loads(as_json([EMPHYSEMA]))
    assert row["accepted_share"] is None
    assert row["overridden_share"] is None
    [line] = csv.DictReader(io.StringIO(as_csv([EMPHYSEMA])))
    assert (line["accepted_share"], line["accepted_share_low"], line["accepted_share_high"]) == ("", "", "")


def test_with_no_card_it_says_so() -> None:
    assert as_text([]) == "No card was shown or held back."
    assert json.loads(as_json([])) == []
    assert len(as_csv([]).splitlines()) == 1


def test_a_card_that_was_only_held_back_has_no_share() -> None:
    held = CardCount("imaging-findings", "bone", suppressed={"role": 7})
    assert as_text([held]).splitlines()[1:3] == ["  shown 0; unanswered 0", "  accepted 0 (nobody answered)"]
    assert as_text([held]).endswith("held back 7: role 7")


def test_json_has_every_number() -> None:
    [row] = json.loads(as_json([NODULE]))
    assert row == {
        "service": "imaging-findings",
        "pathway": "nodule",
        "models": ["ct_nodule 1.0"],
        "site": "north",
        "shown": 263,
        "critical": 2,
        "unanswered": 167,
        "accepted": 81,
        "accepted_share": {"value": 0.308, "low": 0.2553, "high": 0.3662},
        "overridden": 15,
        "overridden_share": {"value": 0.057, "low": 0.0349, "high": 0.092},
        "reasons": {"already-known": 12, "none": 3},
        "held_back": {"daily-cap": 9, "overridden": 4},
    }


def test_csv_is_one_line_for_each_count_with_the_same_columns() -> None:
    first, second = csv.DictReader(io.StringIO(as_csv([NODULE, EMPHYSEMA])))
    assert first["accepted_share_low"] == "0.2553"
    assert first["reasons"] == "already-known=12; none=3"
    assert second["models"] == "ct_lung_density 0.1.0; ct_nodule 1.0"
    assert None not in first
    assert None not in second.values()


@pytest.mark.parametrize("code", ["=HYPERLINK(1)", "John Smith", "a\nb", "x" * 65, "", "-1"])
def test_what_is_no_code_is_told_as_other_wherever_it_comes_from(code: str) -> None:
    said = replace(NODULE, overridden={code: 2, "other": 1})
    [row] = json.loads(as_json([said]))
    assert row["reasons"] == {"other": 3}
    assert "other 3" in as_text([said])
    assert "other=3" in as_csv([said])


@pytest.mark.parametrize(
    ("by", "shown"),
    [
        (By.PATHWAY, {"emphysema": 10, "nodule": 273}),
        (By.MODEL, {"ct_lung_density 0.1.0": 10, "ct_nodule 1.0": 283}),
        (By.SITE, {"north": 273, "south": 10}),
        (By.SERVICE, {"imaging-discharge-check": 10, "imaging-findings": 273}),
    ],
)
def test_sums_are_of_advice_by_one_thing_and_count_a_card_for_each_of_its_models(by: By, shown: dict[str, int]) -> None:
    other = replace(NODULE, service="imaging-discharge-check", shown=10, overridden={"already-known": 1})
    sums = told_by([NODULE, EMPHYSEMA, TELLING, other], by)
    names = [{By.PATHWAY: s.pathway, By.SITE: s.site, By.SERVICE: s.service}.get(by) or s.models[0] for s in sums]
    assert dict(zip(names, (one.shown for one in sums), strict=True)) == shown


def test_a_sum_adds_every_number() -> None:
    [both] = told_by([NODULE, replace(NODULE, site="south", overridden={NO_REASON: 1, "later": 5})], By.PATHWAY)
    assert both == CardCount(
        service="",
        pathway="nodule",
        shown=526,
        critical=4,
        accepted=162,
        overridden={"already-known": 12, NO_REASON: 4, "later": 5},
        unanswered=334,
        suppressed={"overridden": 8, "daily-cap": 18},
    )


def test_by_everything_nothing_is_summed_or_left_out() -> None:
    assert told_by([NODULE, TELLING], By.ALL) == [NODULE, TELLING]
