"""Brain volumetry on a whole real head: plausible volumes, the same however it was cut, in bounded memory.

There are no reference volumes for this head: what is held is what the card states, and that the answer does not depend
on the direction of the slices. Takes about two minutes on two cores.
"""

from __future__ import annotations

import gzip
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cds.domain.finding import Findings, kind_of
from cds.domain.imaging import VolumeRef
from models import brain_volumetry
from models.direct import Direct
from models.manifest import read
from models.registry import SHIPPED
from models.task import Task
from models.training import brainchop

MANIFEST = read(SHIPPED / "brain_volumetry.toml")
PUBLIC = Path("weights/brainchop_meshnet/public")
#: What the process may need, GB, on the whole head: 2.0 were measured.
MOST_GB = 3.0

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def sample(reference_dir: Path) -> NDArray[np.int16]:
    """The head in the axes of its NIfTI file: left, feet, front."""
    file = reference_dir / PUBLIC / "t1_crop.nii.gz"
    if not file.is_file():
        pytest.skip("brainchop's T1 sample is not among the reference data")
    stored = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, 256**3, 352)
    return stored.reshape(256, 256, 256).transpose(2, 1, 0).astype(np.int16)


@pytest.fixture(scope="module")
def network(reference_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Direct:
    folder = tmp_path_factory.mktemp("weights")
    source = reference_dir / PUBLIC / "models" / "model30chan18cls"
    assert brainchop.main([str(source), str(folder / MANIFEST.weights[0].file)]) == 0
    return Direct(replace(MANIFEST, folders=(folder,)), brain_volumetry)


def measured(voxels: NDArray[np.int16], directions: NDArray[np.float64], network: Direct, folder: Path) -> Findings:
    """All steps of the model on slices of 1 mm; `directions` are of slice, row and column in LPS, as columns."""
    np.save(folder / "volume.npy", voxels)
    affine = np.eye(4)
    affine[:3, :3] = directions
    affine[:3, 3] = -directions @ np.full(3, 127.5)
    volume = VolumeRef(
        str(folder / "volume.npy"), "int16", (256, 256, 256), (1.0, 1.0, 1.0), tuple(affine.ravel().tolist()),
        "1.2.3", "MR", "", {"description": "t1_mprage", "contrast": "no"},
    )  # fmt: skip
    return network.run(volume, Task(folder, lambda: False))


def values(findings: Findings) -> dict[tuple[str, str], float]:
    return {(kind_of(one.key), one.laterality): one.value.value for one in findings.findings if one.value is not None}


def test_a_real_head_has_the_volumes_of_the_card_whatever_way_it_was_cut(
    sample: NDArray[np.int16], network: Direct, tmp_path: Path
) -> None:
    (tmp_path / "axial").mkdir()
    (tmp_path / "sagittal").mkdir()
    axial = measured(
        np.ascontiguousarray(sample.transpose(1, 2, 0)[:, ::-1]),
        np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]), network, tmp_path / "axial",
    )  # fmt: skip
    sagittal = measured(
        np.ascontiguousarray(sample[:, :, ::-1]),
        np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]), network, tmp_path / "sagittal",
    )  # fmt: skip
    found = values(axial)
    assert found == values(sagittal)
    assert found["hippocampus", "left"] == pytest.approx(4.31, abs=0.05)
    assert found["hippocampus", "right"] == pytest.approx(4.47, abs=0.05)
    assert found["total_brain", ""] == pytest.approx(1296.0, abs=5.0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6 < MOST_GB
