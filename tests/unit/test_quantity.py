"""Numbers as a reader sees them: short, without an exponent, no whole number rounded."""

from __future__ import annotations

import pytest

from cds.domain.coding import Quantity


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (4832.0, "4832"),
        (11.5632178, "11.5632"),
        (999999.0, "999999"),
        (1234567.8, "1234568"),
        (-2500000.0, "-2500000"),
        (0.00012, "0.00012"),
        (0.0000034, "0.000003"),
    ],
)
def test_a_number_has_no_exponent(value: float, shown: str) -> None:
    assert Quantity(value, "mL").digits == shown
