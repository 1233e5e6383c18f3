"""What a call works out when it is first wanted."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial

import pytest

from cds.hooks.lazily import Lazily

#: Only a failure waits so long.
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Meeting:
    """Its value is there once both have begun to work it out."""

    both: threading.Barrier
    made: list[str] = field(default_factory=list)

    @Lazily
    def value(self) -> str:
        """Made by whoever wants it."""
        self.both.wait(_PATIENCE_S)
        self.made.append("made")
        return "made"


def test_it_is_worked_out_once_for_each_object() -> None:
    alone = Meeting(threading.Barrier(1))
    assert (alone.value, alone.value, alone.made) == ("made", "made", ["made"])
    assert Meeting(threading.Barrier(1)).made == []


def test_what_failed_is_tried_again() -> None:
    broken = threading.Barrier(1)
    broken.abort()
    meeting = Meeting(broken)
    with pytest.raises(threading.BrokenBarrierError):
        _ = meeting.value
    broken.reset()
    assert meeting.value == "made"


def test_one_call_does_not_wait_for_what_another_works_out() -> None:
    both = threading.Barrier(2)
    meetings = Meeting(both), Meeting(both)
    threads = [threading.Thread(target=partial(getattr, one, "value")) for one in meetings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE_S)
    assert [one.made for one in meetings] == [["made"], ["made"]]
