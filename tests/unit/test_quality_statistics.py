"""The statistics of the quality page against published tables and numbers worked by hand, never against themselves."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Presence
from cds.domain.quality import About, InputNumbers, KindRead, Reading, is_there, truth
from cds.domain.verification import Agreement, Verdict
from cds.monitoring import drift
from cds.monitoring.drift import Windows
from cds.monitoring.findings import figures
from cds.monitoring.shares import share
from cds.monitoring.subgroups import age_band, hidden, subgroups
from cds.monitoring.times import turnaround
from cds.quality_bounds import QualityBounds

AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
BOUNDS = QualityBounds(enough=10)


# Newcombe 1998, table I, method 3 (https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E).
@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_the_interval_of_the_published_table(count: int, of: int, low: float, high: float) -> None:
    found = share(count, of)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert found.value == count / of


def test_a_share_of_nothing_is_not_known() -> None:
    assert share(0, 0) is None


def test_the_stability_index_is_the_sum_that_is_worked_by_hand() -> None:
    # (0.1-0.2) ln(1/2) + (0.4-0.3) ln(4/3) + 0 = 0.0693147 + 0.0287682
    assert drift.psi([0.2, 0.3, 0.5], [0.1, 0.4, 0.5]) == pytest.approx(0.0980829, abs=1e-7)
    assert drift.psi([0.1, 0.4, 0.5], [0.2, 0.3, 0.5]) == pytest.approx(0.0980829, abs=1e-7)
    assert drift.psi([0.25, 0.75], [0.25, 0.75]) == 0


def test_an_empty_bin_is_no_infinite_distance() -> None:
    assert drift.shares([0, 9]) == [0.05, 0.95]
    assert drift.shares([2, 2, 5]) == [2.5 / 10.5, 2.5 / 10.5, 5.5 / 10.5]


def test_what_chance_does_to_the_index_is_the_chi_square_of_the_table() -> None:
    # The 99 % quantile of chi-square with 9 degrees of freedom is 21.666 (NIST/SEMATECH e-Handbook, 1.3.6.7.4).
    assert drift.psi_noise(10, 100, 400) == pytest.approx(21.666 * (1 / 100 + 1 / 400), abs=1e-5)


def test_one_sample_in_a_hundred_is_beyond_what_chance_does() -> None:
    chance = random.Random(7)
    size, times, noise = 400, 1000, drift.psi_noise(10, 400, 400)

    def counts() -> list[int]:
        drawn = [chance.randrange(10) for _ in range(size)]
        return [drawn.count(place) for place in range(10)]

    beyond = sum(drift.psi(drift.shares(counts()), drift.shares(counts())) > noise for _ in range(times))
    assert 2 <= beyond <= 22


@pytest.mark.parametrize(
    # Paths of 4 and 4 steps by the reflection principle: 2 (28 - 1), 2 (8) and 2 (1) of 70 go as far as that.
    ("current", "distance", "chance"),
    [([3, 4, 5, 6], 2 / 4, 54 / 70), ([4, 5, 6, 7], 3 / 4, 16 / 70), ([5, 6, 7, 8], 4 / 4, 2 / 70)],
)
def test_the_distance_of_two_distributions_is_that_of_counted_paths(
    current: list[float], distance: float, chance: float
) -> None:
    few = QualityBounds.model_construct(**{**BOUNDS.model_dump(), "enough": 4})
    found = drift.numbers(Windows(About.SCORE, "volume", [1, 2, 3, 4], current), few)
    assert (found.ks, found.ks_p) == (pytest.approx(distance), pytest.approx(chance))


def test_the_distance_is_that_of_the_example_in_the_manual_of_scipy() -> None:
    # scipy 1.1.0 reference guide, scipy.stats.ks_2samp, first example: 0.20833333333333337.
    seeded = np.random.RandomState(12345678)
    one = stats.norm.rvs(size=200, loc=0.0, scale=1, random_state=seeded)
    other = stats.norm.rvs(size=300, loc=0.5, scale=1.5, random_state=seeded)
    found = drift.numbers(Windows(About.INPUT, "intensity", list(one), list(other)), BOUNDS)
    assert found.ks == pytest.approx(0.20833333333333337)
    assert found.ks_p == pytest.approx(4.7e-5, rel=0.2)
    assert found.drifted


def test_the_same_numbers_have_not_drifted_and_shifted_ones_have() -> None:
    before = [float(value) for value in range(100)]
    same = drift.numbers(Windows(About.INPUT, "rows", before, list(before)), BOUNDS)
    moved = drift.numbers(Windows(About.INPUT, "rows", before, [value + 60 for value in before]), BOUNDS)
    assert (same.psi, same.ks, same.drifted) == (0, 0, False)
    assert moved.drifted
    assert moved.current_spread is not None
    assert moved.current_spread.p50 == 109.5
    assert math.isclose(sum(one.current for one in moved.bins), 1)
    assert [one.reference for one in moved.bins] == pytest.approx([0.1] * 10)


def test_what_has_one_value_alone_is_compared_by_its_distance() -> None:
    found = drift.numbers(Windows(About.INPUT, "kvp", [120.0] * 60, [120.0] * 30 + [100.0] * 30), BOUNDS)
    assert found.psi is None
    assert found.ks == 0.5
    assert found.drifted
    assert found.reason == "the reference has one value alone"


def test_too_few_studies_are_not_compared_and_say_so() -> None:
    found = drift.numbers(Windows(About.INPUT, "kvp", [120.0] * 9, [100.0] * 60), BOUNDS)
    assert (found.psi, found.ks, found.drifted) == (None, None, False)
    assert found.reason == "want 10 studies in each window, there are 9 and 60"


def test_a_new_scanner_is_drift_and_many_scanners_are_told_together() -> None:
    new = drift.groups(Windows(About.INPUT, "scanner", ["A"] * 90 + ["B"] * 10, ["A"] * 40 + ["C"] * 60), BOUNDS)
    assert new.drifted
    assert [(one.label, one.reference, one.current) for one in new.bins] == [
        ("A", 0.9, 0.4), ("B", 0.1, 0.0), ("C", 0.0, 0.6)
    ]  # fmt: skip
    many = [f"S{number:02d}" for number in range(30)]
    crowd = drift.groups(Windows(About.INPUT, "scanner", many, many), BOUNDS)
    assert len(crowd.bins) == 10
    assert crowd.bins[-1].label == "others"
    assert crowd.bins[-1].reference == pytest.approx(21 / 30)
    assert not drift.groups(Windows(About.PATIENT, "sex", ["female"] * 20, ["female"] * 20), BOUNDS).drifted


def test_a_small_change_in_few_studies_is_chance_and_no_drift() -> None:
    # 10.5 and 2.5 of 13 against a half each: 0.3077 (0.4796 + 0.9555); chance comes to 6.635 (1/12 + 1/12).
    found = drift.groups(Windows(About.PATIENT, "sex", ["f"] * 6 + ["m"] * 6, ["f"] * 10 + ["m"] * 2), BOUNDS)
    assert found.psi == pytest.approx(0.4416, abs=1e-4)
    assert found.psi_noise == pytest.approx(6.635 / 6, abs=1e-3)
    assert not found.drifted


def test_median_and_ninetieth_percentile_of_times() -> None:
    found = turnaround("report", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 2)
    assert (found.p50_minutes, found.p90_minutes, found.done, found.open) == (6, 10, 11, 2)
    assert turnaround("report", [], 3).p50_minutes is None


def read(ours: bool | None, true: bool | None, by: str = "report") -> KindRead:
    return KindRead("bleed", "Bleed", ours, true, by if true is not None else "")


def test_figures_count_only_what_somebody_said_and_count_the_rest_apart() -> None:
    said = [
        *[read(True, True)] * 30,
        *[read(True, False, "radiologist")] * 10,
        *[read(True, None)] * 7,
        *[read(False, True)] * 5,
        *[read(False, False)] * 45,
        *[read(False, None)] * 100,
        read(None, True),
    ]
    found = figures(said)
    assert found.positive is not None
    assert (found.positive.count, found.positive.of) == (47, 197)
    assert found.ppv is not None
    assert (found.ppv.count, found.ppv.of) == (30, 40)
    assert found.sensitivity is not None
    assert (found.sensitivity.count, found.sensitivity.of) == (30, 35)
    assert found.specificity is not None
    assert (found.specificity.count, found.specificity.of) == (45, 55)
    assert (found.unverified, found.by_radiologist, found.by_report) == (7, 10, 81)


def test_without_a_word_of_anybody_nothing_is_known_of_accuracy() -> None:
    found = figures([read(True, None), read(False, None)])
    assert (found.ppv, found.sensitivity, found.specificity, found.unverified) == (None, None, None, 1)


BLEED = Finding("bleed", Coding("s", "b", "Bleed"), Presence.PRESENT)
ML_9 = Quantity(9.0, "mL")
VOLUME = Finding("volume", Coding("s", "v", "Volume"), Presence.MEASURED, Quantity(12.0, "mL"), Quantity(10.0, "mL"))
BARE = Finding("volume", Coding("s", "v", "Volume"), Presence.MEASURED, Quantity(12.0, "mL"))


@pytest.mark.parametrize(
    ("finding", "verdict", "corrected", "agreement", "expected"),
    [
        (BLEED, None, None, None, (None, "")),
        (BLEED, None, None, Agreement.NOT_COMPARABLE, (None, "")),
        (BLEED, None, None, Agreement.AGREES, (True, "report")),
        (BLEED, None, None, Agreement.DISCORDANT, (False, "report")),
        (BLEED, Verdict.REJECTED, None, Agreement.AGREES, (False, "radiologist")),
        (BLEED, Verdict.CONFIRMED, None, Agreement.DISCORDANT, (True, "radiologist")),
        (VOLUME, Verdict.CONFIRMED, None, None, (True, "radiologist")),
        (VOLUME, Verdict.CORRECTED, ML_9, None, (False, "radiologist")),
        (BARE, Verdict.CORRECTED, ML_9, None, (None, "")),
        (BARE, Verdict.CONFIRMED, None, None, (None, "")),
    ],
)
def test_who_says_what_is_true(
    finding: Finding,
    verdict: Verdict | None,
    corrected: Quantity | None,
    agreement: Agreement | None,
    expected: tuple[bool | None, str],
) -> None:
    assert truth(finding, verdict, corrected, agreement) == expected


def test_a_measurement_is_there_where_it_reaches_its_threshold() -> None:
    assert is_there(VOLUME, VOLUME.value) is True
    assert is_there(VOLUME, ML_9) is False
    assert is_there(VOLUME, Quantity(12.0, "L")) is None
    assert is_there(BARE, BARE.value) is None
    assert is_there(Finding("b", BLEED.code, Presence.NOT_EVALUATED), None) is None


@pytest.mark.parametrize(
    ("years", "band"), [(None, "unknown"), (0, "0 to 17"), (17, "0 to 17"), (18, "18 to 39"), (80, "80 and over")]
)
def test_an_age_lies_in_a_band_and_an_unknown_one_in_none(years: int | None, band: str) -> None:
    assert age_band(years) == band


def test_a_group_that_is_too_small_takes_the_next_smallest_with_it() -> None:
    assert hidden({"f": 50, "m": 40, "unknown": 3}, 10) == {"unknown", "m"}
    assert hidden({"f": 50, "m": 4, "unknown": 3}, 10) == {"m", "unknown"}
    assert hidden({"f": 50, "m": 10}, 10) == frozenset()
    assert hidden({"f": 3}, 10) == {"f"}


def reading(sex: str, ours: bool, true: bool | None = None, *, evaluated: bool = True) -> Reading:
    kinds = (KindRead("bleed", "Bleed", ours, true, "report" if true is not None else ""),) if evaluated else ()
    return Reading(AT, evaluated, "" if evaluated else "contrast", kinds, sex, 50, "north", InputNumbers({}, "Acme X"))


def test_subgroups_hide_small_cells_and_shares_of_too_few() -> None:
    some = [reading("female", ours=True, true=True) for _ in range(12)]
    some += [reading("female", ours=False) for _ in range(8)]
    some += [reading("male", ours=True) for _ in range(4)] + [reading("male", ours=False, evaluated=False)] * 30
    by_sex = {one.group: one for one in subgroups(some, 10) if one.dimension == "sex"}
    assert by_sex["male"].studies is None
    assert by_sex["male"].positive is None
    assert by_sex["female"].studies is None, "it could be had by subtraction"
    (scanner,) = [one for one in subgroups(some, 10) if one.dimension == "scanner"]
    assert (scanner.group, scanner.studies) == ("Acme X", 24)
    assert scanner.ppv is not None
    assert (scanner.ppv.count, scanner.ppv.of) == (12, 12)
    few = subgroups(some[:9] + some[12:20], 10)
    assert {one.ppv for one in few} == {None}
