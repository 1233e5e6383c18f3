"""The labelled images of a training: read once, split by patient."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.radiograph import SIDE, squared


@dataclass(frozen=True)
class Case:
    """One image and what its row says: labels, whose it is, how and where it was made."""

    file: str
    labels: frozenset[str]
    patient: str
    age: int | None
    sex: str
    view: str
    source: str


@dataclass(frozen=True)
class Cases:
    """Images (items, 1, 256, 256) of uint8, and their rows."""

    images: torch.Tensor
    rows: tuple[Case, ...]

    def scaled(self) -> torch.Tensor:
        """The images as float32 from 0 to 1."""
        return self.images.float() / 255.0

    def targets(self, labels: Sequence[str]) -> torch.Tensor:
        """float32 (items, labels): 1 where the row has the label."""
        return torch.tensor([[float(label in row.labels) for label in labels] for row in self.rows])


def read_rows(labels: Path) -> tuple[Case, ...]:
    """The rows of a table with file, finding_labels, patient_id, age, sex, view and source_repo."""
    with labels.open(encoding="utf-8", newline="") as file:
        return tuple(
            Case(
                row["file"],
                frozenset(row["finding_labels"].split("|")),
                row["patient_id"],
                int(row["age"]) if row["age"].isdecimal() else None,
                row["sex"],
                row["view"],
                row["source_repo"],
            )
            for row in csv.DictReader(file)
        )


def read_cases(images: Path, labels: Path) -> Cases:
    """Decode every image once, through what the clinic's images go through."""
    rows = read_rows(labels)
    decoded = torch.zeros(len(rows), 1, SIDE, SIDE, dtype=torch.uint8)
    for index, row in enumerate(rows):
        with Image.open(images / row.file) as picture:
            pixels = np.asarray(picture.convert("L"))
        decoded[index] = (squared(pixels) * 255.0).round().to(torch.uint8)
    return Cases(decoded, rows)


def folds(rows: Sequence[Case], count: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row: no patient in two, sources and rare labels spread evenly.

    Patients are dealt out, those with the rarest label first, each to the fold that has least of their kind.
    """
    patients: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        patients.setdefault(row.patient, []).append(index)
    kinds = sorted({(row.source, label) for row in rows for label in row.labels})
    place = {kind: column for column, kind in enumerate(kinds)}
    counts = {
        patient: np.bincount(
            [place[rows[index].source, label] for index in indices for label in rows[index].labels],
            minlength=len(kinds),
        )
        for patient, indices in patients.items()
    }
    total = np.sum(list(counts.values()), axis=0)
    random = np.random.default_rng(seed)
    order = random.permutation(sorted(patients)).tolist()
    order.sort(key=lambda patient: int(total[counts[patient] > 0].min()))
    filled = np.zeros((count, len(kinds)))
    sizes = np.zeros(count)
    assigned = np.zeros(len(rows), dtype=np.int64)
    for patient in order:
        load = ((filled + counts[patient]) ** 2 / np.maximum(total, 1)).sum(axis=1) + sizes / len(rows)
        fold = int(np.argmin(load - ((filled**2) / np.maximum(total, 1)).sum(axis=1)))
        filled[fold] += counts[patient]
        sizes[fold] += len(patients[patient])
        assigned[patients[patient]] = fold
    return assigned
