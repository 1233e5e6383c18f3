"""Writes the tables of docs/cds-hooks-conformance.md: `.venv/bin/python docs/cds_hooks_tables.py`.

What the standard asks of a service stands in docs/cds-hooks-requirements.csv; what proves it are the tests that carry
`@pytest.mark.requirement(<number>, ...)`. A test holds the file to `rendered`, so that neither can change alone.
"""

from __future__ import annotations

import ast
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent
CONFORMANCE = DOCS / "cds-hooks-conformance.md"
REQUIREMENTS = DOCS / "cds-hooks-requirements.csv"
TESTS = DOCS.parent / "tests"
STANDARD = "https://cds-hooks.hl7.org/2.0/"
MET, NOT_APPLICABLE, NOT_MET = "met", "not applicable", "deliberately not"
#: Tests that are named for one requirement; the others are counted.
_NAMED = 2
_MARK = "requirement"


class Requirement(NamedTuple):
    """One requirement on a service, in our words; `section` is the anchor in the standard."""

    id: int
    level: str
    section: str
    requirement: str
    status: str
    reason: str


def requirements() -> list[Requirement]:
    """All of them, in the order of the standard."""
    with REQUIREMENTS.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        if rows.fieldnames != list(Requirement._fields):
            raise ValueError(f"{REQUIREMENTS.name}: want the columns of a Requirement")
        return [Requirement(int(row.pop("id")), **row) for row in rows]


def proofs() -> dict[int, list[str]]:
    """The names of the tests that carry the number of a requirement."""
    found: dict[int, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if f"mark.{_MARK}(" in text:
            for number, name in _marked(ast.parse(text)):
                found.setdefault(number, []).append(name)
    return found


def _marked(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            marks = (one for one in node.decorator_list if isinstance(one, ast.Call))
            named = (one for one in marks if isinstance(one.func, ast.Attribute) and one.func.attr == _MARK)
            yield from ((ast.literal_eval(number), node.name) for mark in named for number in mark.args)


def rendered(text: str) -> str:
    """The document with its tables as the tests and the list of requirements have them now."""
    found, proven = requirements(), proofs()
    for name, table in (("summary", _summary(found)), ("requirements", _sections(found, proven))):
        pattern = rf"(<!-- table: {name} -->\n).*?(\n<!-- end -->)"
        text, times = re.subn(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
        if times != 1:
            raise ValueError(f"want one table {name} between its marks, found {times}")
    return text


def _summary(found: Sequence[Requirement]) -> str:
    count = Counter((one.level, one.status) for one in found)
    levels = list(dict.fromkeys(one.level for one in found))
    rows = [(level, *(str(count[level, status]) for status in (MET, NOT_APPLICABLE, NOT_MET))) for level in levels]
    return _table(("level", MET, NOT_APPLICABLE, NOT_MET), rows)


def _sections(found: Iterable[Requirement], proven: Mapping[int, Sequence[str]]) -> str:
    head = ("no.", "level", "what is asked", "status", "why, or which tests show it")
    parts = []
    for section, listed in groupby(found, key=lambda one: one.section):
        title = section.removesuffix("_1").replace("-", " ")
        rows = [
            (str(one.id), one.level, one.requirement, one.status, _shown(one, proven.get(one.id, ()))) for one in listed
        ]
        parts.append(f"### [{title}]({STANDARD}#{section})\n\n{_table(head, rows)}")
    return "\n\n".join(parts)


def _shown(one: Requirement, tests: Sequence[str]) -> str:
    names = [name.removeprefix("test_").replace("_", " ") for name in tests[:_NAMED]]
    more = [f"and {len(tests) - _NAMED} more"] if len(tests) > _NAMED else []
    return "; ".join([*([one.reason.rstrip(".")] if one.reason else []), *names, *more])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    written = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join([*lines, *(f"| {row} |" for row in written)])


if __name__ == "__main__":
    CONFORMANCE.write_text(rendered(CONFORMANCE.read_text(encoding="utf-8")), encoding="utf-8")
