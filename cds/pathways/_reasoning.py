"""What a pathway finds out about one case, rule by rule: the sentences that its answer is made of.

A pathway makes one, applies its rules through it, and lets it answer: so every rule that was applied, every value that
was used and everything that is missing stands in the answer, whatever the way out of the function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

from cds.domain.ehr import Fact, Known, NotFoundSince, Unknown
from cds.domain.recommendation import (
    Advice,
    Case,
    CouldNotTell,
    Indicator,
    InputUsed,
    NothingToSay,
    Recommendation,
    RiskResult,
    Source,
    Step,
)
from cds.pathways._facts import NONE_FOUND, Missing, lack
from cds.pathways.declaration import Rule
from cds.pathways.language import ENGLISH, say
from cds.risk import Answer, Score, Scored

T = TypeVar("T")


@dataclass(slots=True)
class Reasoning:
    """One evaluation of one pathway. `pathway` and `title` name it in every answer."""

    pathway: str
    title: str
    source: Source
    case: Case
    steps: list[Step] = field(default_factory=list)
    inputs: list[InputUsed] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recommendations: list[Recommendation] = field(default_factory=list)
    risks: list[RiskResult] = field(default_factory=list)
    #: Why nothing is suggested, without a value of the record: for `cds why`.
    quiet: list[str] = field(default_factory=list)

    def say(self, text: str, /, **values: object) -> str:
        """A sentence in the language of the case, see `language.say`."""
        if self.case.language == ENGLISH:  # what is said a hundred times in a hook takes the short way
            return text.format_map(values) if values else text
        return say(self.case.language, text, **values)

    def apply(self, rule: Rule, held: bool | None, said: str = "") -> bool | None:
        """Note that a rule was applied to the values in `said`; answers whether it held, None where nobody can tell."""
        self.steps.append(Step(rule.key, held, said))
        return held

    def use(self, name: str, fact: Fact[T], show: Callable[[T], str]) -> None:
        """A value of the record that the decision rests on, or that it was searched for and not found."""
        if isinstance(fact, NotFoundSince):
            self.inputs.append(InputUsed(name, NONE_FOUND, None, _searched(self.case.language, fact)))
        elif isinstance(fact, Known):
            self.inputs.append(InputUsed(name, show(fact.value), fact.effective, fact.source))

    def measured(self, name: str, value: str, source: str, effective: date | None = None) -> None:
        """A value of the images, or a site's option, that the decision rests on; of their day unless said."""
        self.inputs.append(InputUsed(name, value, effective or self.case.study_date, source))

    def lacks(self, what: str, fact: Fact[T], how: str) -> bool:
        """Whether a fact is not known; then it stands in the answer as missing, with how to get it."""
        if isinstance(fact, NotFoundSince):
            self.missing.append(Missing(what, self.absent(what, fact), how))
            return True
        found = lack(what, fact, how)
        self.missing += found
        return bool(found)

    def unasked(self, what: str, fact: Fact[T], how: str) -> None:
        """A fact that nobody could be asked for stands as missing; an absence that was searched for is a value."""
        if isinstance(fact, Unknown):
            self.missing += lack(what, fact, how)

    def absent(self, what: str, fact: NotFoundSince) -> str:
        """That something was searched for and not found, as a sentence's part."""
        where = self.say(" and ").join(fact.searched)
        if fact.since is None:
            return self.say("no {what} found in {where}", what=what, where=where)
        return self.say("no {what} found in {where} since {since}", what=what, where=where, since=fact.since)

    def note(self, text: str, why: str = "") -> None:
        """What is not suggested, and why; `why` is the same without a value of the record, for `cds why`."""
        self.notes.append(text)
        if why:
            self.quiet.append(why)

    def recommend(self, recommendation: Recommendation) -> None:
        """A next step."""
        self.recommendations.append(recommendation)

    def risk(self, score: Score, answer: Answer, value: str = "", *, probability: float | None = None) -> None:
        """What a score said, with the values that were used up to here; `value` in words where it was evaluated."""
        scored = isinstance(answer, Scored)
        lacking = () if isinstance(answer, Scored) else (*answer.missing, *answer.out_of_range)
        self.risks.append(
            RiskResult(
                score=score.id,
                title=score.title,
                source=score.source,
                outcome=score.outcome,
                value=value if scored else None,
                probability=probability if scored else None,
                horizon_years=score.horizon_years if scored else None,
                inputs=tuple(self.inputs),
                missing=tuple(map(score.title_of, lacking)),
            )
        )

    def nothing(self, reason: str) -> NothingToSay:
        """It was evaluated and does not apply. The reason stands in `cds why`: no value of the record."""
        return NothingToSay(self.pathway, reason, tuple(self.steps))

    def could_not_tell(self, reason: str) -> CouldNotTell:
        """It could not be evaluated: what is missing up to here, and how to get it."""
        lacking = tuple(f"{m.what}: {m.why}" for m in self.missing)
        how = tuple(f"{m.what}: {m.how}" for m in self.missing)
        return CouldNotTell(self.pathway, self.say(self.title), reason, lacking, how, steps=tuple(self.steps))

    def advice(
        self,
        summary: str,
        indicator: Indicator,
        finding_keys: tuple[str, ...],
        *,
        seen: tuple[str, ...] = (),
        meaning: tuple[str, ...] = (),
        limits: tuple[str, ...] = (),
        further: tuple[Source, ...] = (),
        raises: tuple[str, ...] = (),
    ) -> Advice:
        """It has something to say; the first recommendation is the one that is meant first."""
        steps = self.recommendations
        if steps and not steps[0].recommended:
            steps[0] = replace(steps[0], recommended=True)
        missing = [
            self.say("{what}: {why}. How to get it: {how}", what=m.what, why=m.why, how=m.how) for m in self.missing
        ]
        return Advice(
            pathway=self.pathway,
            title=self.say(self.title),
            summary=summary,
            indicator=indicator,
            source=self.source,
            recommendations=tuple(steps),
            inputs=tuple({(one.name, one.value): one for one in self.inputs}.values()),
            finding_keys=finding_keys,
            missing=tuple(dict.fromkeys(missing)),
            risks=tuple(self.risks),
            seen=seen,
            meaning=meaning,
            notes=tuple(dict.fromkeys(self.notes)),
            limits=limits,
            further=further,
            steps=tuple(self.steps),
            raises=raises,
            language=self.case.language,
        )


@functools.lru_cache(maxsize=256)
def _searched(language: str, fact: NotFoundSince) -> str:
    """Where something was searched for, and since when; most of what a record lacks was searched for alike."""
    where = say(language, " and ").join(fact.searched)
    if fact.since is None:
        return say(language, "searched {where}", where=where)
    return say(language, "searched {where} since {since}", where=where, since=fact.since)
