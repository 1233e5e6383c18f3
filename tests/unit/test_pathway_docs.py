"""Pages, tests and pathways say the same: each rule has its test, each pathway its page, and neither changes alone."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from cds import ordering, pathways
from cds.pathways.declaration import Pathway

ROOT = Path(__file__).parents[2]
ALL = {**pathways.load(unverified=True), **ordering.load(unverified=True)}


def slug(sentence: str) -> str:
    """The name of the test of a rule."""
    return "test_" + re.sub(r"[^a-z0-9]+", "_", sentence.lower()).strip("_")


def names_of_tests() -> set[str]:
    """Every test function of the unit tests."""
    found: set[str] = set()
    for path in (ROOT / "tests" / "unit").glob("test_*.py"):
        tree = ast.parse(path.read_text())
        found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return found


TESTS = names_of_tests()


@pytest.mark.parametrize("pathway", ALL.values(), ids=list(ALL))
def test_every_rule_sentence_has_a_test_that_is_named_as_the_sentence(pathway: Pathway) -> None:
    assert pathway.rules, "a pathway without rules cannot be approved"
    assert [rule.says for rule in pathway.rules if slug(rule.says) not in TESTS] == []


@pytest.mark.parametrize("pathway", ALL.values(), ids=list(ALL))
def test_every_pathway_says_where_it_comes_from_and_when_it_was_reviewed(pathway: Pathway) -> None:
    assert pathway.source.url.startswith("https://")
    assert all(rule.source is None or rule.source.url.startswith("https://") for rule in pathway.rules)
    assert pathway.reviewed is not None
    assert len({rule.key for rule in pathway.rules}) == len(pathway.rules)
    assert all(rule.says.endswith(".") for rule in pathway.rules)


@pytest.mark.parametrize("pathway", ALL.values(), ids=list(ALL))
def test_every_default_lies_within_the_bounds_of_its_option(pathway: Pathway) -> None:
    for option in pathway.options:
        assert option.default is None or option.mistake(option.default) == "", option.name
        assert option.low is None or option.mistake(str(option.low - 1)), option.name
        assert option.high is None or option.mistake(str(option.high + 1)), option.name


def test_what_is_not_verified_does_not_load() -> None:
    doubtful = {one.id for one in ALL.values() if one.unverified}
    assert doubtful
    assert not doubtful & {*pathways.load(), *ordering.load()}


def test_the_pages_say_what_the_pathways_declare() -> None:
    spec = importlib.util.spec_from_file_location("pathways_cards", ROOT / "docs" / "pathways_cards.py")
    assert spec
    assert spec.loader
    cards = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cards)
    docs = ROOT / "docs"
    pages = (*docs.glob("pathways/*.md"), *docs.glob("ordering/*.md"))
    committed = {str(path.relative_to(docs)): path.read_text() for path in pages}
    assert committed == cards.rendered(), "run .venv/bin/python docs/pathways_cards.py"


def test_the_page_on_adding_a_pathway_shows_the_files_as_they_are() -> None:
    page = (ROOT / "docs" / "add-a-pathway.md").read_text()
    shown = dict(re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", page, re.DOTALL))
    assert sorted(shown) == ["cds/pathways/adrenal.py", "tests/unit/test_pathway_adrenal.py"]
    for name, text in shown.items():
        assert text == (ROOT / name).read_text(), f"docs/add-a-pathway.md shows another {name}"
