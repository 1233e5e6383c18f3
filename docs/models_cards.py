"""Writes docs/models/<id>.md from the manifests of the shipped models: `.venv/bin/python docs/models_cards.py`.

A test holds the files to `rendered`, so that neither can change alone.
"""

from __future__ import annotations

from pathlib import Path

from models.card import markdown
from models.registry import load

FOLDER = Path(__file__).with_name("models")


def rendered() -> dict[str, str]:
    """The text of every card by its file's name."""
    return {f"{manifest.id}.md": markdown(manifest) for manifest in load().values()}


def main() -> None:
    """Write what is missing or other, and remove cards of models that are no more."""
    cards = rendered()
    for path in FOLDER.glob("*.md"):
        if path.name not in cards:
            path.unlink()
    for name, text in cards.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
