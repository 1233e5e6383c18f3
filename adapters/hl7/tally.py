"""Counting of what is answered, once a second: a counter shared by processes costs as much as an acknowledgment."""

from __future__ import annotations

import asyncio
from collections import Counter

from cds import metrics

_EVERY_S = 1.0
#: What is counted where a sender wanted no answer.
_SILENT = "none"


class Tally:
    """The metric of acknowledgments by MSA-1, at most a second late."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def count(self, said: str) -> None:
        """One message was answered with this code, or with nothing."""
        self._counted[said or _SILENT] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self.flush)

    def flush(self) -> None:
        """Say it now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        for outcome, amount in self._counted.items():
            metrics.HL7_MESSAGES.inc(amount, outcome=outcome)
        self._counted.clear()
