"""What `cds hooks` answers, for people: services, and cards as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.panel import Panel

Json = dict[str, object]

_STYLES = {"info": "blue", "warning": "yellow", "critical": "red"}


def services(document: Mapping[str, object]) -> str:
    """The services of a discovery document, two lines each."""
    found = objects(document.get("services"))
    return "\n".join(line for one in found for line in _service(one)) or "There is no service."


def show(answer: Mapping[str, object]) -> None:
    """Print the cards of an answer, and its system actions."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    found = objects(answer.get("cards"))
    if not found:
        console.print("No cards: the service has nothing to say here.")
    for card in found:
        console.print(_card(card))
    for action in objects(answer.get("systemActions")):
        console.print(f"system action: {_action(action)}")


def plain(value: object) -> str:
    """Text of another server without what would steer a terminal; line breaks stay."""
    told = value if isinstance(value, str) else "" if value is None else str(value)
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in told)


def objects(value: object) -> list[Json]:
    """The objects of a list, none of anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _service(one: Json) -> Iterator[str]:
    prefetch = one.get("prefetch")
    keys = ", ".join(map(str, prefetch)) if isinstance(prefetch, dict) else ""
    yield f"{plain(one.get('id')):26} {plain(one.get('hook')):20} {plain(one.get('title'))}".rstrip()
    yield f"{'':26} prefetch: {plain(keys) or 'none'}"


def _card(card: Json) -> Panel:
    from rich.markdown import Markdown
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    indicator = plain(card.get("indicator"))
    title = Text(f"{indicator}: {plain(card.get('summary'))}", style=_STYLES.get(indicator, ""))
    table = Table.grid()
    table.add_row(title)
    table.add_row(Markdown(plain(card.get("detail")), hyperlinks=False))
    for line in _lines(card):
        table.add_row(Text(line, overflow="fold"))
    return Panel(table)


def _lines(card: Json) -> Iterator[str]:
    source = card.get("source")
    if isinstance(source, dict):
        yield f"source: {plain(source.get('label'))} {plain(source.get('url'))}".rstrip()
    for link in objects(card.get("links")):
        yield f"link ({plain(link.get('type'))}): {plain(link.get('label'))} {plain(link.get('url'))}"
    for suggestion in objects(card.get("suggestions")):
        yield f"suggestion {plain(suggestion.get('uuid'))}: {plain(suggestion.get('label'))}"
        yield from (f"  {_action(action)}" for action in objects(suggestion.get("actions")))
    reasons = [plain(one.get("code")) for one in objects(card.get("overrideReasons"))]
    if reasons:
        yield f"override reasons: {', '.join(reasons)}"
    if card.get("uuid"):
        yield f"card {plain(card.get('uuid'))}"


def _action(action: Json) -> str:
    resource = action.get("resource")
    what = resource.get("resourceType") if isinstance(resource, dict) else action.get("resourceId")
    return f"{plain(action.get('type'))} {plain(what)}: {plain(action.get('description'))}"
