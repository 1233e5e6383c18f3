"""A pathway as the page that a committee reads before it approves it: written from what the pathway declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cds.domain.coding import Coding
from cds.domain.recommendation import Source
from cds.pathways.declaration import Option, Pathway, Rule


def markdown(one: Pathway) -> str:
    """The page of one pathway."""
    return "\n".join(_lines(one)).rstrip() + "\n"


def index(folder_title: str, shown: Iterable[Pathway], unverified: Iterable[Pathway]) -> str:
    """The table of all pathways, those that do not load for want of a verified source apart."""
    lines = [f"| {folder_title} | version | reviewed | source |", "| --- | --- | --- | --- |"]
    lines += [
        f"| [{one.title}]({one.id}.md) | {one.version} | {_reviewed(one)} | {_link(one.source)} |" for one in shown
    ]
    waiting = [f"- [{one.title}]({one.id}.md): {one.unverified}" for one in unverified]
    if waiting:
        lines += ["", "Not loaded outside tests, because a source was not verified:", "", *waiting]
    return "\n".join(lines) + "\n"


def _lines(one: Pathway) -> Iterator[str]:
    yield f"# {one.title}"
    yield ""
    if one.unverified:
        yield f"**Not loaded outside tests.** Not verified: {one.unverified}."
        yield ""
    yield f"`{one.id}` {one.version}, reviewed {_reviewed(one)}, owner: {one.owner}."
    yield ""
    yield from _section("Sources", [_link(source) for source in (one.source, *one.further)])
    yield from _section("Rules", [_rule(rule) for rule in one.rules])
    yield from _section("Reads on the images", [_code(code) for code in one.reads])
    yield from _section("Cannot do without", [need.value for need in one.needs])
    yield from _section("Asks the record for", [f"{value_set.title} ({value_set.kind})" for value_set in one.asks])
    yield from _section("An order may say", [_code(code) for code in one.signs])
    yield from _section("Scores", [f"`{name}` (`cds risk show {name}`)" for name in one.scores])
    yield from _section("May suggest", [_code(code) for code in one.suggests])
    yield from _section("A site may set", [_option(one.id, option) for option in one.options])
    yield from _section("Languages", [", ".join(("en", *one.languages))])
    yield from _section("Limits", list(one.limits))


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"## {title}"
        yield ""
        yield from (f"- {line}" for line in lines)
        yield ""


def _rule(rule: Rule) -> str:
    source = f" ({_link(rule.source)})" if rule.source else ""
    doubt = f" **Not verified: {rule.unverified}.**" if rule.unverified else ""
    return f"{rule.says}{source}{doubt}"


def _code(code: Coding) -> str:
    return f"{code.display or code.code} (`{code.system}|{code.code}`)"


def _option(pathway: str, option: Option) -> str:
    bounds = f", {option.low:g} to {option.high:g} {option.unit}".rstrip() if option.low is not None else ""
    bounds += f", one of {', '.join(option.choices)}" if option.choices else ""
    default = f"default {option.default}" if option.default is not None else "no default: the site decides"
    return f"`{pathway}.{option.name}`: {option.title}{bounds}; {default}"


def _link(source: Source) -> str:
    return f"[{source.label}]({source.url})"


def _reviewed(one: Pathway) -> str:
    return one.reviewed.isoformat() if one.reviewed else "not yet"
