"""Observation: one finding of one model, or its refusal with the reason (SAFETY section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adapters.fhir import systems
from adapters.fhir.device import device_id
from adapters.fhir.elements import Element, concept, imaging_study, note, quantity, reference
from adapters.fhir.emission import Emission, ai_label, made_by_model
from adapters.fhir.verification import verification
from cds.domain import conclusion
from cds.domain.coding import Quantity
from cds.domain.finding import Change, Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.opinion import remarks, verifications
from cds.domain.resource import NewResource
from cds.domain.wording import details

_VALUES = {Presence.PRESENT: systems.DETECTED, Presence.NOT_DETECTED: systems.NOT_DETECTED}
_INTERPRETATIONS = {
    Presence.PRESENT: systems.INTERPRETED_DETECTED,
    Presence.NOT_DETECTED: systems.INTERPRETED_NOT_DETECTED,
}
#: UCUM units of lengths, areas and volumes.
_SIZES = frozenset({"mm", "cm", "m", "mm2", "cm2", "m2", "mm3", "cm3", "mL", "ml", "L", "l"})


@dataclass(frozen=True, slots=True)
class FindingObservation:
    """An Observation, and the model and the key of the finding it came from; "" for a model's refusal."""

    model: str
    version: str
    finding_key: str
    resource: NewResource


def observations(emission: Emission) -> tuple[FindingObservation, ...]:
    """All Observations of a report, in the order of the models and their findings."""
    seen: dict[str, int] = {}
    found = []
    for outcome in emission.report.outcomes:
        for finding in _findings(outcome):
            key = _distinct(f"{outcome.model}/{finding.key}", seen)
            own = (systems.OBSERVATION_IDENTIFIER, emission.id_of("Observation", key))
            body = _body(emission, outcome, finding, own)
            resource = emission.new(body, identifiers=(own,), made_by=(made_by_model(outcome.model),))
            found.append(FindingObservation(outcome.model, outcome.version, finding.key, resource))
    return tuple(found)


def _findings(outcome: ModelOutcome) -> tuple[Finding, ...]:
    if isinstance(outcome, Findings):
        return outcome.findings
    return (_refusal(outcome),)


def _refusal(outcome: NotEvaluated) -> Finding:
    return Finding(
        key="",
        code=systems.AI_ANALYSIS,
        presence=Presence.NOT_EVALUATED,
        series_instance_uid=outcome.series_instance_uid,
        reason="; ".join(outcome.reasons),
    )


def _distinct(key: str, seen: dict[str, int]) -> str:
    """Ids must not depend on the series chosen, and must still differ where a model answers twice."""
    seen[key] = seen.get(key, 0) + 1
    return key if seen[key] == 1 else f"{key}#{seen[key]}"


def _body(emission: Emission, outcome: ModelOutcome, finding: Finding, own: tuple[str, str]) -> Element:
    name = f"{outcome.model} {outcome.version}"
    return {
        "resourceType": "Observation",
        "id": own[1],
        "meta": ai_label(),
        "extension": list(_extensions(emission, outcome, finding)),
        "identifier": [{"system": own[0], "value": own[1]}],
        "status": "preliminary",
        "category": [concept(systems.IMAGING)],
        "code": concept(finding.code),
        "subject": emission.subject,
        **emission.effective,
        "issued": emission.issued,
        "performer": [{"type": "Organization", "display": emission.site_name}],
        **_value(finding),
        "interpretation": [concept(_INTERPRETATIONS[finding.presence])] if finding.presence in _INTERPRETATIONS else [],
        "bodySite": concept(finding.body_site) if finding.body_site else None,
        "method": {"text": name},
        "device": reference("Device", device_id(outcome.model, outcome.version), name),
        "derivedFrom": [imaging_study(emission.report.study)],
        "component": list(_components(finding)),
        "note": [*(note(line) for line in _notes(outcome, finding)), *_opinions(emission, outcome, finding)],
    }


def _value(finding: Finding) -> Element:
    """A measurement has its quantity; a finding is there or not, and how much of it is a component."""
    if finding.presence in _VALUES:
        return {"valueCodeableConcept": concept(_VALUES[finding.presence])}
    if finding.presence is Presence.MEASURED and finding.value is not None:
        return {"valueQuantity": quantity(finding.value)}
    return {"dataAbsentReason": concept(systems.NOT_PERFORMED, text="Not evaluated")}


def _extensions(emission: Emission, outcome: ModelOutcome, finding: Finding) -> Iterator[Element]:
    if finding.confidence is not None and finding.presence is Presence.PRESENT:
        yield {"url": systems.CONFIDENCE_EXTENSION, "valueDecimal": round(finding.confidence, 6)}
    for said in verifications(emission.report, outcome.model, outcome.version, finding.key):
        yield verification(said)


def _components(finding: Finding) -> Iterator[Element]:
    evaluated = finding.presence is not Presence.NOT_EVALUATED
    if finding.value is not None and finding.presence in _VALUES:
        what = systems.SIZE if finding.value.unit in _SIZES else systems.MEASURED
        yield {"code": concept(what), "valueQuantity": quantity(finding.value)}
    if finding.threshold is not None:
        yield {"code": concept(systems.THRESHOLD), "valueQuantity": quantity(finding.threshold)}
    if evaluated and finding.confidence is not None:
        percent = Quantity(round(finding.confidence * 100, 4), "%")
        yield {"code": concept(systems.CERTAINTY), "valueQuantity": quantity(percent)}
    if evaluated:
        yield from _about(finding)
        yield from _change(finding.change)
    if finding.series_instance_uid:
        yield {"code": concept(systems.SERIES_INSTANCE_UID), "valueString": finding.series_instance_uid}
    if evaluated:
        for uid in dict.fromkeys(filter(None, (finding.key_sop_instance_uid, *finding.key_slices))):
            yield {"code": concept(systems.KEY_IMAGE), "valueString": uid}


def _about(finding: Finding) -> Iterator[Element]:
    if finding.laterality:
        side = systems.SIDES[finding.laterality]
        yield {"code": concept(systems.LATERALITY), "valueCodeableConcept": concept(side)}
    if finding.category is not None:
        yield {"code": concept(systems.CATEGORY), "valueCodeableConcept": concept(finding.category)}
    if finding.tracking_id:
        yield {"code": concept(systems.TRACKING), "valueString": finding.tracking_id}


def _change(change: Change | None) -> Iterator[Element]:
    """What became of it since the earlier study; R4 has no element for it. The words stand in a note."""
    if change is None:
        return
    unit = change.prior.unit
    values = (
        (systems.PRIOR_VALUE, change.prior),
        (systems.CHANGE, Quantity(round(change.absolute, 6), unit)),
        (systems.CHANGE_PER_YEAR, None if change.per_year is None else Quantity(round(change.per_year, 6), unit)),
        (systems.DOUBLING_TIME, None if change.doubling_days is None else Quantity(round(change.doubling_days), "d")),
    )
    for what, value in values:
        if value is not None:
            yield {"code": concept(what), "valueQuantity": quantity(value)}


def _opinions(emission: Emission, outcome: ModelOutcome, finding: Finding) -> Iterator[Element]:
    """The value stays the model's; who confirmed, rejected or corrected it stands beside it (SAFETY section 3)."""
    for said in remarks(emission.report, outcome.model, outcome.version, finding.key, conclusion.amount):
        yield note(said.text, author=said.by, at=said.at)


def _notes(outcome: ModelOutcome, finding: Finding) -> Iterator[str]:
    if finding.presence is Presence.NOT_EVALUATED:
        yield f"Not evaluated: {finding.reason or 'the model gave no reason'}"
    if finding.presence is Presence.NOT_DETECTED:
        yield conclusion.absence(finding, outcome.model, outcome.version).capitalize()
    yield from details(finding)
    for gate in finding.gates:
        yield f"Checked: {gate}"
    for limit in outcome.limits if isinstance(outcome, Findings) else ():
        yield f"Limit: {limit}"
