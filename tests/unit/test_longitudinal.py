"""The same finding then and now, against numbers worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.longitudinal import Compared, Earlier, Repeatability, compare, doubling_days, with_changes

VOLUME = Coding("urn:sightline:observation", "lesion-volume", "Volume")
LIVER, SPLEEN = Coding("urn:x", "liver"), Coding("urn:x", "spleen")
NOW, THEN = date(2026, 11, 21), date(2025, 11, 21)


def finding(value: float | None, **changes: Any) -> Finding:
    quantity = Quantity(value, "mL") if value is not None else None
    base = Finding("volume", VOLUME, Presence.MEASURED, value=quantity, body_site=LIVER)
    return replace(base, **changes)


def said(*found: Finding, version: str = "1.0.0") -> Findings:
    return Findings("m", version, "1.2", found)


def since(now: Findings, then: Findings, error: Repeatability | None = None, day: date = THEN) -> tuple[Compared, ...]:
    return compare(now, NOW, Earlier("1.2.3", day, then), lambda _key: error)


def test_a_value_is_compared_in_its_unit_in_percent_and_per_year() -> None:
    [found] = since(said(finding(15.0)), said(finding(12.0)))
    change = found.change
    assert (change.days, change.prior, change.absolute, change.percent) == (365, Quantity(12.0, "mL"), 3.0, 25.0)
    assert change.per_year == pytest.approx(3.0 * 365.25 / 365)
    assert (change.prior_study_instance_uid, change.prior_date) == ("1.2.3", THEN)


def test_a_rate_is_not_made_of_less_than_a_month() -> None:
    [found] = since(said(finding(15.0)), said(finding(12.0)), day=date(2026, 11, 1))
    assert found.change.per_year is None
    assert found.change.absolute == 3.0


def test_from_nothing_there_is_no_percentage() -> None:
    [found] = since(said(finding(3.0)), said(finding(0.0)))
    assert found.change.percent is None
    assert found.change.doubling_days is None


@pytest.mark.parametrize(
    ("before", "after", "error", "beyond"),
    [
        (10.0, 10.9, Repeatability("doi:x", absolute=1.0), False),
        (10.0, 11.1, Repeatability("doi:x", absolute=1.0), True),
        (10.0, 8.9, Repeatability("doi:x", absolute=1.0), True),
        (100.0, 109.0, Repeatability("doi:x", percent=10.0), False),
        (100.0, 112.0, Repeatability("doi:x", percent=10.0), True),
        (100.0, 109.0, Repeatability("doi:x", absolute=5.0, percent=10.0), False),
        (100.0, 150.0, None, None),
    ],
    ids=["within", "above", "below", "share", "above-share", "the-larger-bound", "not-stated"],
)
def test_a_change_is_real_only_beyond_the_error_of_the_measurement(
    before: float, after: float, error: Repeatability | None, beyond: bool | None
) -> None:
    [found] = since(said(finding(after)), said(finding(before)), error)
    assert found.change.beyond_error is beyond
    assert found.change.error == ("doi:x" if error else "")


def test_another_acquisition_is_said_and_leaves_the_change_in_doubt() -> None:
    now = finding(15.0, gates=("kernel: B30f", "slice thickness: 1.00 mm", "slices: 300"))
    then = finding(12.0, gates=("kernel: B30f", "slice thickness: 3.00 mm", "slices: 100"))
    [found] = since(said(now), said(then), Repeatability("doi:x", absolute=1.0))
    assert found.change.beyond_error is None
    assert found.change.note == "slice thickness was 3.00 mm and is 1.00 mm"


def test_findings_are_matched_by_site_and_side_and_not_by_their_place_in_the_list() -> None:
    now = said(finding(2.0, laterality="left"), finding(3.0, laterality="right"), finding(9.0, body_site=SPLEEN))
    then = said(finding(1.0, laterality="right"), finding(1.5, laterality="left"))
    assert [(one.laterality, one.change.absolute) for one in since(now, then)] == [("left", 0.5), ("right", 2.0)]


def test_a_finding_of_another_unit_or_without_a_value_is_not_compared() -> None:
    in_mm3 = replace(finding(2.0), value=Quantity(2000.0, "mm3"))
    assert since(said(finding(2.0)), said(in_mm3)) == ()
    assert since(said(finding(2.0)), said(finding(None))) == ()
    assert since(said(finding(None)), said(finding(2.0))) == ()


def test_a_lesion_that_is_alone_in_both_studies_is_the_same_one() -> None:
    [found] = since(said(finding(2.0, tracking_id="volume-1")), said(finding(1.0, tracking_id="volume-1")))
    assert found.change.absolute == 1.0
    assert found.change.doubling_days == pytest.approx(365.0)


def test_one_lesion_among_several_is_not_guessed_to_be_another() -> None:
    now = said(finding(5.0, tracking_id="volume-1"), finding(2.0, tracking_id="volume-2"))
    assert since(now, said(finding(2.0, tracking_id="volume-1"))) == ()
    assert since(said(finding(2.0, tracking_id="volume-1")), now) == ()


def test_lesions_with_a_tracking_uid_are_the_same_where_the_uid_is() -> None:
    now = said(finding(5.0, tracking_id="2.25.1"), finding(2.0, tracking_id="2.25.2"))
    then = said(finding(1.0, tracking_id="2.25.2"), finding(4.0, tracking_id="2.25.1"))
    assert [one.change.absolute for one in since(now, then)] == [1.0, 1.0]


def test_a_volume_doubles_as_the_formula_of_exponential_growth_says() -> None:
    # 100 → 400 mm3 in 200 days is two doublings; 100 → 120 is less than a quarter and no growth.
    assert doubling_days(100.0, 400.0, 200) == pytest.approx(100.0)
    assert doubling_days(100.0, 120.0, 200) is None
    assert doubling_days(0.0, 120.0, 200) is None
    assert doubling_days(100.0, 400.0, 0) is None


def test_an_organ_has_no_doubling_time() -> None:
    [found] = since(said(finding(3.0)), said(finding(1.0)))
    assert found.change.doubling_days is None


def test_a_change_is_put_to_its_own_finding_and_version() -> None:
    now = said(finding(2.0, laterality="left"), finding(3.0, laterality="right"))
    changes = since(now, said(finding(1.0, laterality="right")))
    with_them = with_changes(now, changes)
    assert [one.change is not None for one in with_them.findings] == [False, True]
    assert with_changes(replace(now, version="2.0.0"), changes).findings == now.findings


def test_the_sides_of_an_organ_have_keys_of_their_own_and_are_still_the_same_kind() -> None:
    now = said(finding(2.0, key="hippocampus-left", laterality="left"))
    [found] = since(now, said(finding(1.5, key="hippocampus-left", laterality="left")))
    assert (found.key, found.change.absolute) == ("hippocampus-left", 0.5)
    other = said(finding(1.5, key="amygdala-left", laterality="left"))
    assert since(now, other) == ()


def test_a_lesion_is_found_again_under_another_number() -> None:
    now, then = finding(2.0, key="iph-1", tracking_id="iph-1"), finding(1.0, key="iph-2", tracking_id="iph-2")
    [found] = since(said(now), said(then))
    assert found.change.absolute == 1.0
