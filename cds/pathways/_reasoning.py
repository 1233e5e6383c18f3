"""What a pathway finds out about one case, rule by rule: the sentences that its answer is made of.

A pathway makes one, applies its rules through it, and lets it answer: so every rule that was applied, every value that
was used and everything that is missing stands in the answer, whatever the way out of the function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from cds.domain.ehr import Fact, Known, NotFoundSince, Unknown
from cds.domain.finding import Findings
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
from cds.pathways._facts import NONE_FOUND, Missing
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
    steps: list[Step] = field(init=False)
    inputs: list[InputUsed] = field(init=False)
    missing: list[Missing] = field(init=False)
    notes: list[str] = field(init=False)
    recommendations: list[Recommendation] = field(init=False)
    risks: list[RiskResult] = field(init=False)
    #: Why nothing is suggested, without a value of the record: for `cds why`.
    quiet: list[str] = field(init=False)
    #: The values used as sentences, as far as somebody asked for them: see `_sentences.because`.
    told: list[str] = field(init=False)
    #: The parts of sentences that say where something was searched for.
    searched: list[str] = field(init=False)
    english: bool = field(init=False)

    def __post_init__(self) -> None:
        # One is made for every pathway of a hook: literals are had for a third of what default factories take.
        self.steps, self.inputs, self.missing, self.notes = [], [], [], []
        self.recommendations, self.risks, self.quiet, self.told = [], [], [], []
        self.searched = []
        self.english = self.case.language == ENGLISH

    def say(self, text: str, /, **values: object) -> str:
        """A sentence in the language of the case, see `language.say`."""
        if self.english:  # what is said a hundred times in a hook takes the short way
            return text.format_map(values) if values else text
        return say(self.case.language, text, **values)

    def apply(self, rule: Rule, held: bool | None, said: str = "") -> bool | None:
        """Note that a rule was applied to the values in `said`; answers whether it held, None where nobody can tell."""
        self.steps.append(Step(rule.key, held, said) if said else _step(rule.key, held))
        return held

    def use(self, name: str, fact: Fact[T], show: Callable[[T], str]) -> None:
        """A value of the record that the decision rests on, or that it was searched for and not found."""
        if isinstance(fact, Known):
            self.inputs.append(InputUsed(name, show(fact.value), fact.effective, fact.source))
        elif isinstance(fact, NotFoundSince):
            self.inputs.append(_none_found(self.case.language, name, fact.searched, fact.since))

    def measured(self, name: str, value: str, source: str, effective: date | None = None) -> None:
        """A value of the images, or a site's option, that the decision rests on; of their day unless said."""
        self.inputs.append(InputUsed(name, value, effective or self.case.study_date, source))

    def lacks(self, what: str, fact: Fact[T], how: str) -> bool:
        """Whether a fact is not known; then it stands in the answer as missing, with how to get it."""
        if isinstance(fact, Known):
            return False
        if isinstance(fact, NotFoundSince):
            self.missing.append(_not_found(self.case.language, what, how, fact.searched, fact.since))
        else:
            self.missing.append(Missing(what, fact.reason, how))
        return True

    def unasked(self, what: str, fact: Fact[T], how: str) -> None:
        """A fact that nobody could be asked for stands as missing; an absence that was searched for is a value."""
        if isinstance(fact, Unknown):
            self.missing.append(Missing(what, fact.reason, how))

    def absent(self, what: str, fact: NotFoundSince) -> str:
        """That something was searched for and not found, as a sentence's part."""
        said = _absent(self.case.language, what, fact.searched, fact.since)
        self.searched.append(said)
        return said

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
        named, inputs = (score.id, score.title, score.source, score.outcome), tuple(self.inputs)
        if isinstance(answer, Scored):
            self.risks.append(RiskResult(*named, value, probability, score.horizon_years, inputs))
        else:
            lacking = (*answer.missing, *answer.out_of_range)
            self.risks.append(
                RiskResult(*named, None, None, None, inputs, tuple(self.say(score.title_of(one)) for one in lacking))
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
            steps[0] = _meant_first(steps[0])
        missing = [one.said or _how_to_get(self.case.language, one) for one in self.missing]
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
            rests_on=_rests_on(self, finding_keys, always=bool(raises)),
            language=self.case.language,
            searched=tuple(self.searched),
        )


def _meant_first(one: Recommendation) -> Recommendation:
    """The same step, recommended; written out, for `dataclasses.replace` takes as long as all rules of a pathway."""
    return Recommendation(
        one.key,
        one.action,
        one.code,
        one.reason,
        one.source,
        one.priority,
        one.not_before,
        one.by,
        True,
        one.because,
        one.would_change,
        one.strength,
        one.performer,
        one.acr_category,
        one.also,
        one.orderable,
        one.instead,
    )


def _rests_on(found: Reasoning, keys: tuple[str, ...], *, always: bool) -> tuple[str, ...]:
    """The findings of some keys as "<model>.<key>", where asked for or where several models have the same key.

    Of these the pathway rests on those that it reads: who else calls a finding of its own alike is not meant.
    """
    outcomes = found.case.outcomes
    if len(outcomes) < 2 and not always:
        return ()
    held = [(by.model, one) for by in outcomes if isinstance(by, Findings) for one in by.findings if one.key in keys]
    names = {(model, one.key) for model, one in held}
    if len(names) == len({key for _, key in names}) and not always:
        return ()
    read = _codes_read().get(found.pathway, frozenset())
    own = {(model, one.key) for model, one in held if (one.code.system, one.code.code) in read}
    own |= {(model, key) for model, key in names if key not in {key for _, key in own}}
    return tuple(f"{model}.{key}" for model, key in sorted(own))


@functools.cache
def _codes_read() -> dict[str, frozenset[tuple[str, str]]]:
    """Which codes each pathway reads, asked for where several models call findings alike."""
    # Imported late: the package imports this module.
    from cds.pathways import load

    pathways = load(unverified=True).values()
    return {one.id: frozenset((code.system, code.code) for code in one.reads) for one in pathways}


def _how_to_get(language: str, missing: Missing) -> str:
    what, why, how, _ = missing
    return say(language, "{what}: {why}. How to get it: {how}", what=what, why=why, how=how)


# What a record lacks was searched for alike, whoever the patient is: these texts are made once. They hold no value.


@functools.lru_cache(maxsize=1024)
def _step(rule: str, held: bool | None) -> Step:
    return Step(rule, held)


@functools.lru_cache(maxsize=1024)
def _none_found(language: str, name: str, searched: tuple[str, ...], since: date | None) -> InputUsed:
    """Where something was searched for, and since when, among the values used."""
    where = say(language, " and ").join(searched)
    if since is None:
        return InputUsed(name, NONE_FOUND, None, say(language, "searched {where}", where=where))
    return InputUsed(name, NONE_FOUND, None, say(language, "searched {where} since {since}", where=where, since=since))


@functools.lru_cache(maxsize=1024)
def _not_found(language: str, what: str, how: str, searched: tuple[str, ...], since: date | None) -> Missing:
    """Something that was searched for and not found, as missing."""
    missing = Missing(what, _absent(language, what, searched, since), how)
    return missing._replace(said=_how_to_get(language, missing))


def _absent(language: str, what: str, searched: tuple[str, ...], since: date | None) -> str:
    where = say(language, " and ").join(searched)
    if since is None:
        return say(language, "no {what} found in {where}", what=what, where=where)
    return say(language, "no {what} found in {where} since {since}", what=what, where=where, since=since)
