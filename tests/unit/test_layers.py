"""What the import contracts cannot say: every library has a home, every module a layer, and lengths have a limit."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cds", "adapters", "models")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

LONGEST_FUNCTION = 40
LONGEST_MODULE = 400

#: Where a library may be imported, whether by a protected contract (those in use) or by this table alone.
HOMES = {
    "alembic": ("cds.store",),
    "apscheduler": ("cds.workflow",),
    "authlib": ("adapters.oidc",),
    "babel": ("cds.pathways",),
    "cachetools": ("adapters.fhir",),
    "cryptography": ("adapters.fhir",),
    "dbos": ("cds.workflow",),
    "fhir": ("adapters.fhir",),
    "flask": ("cds.web",),
    "flask_wtf": ("cds.web",),
    "fpdf": ("cds.render",),
    "gdcm": ("adapters.dicom",),
    "gunicorn": ("cds.web",),
    "highdicom": ("adapters.dicom",),
    "hl7apy": ("adapters.hl7",),
    "httpx": ("adapters.dicom", "adapters.fhir", "adapters.notify", "adapters.oidc", "cds.demo"),
    "jinja2": ("cds.web",),
    "joserfc": ("adapters.oidc",),
    "jwt": ("adapters.fhir",),
    "limits": ("cds.web",),
    "markdown_it": ("cds.render",),
    "matplotlib": ("cds.render",),
    "markupsafe": ("cds.web",),
    "monai": ("models",),
    "numpy": ("adapters.dicom", "models"),
    "openjpeg": ("adapters.dicom",),
    "orjson": ("adapters.fhir", "cds.store", "cds.web"),
    "pebble": ("adapters.dicom",),
    "PIL": ("adapters.dicom", "models"),
    "pint": ("cds.units",),
    "prometheus_client": ("cds.metrics",),
    "psycopg": ("cds.store",),
    "pydantic": (
        "adapters.fhir",
        "cds.bootstrap.case_files",
        "cds.coordination",
        "cds.destinations",
        "cds.fhir_peers",
        "cds.guidance",
        "cds.hl7_doors",
        "cds.hook_peers",
        "cds.imaging_peers",
        "cds.limits",
        "cds.quality_bounds",
        "cds.render",
        "cds.second_readers",
        "cds.settings",
        "cds.store",
        "cds.ui_door",
        "cds.viewing",
        "models.declaration",
        "models.inputs",
        "models.manifest",
    ),
    "pydantic_core": ("cds.store",),
    "pydantic_settings": ("cds.settings",),
    "pydicom": ("adapters.dicom",),
    "pynetdicom": ("adapters.dicom",),
    "pysqlite3": ("cds.checks", "cds.store"),
    "rich": ("cds.cli", "cds.commands", "cds.demo"),
    "safetensors": ("models",),
    "scipy": ("cds.monitoring", "models"),
    "sqlalchemy": ("cds.store",),
    "sqlmodel": ("cds.store",),
    "statsmodels": ("cds.monitoring",),
    "structlog": ("cds.logs",),
    "tenacity": ("adapters.fhir",),
    "torch": ("models",),
    "typer": ("cds.cli", "cds.commands"),
    "werkzeug": ("cds.web",),
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_libraries(path: Path) -> Iterator[str]:
    """The top-level names that a file imports from outside the standard library and the project, lazily or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in PACKAGES:
                yield top


def is_inside(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(home + ".") for home in homes)


def test_every_import_of_a_library_is_in_its_home() -> None:
    strays = [
        f"{module_name(path)} imports {library}"
        for path in SOURCES
        for library in sorted(set(imported_libraries(path)))
        if not is_inside(module_name(path), HOMES.get(library, ()))
    ]
    assert strays == []


def test_the_import_contracts_say_the_same_of_every_library_in_use() -> None:
    used = {library for path in SOURCES for library in imported_libraries(path)}
    declared = {
        library: tuple(sorted(contract["allowed_importers"]))
        for contract in CONTRACTS
        if contract["id"].startswith("home-")
        for library in contract["protected_modules"]
    }
    assert {library: HOMES[library] for library in used & HOMES.keys()} == declared


def test_every_module_of_the_core_has_a_layer() -> None:
    (layers,) = [contract["layers"] for contract in CONTRACTS if contract["id"] == "layers"]
    named = {name.strip() for line in layers for name in line.split("|")}
    core = {"cds." + path.stem for path in (ROOT / "cds").glob("*.py") if path.stem != "__init__"}
    core |= {f"cds.{path.parent.name}" for path in (ROOT / "cds").glob("*/__init__.py")}
    edges = {f"adapters.{path.parent.name}" for path in (ROOT / "adapters").glob("*/__init__.py")}
    assert core | edges | {"models"} == named


#: A migration is one flat list of tables; cutting it would hide what it makes.
MIGRATION = "cds.store.migrations."


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_module_stays_within_the_budget_of_length(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE
    too_long = [
        f"{function.name} has {function.end_lineno - function.lineno + 1} lines"
        for function in functions(path)
        if function.end_lineno
        and function.end_lineno - function.lineno + 1 > LONGEST_FUNCTION
        and not module_name(path).startswith(MIGRATION)
    ]
    assert too_long == []
