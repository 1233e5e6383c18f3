"""What a report says, cut into observations for OBX: findings, refusals, recommendations (SAFETY section 6)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from adapters.hl7.encode import NOTHING, Encoded, components, field
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.opinion import remarks
from cds.domain.recommendation import Advice, CouldNotTell, InputUsed, Recommendation, RiskResult
from cds.domain.report import Audience, Report
from cds.errors import InvalidInput

_OUR_CODES = "99SIGHTLINE"
_SYSTEM_NAMES = {
    "http://loinc.org": "LN",
    "http://snomed.info/sct": "SCT",
    "http://www.radlex.org": "RADLEX",
    "http://dicom.nema.org/resources/ontology/DCM": "DCM",
}
#: SNOMED CT qualifier values.
_DETECTED = "260373001"
_NOT_DETECTED = "260415000"
#: HL7 table 0085: preliminary; results cannot be obtained; post original as wrong, e.g. of the wrong patient.
PRELIMINARY, NOT_OBTAINED, WRONG = "P", "X", "W"
_LONGEST_SUB_ID = 20  # OBX-4, HL7 v2.5.1


@dataclass(frozen=True, slots=True)
class Observation:
    """One OBX with its NTEs: the value in its type, who said it, and what belongs to it in words."""

    value_type: str
    code: Encoded
    sub_id: str
    value: Encoded
    unit: Encoded = NOTHING
    #: OBX-11, HL7 table 0085.
    status: str = PRELIMINARY
    model: str = ""
    version: str = ""
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """What a receiver files it under: the first component of OBX-3, and OBX-4."""
        return self.code.partition("^")[0], self.sub_id


def observations(report: Report) -> Iterator[Observation]:
    """Findings of all models first, then what the guidelines say, as far as the release lets it out.

    `report` is what its audience may see (`cds.release.view`).
    """
    for outcome in report.outcomes:
        if isinstance(outcome, NotEvaluated):
            yield _refusal(outcome)
        else:
            yield from (_finding(finding, outcome, report) for finding in outcome.findings)
    if not report.decision.release.allows(Audience.REFERRAL):
        return
    for said in report.decision.outcomes:
        if isinstance(said, Advice):
            yield from _advice(said)
        elif isinstance(said, CouldNotTell):
            yield _could_not_tell(said)


def withdrawn(before: Observation, reason: str) -> Observation:
    """The same OBX without its value, posted as wrong."""
    notes = (f"Withdrawn: {reason.rstrip('.')}.",)
    return replace(before, value_type="ST", value=field("withdrawn"), unit=NOTHING, status=WRONG, notes=notes)


def quantity(value: Quantity) -> str:
    """A number with its unit, as short as it can be said exactly."""
    return f"{_number(value.value)} {value.unit}".strip()


def negative(finding: Finding, model: str) -> str:
    """SAFETY section 6: a negative names its model and threshold, and what it does not mean."""
    at = f" at threshold {quantity(finding.threshold)}" if finding.threshold else ""
    measured = f" (measured {quantity(finding.value)})" if finding.value else ""
    return f"not detected by {model}{at}{measured}; does not exclude"


def _finding(finding: Finding, outcome: Findings, report: Report) -> Observation:
    model = f"{outcome.model} {outcome.version}"
    kind, value, unit = _value(finding, model)
    return Observation(
        kind,
        _code(finding.code),
        _sub_id(finding.key),
        value,
        unit,
        status=NOT_OBTAINED if finding.presence is Presence.NOT_EVALUATED else PRELIMINARY,
        model=outcome.model,
        version=outcome.version,
        notes=(*_finding_notes(finding, outcome, model), *_opinions(finding, outcome, report)),
    )


def _value(finding: Finding, model: str) -> tuple[str, Encoded, Encoded]:
    if finding.presence is Presence.NOT_EVALUATED:
        return "ST", field(f"not evaluated: {finding.reason or 'no reason given'}"), NOTHING
    if finding.presence is Presence.NOT_DETECTED:
        sentence = negative(finding, model)
        return "CWE", components(_NOT_DETECTED, sentence, "SCT", "", "", "", "", "", sentence), NOTHING
    if finding.value is not None:
        unit = components(finding.value.unit, finding.value.unit, "UCUM") if finding.value.unit else NOTHING
        return "NM", field(_number(finding.value.value)), unit
    return "CWE", components(_DETECTED, f"detected by {model}", "SCT"), NOTHING


def _finding_notes(finding: Finding, outcome: Findings, model: str) -> Iterator[str]:
    if finding.presence is Presence.PRESENT:
        at = f" at threshold {quantity(finding.threshold)}" if finding.threshold else ""
        yield f"Detected by {model}{at}."
    if finding.confidence is not None:
        yield f"Confidence {finding.confidence:.2f} of 1."
    if finding.body_site:
        yield f"Body site: {finding.body_site.display or finding.body_site.code}."
    if finding.reason and finding.presence is not Presence.NOT_EVALUATED:
        yield finding.reason
    if finding.gates:
        yield f"Checked: {'; '.join(finding.gates)}."
    if outcome.limits:
        yield "Limits: " + " ".join(limit.rstrip(".") + "." for limit in outcome.limits)


def _opinions(finding: Finding, outcome: Findings, report: Report) -> Iterator[str]:
    """OBX-5 and OBX-11 stay the model's: a verification signs nothing (SAFETY section 3)."""
    for said in remarks(report, outcome.model, outcome.version, finding.key, quantity):
        yield said.text


def _refusal(outcome: NotEvaluated) -> Observation:
    """A model that refused the whole study: no result (OBX-11 X), and why."""
    text = f"not evaluated: {'; '.join(outcome.reasons) or 'no reason given'}"
    code = components(outcome.model, f"Analysis by {outcome.model}", _OUR_CODES)
    sub_id = _sub_id(outcome.model)
    return Observation(
        "ST", code, sub_id, field(text), status=NOT_OBTAINED, model=outcome.model, version=outcome.version
    )


def _advice(said: Advice) -> Iterator[Observation]:
    shared = (said.summary, *_inputs(said.inputs), *(_risk(risk) for risk in said.risks), *_missing(said.missing))
    code = components("AI-RECOMMENDATION", "Recommendation for a clinician to accept or decline", _OUR_CODES)
    for number, recommendation in enumerate(said.recommendations):
        notes = tuple(filter(None, shared)) if number == 0 else ()
        sub_id = _sub_id(f"{said.pathway}.{recommendation.key}")
        yield Observation("TX", code, sub_id, field(_recommendation(recommendation)), notes=notes)
    if not said.recommendations:
        code = components("AI-ADVICE", said.title, _OUR_CODES)
        yield Observation("TX", code, _sub_id(said.pathway), field(said.summary or said.title), notes=shared[1:])


def _could_not_tell(said: CouldNotTell) -> Observation:
    text = f"not evaluated: {said.title}: {said.reason}"
    notes = (*_missing(said.missing), *(f"How to get it: {how}" for how in said.how_to_get))
    code = components("AI-ADVICE", said.title, _OUR_CODES)
    return Observation("TX", code, _sub_id(said.pathway), field(text), status=NOT_OBTAINED, notes=tuple(notes))


def _recommendation(said: Recommendation) -> str:
    when = "" if _stands_in(said) else _period(said.not_before, said.by)
    return f"{said.action}{when} ({said.priority.value}). {said.reason} Source: {said.source.label}, {said.source.url}"


def _stands_in(said: Recommendation) -> bool:
    """True where the action itself names its date."""
    return said.not_before is not None and said.not_before.isoformat() in said.action


def _period(not_before: date | None, by: date | None) -> str:
    parts = [f"{word} {day.isoformat()}" for word, day in (("not before", not_before), ("by", by)) if day]
    return f", {', '.join(parts)}" if parts else ""


def _inputs(inputs: tuple[InputUsed, ...]) -> Iterator[str]:
    for used in inputs:
        day = used.effective.isoformat() if used.effective else "no date"
        yield f"Used: {used.name}: {used.value} ({day}, {used.source})"


def _risk(risk: RiskResult) -> str:
    said = risk.outcome if risk.value is None else f"{risk.value}, {risk.outcome}"
    missing = f"; missing: {', '.join(risk.missing)}" if risk.missing else ""
    return f"{risk.title}: {said}{missing}. Source: {risk.source.label}, {risk.source.url}"


def _missing(missing: tuple[str, ...]) -> Iterator[str]:
    if missing:
        yield f"Missing: {', '.join(missing)}"


def _code(code: Coding) -> Encoded:
    return components(code.code, code.display or code.code, _SYSTEM_NAMES.get(code.system, _OUR_CODES))


def _sub_id(key: str) -> str:
    """OBX-4 tells observations of one code apart, the same in every version; a long key is hashed to fit."""
    return key if len(key) <= _LONGEST_SUB_ID else hashlib.sha256(key.encode()).hexdigest()[:_LONGEST_SUB_ID]


def _number(value: float) -> str:
    """NM has no exponent; InvalidInput where it is no number at all."""
    if not math.isfinite(value):
        raise InvalidInput("want finite numbers in a report")
    return format(Decimal(repr(value)), "f").removesuffix(".0")
