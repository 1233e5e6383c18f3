"""The documents say what the code has: every setting, metric, command, model and pathway, and no dead link."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import click
import pytest
import typer.main
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cds import metrics
from cds.cli import app
from cds.domain.hold import Action, HoldKind
from cds.settings import Settings
from cds.watch import AlarmKind
from models import registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = sorted(p for p in (*DOCS.rglob("*.md"), ROOT / "README.md") if p.is_file())
OPERATIONS = (DOCS / "operations.md").read_text()

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home|root|Users|tmp|mnt|builds)/")
_REGISTRY = re.compile(
    r"pypi\.org|pythonhosted|download\.pytorch\.org|docker\.io|ghcr\.io|gcr\.io|quay\.io|://[^/\s]*(?:registry|mirror)",
    re.IGNORECASE,
)


def _table(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The nested table of a setting, if it is one, and whether it stands under a name of the site's choosing."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if get_origin(annotation) in (Union, UnionType):
        return next((found for part in get_args(annotation) if (found := _table(part))[0]), (None, False))
    if get_origin(annotation) is dict:
        return _table(get_args(annotation)[1])[0], True
    return None, False


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or value in ("", {}):
        return "empty" if value == {} else "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    shown = value.value if isinstance(value, Enum) else f"{value:g}" if isinstance(value, float) else value
    return f"`{shown}`"


def _rows() -> Iterator[tuple[str, str]]:
    """Each setting as the table must name it, with its default."""
    for name, field in Settings.model_fields.items():
        yield f"CDS_{name.upper()}", _default(field)
        table, named = _table(field.annotation)
        for member, inner in table.model_fields.items() if table else ():
            yield f"{name}{'.NAME' if named else ''}.{member}", _default(inner)


def _commands(command: click.Command, name: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        for sub, inner in command.commands.items():
            yield from _commands(inner, f"{name} {sub}")
    else:
        yield name


@pytest.mark.parametrize(("name", "default"), list(_rows()))
def test_every_setting_stands_in_operations_with_its_default(name: str, default: str) -> None:
    row = next((line for line in OPERATIONS.splitlines() if line.startswith(f"| `{name}` |")), "")
    cells = [cell.strip() for cell in row.split(" | ")]
    assert len(cells) == 4
    assert cells[2] == default


def test_operations_names_no_setting_that_does_not_exist() -> None:
    known = {name for name, _ in _rows()} | {"CDS_CONFIG_FILE"}
    for document in DOCUMENTS:
        named = {name.split("__")[0] for name in re.findall(r"CDS_[A-Z0-9_]+[A-Z0-9]", document.read_text())}
        assert named <= known | {"CDS_REFERENCE_DIR"}, document.name


Metric = metrics.Counter | metrics.Histogram | metrics.Gauge


@pytest.mark.parametrize("metric", [m for m in vars(metrics).values() if isinstance(m, Metric)])
def test_every_metric_stands_in_operations_with_its_labels(metric: Metric) -> None:
    row = next((line for line in OPERATIONS.splitlines() if line.startswith(f"| `{metric.name}` |")), "")
    assert all(label in row for label in metric.labels)
    assert row


@pytest.mark.parametrize("command", list(_commands(typer.main.get_command(app), "cds")))
def test_every_command_stands_in_operations(command: str) -> None:
    assert re.search(rf"`{command}[` ]", OPERATIONS)


def test_the_tables_of_the_lifecycle_are_those_that_the_code_has() -> None:
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec
    assert spec.loader
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    lifecycle = (DOCS / "lifecycle.md").read_text()
    assert tables.rendered(lifecycle) == lifecycle, "run .venv/bin/python docs/tables.py"
    assert set(tables.KINDS) == set(HoldKind)
    assert set(tables.MEANINGS) == set(Action)
    with pytest.raises(ValueError, match="events"):
        tables.rendered("no marks")


@pytest.mark.parametrize("kind", list(AlarmKind))
def test_every_alarm_stands_in_the_lifecycle(kind: AlarmKind) -> None:
    assert f"| `{kind.value}` |" in (DOCS / "lifecycle.md").read_text()


def test_every_model_has_a_card_that_names_its_version() -> None:
    manifests = registry.load()
    assert {p.stem for p in (DOCS / "models").glob("*.md")} == set(manifests)
    for name, manifest in manifests.items():
        assert f"{name} {manifest.version}" in (DOCS / "models" / f"{name}.md").read_text()


def test_every_threshold_and_output_of_a_model_stands_in_its_card() -> None:
    for name, manifest in registry.load().items():
        card = (DOCS / "models" / f"{name}.md").read_text()
        for threshold in manifest.thresholds:
            assert f"{threshold.value:g}" in card, threshold.name
        assert all(f"`{output.key}`" in card for output in manifest.outputs)
        assert all(limit in card for limit in manifest.limits)


def test_the_layers_of_the_architecture_are_those_that_are_enforced() -> None:
    enforced = re.search(r"^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert enforced
    told = (DOCS / "architecture.md").read_text()
    assert "\n".join(layer for layer in re.findall(r'"(.+)"', enforced[1]) if layer != "cds.__main__") in told


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", _FENCED.sub("", document.read_text()))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "file", [*DOCUMENTS, *(ROOT / n for n in ("Dockerfile", "compose.yaml", ".dockerignore"))], ids=lambda p: p.name
)
def test_nothing_names_a_place_of_one_machine_or_a_registry(file: Path) -> None:
    text = file.read_text()
    assert not _MACHINE_PATH.search(text)
    assert not _REGISTRY.search(text)


def test_the_container_files_fit_the_program() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for line in ('ENTRYPOINT ["cds"]', 'CMD ["serve"]', "USER sightline", "VOLUME /data", "ARG TORCH_INDEX"):
        assert line in dockerfile
    ports = {str(Settings.model_fields[f"{wire}_port"].default) for wire in ("http", "ui", "hl7", "dicom")}
    exposed = re.search(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE)
    assert exposed
    assert set(exposed[1].split()) == ports
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    service = compose["services"]["sightline"]
    assert service["init"] is True
    assert service["read_only"] is True
    assert compose["services"]["postgres"]["profiles"] == ["postgres"]
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s > Settings.model_fields["drain_s"].default
    for volume in (v for s in compose["services"].values() for v in s["volumes"]):
        assert volume.split(":")[0] in compose["volumes"]
