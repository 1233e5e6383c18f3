"""A hundred times kill -9 of the HL7 v2 listener under the load of sixteen senders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.hl7_chaos import chaos
from tests.e2e.site import site

pytestmark = pytest.mark.bench

_KILLS = 100


def test_a_hundred_kills_lose_no_acknowledged_message_and_keep_none_twice(tmp_path: Path) -> None:
    told = chaos(site(tmp_path), kills=_KILLS, senders=16)
    print(f"\n{_KILLS} kills, {len(told.answered)} messages acknowledged, {told.repeated} sent again")
    assert told.repeated >= _KILLS
    assert told.refused == []
    assert {name: times for name, times in told.logged.items() if times > 1} == {}
    assert {name: told.raw.get(name) for name in told.answered} == told.answered
