"""RiskAssessment: what a published score said, with every input, its date and its source.

The basis are the findings as references, and what the record gave in words: of those Sightline stores no resource.
"""

from __future__ import annotations

from datetime import date

from adapters.fhir import systems
from adapters.fhir.elements import Element, concept, note, reference, software, without_empty
from adapters.fhir.emission import Emission, ai_label, made_by_pathway
from adapters.fhir.observation import FindingObservation
from cds.domain.coding import Coding
from cds.domain.conclusion import guidance, horizon_end, input_text
from cds.domain.recommendation import Advice, RiskResult
from cds.domain.resource import NewResource


def risk_assessments(emission: Emission, observations: tuple[FindingObservation, ...]) -> tuple[NewResource, ...]:
    """One per score that could be evaluated and is released; the first advice that carries a score speaks for it."""
    found: dict[str, NewResource] = {}
    for advice in [said for said in guidance(emission.report) if isinstance(said, Advice)]:
        for risk in advice.risks:
            if risk.value is not None and risk.score not in found:
                basis = [o.resource for o in observations if o.finding_key in advice.finding_keys]
                made_by = (made_by_pathway(advice.pathway), *(name for r in basis for name in r.made_by))
                own = (systems.RISK_IDENTIFIER, emission.id_of("RiskAssessment", risk.score))
                found[risk.score] = emission.new(
                    _body(emission, risk, basis, own), identifiers=(own,), made_by=tuple(dict.fromkeys(made_by))
                )
    return tuple(found.values())


def _body(emission: Emission, risk: RiskResult, basis: list[NewResource], own: tuple[str, str]) -> Element:
    decided_on = emission.report.decision.decided_on
    return {
        "resourceType": "RiskAssessment",
        "id": own[1],
        "meta": ai_label(),
        "identifier": [{"system": own[0], "value": own[1]}],
        "status": "preliminary",
        "method": concept(Coding(systems.SCORE, risk.score, risk.title)),
        "subject": emission.subject,
        "occurrenceDateTime": decided_on.isoformat(),
        "performer": software(),
        "basis": [
            *(reference(r.type, r.id) for r in basis),
            *({"display": text} for text in dict.fromkeys(input_text(item) for item in risk.inputs)),
        ],
        "prediction": [_prediction(risk, decided_on)],
        "note": [
            note(f"Source: {risk.source.label}, {risk.source.url}"),
            *(note(f"Not known: {name}") for name in risk.missing),
        ],
    }


def _prediction(risk: RiskResult, decided_on: date) -> Element:
    """R4 writes a probability as a percentage, 100 at most (constraint ras-2)."""
    return without_empty(
        {
            "outcome": {"text": risk.outcome},
            "qualitativeRisk": {"text": risk.value},
            "probabilityDecimal": None if risk.probability is None else round(risk.probability * 100, 4),
            "whenPeriod": _horizon(risk.horizon_years, decided_on) if risk.horizon_years else None,
        }
    )


def _horizon(years: float, start: date) -> Element:
    return {"start": start.isoformat(), "end": horizon_end(years, start).isoformat()}
