"""What must never become a number: contrast medium wherever it is, and images that are no CT of an adult in HU.

Four models that measure CT without contrast medium, on a computed chest and a computed torso; each case changes only
the voxels or the geometry that it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models import ct_aorta, ct_coronary_calcium, ct_liver_spleen, ct_vertebral_attenuation
from models.phantom_abdomen import Tissue, Torso, torso
from models.phantom_thorax import Thorax, thorax_phantom
from models.registry import load
from models.task import Task
from tests.unit import thorax as chests
from tests.unit import torso_cases as torsos

Voxels = NDArray[np.int16]
Floats = NDArray[np.float32]
CHEST = {"ct_coronary_calcium": ct_coronary_calcium, "ct_aorta": ct_aorta}
TRUNK = {"ct_liver_spleen": ct_liver_spleen, "ct_vertebral_attenuation": ct_vertebral_attenuation}
MODELS = CHEST | TRUNK
MANIFESTS = load()


def refusal(name: str, volume: VolumeRef, folder: Path) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        MODELS[name].prepare(MANIFESTS[name], volume, Task(folder, lambda: False))
    return caught.value


@dataclass(frozen=True)
class Case:
    """The two bodies without contrast medium."""

    chest: Thorax
    trunk: Torso
    trunk_hu: Voxels

    def stored(self, name: str, hu: Voxels | Floats, folder: Path, contrast: str) -> VolumeRef:
        path = folder / "volume.npy"
        if name in CHEST:
            volume = chests.stored(self.chest, folder, self.chest.hu, contrast=contrast)
        else:
            volume = torsos.stored(self.trunk, self.trunk_hu, folder, contrast=contrast)
        np.save(path, hu)
        return replace(volume, dtype=hu.dtype.name)

    def hu(self, name: str) -> Voxels:
        return self.chest.hu if name in CHEST else self.trunk_hu

    def ball(self, centre_mm: tuple[float, float, float], half_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
        """Where in the chest an ellipsoid lies, (z, y, x)."""
        axes = [
            (origin + spacing * np.arange(size) - centre) / half
            for origin, spacing, size, centre, half in zip(
                self.chest.origin_mm, self.chest.spacing_mm, self.chest.hu.shape, centre_mm, half_mm, strict=True
            )
        ]
        z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
        return np.asarray(z**2 + y**2 + x**2 < 1.0)

    def aorta(self) -> NDArray[np.bool_]:
        """Where the torso's aorta lies."""
        return np.asarray((self.trunk.labels[::2] == Tissue.AORTA) & (self.trunk.labels[1::2] == Tissue.AORTA))

    def painted(self, densities: dict[Tissue, int]) -> Voxels:
        """The torso with some tissues of other densities."""
        hu = self.trunk_hu.copy()
        for layer in (0, 1):
            for tissue, density in densities.items():
                hu[self.trunk.labels[layer::2] == tissue] = density
        return hu


@pytest.fixture(scope="module")
def case() -> Case:
    trunk = torso(layer_mm=(1.5, 2.0, 2.0)).between(-90.0, 110.0)
    return Case(thorax_phantom(), trunk, trunk.images())


# --- contrast medium in the chest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "contrast"), [("ct_coronary_calcium", "no"), ("ct_aorta", "unknown")])
def test_a_heart_that_is_bright_while_the_aorta_is_not_yet_is_refused(
    case: Case, tmp_path: Path, name: str, contrast: str
) -> None:
    hu = case.chest.hu.copy()
    hu[case.ball((-45.0, -28.0, 22.0), (45.0, 34.0, 48.0))] += 200
    error = refusal(name, case.stored(name, hu, tmp_path, contrast), tmp_path)
    assert error.gate == "bright tissue"
    assert "between the lungs" in str(error)
    assert ("although the header says" in str(error)) == (contrast == "no")


def test_one_faintly_bright_chamber_is_refused(case: Case, tmp_path: Path) -> None:
    hu = case.chest.hu.copy()
    hu[case.ball((-30.0, -50.0, -5.0), (20.0, 14.0, 14.0))] += 90
    volume = case.stored("ct_coronary_calcium", hu, tmp_path, "no")
    assert refusal("ct_coronary_calcium", volume, tmp_path).gate == "bright tissue"


def test_a_bright_cava_alone_is_refused(case: Case, tmp_path: Path) -> None:
    hu = case.chest.hu.copy()
    cava = case.ball((0.0, -10.0, -41.0), (1e6, 9.0, 9.0))
    cava[: case.chest.index((-10.0, 0.0, 0.0))[0]] = False
    hu[cava] = 600
    volume = case.stored("ct_coronary_calcium", hu, tmp_path, "no")
    assert refusal("ct_coronary_calcium", volume, tmp_path).gate == "bright tissue"


@pytest.mark.parametrize(("blood_hu", "radius_mm"), [(150, 14.0), (350, 6.0)])
def test_the_bright_lumen_of_an_aneurysm_with_clot_is_refused(tmp_path: Path, blood_hu: int, radius_mm: float) -> None:
    wide = thorax_phantom(aorta_mm=45.0)
    case = Case(wide, Torso(np.zeros((0, 0, 0), np.uint8), (1.0, 1.0, 1.0)), wide.hu)
    y, x = (float(at) for at in np.argwhere(wide.descending.any(axis=0)).mean(axis=0) * 2.0 + wide.origin_mm[1:])
    hu = wide.hu.copy()
    hu[case.ball((0.0, y, x + 5.0), (1e6, radius_mm, radius_mm)) & wide.descending] = blood_hu
    error = refusal("ct_coronary_calcium", case.stored("ct_coronary_calcium", hu, tmp_path, "no"), tmp_path)
    assert error.gate in {"contrast in the blood", "blood pool", "noise", "bright tissue"}


def test_a_piece_of_aorta_is_not_enough_to_judge_the_blood(case: Case, tmp_path: Path) -> None:
    hu = case.chest.hu.copy()
    rest = case.chest.descending.copy()
    first = case.chest.index((-20.0, 0.0, 0.0))[0]
    rest[first : first + 10] = False
    hu[rest] = -850
    error = refusal("ct_coronary_calcium", case.stored("ct_coronary_calcium", hu, tmp_path, "unknown"), tmp_path)
    assert error.gate == "blood pool"


# --- contrast medium in the abdomen ----------------------------------------------------------------------------------

NO_VESSELS = {Tissue.AORTA: -100, Tissue.VENA_CAVA: -100}


@pytest.mark.parametrize("name", TRUNK)
@pytest.mark.parametrize(
    ("densities", "wanted"),
    [
        (NO_VESSELS, ("unknown", "contrast in the blood", "not known whether contrast")),
        (NO_VESSELS | {Tissue.KIDNEY: 150}, ("no", "bright tissue", "where the kidneys lie")),
        ({Tissue.AORTA: 110}, ("no", "contrast in the blood", "although the header")),
        ({Tissue.LIVER: 110, Tissue.AORTA: 130, Tissue.KIDNEY: 160}, ("unknown", "contrast in the blood", "130 HU")),
        ({Tissue.AORTA: 350}, ("unknown", "contrast in the blood", "contrast medium was given")),
    ],
    ids=["no vessels", "kidneys", "faint aorta", "portal venous", "arterial"],
)
def test_contrast_medium_anywhere_is_refused(
    case: Case, tmp_path: Path, name: str, densities: dict[Tissue, int], wanted: tuple[str, str, str]
) -> None:
    contrast, gate, words = wanted
    error = refusal(name, case.stored(name, case.painted(densities), tmp_path, contrast), tmp_path)
    assert error.gate == gate
    assert words in str(error)


@pytest.mark.parametrize("name", TRUNK)
@pytest.mark.parametrize("contrast", ["no", "unknown"])
def test_a_bright_aorta_on_the_other_side_is_refused(case: Case, tmp_path: Path, name: str, contrast: str) -> None:
    hu = case.painted(NO_VESSELS)
    hu[np.roll(case.aorta(), -25, axis=2)] = 250
    error = refusal(name, case.stored(name, hu, tmp_path, contrast), tmp_path)
    assert error.gate == ("bright tissue" if contrast == "no" else "contrast in the blood")


@pytest.mark.parametrize("name", TRUNK)
def test_a_bright_cava_beside_an_aorta_that_is_not_is_refused(case: Case, tmp_path: Path, name: str) -> None:
    hu = case.trunk_hu.copy()
    hu[np.roll(case.aorta(), -13, axis=2)] = 200
    error = refusal(name, case.stored(name, hu, tmp_path, "no"), tmp_path)
    assert error.gate == "bright tissue"
    assert "in front of the spine" in str(error)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_bodies_without_contrast_medium_are_measured(case: Case, tmp_path: Path, name: str) -> None:
    """Else every refusal here would prove nothing; and each key occurs once."""
    volume = case.stored(name, case.hu(name), tmp_path, "unknown")
    work = Task(tmp_path, lambda: False)
    model, manifest = MODELS[name], MANIFESTS[name]
    prepared = model.prepare(manifest, volume, work)
    findings = model.interpret(manifest, volume, prepared, model.infer(torsos.NoNetwork(), prepared, work), work)
    keys = [one.key for one in findings.findings]
    assert len(keys) == len(set(keys)) > 0
    assert any(gate.startswith("bright tissue: 0 mL") for gate in findings.findings[0].gates)


# --- no CT of an adult in Hounsfield units ---------------------------------------------------------------------------


def _with(value: float) -> Callable[[Voxels], Floats]:
    def changed(hu: Voxels) -> Floats:
        floats = hu.astype(np.float32)
        floats[len(hu) // 2, 60, 60] = value
        return floats

    return changed


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_with(float("nan")), "no number"),
        (_with(float("inf")), "no number"),
        (lambda hu: np.full_like(hu, -2000), "soft tissue"),
        (lambda hu: (hu.astype(np.int32) + 1024).clip(0, 4095).astype(np.int16), "no air"),
        (lambda hu: (hu.astype(np.int32) - 1024).astype(np.int16), "soft tissue"),
    ],
    ids=["NaN", "infinite", "padding alone", "not rescaled", "rescaled twice"],
)
def test_what_is_not_in_hounsfield_units_is_refused(
    case: Case, tmp_path: Path, name: str, change: Callable[[Voxels], Voxels | Floats], words: str
) -> None:
    error = refusal(name, case.stored(name, change(case.hu(name)), tmp_path, "no"), tmp_path)
    assert error.gate == "densities"
    assert words in str(error)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("changed", "words"),
    [((4, 0.4), "tilted"), ((8, float("nan")), "contradict"), ((8, 2.7), "contradict")],
    ids=["tilted gantry", "no number", "another slice distance"],
)
def test_a_geometry_that_is_not_upright_or_contradicts_itself_is_refused(
    case: Case, tmp_path: Path, name: str, changed: tuple[int, float], words: str
) -> None:
    volume = case.stored(name, case.hu(name), tmp_path, "no")
    affine = tuple(changed[1] if at == changed[0] else one for at, one in enumerate(volume.affine))
    error = refusal(name, replace(volume, affine=affine), tmp_path)
    assert error.gate == "orientation"
    assert words in str(error)


@pytest.mark.parametrize("name", MODELS)
def test_a_body_of_the_size_of_a_child_gives_no_number(case: Case, tmp_path: Path, name: str) -> None:
    volume = case.stored(name, case.hu(name), tmp_path, "no")
    affine = tuple(0.55 * one if at in {2, 5, 8} else one for at, one in enumerate(volume.affine))
    spacing = (0.55 * volume.spacing_mm[0], 0.55 * volume.spacing_mm[1], 0.55 * volume.spacing_mm[2])
    error = refusal(name, replace(volume, affine=affine, spacing_mm=spacing), tmp_path)
    assert error.gate in {"body size", "blood pool", "descending aorta"}
