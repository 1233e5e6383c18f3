"""The import contracts hold for the tree, and each of them fails on a planted violation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
HOMES = sorted(identifier for identifier in CONTRACTS if identifier.startswith("home-"))

#: One file per violation; a domain module may import nothing but the standard library.
PLANTS = {
    "layers": ("cds/domain/planted_layer.py", "import cds.services"),
    "no-judgement": ("adapters/hl7/planted_judgement.py", "def late() -> None:\n    from cds.risk import Score"),
    "web": ("cds/web/planted_store.py", "from cds.store.engine import Database"),
    "web-without-torch": ("cds/web/planted_torch.py", "import torch"),
    "wiring": ("cds/web/planted_wiring.py", "import cds.bootstrap"),
} | {
    home: (
        f"cds/domain/planted_{home.removeprefix('home-')}.py",
        "\n".join(f"import {library}" for library in CONTRACTS[home]["protected_modules"]),
    )
    for home in HOMES
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What the linter says of a copy of the tree with all the plants in it."""
    folder = tmp_path_factory.mktemp("tree")
    for package in ("cds", "adapters", "models"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.npy", "*.pt"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, code in PLANTS.values():
        (folder / name).write_text(code + "\n")
    return lint(folder)


def test_the_tree_keeps_every_contract() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_has_a_planted_violation() -> None:
    assert set(PLANTS) == set(CONTRACTS)


@pytest.mark.parametrize("identifier", sorted(CONTRACTS))
def test_a_planted_violation_breaks_its_contract_by_name(
    verdict: subprocess.CompletedProcess[str], identifier: str
) -> None:
    assert verdict.returncode != 0
    assert f"{CONTRACTS[identifier]['name']} BROKEN" in verdict.stdout, verdict.stdout + verdict.stderr
    planted = PLANTS[identifier][0].removesuffix(".py").replace("/", ".")
    assert f"{planted} -> " in verdict.stdout
