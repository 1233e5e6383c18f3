"""kill -9 of the HL7 v2 listener under load: what was acknowledged is in the log, once. The bench does it longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.hl7_chaos import chaos
from tests.e2e.site import site

#: Whole servers, started and killed: it takes long.
pytestmark = pytest.mark.peers


def test_what_was_acknowledged_is_in_the_log_exactly_once_however_often_the_listener_is_killed(tmp_path: Path) -> None:
    told = chaos(site(tmp_path), kills=5, senders=6)
    assert told.repeated, "no answer was ever lost: nothing was tested"
    assert told.refused == []
    assert {name: times for name, times in told.logged.items() if times > 1} == {}
    assert {name: told.raw.get(name) for name in told.answered} == told.answered
