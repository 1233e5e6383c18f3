"""Batches of messages on SQLite."""

from __future__ import annotations

import uuid
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.batch_contract import MESSAGES, BatchContract, Made, Message, left_by_either
from tests.databases import fresh


class TestBatches(BatchContract):
    """Every promise of a batch."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> Made:
        """New files each time."""
        numbers = count()
        return lambda: fresh(tmp_path / str(next(numbers)))


# One folder, or database, serves all examples.
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(messages=st.lists(MESSAGES, min_size=2, max_size=14))
def test_any_batch_leaves_what_its_messages_leave_one_by_one(tmp_path: Path, messages: list[Message]) -> None:
    left_by_either(lambda: fresh(tmp_path / f"{uuid.uuid4()}"), messages)
