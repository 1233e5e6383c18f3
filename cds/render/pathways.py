"""What pathways say, as a table for the committee that approves them, as Markdown for a reviewer, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from cds.domain.imaging_order import ImagingOrder
from cds.domain.recommendation import Advice, CouldNotTell, InputUsed, NothingToSay, PathwayOutcome, Recommendation
from cds.pathways.declaration import IDLE, Pathway

_HELD = {True: "yes", False: "no", None: "not known"}


def as_json(outcomes: Iterable[PathwayOutcome]) -> str:
    """The outcomes with all that stands in them."""
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[PathwayOutcome, ...])
    return adapter.dump_json(tuple(outcomes), indent=2).decode()


def as_table(outcomes: Iterable[PathwayOutcome], installed: Mapping[str, Pathway]) -> str:
    """A block for each pathway: what it decided, the rules as they were applied, values, what is missing.

    Those that read nothing on the study are named in one line at the end.
    """
    said = tuple(outcomes)
    idle = [one.pathway for one in said if isinstance(one, NothingToSay) and one.reason == IDLE]
    blocks = ["\n".join(_block(one, installed.get(one.pathway))) for one in said if one.pathway not in idle]
    return "\n\n".join([*blocks, *([f"{IDLE}: {', '.join(idle)}"] if idle else [])])


def order_line(order: ImagingOrder) -> str:
    """A draft order as it was understood: what is not known is said to be so."""
    exam = order.exam
    if exam is None:
        return f"order {order.key}: {order.text or 'no text'}; its code is not known here (CDS_EXAMS)"
    contrast = f"contrast {exam.contrast.value}" if exam.contrast else "contrast not known"
    parts = (exam.modality, exam.region or "region not known", contrast)
    return f"order {order.key}: {order.text or 'no text'} ({', '.join(parts)})"


def as_markdown(outcomes: Iterable[PathwayOutcome]) -> str:
    """What a clinician would see, and after it what was not said and why, but of pathways that read nothing there."""
    said = tuple(one for one in outcomes if not isinstance(one, NothingToSay) or one.reason != IDLE)
    advices = [one for one in said if isinstance(one, Advice)]
    untold = [one for one in said if isinstance(one, CouldNotTell)]
    quiet = [one for one in said if isinstance(one, NothingToSay)]
    parts = ["\n".join(_card(one)) for one in advices] or ["No card."]
    parts += ["\n".join(["## Could not be told", *map(_untold, untold)])] if untold else []
    parts += ["\n".join(["## Nothing to say", *(f"- {one.pathway}: {one.reason}" for one in quiet)])] if quiet else []
    return "\n\n".join(parts) + "\n"


def _card(said: Advice) -> Iterator[str]:
    yield f"## {said.title} ({said.indicator.value})"
    yield said.summary
    yield from _listed("Seen", said.seen)
    yield from _listed("Means", said.meaning)
    yield from _listed("Contradictions", said.contradictions)
    for step in said.recommendations:
        yield f"- **{_step(step)}**"
        yield f"  - {step.reason}"
        yield from (f"  - {sentence}" for sentence in step.because)
        yield from (f"  - Would change: {sentence}" for sentence in step.would_change)
        yield from (f"  - Also asked by: {title}" for title in step.also)
    yield from _listed("Remarks", said.notes)
    yield from _listed("Missing", said.missing)
    yield from _listed("Scores", (f"{one.title}: {one.value or 'not evaluated'}" for one in said.risks))


def _step(step: Recommendation) -> str:
    parts = [step.action, step.priority.value]
    parts += [f"not before {step.not_before}"] if step.not_before else []
    parts += [f"by {step.by}"] if step.by else []
    parts += [f"ACR category {step.acr_category}"] if step.acr_category else []
    parts += [step.source.label + (f", {step.strength}" if step.strength else "")]
    return "; ".join(parts)


def _listed(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = [f"  - {line}" for line in lines]
    yield from [f"- {title}:", *found] if found else []


def _untold(one: CouldNotTell) -> str:
    missing = f" Missing: {'; '.join(one.missing)}." if one.missing else ""
    how = f" How to get it: {'; '.join(one.how_to_get)}." if one.how_to_get else ""
    return f"- {one.title}: {one.reason}.{missing}{how}"


def _block(one: PathwayOutcome, pathway: Pathway | None) -> Iterator[str]:
    title = pathway.title if pathway else one.pathway
    yield f"{one.pathway}: {title}"
    yield f"  {_decision(one)}"
    sentences = {rule.key: rule.says for rule in pathway.rules} if pathway else {}
    yield from _rows("rules", [(_HELD[s.held], sentences.get(s.rule, s.rule), s.said) for s in one.steps])
    if isinstance(one, Advice):
        yield from _rows("steps", [(s.priority.value, _step(s), s.reason) for s in one.recommendations])
        yield from _rows("values", [_value(item) for item in one.inputs])
        yield from _rows("remarks", [(note,) for note in one.notes])
    missing = one.missing if isinstance(one, Advice | CouldNotTell) else ()
    yield from _rows("missing", [(text,) for text in missing])
    yield from _rows("how to get it", [(text,) for text in one.how_to_get] if isinstance(one, CouldNotTell) else [])
    yield from _rows(
        "scores", [(r.title, r.value or "not evaluated") for r in one.risks] if isinstance(one, Advice) else []
    )


def _decision(one: PathwayOutcome) -> str:
    if isinstance(one, Advice):
        return f"advice ({one.indicator.value}): {one.summary}"
    return f"{'could not tell' if isinstance(one, CouldNotTell) else 'nothing to say'}: {one.reason}"


def _value(item: InputUsed) -> tuple[str, ...]:
    return item.name, item.value, item.effective.isoformat() if item.effective else "no date", item.source


def _rows(title: str, rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows under a title, the columns as wide as their widest cell but the last."""
    if not rows:
        return
    yield f"  {title}"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield f"    {'  '.join(cells).rstrip()}"
