"""What the inference process counts for the metrics, until the next answer takes it to the worker."""

from __future__ import annotations

import threading
from collections import Counter

from models.wire import Count, What


class Ledger:
    """Counts by kind, model and device. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[What, str, str]] = Counter()

    def count(self, what: What, model: str, device: object, amount: int = 1) -> None:
        """Add to a count."""
        with self._lock:
            self._counts[what, model, str(device)] += amount

    def take(self) -> tuple[Count, ...]:
        """All that was counted since it was last taken."""
        with self._lock:
            taken, self._counts = self._counts, Counter()
        return tuple(Count(what, model, device, amount) for (what, model, device), amount in sorted(taken.items()))
