"""Draws docs/pages/*.png: `.venv/bin/python -m docs.pages_pictures`, in the repository.

From a real demo run, in which doubtful images arrive and a critical result is staged: there is something to see.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.peers.pages_demo import House, at_work
from tests.peers.pages_sight import chromium, sight

_FOLDER = Path(__file__).with_name("pages")
_MOST_BYTES, _COLOURS = 200_000, 256
_PLACES = ("worklist", "follow-ups", "quality", "operations")


def main() -> None:
    """One picture of each page, as a window of 1280 × 800 shows it."""
    _FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        at_work(Path(folder)) as house,
        chromium() as browser,
        sight(browser, storage_state=house.cookies, color_scheme="light") as page,
    ):
        for place in _PLACES:
            page.goto(f"{house.demo.url}/{place}")
            _draw(page, place)
        _study(page, house)


def _study(page: Page, house: House) -> None:
    page.goto(f"{house.demo.url}/studies/{house.study}")
    page.locator(".viewer-status").filter(has_text="picture").wait_for()
    page.get_by_role("heading", level=1).evaluate("(one) => one.scrollIntoView()")
    _draw(page, "study")


def _draw(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    file = _FOLDER / f"{name}.png"
    page.screenshot(path=file)
    with Image.open(file) as drawn:
        drawn.convert("RGB").quantize(_COLOURS).save(file, optimize=True)
    if file.stat().st_size > _MOST_BYTES:
        raise SystemExit(f"{file} has {file.stat().st_size} bytes, want {_MOST_BYTES} at most")


if __name__ == "__main__":
    main()
