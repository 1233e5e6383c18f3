"""In which order pictures are scrolled, what faces their edges, and which windows a viewer offers."""

from __future__ import annotations

import pytest

from cds.ui.pictures import FrameSaid, Window, along, in_order, letters, presets, windows

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
#: Rows run from front to back, columns from head to foot (PS3.3 C.7.6.2.1.1, LPS).
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def slice_at(z: float, number: int | None, **more: object) -> FrameSaid:
    return FrameSaid(f"1.{number}.{z:g}", 0, 4, 4, number, position=(0.0, 0.0, z), orientation=AXIAL, **more)


def places(*frames: FrameSaid) -> list[float | None]:
    return [along(one) for one in in_order(frames)[0]]


def test_slices_are_scrolled_along_their_normal_from_the_end_at_which_the_numbers_begin() -> None:
    assert places(slice_at(10, 3), slice_at(0, 1), slice_at(5, 2)) == [0, 5, 10]
    assert places(slice_at(10, 1), slice_at(0, 3), slice_at(5, 2)) == [10, 5, 0]


def test_one_wrong_number_does_not_break_the_order_in_space() -> None:
    assert places(slice_at(0, 1), slice_at(5, 9), slice_at(10, 3), slice_at(15, 4)) == [0, 5, 10, 15]


def test_slices_without_numbers_are_scrolled_along_the_normal() -> None:
    assert places(slice_at(10, None), slice_at(0, None)) == [0, 10]


@pytest.mark.parametrize(
    "others",
    [
        [slice_at(0, 2), slice_at(0, 1)],
        [FrameSaid("1.2", 0, 4, 4, 2), FrameSaid("1.1", 0, 4, 4, 1)],
        [FrameSaid("1.2", 0, 4, 4, 2, position=(0, 0, 0), orientation=SAGITTAL), slice_at(5, 1)],
    ],
    ids=["at one place", "without a place", "in two directions"],
)
def test_what_is_no_stack_is_scrolled_by_number_and_does_not_claim_a_place(others: list[FrameSaid]) -> None:
    ordered, in_space = in_order(others)
    assert [one.number for one in ordered] == [1, 2]
    assert not in_space


def test_frames_of_one_image_follow_each_other() -> None:
    cine = [FrameSaid("1.1", index, 4, 4, 1) for index in (2, 0, 1)]
    assert [one.index for one in in_order(cine)[0]] == [0, 1, 2]


def test_one_picture_or_none_is_an_order_too() -> None:
    assert in_order([]) == ((), False)
    assert in_order([slice_at(0, 1)])[1] is False


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (AXIAL, ("R", "L", "A", "P")),
        (SAGITTAL, ("A", "P", "H", "F")),
        (CORONAL, ("R", "L", "H", "F")),
        ((0.8, 0.6, 0.0, -0.6, 0.8, 0.0), ("RA", "LP", "AL", "PR")),
    ],
)
def test_edges_are_named_as_the_standard_names_directions(
    orientation: tuple[float, ...], expected: tuple[str, str, str, str]
) -> None:
    """PS3.3 C.7.6.1.1.1: the first value is what the right edge of the rows faces, the second the bottom."""
    assert letters(FrameSaid("1", 0, 4, 4, orientation=orientation)) == expected


def test_a_projection_is_named_by_its_patient_orientation() -> None:
    assert letters(FrameSaid("1", 0, 4, 4, directions=("L", "F"))) == ("R", "L", "H", "F")
    assert letters(FrameSaid("1", 0, 4, 4, directions=("A", "FR"))) == ("P", "A", "HL", "FR")


def test_an_image_that_does_not_say_how_it_lies_has_no_letters() -> None:
    assert letters(FrameSaid("1", 0, 4, 4)) is None


def test_a_place_along_the_normal_is_in_millimetres() -> None:
    assert along(FrameSaid("1", 0, 4, 4, position=(7.0, -3.0, 2.0), orientation=SAGITTAL)) == -7.0
    assert along(FrameSaid("1", 0, 4, 4, orientation=AXIAL)) is None


def test_an_image_is_offered_in_its_own_window_first_then_in_those_of_the_modality() -> None:
    said = FrameSaid("1", 0, 4, 4, windows=(Window(30, 90, "BRAIN", "SIGMOID"), Window(1, 2)))
    offered = windows("CT", "", [said])
    assert offered[:3] == (
        Window(30, 90, "Image: BRAIN", "SIGMOID"),
        Window(1, 2, "Image"),
        Window(40, 400, "Soft tissue"),
    )
    assert windows("MR", "", [FrameSaid("1", 0, 4, 4)]) == ()


def test_a_head_is_seen_in_a_window_for_the_brain_first() -> None:
    assert presets("CT", "HEAD")[0] == Window(40, 80, "Brain")
    assert presets("CT", "CHEST")[0] == Window(40, 400, "Soft tissue")
    assert len(presets("CT", "HEAD")) == len(presets("CT"))


def test_colour_has_no_window() -> None:
    assert windows("US", "", [FrameSaid("1", 0, 4, 4, is_colour=True, windows=(Window(1, 2),))]) == ()
    assert windows("CT", "", []) == ()
