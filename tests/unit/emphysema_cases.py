"""Cases of the emphysema pathway, and what it says of them."""

from __future__ import annotations

from datetime import date

from cds.domain.coding import Quantity
from cds.domain.ehr import EhrData, Fact, Known, SmokingStatus
from cds.domain.recommendation import Advice, Case, PathwayOutcome, Recommendation
from cds.pathways import evaluate
from cds.pathways.card import detail
from tests.unit.clinical import (
    SOURCE,
    case,
    ehr,
)

CUT_OFF = "emphysema.laa_950_percent"


def outcome(given_case: Case) -> PathwayOutcome:
    """What the pathway says."""
    (said,) = evaluate(given_case, {"emphysema"})
    return said


def advice(data: EhrData | None = None, **how: object) -> Advice:
    """What it advises."""
    said = outcome(case(data, **how))
    assert isinstance(said, Advice), said
    return said


def shown(said: Advice) -> str:
    """Its card."""
    return detail(said)


def steps(said: Advice) -> dict[str, Recommendation]:
    """Its recommendations by key."""
    return {r.key: r for r in said.recommendations}


def smoking(status: SmokingStatus) -> Fact[SmokingStatus]:
    """A status of the record."""
    return Known(status, date(2026, 9, 1), SOURCE)


def pack_years(number: float) -> Fact[Quantity]:
    """Pack-years of the record."""
    return Known(Quantity(number, "{pack-years}"), date(2026, 9, 1), SOURCE)


def former(quit_on: date, amount: float = 38) -> EhrData:
    """Somebody who stopped."""
    return ehr(
        smoking_status=smoking(SmokingStatus.FORMER),
        pack_years=pack_years(amount),
        quit_date=Known(quit_on, date(2026, 9, 1), SOURCE),
    )
