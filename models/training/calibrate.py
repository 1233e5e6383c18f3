"""From scores to probabilities and operating points, both on scores of images that the scorer had not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Joint:
    """How two scores become one logit: shares (2, labels) of members and plain reader, and offsets (labels)."""

    shares: Numbers
    offset: Numbers

    def logits(self, members: Numbers, plain: Numbers) -> Numbers:
        """Calibrated logits (items, labels) of both scores (items, labels)."""
        joined: Numbers = self.shares[0] * members + self.shares[1] * plain + self.offset
        return joined


def join(members: Numbers, plain: Numbers, truth: Flags) -> Joint:
    """Each score divided by its spread, both counted alike, then Platt's sigmoid for each label.

    J. Platt 1999, "Probabilistic outputs for support vector machines"; targets are drawn in as he says.
    """
    spreads = np.stack([members.std(axis=0), plain.std(axis=0)])
    both = members / spreads[0] + plain / spreads[1]
    fitted = np.array([_platt(both[:, label], truth[:, label]) for label in range(truth.shape[1])])
    return Joint(fitted[:, 0] / spreads, fitted[:, 1])


def threshold(probabilities: Numbers, truth: Flags, sensitivity: float) -> float:
    """The highest probability at which at least this share of the positives is called, rounded down to 3 digits."""
    positives = np.sort(probabilities[truth])[::-1]
    needed = int(np.ceil(sensitivity * len(positives) - 1e-9))
    return float(np.floor(positives[needed - 1] * 1000.0) / 1000.0)


def _platt(scores: Numbers, truth: Flags) -> tuple[float, float]:
    """Slope and offset."""
    count = int(truth.sum())
    high, low = (count + 1) / (count + 2), 1 / (len(truth) - count + 2)
    targets = np.where(truth, high, low)

    def loss(parameters: Numbers) -> tuple[float, Numbers]:
        logits = parameters[0] * scores + parameters[1]
        error = 1 / (1 + np.exp(-logits)) - targets
        return float(np.sum(np.logaddexp(0.0, logits) - targets * logits)), np.array([error @ scores, error.sum()])

    found = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS")
    return float(found.x[0]), float(found.x[1])
