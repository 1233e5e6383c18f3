"""A card says everything that the manifest says, and the committed ones are those that the manifests make."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from models.attributes import ATTRIBUTES
from models.card import NOT_STATED, facts, markdown
from models.manifest import Manifest, Performance
from models.registry import load, load_one
from tests.unit import site_models

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cards() -> ModuleType:
    spec = importlib.util.spec_from_file_location("models_cards", ROOT / "docs" / "models_cards.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def declared(tmp_path: Path) -> Manifest:
    path = tmp_path / "sides.toml"
    path.write_text(site_models.manifest(b"x"))
    return load_one(path)


def test_the_committed_cards_are_those_that_the_manifests_make(cards: ModuleType) -> None:
    committed = {path.name: path.read_text() for path in (ROOT / "docs" / "models").glob("*.md")}
    assert committed == cards.rendered(), "run .venv/bin/python docs/models_cards.py"


def test_every_shipped_model_states_all_31_attributes() -> None:
    assert len(ATTRIBUTES) == 31
    silent = {
        manifest.id: [a.key for a in ATTRIBUTES if a.key not in manifest.source_attributes]
        for manifest in load().values()
    }
    assert silent == {model: [] for model in load()}


def test_what_the_developer_does_not_state_is_said_to_be_so(declared: Manifest) -> None:
    assert markdown(declared).count(f"*{NOT_STATED}*") == 31
    stated = replace(declared, source_attributes={"funding": "Nobody | paid"})
    card = markdown(stated)
    assert card.count(f"*{NOT_STATED}*") == 30
    assert "| Funding source of the technical implementation | Nobody \\| paid |" in card


@pytest.mark.parametrize("model", sorted(load()))
def test_nothing_that_a_manifest_states_is_left_out(model: str) -> None:
    manifest = load()[model]
    card = markdown(manifest)
    flat = " ".join(card.replace("\\|", "|").split())
    texts = [manifest.title.rstrip("."), manifest.intended_use, *manifest.not_for, *manifest.limits, *manifest.source]
    texts += [text for t in manifest.thresholds for text in (t.name, f"{t.value:g}", t.chosen)]
    texts += [text for o in manifest.outputs for text in (o.key, o.code.code, o.code.display)]
    texts += [text for p in manifest.performance for text in (p.statement, p.dataset)]
    texts += [text for w in manifest.weights for text in (w.file, w.sha256, w.source, w.licence)]
    texts += list(manifest.source_attributes.values())
    assert [text for text in texts if " ".join(text.split()) not in flat] == []


def test_a_figure_stands_with_its_interval_and_number(declared: Manifest) -> None:
    figure = Performance("Good", "Some", "AUC", 0.81, 0.75, 0.86, 120, "left")
    card = markdown(replace(declared, performance=(figure,)))
    assert "| Good | left | AUC 0.81 (0.75 to 0.86) | 120 | Some |" in card


def test_what_is_declared_stands_in_the_card(declared: Manifest) -> None:
    card = markdown(declared)
    assert "no code: a torch.export package" in card
    assert "| way | projection-classification |" in card
    assert "| activation | sigmoid |" in card


def test_the_facts_are_json_and_say_nothing_of_where_files_lie(declared: Manifest) -> None:
    told = json.loads(json.dumps(facts(declared)))
    assert told["outputs"][0]["key"] == "left"
    assert told["weights"][0]["sha256"] == declared.weights[0].sha256
    assert "folders" not in told
