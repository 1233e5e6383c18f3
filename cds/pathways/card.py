"""An advice as the detail of a card, in GitHub Flavored Markdown: what was seen, what it means, what to consider, why.

Everything that a record or a setting said is escaped here and nowhere else; sources become links.
"""

from __future__ import annotations

from collections.abc import Iterator

from cds.domain.recommendation import Advice, InputUsed, Recommendation, Source
from cds.pathways import markdown as md
from cds.pathways._facts import NONE_FOUND
from cds.pathways.language import say

#: What stands in the place of a finding where an order is judged: checks of orders speak English alone.
_ORDERED = "What the order and the record say"
#: What every card about images or orders ends with.
DISCLAIMER = "Advice for a clinician, who decides. Research software, not a cleared medical device."


def detail(advice: Advice, *, ordered: bool = False) -> str:
    """The whole detail of the card; `ordered` where it is about an order, so that nothing was found on images."""
    language = advice.language

    def section(title: str, lines: Iterator[str]) -> str:
        return md.section(say(language, title), md.bullets(lines))

    sources, seen = tuple(dict.fromkeys(advice.further)), map(md.escape, advice.seen)
    return md.document(
        section(_ORDERED, seen) if ordered else section("Finding (AI, preliminary)", seen),
        section("What it means", map(md.escape, advice.meaning)),
        section("Contradictions", map(md.escape, advice.contradictions)),
        section("To consider", _steps(advice)),
        section("Remarks", map(md.escape, advice.notes)),
        section("Values used", (used(language, item) for item in advice.inputs)),
        section("Missing", map(md.escape, advice.missing)),
        section("What would change this", _changes(advice)),
        section("Limits", map(md.escape, advice.limits)),
        section("Sources", (md.link(source) for source in (advice.source, *sources))),
        say(language, DISCLAIMER),
    )


def used(language: str, item: InputUsed) -> str:
    """One value with its date and source, or where it was searched for, as Markdown."""
    dated = "" if item.value == NONE_FOUND else f"{_day(language, item)}; "
    return f"{md.escape(item.name)}: {md.escape(say(language, item.value))} ({dated}{md.escape(item.source)})"


def _day(language: str, item: InputUsed) -> str:
    return item.effective.isoformat() if item.effective else say(language, "no date")


def _steps(advice: Advice) -> Iterator[str]:
    """Each step, with its reasons as a list below it; what an earlier step gave as a reason is not told again."""
    told: set[str] = set()
    for step in advice.recommendations:
        reasons = [sentence for sentence in step.because if sentence not in told]
        told.update(reasons)
        yield "\n  - ".join((_step(advice.language, step), *map(md.escape, reasons)))


def _step(language: str, step: Recommendation) -> str:
    parts = [f"**{md.escape(step.action)}**{_when(language, step)}. {md.escape(step.reason)}"]
    if step.also:
        parts.append(say(language, "Also asked by: {titles}.", titles=md.escape("; ".join(step.also))))
    parts.append(f"{say(language, 'Source')}: {_source(language, step.source, step.strength)}")
    return " ".join(parts)


def _source(language: str, source: Source, strength: str) -> str:
    grade = f" ({md.escape(say(language, strength))})" if strength else ""
    return f"{md.link(source)}{grade}"


def _when(language: str, step: Recommendation) -> str:
    """The window, unless the action itself names its day."""
    parts = []
    if step.not_before and step.not_before.isoformat() not in step.action:
        parts.append(say(language, "not before {day}", day=step.not_before))
    if step.by and step.by.isoformat() not in step.action:
        parts.append(say(language, "by {day}", day=step.by))
    return f" ({', '.join(parts)})" if parts else ""


def _changes(advice: Advice) -> Iterator[str]:
    told = dict.fromkeys(sentence for step in advice.recommendations for sentence in step.would_change)
    return map(md.escape, told)
