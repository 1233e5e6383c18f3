"""Brain volumetry: a head of known parts, each gate, and the published weights on a part of a real head."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cds.domain.finding import Finding, Findings, Presence, kind_of
from cds.domain.imaging import VolumeRef
from cds.domain.inference import Progress
from cds.errors import Cancelled, NotEvaluable
from models import brain_volumetry
from models.attributes import KEYS
from models.brain_regions import BRAIN, RIGHT, STRUCTURES
from models.brain_volumetry import Prepared, Raw
from models.direct import Direct
from models.manifest import read
from models.registry import SHIPPED
from models.task import Refused, Task
from models.training import brainchop
from models.weights import NotInstalled

Labels = NDArray[np.uint8]
MANIFEST = read(SHIPPED / "brain_volumetry.toml")
CPU = torch.device("cpu")
MODEL = "weights/brainchop_meshnet/public/models/model30chan18cls"
#: Sagittal slices of 1 mm: slices to the left, rows to the feet, columns to the back.
SHAPE = (136, 132, 160)
AFFINE = (1.0, 0, 0, -68.0, 0, 0, 1.0, -80.0, 0, -1.0, 0, 64.0, 0, 0, 0, 1.0)
ATTRIBUTES = {"description": "t1_mprage_sag", "contrast": "no", "slice_thickness_mm": "1", "echo_time_ms": "3"}
#: Label → distance from the midplane (0: on it), place below and before the middle, radius on the left and right; mm.
PARTS = {
    3: (9, -8, 0, 8, 9), 4: (26, 12, -6, 4, 4), 7: (9, 8, -4, 9, 9), 8: (14, -22, 14, 6, 6), 9: (27, -5, 10, 8, 8),
    10: (19, 0, 22, 5, 5), 14: (27, 22, -4, 9, 8), 15: (25, 20, 16, 6, 6), 16: (7, 0, 32, 4, 4), 17: (6, 20, 8, 4, 4),
    5: (12, 32, -34, 6, 6), 6: (24, 32, -34, 7, 7), 11: (0, -1, 13, 3, 3), 12: (0, 26, -22, 4, 4),
    13: (0, 37, -4, 8, 8),
}  # fmt: skip
#: Grey values as in T1 weighting: white matter, cortex and grey matter, fluid.
LEVELS = {1: 800, 3: 200, 4: 200, 11: 200, 12: 200}
_GREY, _SCALP, _NOISE = 600, 450, 8.0


@dataclass(frozen=True)
class Head:
    """A phantom: the true label of each voxel of the file, which are left, and the grey values."""

    labels: Labels
    left: NDArray[np.bool_]
    values: NDArray[np.int16]


def head() -> Head:
    left, down, back = (
        axis - np.float32((size - 1) / 2) for axis, size in zip(np.ogrid[:136, :132, :160], SHAPE, strict=True)
    )
    apart, below, before = left - 0.5, down, -back
    ellipsoid = np.sqrt((apart / 56) ** 2 + (below / 50) ** 2 + (before / 66) ** 2)
    labels = np.where(ellipsoid < 1, np.uint8(2), np.uint8(0))
    labels[ellipsoid < 0.85] = 1
    for label, (beside, under, front, radius_left, radius_right) in PARTS.items():
        for side, radius in ((1, radius_left), (-1, radius_right)):
            squared = (apart - side * beside) ** 2 + (below - under) ** 2 + (before - front) ** 2
            labels[(squared < radius**2) & ((apart * side > 0) | (beside == 0))] = label
    values = np.zeros(SHAPE)
    values[ellipsoid < 1.12] = _SCALP
    for label in np.unique(labels)[1:].tolist():
        values[labels == label] = LEVELS.get(label, _GREY)
    noise = np.random.default_rng(0).normal(0, _NOISE, (2, *SHAPE))
    return Head(
        labels, np.broadcast_to(apart > 0, SHAPE), np.rint(np.hypot(values + noise[0], noise[1])).astype(np.int16)
    )


@pytest.fixture(scope="module")
def phantom() -> Head:
    return head()


def stored(folder: Path, values: NDArray[np.int16], **attributes: str) -> VolumeRef:
    path = folder / "volume.npy"
    np.save(path, values)
    slices, rows, columns = values.shape
    return VolumeRef(
        path=str(path), dtype="int16", shape=(slices, rows, columns), spacing_mm=(1.0, 1.0, 1.0),
        affine=tuple(float(number) for number in AFFINE), series_instance_uid="1.2.3", modality="MR",
        orientation="sagittal", attributes=ATTRIBUTES | attributes,
        sop_instance_uids=tuple(f"1.2.3.{index}" for index in range(slices)), stack="echo 1",
    )  # fmt: skip


def wanted_task(folder: Path) -> Task:
    return Task(folder, lambda: False)


@dataclass(frozen=True)
class Case:
    """The phantom after `prepare`, which no test changes."""

    volume: VolumeRef
    prepared: Prepared
    head: Head

    def raw(self, labels: Labels) -> Raw:
        """What a network answers that labels the file's voxels like that."""
        left, down, front = self.prepared.box
        grid = np.indices((256, 256, 256), dtype=np.int16)[:, left, down, front].reshape(3, -1)
        native = np.rint(self.prepared.grid.to_native[:3, :3] @ grid + self.prepared.grid.to_native[:3, 3:]).astype(int)
        inside = ((native >= 0) & (native < np.array(SHAPE)[:, None])).all(axis=0)
        found = np.zeros(grid.shape[1], dtype=np.uint8)
        found[inside] = labels[tuple(native[:, inside])]
        return Raw(found.reshape(self.prepared.image.shape[2:]), "cpu")

    def findings(self, labels: Labels, folder: Path) -> Findings:
        return brain_volumetry.interpret(MANIFEST, self.volume, self.prepared, self.raw(labels), wanted_task(folder))

    def refusal(self, labels: Labels, folder: Path) -> str:
        """The first gate that refuses."""
        with pytest.raises(NotEvaluable) as caught:
            self.findings(labels, folder)
        return caught.value.gate


@pytest.fixture(scope="module")
def case(phantom: Head, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("head")
    volume = stored(folder, phantom.values)
    return Case(volume, brain_volumetry.prepare(MANIFEST, volume, wanted_task(folder)), phantom)


@pytest.fixture(scope="module")
def findings(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return case.findings(case.head.labels, tmp_path_factory.mktemp("findings"))


def finding(findings: Findings, key: str, side: str = "") -> Finding:
    (one,) = (each for each in findings.findings if (kind_of(each.key), each.laterality) == (key, side))
    return one


def value(findings: Findings, key: str, side: str = "") -> float:
    quantity = finding(findings, key, side).value
    assert quantity is not None
    return quantity.value


def millilitres(head: Head, labels: tuple[int, ...], side: str = "") -> float:
    place = {"left": head.left, "right": ~head.left, "": np.ones(SHAPE, dtype=bool)}[side]
    return float((np.isin(head.labels, labels) & place).sum()) / 1000.0


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("key", "labels"),
    [("hippocampus", (14,)), ("lateral_ventricle", (3, 4)), ("amygdala", (15,)), ("thalamus", (7,)), ("caudate", (8,)),
     ("putamen", (9,)), ("pallidum", (10,))],
)  # fmt: skip
def test_paired_structures_are_measured_on_their_own_side(
    findings: Findings, case: Case, key: str, labels: tuple[int, ...], side: str
) -> None:
    assert value(findings, key, side) == pytest.approx(millilitres(case.head, labels, side), abs=0.03)


@pytest.mark.parametrize(
    ("key", "labels"),
    [("total_brain", BRAIN), ("cerebral_cortex", (2,)), ("cerebral_white_matter", (1,)), ("cerebellum", (5, 6)),
     ("brain_stem", (13,)), ("third_ventricle", (11,)), ("fourth_ventricle", (12,))],
)  # fmt: skip
def test_whole_structures_are_measured(findings: Findings, case: Case, key: str, labels: tuple[int, ...]) -> None:
    assert value(findings, key) == pytest.approx(millilitres(case.head, labels), abs=0.006)


def test_shares_are_of_the_brain_without_its_ventricles(findings: Findings, case: Case) -> None:
    tissue = case.head.labels[np.isin(case.head.labels, (0, 3, 4, 11, 12), invert=True)].size / 1000.0
    hippocampus = millilitres(case.head, (14,), "left")
    assert value(findings, "hippocampus_share", "left") == pytest.approx(100 * hippocampus / tissue, abs=0.005)
    ventricles = millilitres(case.head, (3, 4))
    assert value(findings, "lateral_ventricles_share", "both") == pytest.approx(100 * ventricles / tissue, abs=0.005)


def test_asymmetry_is_the_difference_over_the_mean_and_positive_where_the_left_is_larger(
    findings: Findings, case: Case
) -> None:
    for key, labels in (("hippocampus", (14,)), ("lateral_ventricle", (3, 4))):
        left, right = millilitres(case.head, labels, "left"), millilitres(case.head, labels, "right")
        expected = (left - right) / ((left + right) / 2) * 100
        assert value(findings, f"{key}_asymmetry", "both") == pytest.approx(expected, abs=0.7)
    assert value(findings, "hippocampus_asymmetry", "both") > 20
    assert value(findings, "lateral_ventricle_asymmetry", "both") < -20


def test_every_output_of_the_manifest_is_found_with_its_code_unit_and_gates(findings: Findings) -> None:
    assert {kind_of(one.key) for one in findings.findings} == {output.key for output in MANIFEST.outputs}
    for one in findings.findings:
        output = MANIFEST.output(kind_of(one.key))
        assert (one.presence, one.code, one.body_site) == (
            Presence.MEASURED, output.code, output.body_site or MANIFEST.body_site
        )  # fmt: skip
        assert one.value is not None
        assert one.value.unit == output.unit
        assert {"weighting: T1", "contrast: no", "structures: 17 found"} <= set(one.gates)
        assert one.category is None


def test_key_slices_are_those_with_most_of_the_structure(findings: Findings, case: Case) -> None:
    left = finding(findings, "hippocampus", "left")
    most = np.argmax(((case.head.labels == 14) & case.head.left).sum(axis=(1, 2)))
    assert abs(int(left.key_slices[0].rsplit(".", 1)[1]) - int(most)) <= 1
    assert left.key_sop_instance_uid == left.key_slices[0]
    assert len(left.key_slices) == 10
    assert not set(left.key_slices) & set(finding(findings, "hippocampus", "right").key_slices)


def test_the_mask_lies_on_the_files_own_voxels_with_sides_in_its_labels(findings: Findings, case: Case) -> None:
    (mask,) = findings.masks
    assert (mask.shape, mask.series_instance_uid, mask.stack) == (SHAPE, "1.2.3", "echo 1")
    written = np.load(mask.path)
    truth = case.head.labels.copy()
    truth[~case.head.left & np.isin(truth, (0, 11, 12, 13), invert=True)] += RIGHT
    assert written.dtype == np.uint8
    assert (written == truth).mean() > 0.999
    assert set(np.unique(written).tolist()) - {0} == set(mask.labels)
    assert (mask.labels[14], mask.labels[34], mask.labels[13]) == (
        "left hippocampus",
        "right hippocampus",
        "brain stem",
    )


def test_the_reader_is_told_of_the_limits_and_not_of_a_percentile(findings: Findings) -> None:
    assert findings.limits == MANIFEST.limits
    assert any("No percentile" in text for text in findings.limits)


def test_the_same_volume_with_its_slices_the_other_way_round_gives_the_same(
    findings: Findings, case: Case, tmp_path: Path
) -> None:
    volume = stored(tmp_path, np.ascontiguousarray(case.head.values[::-1]))
    flipped = list(AFFINE)
    flipped[0], flipped[3] = -1.0, AFFINE[3] + SHAPE[0] - 1
    volume = replace(volume, affine=tuple(float(number) for number in flipped))
    prepared = brain_volumetry.prepare(MANIFEST, volume, wanted_task(tmp_path))
    np.testing.assert_array_equal(prepared.image, case.prepared.image)
    raw = case.raw(case.head.labels)
    again = brain_volumetry.interpret(MANIFEST, volume, prepared, raw, wanted_task(tmp_path))
    assert [(one.key, one.value) for one in again.findings] == [(one.key, one.value) for one in findings.findings]
    np.testing.assert_array_equal(np.load(again.masks[0].path), np.load(findings.masks[0].path)[::-1])


def test_unknown_contrast_medium_and_a_blank_background_are_told(case: Case, tmp_path: Path) -> None:
    blank = np.where(case.head.values > 100, case.head.values, np.int16(0))
    volume = stored(tmp_path, blank, contrast="unknown")
    prepared = brain_volumetry.prepare(MANIFEST, volume, wanted_task(tmp_path))
    found = brain_volumetry.interpret(MANIFEST, volume, prepared, case.raw(case.head.labels), wanted_task(tmp_path))
    told = found.limits[len(MANIFEST.limits) :]
    assert [text.split(";")[0] for text in told] == [
        "It is not known whether contrast medium was given",
        "The background of the images is blank, so their noise is not known.",
    ]


def refused_before(volume: VolumeRef, folder: Path) -> tuple[str, str]:
    with pytest.raises(NotEvaluable) as caught:
        brain_volumetry.prepare(MANIFEST, volume, wanted_task(folder))
    return caught.value.gate, str(caught.value)


def test_all_gates_of_the_headers_refuse_together_before_a_voxel_is_read(tmp_path: Path) -> None:
    volume = stored(tmp_path, np.zeros((20, 40, 40), dtype=np.int16), description="t2_tse", contrast="yes")
    Path(volume.path).unlink()
    with pytest.raises(Refused) as caught:
        brain_volumetry.prepare(MANIFEST, volume, wanted_task(tmp_path))
    assert caught.value.gate == "weighting"
    assert len(caught.value.reasons) == 4


def test_images_without_a_head_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 20, SHAPE).astype(np.int16)
    values[20:110, 20:110, 30:120] = 900
    gate, reason = refused_before(stored(tmp_path, values), tmp_path)
    assert (gate, "at least 100 mm each way" in reason) == ("head", True)


def test_empty_images_are_refused(tmp_path: Path) -> None:
    assert refused_before(stored(tmp_path, np.zeros(SHAPE, dtype=np.int16)), tmp_path)[0] == "intensity"


def test_noisy_images_are_refused(phantom: Head, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 150, (2, *SHAPE))
    values = np.hypot(phantom.values + noise[0], noise[1]).astype(np.int16)
    gate, reason = refused_before(stored(tmp_path, values), tmp_path)
    assert (gate, "too noisy" in reason) == ("noise", True)


def test_the_ratio_of_signal_to_noise_is_that_of_the_phantom(case: Case) -> None:
    told = dict(case.prepared.gates)["noise"]
    assert float(told.removeprefix("SNR ")) == pytest.approx(800 / _NOISE, rel=0.1)


def test_a_brain_of_an_implausible_size_is_refused(case: Case, tmp_path: Path) -> None:
    small = np.where(np.isin(case.head.labels, (1, 2)) & (np.indices(SHAPE)[1] < 64), np.uint8(0), case.head.labels)
    assert case.refusal(small, tmp_path) == "brain volume"


def test_nothing_found_is_refused_and_is_no_brain_of_nought(case: Case, tmp_path: Path) -> None:
    assert case.refusal(np.zeros_like(case.head.labels), tmp_path) == "brain volume"


@pytest.mark.parametrize("label", [4, 12, 16])
def test_a_structure_that_was_not_found_is_named(case: Case, tmp_path: Path, label: int) -> None:
    lacking = np.where(case.head.labels == label, np.uint8(1), case.head.labels)
    with pytest.raises(Refused, match=f"not found: {STRUCTURES[label]}"):
        case.findings(lacking, tmp_path)


def test_labels_apart_from_the_brain_are_left_out_and_too_many_refuse(case: Case, tmp_path: Path) -> None:
    few, many = case.head.labels.copy(), case.head.labels.copy()
    few[8:14, 12:20, 8:16] = 2
    many[8:30, 12:34, 8:36] = 2
    many[8:30, 98:120, 8:36] = 2
    found = case.findings(few, tmp_path)
    assert value(found, "cerebral_cortex") == pytest.approx(millilitres(case.head, (2,)), abs=0.006)
    assert case.refusal(many, tmp_path) == "one piece"


def test_grey_values_that_are_not_those_of_t1_are_refused(case: Case, tmp_path: Path) -> None:
    other = replace(case, prepared=replace(case.prepared, image=-case.prepared.image))
    assert other.refusal(case.head.labels, tmp_path) == "tissue contrast"


def test_a_structure_that_is_pushed_across_is_refused(case: Case, tmp_path: Path) -> None:
    pushed = np.where(case.head.labels == 15, np.uint8(1), case.head.labels)
    pushed[10:][case.head.labels[:-10] == 15] = 15
    assert case.refusal(pushed, tmp_path) == "midline"


def test_halves_that_differ_are_refused(case: Case, tmp_path: Path) -> None:
    lesion = case.head.labels.copy()
    lesion[case.head.left & (lesion == 9) & (np.indices(SHAPE)[1] % 2 == 0)] = 1
    lesion[case.head.left & (lesion == 7) & (np.indices(SHAPE)[1] % 3 == 0)] = 1
    assert case.refusal(lesion, tmp_path) == "halves"


def test_a_hippocampus_that_was_hardly_found_is_refused(case: Case, tmp_path: Path) -> None:
    hardly = case.head.labels.copy()
    hardly[(hardly == 14) & ~case.head.left & (np.indices(SHAPE).sum(axis=0) % 3 > 0)] = 1
    assert case.refusal(hardly, tmp_path) == "hippocampi"


def test_a_brain_on_one_side_only_is_refused(case: Case, tmp_path: Path) -> None:
    half = np.where(case.head.left, case.head.labels, np.uint8(0))
    assert case.refusal(half, tmp_path) == "brain volume"


def test_a_head_that_is_turned_far_is_refused(case: Case, tmp_path: Path) -> None:
    strict = replace(
        MANIFEST,
        thresholds=tuple(replace(one, value=-1.0) if one.name == "max_tilt" else one for one in MANIFEST.thresholds),
    )
    with pytest.raises(Refused) as caught:
        brain_volumetry.interpret(strict, case.volume, case.prepared, case.raw(case.head.labels), wanted_task(tmp_path))
    assert caught.value.gate == "tilt"


def test_a_brain_that_reaches_the_edge_of_the_images_is_refused(case: Case, tmp_path: Path) -> None:
    cut = 18
    values = np.concatenate([case.head.values[:, cut:], case.head.values[:, :1].repeat(cut, axis=1)], axis=1)
    labels = np.concatenate([case.head.labels[:, cut:], np.zeros_like(case.head.labels[:, :cut])], axis=1)
    volume = stored(tmp_path, values)
    reaching = Case(volume, brain_volumetry.prepare(MANIFEST, volume, wanted_task(tmp_path)), case.head)
    assert reaching.refusal(labels, tmp_path) == "brain coverage"


def test_the_manifest_states_all_source_attributes_and_no_age_below_adults() -> None:
    assert set(MANIFEST.source_attributes) == KEYS
    assert MANIFEST.inputs.min_age_years == 18


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("t1_mprage_sag", True), ("Sag_T1", True), ("MRI BRAIN W WO CONTRAST", True), ("BRAVO", True),
     ("MRT Schädel", True), ("t2_tse_tra", False), ("FLAIR brain", False), ("ep2d_diff ADC", False),
     ("SWI_Images head", False), ("AAHead_Scout", False), ("knee", False)],
)  # fmt: skip
def test_the_manifests_words_take_heads_and_leave_other_sequences(text: str, wanted: bool) -> None:
    words = MANIFEST.inputs.words
    only = any(re.search(pattern, text, re.IGNORECASE) for pattern in words.only)
    never = any(re.search(pattern, text, re.IGNORECASE) for pattern in words.never)
    assert (only and not never) == wanted


def test_without_its_weights_the_model_says_that_it_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled) as caught:
        brain_volumetry.build(replace(MANIFEST, folders=(tmp_path,)), CPU)
    assert caught.value.gate == "weights"


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tests run beside each other: two threads that wait for each other on a busy core take minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network(one_thread: None, reference_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Direct:
    """The published weights, as an installation has them."""
    if not (reference_dir / MODEL).is_dir():
        pytest.skip("the published weights of model30chan18cls are not among the reference data")
    folder = tmp_path_factory.mktemp("weights")
    assert brainchop.main([str(reference_dir / MODEL), str(folder / MANIFEST.weights[0].file)]) == 0
    return Direct(replace(MANIFEST, folders=(folder,)), brain_volumetry)


def cut_out(case: Case, image: NDArray[np.floating[Any]]) -> Prepared:
    return replace(case.prepared, image=np.ascontiguousarray(image, dtype=np.float32)[None, None])


def test_the_published_weights_find_both_hippocampi_in_a_part_of_a_real_head(
    reference_dir: Path, network: Direct, case: Case, tmp_path: Path
) -> None:
    file = reference_dir / "weights/brainchop_meshnet/public/t1_crop.nii.gz"
    if not file.is_file():
        pytest.skip("brainchop's T1 sample is not among the reference data")
    sample = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, 256**3, 352).reshape(256, 256, 256)
    image = sample.transpose(2, 1, 0) / np.quantile(sample, 0.98)
    told: list[Progress] = []
    task = Task(tmp_path, lambda: False, told=told.append)
    raw = brain_volumetry.infer(network.network(task), cut_out(case, image[84:172, 100:176, 70:150]), task)
    hippocampi = [int((half == 14).sum()) / 1000 for half in (raw.labels[47:], raw.labels[:47])]
    assert all(3.0 <= volume <= 5.5 for volume in hippocampi), hippocampi
    assert abs(hippocampi[0] - hippocampi[1]) < 1.0
    assert [(one.step, one.done, one.total) for one in told] == [("network", done, 10) for done in range(1, 11)]
    assert (raw.device, raw.labels.dtype.name) == ("cpu", "uint8")


def test_the_network_gives_the_same_labels_again(network: Direct, case: Case, tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((40, 24, 24))
    task = wanted_task(tmp_path)
    first, second = (brain_volumetry.infer(network.network(task), cut_out(case, image), task) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)


def test_cancelling_ends_within_a_layer(network: Direct, case: Case, tmp_path: Path) -> None:
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 5

    task = Task(tmp_path, cancelled)
    with pytest.raises(Cancelled):
        brain_volumetry.infer(network.network(task), cut_out(case, np.zeros((64, 8, 8))), task)
    assert len(asked) == 6


def test_the_warm_up_is_something_the_network_takes(network: Direct, tmp_path: Path) -> None:
    (answer,) = network.network(wanted_task(tmp_path))(*brain_volumetry.warm(MANIFEST))
    assert answer.shape == (1, 1, 16, 16, 16)
