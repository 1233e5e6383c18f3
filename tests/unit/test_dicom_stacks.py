"""Stacks: a series is taken apart by what was measured, only where each part is a stack by itself, and always said."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of
from adapters.dicom.instance import read_instance
from adapters.dicom.stacks import choose, summaries
from cds.errors import NotEvaluable
from tests.peers.dicom_peers import edited, noise, write_series
from tests.unit.test_dicom_volume import CORONAL, enhanced, macro

Edit = Callable[[Dataset, int], None]


def series(folder: Path, name: str, edit: Edit | None = None, **options: object) -> list[Path]:
    """Six MR slices whose header is edited, given the number of the slice; all series share a frame of reference."""
    paths = write_series(folder / name, noise(6, 4, 5), modality="MR", **options)
    for number, path in enumerate(paths):
        with edited(path) as dataset:
            dataset.FrameOfReferenceUID = "1.2.3"
            if edit:
                edit(dataset, number)
    return paths


def told(**elements: object) -> Edit:
    """The same elements in every slice."""

    def edit(dataset: Dataset, _number: int) -> None:
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return edit


def frames(paths: Iterable[Path]) -> list[Frame]:
    found: list[Frame] = []
    for path in paths:
        of_file = frames_of(read_instance(path, FRAME_TAGS, max_bytes=1 << 24))
        assert not isinstance(of_file, str)
        found += of_file
    return found


def labels(paths: Iterable[Path]) -> list[str]:
    return [found.label for found in summaries(frames(paths))]


def test_a_plain_series_is_one_stack_without_a_label(tmp_path: Path) -> None:
    (only,) = summaries(frames(series(tmp_path, "a")))
    assert (only.label, only.slices, only.shape, only.orientation) == ("", 6, (4, 5), "axial")
    assert only.spacing_mm == pytest.approx((2.5, 0.7, 0.8))
    assert (only.refusal, only.warnings) == ("", ())
    assert choose(frames(series(tmp_path, "a"))).key == ""


def siemens(value: int) -> Edit:
    def edit(dataset: Dataset, _number: int) -> None:
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", str(value))

    return edit


def general_electric(value: int) -> Edit:
    def edit(dataset: Dataset, _number: int) -> None:
        block = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x39, "IS", [str(1_000_000_000 + value), "8", "0", "0"])

    return edit


def philips(value: int) -> Edit:
    def edit(dataset: Dataset, _number: int) -> None:
        block = dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)
        block.add_new(0x03, "FL", float(value))

    return edit


def standard(value: int) -> Edit:
    return told(DiffusionBValue=float(value))


@pytest.mark.parametrize("b_value", [standard, siemens, general_electric, philips])
def test_b_values_are_stacks_whoever_writes_them(b_value: Callable[[int], Edit], tmp_path: Path) -> None:
    paths = [*series(tmp_path, "a", b_value(0)), *series(tmp_path, "b", b_value(800))]
    found = summaries(frames(paths))
    assert [stack.label for stack in found] == ["b-value 0", "b-value 800"]
    assert [stack.slices for stack in found] == [6, 6]
    chosen = choose(frames(paths), found[1].key)
    assert {frame.traits["b-value"] for frame in chosen.frames} == {"800"}
    assert chosen.warnings == ("6 images of other stacks were left out: b-value 0",)
    assert chosen.key == found[1].key


def test_a_private_element_without_its_creator_says_nothing(tmp_path: Path) -> None:
    def edit(dataset: Dataset, _number: int) -> None:
        dataset.private_block(0x0019, "SOMEBODY ELSE", create=True).add_new(0x0C, "IS", "800")

    assert "b-value" not in frames(series(tmp_path, "a", edit))[0].traits


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"EchoNumbers": 1, "EchoTime": 4.6}, {"EchoNumbers": 2, "EchoTime": 9.2}, "echo 2 at 9.2 ms"),
        ({"ImageType": ["O", "P", "M"]}, {"ImageType": ["O", "P", "P"]}, "image type P"),
        ({"ImageType": ["D", "P", "IN_PHASE"]}, {"ImageType": ["D", "P", "OPP_PHASE"]}, "image type OPP_PHASE"),
        ({"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"}, "kernel B70f"),
        ({"KVP": 80}, {"KVP": 140}, "energy 140"),
        ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}, "temporal position 2"),
        ({"NominalPercentageOfCardiacPhase": 30.0}, {"NominalPercentageOfCardiacPhase": 75.0}, "cardiac phase 75"),
        ({"NominalPercentageOfRespiratoryPhase": 0.0}, {"NominalPercentageOfRespiratoryPhase": 50.0},
         "respiratory phase 50"),
        ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, "acquisition 2"),
        ({"InversionTime": 100}, {"InversionTime": 900}, "inversion time 900"),
    ],
)  # fmt: skip
def test_what_was_measured_tells_stacks_apart(
    one: dict[str, object], other: dict[str, object], expected: str, tmp_path: Path
) -> None:
    paths = [*series(tmp_path, "a", told(**one)), *series(tmp_path, "b", told(**other))]
    assert labels(paths)[1] == expected


def test_two_criteria_together(tmp_path: Path) -> None:
    paths = [
        path
        for echo in (1, 2)
        for b_value in (0.0, 500.0)
        for path in series(tmp_path, f"{echo}{b_value}", told(EchoNumbers=echo, DiffusionBValue=b_value))
    ]
    assert labels(paths) == [f"echo {echo}, b-value {b}" for echo in (1, 2) for b in (0, 500)]


def test_a_number_that_differs_from_slice_to_slice_splits_nothing(tmp_path: Path) -> None:
    def edit(dataset: Dataset, number: int) -> None:
        dataset.AcquisitionNumber, dataset.TriggerTime = number + 1, str(20 * number)

    assert labels(series(tmp_path, "a", edit)) == [""]


def test_trigger_times_that_drift_are_ordered_at_each_place(tmp_path: Path) -> None:
    def phase(number: int) -> Edit:
        def edit(dataset: Dataset, at: int) -> None:
            dataset.TriggerTime = f"{100 * number + at}"

        return edit

    paths = [path for number in (2, 0, 1) for path in series(tmp_path, str(number), phase(number))]
    found = summaries(frames(paths))
    assert [stack.label for stack in found] == [f"cardiac phase {n} of 3" for n in (1, 2, 3)]
    assert all((stack.slices, stack.refusal) == (6, "") for stack in found)


def test_two_acquisitions_with_a_gap_between_them_are_two_stacks(tmp_path: Path) -> None:
    paths = series(tmp_path, "a", told(AcquisitionNumber=1))
    paths += series(tmp_path, "b", told(AcquisitionNumber=2), origin_mm=(0.0, 0.0, 300.0))
    assert labels(paths) == ["acquisition 1", "acquisition 2"]
    assert labels(series(tmp_path, "c") + series(tmp_path, "d", origin_mm=(0.0, 0.0, 15.0))) == [""]


def test_one_image_that_shares_a_place_is_no_stack_of_its_own(tmp_path: Path) -> None:
    paths = [*series(tmp_path, "a"), series(tmp_path, "b", told(EchoNumbers=2))[3]]
    (only,) = summaries(frames(paths))
    assert (only.slices, only.warnings) == (6, ("several images claim the same position",))


def test_the_largest_is_chosen_and_the_rest_is_said(tmp_path: Path) -> None:
    paths = [*series(tmp_path, "a"), *series(tmp_path, "b", orientation=CORONAL)[:3]]
    chosen = choose(frames(paths))
    assert len(chosen.frames) == 6
    assert chosen.warnings == ("3 images of another orientation, size or frame of reference were left out",)
    assert labels(paths) == ["axial", "coronal"]


def test_equal_ones_are_refused_by_name(tmp_path: Path) -> None:
    paths = [*series(tmp_path, "a", standard(0)), *series(tmp_path, "b", standard(1000))]
    with pytest.raises(NotEvaluable, match="equal size: b-value 0; b-value 1000") as refused:
        choose(frames(paths))
    assert refused.value.gate == "geometry"


def test_a_key_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotEvaluable, match="no such stack") as refused:
        choose(frames(series(tmp_path, "a")), "0123456789abcdef")
    assert refused.value.gate == "geometry"


def test_no_frames_are_no_stack() -> None:
    assert summaries([]) == ()
    with pytest.raises(NotEvaluable):
        choose([])


def test_keys_do_not_depend_on_the_order_of_the_files(tmp_path: Path) -> None:
    found = frames([*series(tmp_path, "a", standard(0)), *series(tmp_path, "b", standard(1000))])
    shuffled = random.Random(1).sample(found, len(found))
    assert summaries(found) == summaries(shuffled)
    assert len({stack.key for stack in summaries(found)}) == 2


def test_a_stack_that_is_no_volume_says_why(tmp_path: Path) -> None:
    paths = series(tmp_path, "a")
    (found,) = summaries(frames(paths[:2] + paths[4:]))
    assert (found.gate, found.spacing_mm, found.orientation) == ("missing-slices", None, "")
    assert "slices are missing" in found.refusal


def test_a_peers_text_does_not_reach_a_label(tmp_path: Path) -> None:
    paths = [*series(tmp_path, "a"), *series(tmp_path, "b", told(ConvolutionKernel="<b>\x1b[31m; DROP"))]
    assert labels(paths) == ["kernel B30f", "kernel _b___31m_ DROP"]


def test_frames_of_an_enhanced_image_are_told_apart_by_their_functional_groups(tmp_path: Path) -> None:
    path = enhanced(tmp_path)
    with edited(path) as dataset:
        once = list(dataset.PerFrameFunctionalGroupsSequence)
        groups = []
        for index, b_value in enumerate((0.0, 1000.0)):
            for group in once:
                copy = Dataset()
                copy.update(group)
                copy.MRDiffusionSequence = [macro(DiffusionBValue=b_value)]
                copy.FrameContentSequence = [macro(StackID="1", TemporalPositionIndex=index + 1)]
                groups.append(copy)
        dataset.PerFrameFunctionalGroupsSequence = groups
        dataset.NumberOfFrames = len(groups)
        dataset.PixelData = dataset.PixelData * 2
    found = summaries(frames([path]))
    assert [(stack.label, stack.slices) for stack in found] == [("b-value 0", 6), ("b-value 1000", 6)]
    assert [frame.index for frame in choose(frames([path]), found[1].key).frames] == list(range(6, 12))


def test_a_mosaic_is_refused_by_name(tmp_path: Path) -> None:
    path = series(tmp_path, "a", told(ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]))[0]
    found = frames_of(read_instance(path, FRAME_TAGS, max_bytes=1 << 24))
    assert isinstance(found, str)
    assert "mosaic" in found


def test_images_that_all_lie_in_planes_of_their_own_are_refused_before_they_are_compared(tmp_path: Path) -> None:
    (one,) = frames(series(tmp_path, "a")[:1])
    with pytest.raises(NotEvaluable, match="too many different planes"):
        summaries([replace(one, rows=number) for number in range(1, 100_000)])


def test_thousands_of_frames_are_taken_apart(tmp_path: Path) -> None:
    (one,) = frames(series(tmp_path, "a")[:1])
    many = [
        replace(one, index=number, position=(0.0, 0.0, float(z)), traits={"b-value": str(b), "time": str(number)})
        for number, (b, z) in enumerate((b, z) for b in range(40) for z in range(100))
    ]
    assert [(stack.label, stack.slices) for stack in summaries(many)] == [(f"b-value {b}", 100) for b in range(40)]
