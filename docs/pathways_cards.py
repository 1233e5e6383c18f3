"""Writes docs/pathways/<id>.md and docs/ordering/<id>.md from the pathways: `.venv/bin/python docs/pathways_cards.py`.

A test holds the files to `rendered`, so that neither can change alone.
"""

from __future__ import annotations

from pathlib import Path

from cds import ordering, pathways
from cds.pathways.declaration import Pathway
from cds.render.pathway_card import index, markdown

HERE = Path(__file__).parent
#: The marks in a README between which the table of all stands.
_START, _END = "<!-- the table, written by docs/pathways_cards.py -->", "<!-- end of the table -->"


def rendered() -> dict[str, str]:
    """The text of every page by its path below docs."""
    pages: dict[str, str] = {}
    for folder, title, found in (
        ("pathways", "Pathway", pathways.load(unverified=True)),
        ("ordering", "Check before an order is signed", ordering.load(unverified=True)),
    ):
        pages |= {f"{folder}/{one.id}.md": markdown(one) for one in found.values()}
        pages[f"{folder}/README.md"] = _readme(folder, title, list(found.values()))
    return pages


def _readme(folder: str, title: str, found: list[Pathway]) -> str:
    text = (HERE / folder / "README.md").read_text()
    before, after = text.split(_START)[0], text.split(_END)[1]
    table = index(title, [one for one in found if not one.unverified], [one for one in found if one.unverified])
    return f"{before}{_START}\n\n{table}\n{_END}{after}"


def main() -> None:
    """Write what is missing or other, and remove pages of pathways that are no more."""
    pages = rendered()
    for path in (*HERE.glob("pathways/*.md"), *HERE.glob("ordering/*.md")):
        if str(path.relative_to(HERE)) not in pages:
            path.unlink()
    for name, text in pages.items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
