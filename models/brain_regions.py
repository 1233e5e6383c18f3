"""What the labels of the brain network mean, and the volumes, shares and asymmetries made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: Label of the network → name, brainchop's colormap.json of model30chan18cls; 0 is everything else.
STRUCTURES = {
    1: "cerebral white matter",
    2: "cerebral cortex",
    3: "lateral ventricle",
    4: "inferior horn of lateral ventricle",
    5: "cerebellar white matter",
    6: "cerebellar cortex",
    7: "thalamus",
    8: "caudate nucleus",
    9: "putamen",
    10: "globus pallidus",
    11: "third ventricle",
    12: "fourth ventricle",
    13: "brain stem",
    14: "hippocampus",
    15: "amygdala",
    16: "nucleus accumbens",
    17: "ventral diencephalon",
}
WHITE_MATTER, CORTEX, VENTRICLE = 1, 2, 3
#: Structures that lie apart on both sides: the plane between the halves is found by them.
PAIRED = (7, 8, 9, 10, 14, 15)
VENTRICLES = (3, 4, 11, 12)
#: Cerebrospinal fluid outside the ventricles has no label: this is brain tissue alone.
BRAIN = tuple(label for label in STRUCTURES if label not in VENTRICLES)
#: On the midline, or not told by side.
_ONE = frozenset({11, 12, 13})
#: In a mask a structure on the right has its label and this.
RIGHT = 20
_MM3_PER_ML = 1000.0

#: Finding → labels: with sides, and as a whole.
_SIDED = {
    "hippocampus": (14,),
    "lateral_ventricle": (3, 4),
    "amygdala": (15,),
    "thalamus": (7,),
    "caudate": (8,),
    "putamen": (9,),
    "pallidum": (10,),
}
_WHOLE = {
    "total_brain": BRAIN,
    "cerebral_cortex": (2,),
    "cerebral_white_matter": (1,),
    "cerebellum": (5, 6),
    "brain_stem": (13,),
    "third_ventricle": (11,),
    "fourth_ventricle": (12,),
}
_ASYMMETRIES = {"hippocampus_asymmetry": "hippocampus", "lateral_ventricle_asymmetry": "lateral_ventricle"}


@dataclass(frozen=True)
class Measurement:
    """One value of a finding: mL, or percent; `labels` are those of the mask that it is about, `digits` those shown."""

    key: str
    side: str
    value: float
    labels: tuple[int, ...]
    digits: int = 2


@dataclass(frozen=True)
class Measured:
    """All measurements of a brain; volumes in mL by finding and side."""

    measurements: tuple[Measurement, ...]

    def value(self, key: str, side: str = "") -> float:
        """The value of that finding on that side; KeyError where there is none."""
        for one in self.measurements:
            if (one.key, one.side) == (key, side):
                return one.value
        raise KeyError(key)


def sided(labels: Labels, left: Mask) -> Labels:
    """Labels of the mask: what lies on the right has RIGHT added, but for what lies on the midline."""
    whole = np.isin(labels, (0, *_ONE))
    marked: Labels = np.where(left | whole, labels, labels + np.uint8(RIGHT)).astype(np.uint8)
    return marked


def sided_names() -> dict[int, str]:
    """The names of the labels of the mask."""
    names = {label: name if label in _ONE else f"left {name}" for label, name in STRUCTURES.items()}
    return names | {label + RIGHT: f"right {name}" for label, name in STRUCTURES.items() if label not in _ONE}


def measure(labels: Labels, left: Mask) -> Measured:
    """Everything that is reported of a label map on a grid of 1 mm: a voxel is 1 mm3.

    An asymmetry is (left - right) / mean of both, percent; a share is that of the total brain, percent. Both are left
    out where they would divide by nothing.
    """
    count = np.bincount(sided(labels, left).ravel(), minlength=RIGHT + len(STRUCTURES) + 1)
    found: list[Measurement] = []
    for key, parts in _SIDED.items():
        for side, added in (("left", 0), ("right", RIGHT)):
            found.append(_volume(key, side, tuple(part + added for part in parts), count))
    for key, parts in _WHOLE.items():
        found.append(_volume(key, "", _both(parts), count))
    known = Measured(tuple(found))
    return Measured((*found, *_shares(known), *_asymmetries(known)))


def _volume(key: str, side: str, labels: tuple[int, ...], count: NDArray[np.int64]) -> Measurement:
    return Measurement(key, side, float(count[list(labels)].sum()) / _MM3_PER_ML, labels)


def _both(parts: tuple[int, ...]) -> tuple[int, ...]:
    return (*parts, *(part + RIGHT for part in parts if part not in _ONE))


def _shares(known: Measured) -> list[Measurement]:
    brain = known.value("total_brain")
    if brain <= 0.0:
        return []
    found = []
    for side, added in (("left", 0), ("right", RIGHT)):
        share = 100.0 * known.value("hippocampus", side) / brain
        found.append(Measurement("hippocampus_share", side, share, (14 + added,), 3))
    ventricles = known.value("lateral_ventricle", "left") + known.value("lateral_ventricle", "right")
    found.append(Measurement("lateral_ventricles_share", "both", 100.0 * ventricles / brain, _both((3, 4)), 3))
    return found


def _asymmetries(known: Measured) -> list[Measurement]:
    found = []
    for key, of in _ASYMMETRIES.items():
        left, right = known.value(of, "left"), known.value(of, "right")
        if left + right > 0.0:
            value = 200.0 * (left - right) / (left + right)
            found.append(Measurement(key, "both", value, _both(_SIDED[of]), 1))
    return found
