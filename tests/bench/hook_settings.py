"""The settings of the bench: every model and pathway speaks to referral cards at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cds import pathways
from cds.settings import Settings
from tests.bench import hook_chart as chart


def given(data_dir: Path) -> dict[str, Any]:
    """All pathways advisory, nobody has to prove who calls, and everybody may call as often as they like."""
    return {
        "data_dir": str(data_dir),
        "identifier_systems": {chart.SYSTEM: chart.AUTHORITY},
        "assigning_authority": chart.AUTHORITY,
        "model_modes": dict.fromkeys(chart.models(), "advisory"),
        "pathway_modes": dict.fromkeys(pathways.load(), "advisory"),
        "release": {"ehr": "immediate", "referral": "immediate"},
        "site_options": {"emphysema.laa_950_percent": "10"},
        "insecure": True,
        "hook_rate_per_minute": 10_000_000,
    }


def settings(data_dir: Path, **further: Any) -> Settings:
    """As a value."""
    return Settings(**(given(data_dir) | further))


def environment(data_dir: Path, port: int, **further: object) -> dict[str, str]:
    """As what `cds` is started with."""
    said = given(data_dir) | {"http_port": port, "minimum_free_bytes": 0, **further}
    return {f"CDS_{name.upper()}": one if isinstance(one, str) else json.dumps(one) for name, one in said.items()}
