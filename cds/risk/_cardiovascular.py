"""What several cardiovascular scores share: inputs with the same name and bounds, and the 2026 lipid guideline."""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Input

SEX = Input("sex", "sex", kind="choice", choices=("female", "male"))
#: The upper bound is no part of any rule: it refuses what cannot be a calcium score.
AGATSTON = Input("agatston", "Agatston score", unit="{Agatston_score}", low=0, high=100_000)
#: A proportion: a percentage above 1 is refused rather than read as a very high risk.
PREVENT_ASCVD10 = Input("prevent_ascvd10", "PREVENT 10-year ASCVD risk as a proportion", unit="1", low=0, high=1)

LIPIDS_2026 = Source(
    "ACC/AHA dyslipidemia guideline 2026 (CIR.0000000000001423)", "https://doi.org/10.1161/CIR.0000000000001423"
)
