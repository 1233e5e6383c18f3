"""The decisions on every series and model are there to be read, and are the choice itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from cds.domain.inference import StudyFacts
from cds.domain.series import age_years, summary
from models.routing import route, routes
from models.selection import choose
from tests.unit.test_models_selection import ADULTS, CHEST_XRAY, HEADER, MANIFEST, asking, projection, series


def test_every_series_has_a_place_or_a_reason() -> None:
    head, few = series("1.1", body_part="HEAD"), series("1.2", 50, kernels=("B30f",))
    many = series("1.3", 300, kernels=("B30f",), slice_thickness_mm=1.0)
    found = route(MANIFEST, [head, few, many], StudyFacts(age_years=50))
    told = {d.series_instance_uid: (d.rank, d.gate, d.reason, d.standing) for d in found.decisions}
    assert told == {
        "1.1": (None, "body-part", "its body part is not one that the model reads", ""),
        "1.2": (2, "", "", "50 images"),
        "1.3": (1, "", "", "300 images; slices of 1 mm"),
    }
    assert found.chosen == ("1.3", "1.2")
    assert [one.series_instance_uid for one in choose(MANIFEST, [head, few, many])] == list(found.chosen)


def test_a_place_says_which_gates_the_headers_fail() -> None:
    (decision,) = route(MANIFEST, [series(kernels=("B70f",), contrasts=("yes",))], StudyFacts()).decisions
    assert decision.standing == "100 images; its headers fail the model's gates: kernel, contrast"


def test_a_kernel_that_is_not_stated_fails_the_gate_but_for_enhanced_images_whose_groups_may_state_it() -> None:
    enhanced = series("1.2", 1, sop_class_uids=("1.2.840.10008.5.1.4.1.1.2.1",))
    plain, known = series("1.3", 300), series("1.4", 100, kernels=("B30f",))
    found = route(MANIFEST, [plain, known, enhanced], StudyFacts())
    assert found.chosen == ("1.4", "1.2", "1.3")


def test_projections_beyond_the_most_images_say_so() -> None:
    behind, more = projection("1.2", "PA"), projection("1.3", "AP", images=3)
    found = route(CHEST_XRAY, [more, behind], StudyFacts())
    assert found.chosen == ("1.2",)
    assert [d.gate for d in found.decisions] == ["images", ""]


def test_a_route_says_that_it_is_urgent_and_that_an_age_is_not_known() -> None:
    urgent = replace(
        asking(urgent=("trauma",)), inputs=replace(ADULTS.inputs, words=asking(urgent=("trauma",)).inputs.words)
    )
    (found,) = routes([urgent], [series()], StudyFacts(reason="Trauma"))
    assert found.urgent
    assert len(found.cautions) == 1
    (nothing,) = routes([urgent], [series(modality="MR")], StudyFacts())
    assert (nothing.urgent, nothing.cautions, nothing.chosen) == (False, (), ())


@pytest.mark.parametrize(
    ("born", "made", "stated", "years"),
    [
        (date(1960, 6, 2), date(2020, 6, 1), "", 59),
        (date(1960, 6, 1), date(2020, 6, 1), "", 60),
        (date(1960, 6, 1), None, "061Y", 61),
        (None, None, "018M", 1),
        (None, None, "051W", 0),
        (None, None, "400D", 1),
        (None, None, "61", None),
        (date(2021, 1, 1), date(2020, 1, 1), "", None),
    ],
)
def test_the_age_is_that_at_the_study(born: date | None, made: date | None, stated: str, years: int | None) -> None:
    assert age_years(born, made, stated) == years


def test_a_series_says_once_what_its_images_say() -> None:
    soft = replace(HEADER, kernel="B30f", slice_thickness_mm=1.0, protocol_name="Thorax", view_position="")
    thick = replace(soft, slice_thickness_mm=5.0, protocol_name="", contrast="yes")
    found = summary([soft, soft, thick], ["a", "b", "c"])
    assert (found.kernels, found.slice_thickness_mm, found.protocols) == (("B30f",), 5.0, ("Thorax",))
    assert (found.views, found.contrasts, found.paths) == ((), ("unknown", "yes"), ("a", "b", "c"))
