"""The receive path against python-hl7's parser, in the same run and on the same message."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import hl7
import pytest

from adapters.hl7.check import check
from adapters.hl7.mllp import Framer, frame
from tests.contract.hl7_corpus import samples

pytestmark = pytest.mark.bench

_ROUNDS = 200


def _per_call_s(work: Callable[[], object]) -> float:
    """The best of five, so that a neighbour on the machine does not count."""
    times = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(_ROUNDS):
            work()
        times.append((time.process_time() - began) / _ROUNDS)
    return min(times)


def test_framing_and_check_are_five_times_as_fast_as_a_peers_parser(reference_dir: Path) -> None:
    block = next(s.block for s in samples(reference_dir) if s.source == "dcm4che" and "ORM^O01" in s.file)
    now, stream, text = datetime.now(UTC), frame(block), block.decode("utf-8")
    framer = Framer(1 << 24)

    def ours() -> None:
        (found,) = framer.feed(stream)
        check(found, "peer", now)

    own, peer = _per_call_s(ours), _per_call_s(lambda: hl7.parse(text))
    print(f"\nframing and check {own * 1e6:.0f} µs, python-hl7 parse {peer * 1e6:.0f} µs: {peer / own:.0f} times")
    assert peer / own >= 5
