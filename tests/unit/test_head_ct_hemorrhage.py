"""The head model: blood of known volume in a computed head, on the published weights; every gate; what is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cds.domain.finding import Finding, Findings, Presence, kind_of
from cds.domain.imaging import VolumeRef
from cds.domain.inference import Progress
from cds.errors import Cancelled, NotEvaluable
from models import head_ct_hemorrhage as model
from models.attributes import KEYS
from models.direct import Direct
from models.head import resampled
from models.head_ct_hemorrhage import EAH, IPH, LABELS, Prepared, Raw
from models.phantom_head import Head, HeadPhantom, Lesion, head_phantom
from models.task import Refused, Task
from models.weights import NotInstalled
from tests.unit.head_cases import ATTRIBUTES, box_around, manifest, only, stored, with_weights

MANIFEST = manifest()
ROUND = Lesion((15.0, -20.0, 32.0), (12.0, 12.0, 12.0), 65.0)
#: Large enough to be told from blood in a ventricle, on the other side.
LARGE = Lesion((15.0, -20.0, -32.0), (15.0, 15.0, 15.0), 65.0)
COARSE = (4.0, 1.2, 1.2)


def wanted(folder: Path) -> Task:
    return Task(folder, lambda: False)


def prepared_from(volume: VolumeRef, folder: Path) -> Prepared:
    return model.prepare(MANIFEST, volume, wanted(folder))


def refusal(volume: VolumeRef, folder: Path) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        prepared_from(volume, folder)
    return caught.value


def finding(findings: Findings, key: str) -> Finding:
    return next(one for one in findings.findings if kind_of(one.key) == key)


def value(findings: Findings, key: str) -> float:
    quantity = finding(findings, key).value
    assert quantity is not None
    return quantity.value


@pytest.fixture(scope="module")
def head() -> HeadPhantom:
    return head_phantom(Head(spacing_mm=COARSE, lesions=(ROUND,)))


@pytest.fixture(scope="module")
def prepared(head: HeadPhantom, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    return prepared_from(stored(head, folder), folder)


def labelled_as(prepared: Prepared, *, iph_mm: tuple[float, float, float] | None = None, eah: bool = False) -> Raw:
    """Labels as a network without error would give them: a ball of 10 mm around a place, and a shell on the left."""
    labels = np.zeros(prepared.head.skull.shape, dtype=np.uint8)
    if iph_mm is not None:
        ball = np.argwhere(box_around(prepared, iph_mm, 10))
        near = np.linalg.norm(ball - ball.mean(axis=0), axis=1) <= 10.0
        labels[tuple(ball[near].T)] = IPH
    if eah:
        labels[box_around(prepared, (20.0, 0.0, 62.0), 4)] = EAH
    return Raw(labels, 12, "cpu")


# --- blood in a head, on the published weights ----------------------------------------


@with_weights
def test_a_ball_of_blood_in_the_brain_is_measured_with_its_side_and_slice(tmp_path: Path) -> None:
    phantom = head_phantom(Head(spacing_mm=(2.5, 0.9, 0.9), lesions=(LARGE,)))
    volume, task = stored(phantom, tmp_path), wanted(tmp_path)
    one = manifest(members=1)
    prepared = model.prepare(one, volume, task)
    around = only(prepared, box_around(prepared, LARGE.centre, 20))
    raw = model.infer(Direct(one, model).network(task), around, task)
    findings = model.interpret(one, volume, prepared, raw, task)
    blood = value(findings, "hemorrhage")
    assert blood == pytest.approx(LARGE.volume_ml, rel=0.1)
    assert value(findings, "iph_volume") == pytest.approx(LARGE.volume_ml, rel=0.1)
    assert finding(findings, "iph_lesion").laterality == "right"
    assert finding(findings, "hemorrhage").presence is Presence.PRESENT
    middle = (LARGE.centre[0] + 75.0) / 2.5
    assert int(finding(findings, "iph_lesion").key_sop_instance_uid.split(".")[-1]) == pytest.approx(middle, abs=2)
    mask = np.load(findings.masks[0].path)
    overlap = (mask == IPH) & phantom.lesions[0]
    assert 2.0 * overlap.sum() / ((mask == IPH).sum() + phantom.lesions[0].sum()) > 0.85


@with_weights
def test_brain_without_blood_shows_none(prepared: Prepared, tmp_path: Path) -> None:
    task = wanted(tmp_path)
    quiet = replace(only(prepared, box_around(prepared, (15.0, 30.0, -35.0), 15)), members_on_cpu=1)
    one = manifest(members=1)
    raw = model.infer(Direct(one, model).network(task), quiet, task)
    findings = model.interpret(one, prepared.head.turned.volume, prepared, raw, task)
    assert finding(findings, "hemorrhage").presence is Presence.NOT_DETECTED
    assert value(findings, "hemorrhage") < 0.1


@with_weights
def test_work_is_cancelled_between_tiles_and_its_progress_is_told(prepared: Prepared, tmp_path: Path) -> None:
    told: list[Progress] = []
    task = Task(tmp_path, lambda: len(told) >= 1, told=told.append)
    with pytest.raises(Cancelled):
        model.infer(Direct(manifest(members=2), model).network(task), prepared_part(prepared), task)
    assert [(one.step, one.done, one.total) for one in told] == [("network", 1, 2)]


def prepared_part(prepared: Prepared) -> Prepared:
    part = np.zeros_like(prepared.head.skull)
    part[60:70, 105:115, 105:115] = True
    return replace(only(prepared, part), members_on_cpu=2)


def test_without_weights_it_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled) as caught:
        model.build(replace(MANIFEST, folders=(tmp_path,)), model.torch.device("cpu"))
    assert caught.value.gate == "weights"


# --- what is said ----------------------------------------


def test_a_lesion_has_volume_side_slices_and_a_tracking_id(
    head: HeadPhantom, prepared: Prepared, tmp_path: Path
) -> None:
    volume = prepared.head.turned.volume
    raw = labelled_as(prepared, iph_mm=(10.0, 5.0, -30.0), eah=True)
    findings = model.interpret(MANIFEST, volume, prepared, raw, wanted(tmp_path))
    lesion = finding(findings, "iph_lesion")
    assert lesion.value is not None
    assert lesion.value.value == pytest.approx(4.19, rel=0.03)
    assert lesion.laterality == "right"
    assert lesion.tracking_id == "iph_lesion-1"
    assert finding(findings, "eah_volume").laterality == "left"
    assert finding(findings, "hemorrhage").laterality == "both"
    assert value(findings, "iph_diameter") == pytest.approx(20.0, abs=2.5)
    assert 0.5 * 4.19 < value(findings, "iph_abc2") < 1.2 * 4.19
    assert int(lesion.key_sop_instance_uid.split(".")[-1]) == pytest.approx((10.0 + 75.0) / 4.0, abs=1)
    assert len(lesion.key_slices) <= 10
    assert lesion.key_slices[0] == lesion.key_sop_instance_uid


def test_the_mask_lies_on_the_grid_of_the_file(head: HeadPhantom, prepared: Prepared, tmp_path: Path) -> None:
    volume = prepared.head.turned.volume
    findings = model.interpret(MANIFEST, volume, prepared, labelled_as(prepared, iph_mm=ROUND.centre), wanted(tmp_path))
    mask = np.load(findings.masks[0].path)
    assert mask.shape == head.hu.shape
    assert mask.dtype == np.uint8
    assert findings.masks[0].labels == LABELS
    assert np.argwhere(mask == IPH).mean(axis=0) == pytest.approx(np.argwhere(head.lesions[0]).mean(axis=0), abs=0.6)


@pytest.mark.parametrize("flip", [(0,), (1,), (2,), (0, 1, 2)])
def test_the_order_of_slices_rows_and_columns_does_not_matter(
    head: HeadPhantom, prepared: Prepared, tmp_path: Path, flip: tuple[int, ...]
) -> None:
    base = stored(replace(head, hu=np.flip(head.hu, flip)), tmp_path)
    affine = list(base.affine)
    for axis, (step, start) in enumerate(((8, 11), (5, 7), (2, 3))):
        if axis in flip:
            affine[start] += (head.hu.shape[axis] - 1) * affine[step]
            affine[step] = -affine[step]
    turned = prepared_from(replace(base, affine=tuple(affine)), tmp_path)
    assert np.allclose(turned.x, prepared.x, atol=1e-4)
    raw = labelled_as(prepared, iph_mm=ROUND.centre)
    findings = model.interpret(MANIFEST, replace(base, affine=tuple(affine)), turned, raw, wanted(tmp_path))
    assert finding(findings, "iph_lesion").laterality == "left"
    mask = np.flip(np.load(findings.masks[0].path), flip)
    assert (mask == IPH)[head.lesions[0]].mean() > 0.5


def test_nothing_found_is_a_measurement_of_nothing_and_excludes_nothing(prepared: Prepared, tmp_path: Path) -> None:
    findings = model.interpret(MANIFEST, prepared.head.turned.volume, prepared, labelled_as(prepared), wanted(tmp_path))
    shown = finding(findings, "hemorrhage")
    assert shown.presence is Presence.NOT_DETECTED
    assert "does not exclude" in shown.note
    assert shown.threshold is not None
    assert shown.threshold.value == 0.5
    assert shown.confidence is None
    for key in ("iph_volume", "eah_volume", "ivh_volume", "oedema_volume"):
        assert finding(findings, key).presence is Presence.MEASURED
        assert value(findings, key) == 0.0
    assert not {"iph_abc2", "iph_diameter", "iph_lesion"} & {kind_of(one.key) for one in findings.findings}


def test_how_many_networks_were_asked_and_what_is_unknown_is_said(head: HeadPhantom, tmp_path: Path) -> None:
    volume = stored(head, tmp_path, contrast="unknown", kvp="", slice_thickness_mm="4")
    prepared = prepared_from(volume, tmp_path)
    raw = replace(labelled_as(prepared), members=3)
    limits = " ".join(model.interpret(MANIFEST, volume, prepared, raw, wanted(tmp_path)).limits)
    for words in (
        "3 of 12 networks",
        "contrast medium",
        "tube voltage",
        "4.0 mm thick",
        "ischaemic stroke",
        "traumatic",
    ):
        assert words in limits


def test_every_gate_that_was_passed_is_listed(prepared: Prepared) -> None:
    assert {"modality", "orientation", "slices", "coverage", "slice spacing", "slice thickness", "pixel spacing",
            "contrast", "tube voltage", "head", "vertex", "skull base", "field of view", "metal", "brain density",
            "noise", "enhancement"} == {gate for gate, _ in prepared.gates}  # fmt: skip


def test_the_manifest_states_all_source_attributes_and_every_weight() -> None:
    assert set(MANIFEST.source_attributes) == KEYS
    assert [one.file for one in MANIFEST.weights] == [f"model_{number}.pt" for number in range(1, 13)]


# --- the grid ----------------------------------------


def test_the_networks_see_the_density_at_each_millimetre(prepared: Prepared) -> None:
    """A field that rises by 3 HU a slice of 4 mm, 5 a row and 7 a column of 1.2 mm is known everywhere."""
    z, y, x = np.ogrid[0:5, 0:6, 0:7]
    fine = resampled((3.0 * z + 5.0 * y + 7.0 * x).astype(np.float32), COARSE, lambda: None)
    zz, yy, xx = np.ogrid[0:17, 0:7, 0:8]
    assert np.allclose(fine, 3.0 / 4.0 * zz + 5.0 / 1.2 * yy + 7.0 / 1.2 * xx, atol=1e-4)
    assert prepared.x.min() == -1.0
    assert prepared.x.max() == 1.0


# --- gates ----------------------------------------


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"modality": "MR"}, "modality"),
        ({"orientation": "sagittal"}, "orientation"),
        ({"shape": (12, 256, 256), "spacing_mm": (6.0, 0.9, 0.9)}, "slices"),
        ({"shape": (30, 256, 256), "spacing_mm": (3.0, 0.9, 0.9)}, "coverage"),
        ({"spacing_mm": (8.0, 0.9, 0.9)}, "slice spacing"),
        ({"spacing_mm": (5.0, 1.5, 1.5)}, "pixel spacing"),
    ],
)
def test_a_volume_that_cannot_be_measured_is_refused_by_its_gate(
    tmp_path: Path, change: dict[str, object], gate: str
) -> None:
    base = VolumeRef("absent.npy", "int16", (30, 256, 256), (5.0, 0.9, 0.9), (0.0,) * 16, "1.2.3", "CT", "axial",
                     ATTRIBUTES)  # fmt: skip
    assert refusal(replace(base, **change), tmp_path).gate == gate


@pytest.mark.parametrize(
    ("attribute", "text", "gate"),
    [
        ("contrast", "yes", "contrast"), ("contrast", "varies", "contrast"), ("kvp", "60", "tube voltage"),
        ("slice_thickness_mm", "10", "slice thickness"), ("slice_thickness_mm", "", "slice thickness"),
    ],
)  # fmt: skip
def test_an_acquisition_that_cannot_be_measured_is_refused(
    tmp_path: Path, attribute: str, text: str, gate: str
) -> None:
    base = VolumeRef("absent.npy", "int16", (30, 256, 256), (5.0, 0.9, 0.9), (0.0,) * 16, "1.2.3", "CT", "axial",
                     ATTRIBUTES | {attribute: text})  # fmt: skip
    assert refusal(base, tmp_path).gate == gate


def cut_top(head: HeadPhantom) -> HeadPhantom:
    return replace(head, hu=head.hu[:30])


def cut_base(head: HeadPhantom) -> HeadPhantom:
    return moved(replace(head, hu=head.hu[16:]))


def moved(head: HeadPhantom) -> HeadPhantom:
    """Air above, so that the header's coverage is enough."""
    air = np.full((16, *head.hu.shape[1:]), -1000, dtype=np.int16)
    return replace(head, hu=np.concatenate([head.hu, air]))


def cut_side(head: HeadPhantom) -> HeadPhantom:
    return replace(head, hu=head.hu[:, :, 40:])


def painted(head: HeadPhantom, hu: int, size: int) -> HeadPhantom:
    changed = head.hu.copy()
    changed[20:23, 70 : 70 + size, 80 : 80 + size] = hu
    return replace(head, hu=changed)


def denser(head: HeadPhantom) -> HeadPhantom:
    return replace(head, hu=np.where(np.abs(head.hu) < 120, head.hu + 40, head.hu).astype(np.int16))


def noisy(head: HeadPhantom) -> HeadPhantom:
    noise = np.random.default_rng(5).normal(0.0, 45.0, head.hu.shape)
    return replace(head, hu=np.clip(head.hu + noise, -1024, 3071).astype(np.int16))


@pytest.mark.parametrize(
    ("spoil", "gate"),
    [
        (lambda head: replace(head, hu=np.where(head.hu > 200, 40, head.hu).astype(np.int16)), "head"),
        (lambda head: replace(head, spacing_mm=(4.0, 0.8, 0.8)), "head"),
        (cut_top, "vertex"),
        (cut_base, "skull base"),
        (cut_side, "field of view"),
        (lambda head: painted(head, 3071, 14), "metal"),
        (denser, "brain density"),
        (noisy, "noise"),
        (lambda head: painted(head, 180, 24), "enhancement"),
    ],
    ids=["no bone", "small", "top cut", "base cut", "side cut", "metal", "density", "noise", "contrast"],
)  # fmt: skip
def test_images_that_cannot_be_measured_are_refused_by_their_gate(
    head: HeadPhantom, tmp_path: Path, spoil: Callable[[HeadPhantom], HeadPhantom], gate: str
) -> None:
    refused = refusal(stored_with_affine(spoil(head), tmp_path), tmp_path)
    gates = {refused.gate}
    assert gate in gates or (isinstance(refused, Refused) and any(gate in reason for reason in refused.reasons))


def stored_with_affine(phantom: HeadPhantom, folder: Path) -> VolumeRef:
    """Its affine follows from its spacing, which a test may have changed."""
    dz, dy, dx = phantom.spacing_mm
    affine = (0.0, 0.0, dx, -90.0, 0.0, dy, 0.0, -90.0, dz, 0.0, 0.0, -75.0, 0.0, 0.0, 0.0, 1.0)
    return replace(stored(phantom, folder), affine=affine)


def test_slices_that_lean_far_are_refused_and_a_little_are_not(head: HeadPhantom, tmp_path: Path) -> None:
    for degrees, fits in ((15.0, True), (35.0, False)):
        sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
        dz, dy, dx = head.spacing_mm
        steps = (0.0, 0.0, dx, 0.0, -sine * dz, cosine * dy, 0.0, 0.0, cosine * dz, sine * dy, 0.0, 0.0)
        affine = (*steps, 0.0, 0.0, 0.0, 1.0)
        volume = replace(stored(head, tmp_path), affine=tuple(float(one) for one in affine))
        if fits:
            assert prepared_from(volume, tmp_path).gates
        else:
            assert refusal(volume, tmp_path).gate == "orientation"
