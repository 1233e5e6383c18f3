"""What the scores of liver fibrosis share: laboratory inputs, and bands whose lower cut-off rises at 65 years."""

from __future__ import annotations

from dataclasses import dataclass

from cds.risk import Input

#: The papers state no ranges. These refuse what cannot be a result (and zero, by which the formulas divide).
LABORATORY = (
    Input("ast_u_l", "AST", unit="U/L", low=1, high=20_000),
    Input("alt_u_l", "ALT", unit="U/L", low=1, high=20_000),
    Input("platelets_10e9_l", "platelets", unit="10*9/L", low=1, high=5_000),
)
ELDERLY = 65


@dataclass(frozen=True, slots=True)
class Bands:
    """Low below `low` (below `low_elderly` from 65 years on), high above `high`."""

    low: float
    low_elderly: float
    high: float


#: AGA 2021, doi:10.1053/j.gastro.2021.07.049; from 65 years on McPherson 2017, doi:10.1038/ajg.2016.453.
FIB4_BANDS = Bands(low=1.3, low_elderly=2.0, high=2.67)
#: Angulo 2007, doi:10.1002/hep.21496; from 65 years on McPherson 2017, doi:10.1038/ajg.2016.453.
NFS_BANDS = Bands(low=-1.455, low_elderly=0.12, high=0.676)


def band_of(value: float, age: float, bands: Bands) -> str:
    """Low, indeterminate or high; both cut-offs themselves are indeterminate."""
    if value > bands.high:
        return "high"
    return "low" if value < (bands.low_elderly if age >= ELDERLY else bands.low) else "indeterminate"
