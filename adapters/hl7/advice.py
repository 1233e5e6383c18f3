"""What guidelines and published scores say of a report, as observations for OBX, as far as the release lets it out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from adapters.hl7.encode import Encoded, components, field
from adapters.hl7.segments import OUR_CODES
from adapters.hl7.statement import NOT_OBTAINED, Observation, number, prose, short_sub_id, unit
from cds.domain.coding import Quantity
from cds.domain.conclusion import guidance, horizon_end, input_text, urgency
from cds.domain.recommendation import Advice, CouldNotTell, InputUsed, Recommendation, RiskResult
from cds.domain.report import Report

_RECOMMENDATION = components("AI-RECOMMENDATION", "Recommendation for a clinician to accept or decline", OUR_CODES)


def guided(report: Report) -> Iterator[Observation]:
    """Advice, what could not be told, and the scores; each is of the day of the decision."""
    decided_on = report.decision.decided_on
    for said in guidance(report):
        if isinstance(said, Advice):
            yield from _advice(said, decided_on)
        elif isinstance(said, CouldNotTell):
            yield _could_not_tell(said, decided_on)
    yield from _risks(report, decided_on)


def _advice(said: Advice, day: date) -> Iterator[Observation]:
    rests_on = (*_inputs(said.inputs), *said.contradictions, *_missing(said.missing))
    for place, recommendation in enumerate(said.recommendations):
        notes = (f"{said.title}: {said.summary}".removesuffix(": "), *rests_on) if place == 0 else ()
        kind, value = _long(_recommendation(recommendation))
        sub_id = short_sub_id(f"{said.pathway}.{recommendation.key}")
        yield Observation(kind, _RECOMMENDATION, sub_id, value, day=day, notes=notes)
    if not said.recommendations:
        kind, value = _long(said.summary or said.title)
        yield Observation(kind, _named(said.title), short_sub_id(said.pathway), value, day=day, notes=rests_on)


def _could_not_tell(said: CouldNotTell, day: date) -> Observation:
    kind, value = _long(f"not evaluated: {said.title}: {said.reason}")
    notes = (*_missing(said.missing), *(f"How to get it: {how}" for how in said.how_to_get))
    sub_id = short_sub_id(said.pathway)
    return Observation(kind, _named(said.title), sub_id, value, status=NOT_OBTAINED, day=day, notes=notes)


def _risks(report: Report, day: date) -> Iterator[Observation]:
    """One per score; of several advices that carry a score the first that could evaluate it speaks for it."""
    found: dict[str, tuple[RiskResult, Advice]] = {}
    for advice in (said for said in guidance(report) if isinstance(said, Advice)):
        for risk in advice.risks:
            known = found.get(risk.score)
            if known is None or (known[0].value is None and risk.value is not None):
                found[risk.score] = risk, advice
    yield from (_risk(risk, advice, day) for risk, advice in found.values())


def _risk(risk: RiskResult, advice: Advice, day: date) -> Observation:
    code, sub_id = components(risk.score, risk.title, OUR_CODES), short_sub_id(risk.score)
    source = f"Source: {risk.source.label}, {risk.source.url}"
    if risk.value is None:
        kind, value = _long(f"not evaluated: {risk.outcome}")
        notes = (*_missing(risk.missing), source)
        return Observation(kind, code, sub_id, value, status=NOT_OBTAINED, day=day, notes=notes)
    notes = (
        f"{risk.outcome}: {risk.value}",
        *_horizon(risk, day),
        source,
        *_inputs(risk.inputs),
        *_missing(risk.missing),
        *([f"Based on the findings: {', '.join(advice.finding_keys)}"] if advice.finding_keys else []),
    )
    if risk.probability is None:
        kind, value = prose(risk.value or risk.outcome)
        return Observation(kind, code, sub_id, value, day=day, notes=notes)
    percent = Quantity(round(risk.probability * 100, 4), "%")
    return Observation("NM", code, sub_id, field(number(percent.value)), unit(percent), day=day, notes=notes)


def _horizon(risk: RiskResult, day: date) -> Iterator[str]:
    if risk.horizon_years:
        yield f"From {day.isoformat()} to {horizon_end(risk.horizon_years, day).isoformat()}."


def _recommendation(said: Recommendation) -> str:
    when = "" if _stands_in(said) else _period(said.not_before, said.by)
    return f"{said.action}{when} ({urgency(said)}). {said.reason} Source: {said.source.label}, {said.source.url}"


def _stands_in(said: Recommendation) -> bool:
    """True where the action itself names its date."""
    return said.not_before is not None and said.not_before.isoformat() in said.action


def _period(not_before: date | None, by: date | None) -> str:
    parts = [f"{word} {day.isoformat()}" for word, day in (("not before", not_before), ("by", by)) if day]
    return f", {', '.join(parts)}" if parts else ""


def _inputs(inputs: tuple[InputUsed, ...]) -> Iterator[str]:
    yield from (f"Used: {input_text(used)}" for used in inputs)


def _missing(missing: tuple[str, ...]) -> Iterator[str]:
    if missing:
        yield f"Missing: {', '.join(missing)}"


def _named(title: str) -> Encoded:
    return components("AI-ADVICE", title, OUR_CODES)


def _long(text: str) -> tuple[str, Encoded]:
    kind, value = prose(text)
    return ("TX" if kind == "ST" else kind), value
