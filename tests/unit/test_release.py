"""Who sees a result when, row by row (SAFETY section 4). The defaults are the safe ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds import release
from cds.domain.finding import NotEvaluated
from cds.domain.matching import Match, MatchState
from cds.domain.report import Audience, Gate, Mode
from cds.settings import ReleaseMatrix, Settings

OUTCOME = NotEvaluated("m", "1", ("test",))
MATCHED, UNMATCHED, HELD = (Match(state, ("because",)) for state in MatchState)
RADIOLOGIST, EVERYBODY = {Audience.RADIOLOGIST}, set(Audience)
AT_ONCE = ReleaseMatrix(ehr=Gate.IMMEDIATE, referral=Gate.IMMEDIATE)

ROWS = {
    "unverified, as delivered": (Mode.ADVISORY, ReleaseMatrix(), MATCHED, False, RADIOLOGIST),
    "verified, as delivered": (Mode.ADVISORY, ReleaseMatrix(), MATCHED, True, EVERYBODY),
    "a site that releases at once": (Mode.ADVISORY, AT_ONCE, MATCHED, False, EVERYBODY),
    "images without an order": (Mode.ADVISORY, AT_ONCE, UNMATCHED, True, RADIOLOGIST),
    "a match in doubt": (Mode.ADVISORY, AT_ONCE, HELD, True, set()),
    "a model in shadow": (Mode.SHADOW, AT_ONCE, MATCHED, True, set()),
    "a model that is off": (Mode.OFF, AT_ONCE, MATCHED, True, set()),
    "a site that never sends to the EHR": (
        Mode.ADVISORY, ReleaseMatrix(ehr=Gate.NEVER), MATCHED, True, {Audience.RADIOLOGIST, Audience.REFERRAL},
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_a_result_reaches_whom_the_matrix_says(row: str, tmp_path: Path) -> None:
    mode, matrix, match, verified, wanted = ROWS[row]
    settings = Settings(data_dir=tmp_path, model_modes={"m": mode}, release=matrix)
    decision = release.decide(settings, match, (OUTCOME,), verified=verified)
    assert decision.audiences == wanted
    assert bool(decision.withheld) == (wanted != EVERYBODY)


def test_a_model_that_nobody_switched_is_in_shadow(tmp_path: Path) -> None:
    assert release.decide(Settings(data_dir=tmp_path), MATCHED, (OUTCOME,), verified=True).audiences == set()
