"""The recommendations of a report beside what people did with them: what ServiceRequests and Tasks are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adapters.fhir import systems
from adapters.fhir.elements import Element, concept, reference, without_empty
from adapters.fhir.emission import Emission, made_by_model, made_by_pathway
from cds.domain.conclusion import guidance
from cds.domain.finding import Findings
from cds.domain.follow_up import Acceptance
from cds.domain.order_codes import order_codes
from cds.domain.recommendation import Advice, Recommendation
from cds.domain.report import Report

#: Why something that a person answered stands although the report advises it no longer.
NOT_ANY_MORE = "The newest report does not recommend this any more"


@dataclass(frozen=True, slots=True)
class Step:
    """One recommendation. `about` is what was answered, or else what the report advises; `now` is the latter alone.

    `advice` is None where the report advises it no longer, `answer` where nobody has answered it.
    """

    pathway: str
    about: Recommendation
    now: Recommendation | None
    advice: Advice | None
    answer: Acceptance | None

    @property
    def key(self) -> str:
        """What its ids are made of."""
        return f"{self.pathway}/{self.about.key}"

    @property
    def changed(self) -> bool:
        """True where the report advises something else now than what was answered."""
        return self.now is not None and _said(self.now) != _said(self.about)


def steps(report: Report) -> tuple[Step, ...]:
    """What the report advises, then what was answered and is not advised any more."""
    return tuple(_steps(report))


def person(acceptance: Acceptance) -> Element:
    """A logical reference to whoever answered."""
    own: Element = {"system": systems.PERSON_IDENTIFIER, "value": acceptance.by}
    return {"type": "Practitioner", "identifier": own, "display": acceptance.by}


def code(recommendation: Recommendation) -> Element:
    """What is to be done; an action that is coded by Sightline alone is told in words, as in a card."""
    return concept(*order_codes(recommendation), text=recommendation.action)


def period(recommendation: Recommendation) -> Element:
    """From when and until when, as days (R4 Period)."""
    start, end = recommendation.not_before, recommendation.by
    return without_empty({"start": start.isoformat() if start else "", "end": end.isoformat() if end else ""})


def main_report(emission: Emission) -> Element:
    """The DiagnosticReport that it stands in."""
    return reference("DiagnosticReport", emission.id_of("DiagnosticReport"))


def made_by(emission: Emission, step: Step) -> tuple[str, ...]:
    """The pathway, and the models whose findings it rests on."""
    keys = step.advice.finding_keys if step.advice else ()
    models = [
        made_by_model(outcome.model)
        for outcome in emission.report.outcomes
        if isinstance(outcome, Findings) and any(finding.key in keys for finding in outcome.findings)
    ]
    return tuple(dict.fromkeys([made_by_pathway(step.pathway), *models]))


def _steps(report: Report) -> Iterator[Step]:
    answers = {answer.name: answer for answer in report.acceptances}
    for advice in [said for said in guidance(report) if isinstance(said, Advice)]:
        for now in advice.recommendations:
            answer = answers.pop(f"{advice.pathway}.{now.key}", None)
            yield Step(advice.pathway, (answer and answer.about) or now, now, advice, answer)
    for answer in answers.values():
        if answer.about is not None:
            yield Step(answer.pathway, answer.about, None, None, answer)


def _said(recommendation: Recommendation) -> tuple[object, ...]:
    return (recommendation.action, recommendation.code, recommendation.priority)
