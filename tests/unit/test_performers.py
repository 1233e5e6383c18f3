"""Who carries an action out, as the draft of a ServiceRequest says it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds import action_codes as actions
from cds import performers
from cds.domain.coding import Coding
from cds.domain.recommendation import Recommendation, Source
from tests.unit.test_codes import verhoeff

STEP = Recommendation("k", "Do it", actions.NEUROSURGERY_CALL, "because", Source("s", "https://example.org"))


def test_an_action_has_the_speciality_that_carries_it_out() -> None:
    assert performers.performer(STEP) == performers.NEUROSURGERY
    assert performers.performer(replace(STEP, code=actions.HOME_CARE)) is None


def test_a_pathways_own_word_comes_first() -> None:
    assert performers.performer(replace(STEP, performer=performers.CARDIOLOGY)) == performers.CARDIOLOGY


@pytest.mark.parametrize("speciality", [one for one in vars(performers).values() if isinstance(one, Coding)])
def test_every_speciality_has_a_right_check_digit(speciality: Coding) -> None:
    assert verhoeff(speciality.code)
