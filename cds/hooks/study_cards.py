"""The cards of one patient's studies beside each other: no step twice, and none that a person said is done.

A patient has many studies, and a guideline says much the same to each. What is not asked for again is named on the card
that asks for it, so that nothing is hidden; critical cards are left as they are (SAFETY section 5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from cds.domain.follow_up import Acceptance, Answer
from cds.domain.hook import StudyNote
from cds.domain.recommendation import Advice, Indicator, Recommendation
from cds.domain.report import Report
from cds.hooks.answer import Card, Suggestion
from cds.pathways import markdown as md
from cds.pathways.merging import urgency

_INDICATORS = (Indicator.CRITICAL, Indicator.WARNING, Indicator.INFO)
#: Why an older study is silent: the follow-ups of its steps are those of the newer one.
REPEATED = "a newer study asks for the same"


@dataclass(frozen=True, slots=True)
class StudyCards:
    """The cards of one study, and what was kept back and why. `failed` where every pathway that had to speak broke.

    `untold` where any of them did.
    """

    report: Report
    cards: tuple[Card, ...] = ()
    quiet: tuple[str, ...] = ()
    failed: bool = False
    untold: bool = False
    #: What its cards say to this reader.
    said: tuple[Advice, ...] = ()

    @property
    def note(self) -> StudyNote:
        """For the study's timeline."""
        whose = self.report.patient.id if self.report.patient else None
        return StudyNote(self.report.study.study_instance_uid, whose, len(self.cards), self.quiet)


def asked_once(told: Sequence[StudyCards]) -> tuple[StudyCards, ...]:
    """The studies without the cards whose every step a newer study's guideline asks for as urgently and as soon."""
    kept: list[tuple[int, Advice]] = []
    repeats: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    silent: set[tuple[int, str]] = set()
    for place in sorted(range(len(told)), key=lambda place: _made(told[place]), reverse=True):
        for advice in told[place].said:
            newer = next((other for other, one in kept if other != place and _covers(one, advice)), None)
            if newer is None:
                kept.append((place, advice))
            else:
                silent.add((place, advice.pathway))
                repeats[newer, advice.pathway].append(f"{md.day(_made(told[place]))}: {md.escape(advice.summary)}")
    if not silent:
        return tuple(told)
    return tuple(_alone(one, place, silent, repeats) for place, one in enumerate(told))


def _alone(
    one: StudyCards, place: int, silent: set[tuple[int, str]], repeats: dict[tuple[int, str], list[str]]
) -> StudyCards:
    shown = [card for card in one.cards if (place, card.about.pathway) not in silent]
    quiet = [f"{name}: {REPEATED}" for at, name in sorted(silent) if at == place]
    cards = (
        _with(card, "Earlier images that ask for the same", repeats.get((place, card.about.pathway), ()))
        for card in shown
    )
    return replace(one, cards=tuple(cards), quiet=(*one.quiet, *quiet))


def _covers(newer: Advice, older: Advice) -> bool:
    """Whether nothing is lost where the older advice of the same guideline is not told beside the newer one."""
    if newer.pathway != older.pathway or not older.recommendations or older.indicator is Indicator.CRITICAL:
        return False
    if _INDICATORS.index(newer.indicator) > _INDICATORS.index(older.indicator):
        return False
    return all(any(_asks(one, step) for one in newer.recommendations) for step in older.recommendations)


def _asks(newer: Recommendation, older: Recommendation) -> bool:
    """Whether a step is the same, no less urgent, and no later."""
    if not newer.code.same(older.code) or urgency(newer)[0] > urgency(older)[0]:
        return False
    return older.by is None or (newer.by is not None and newer.by <= older.by)


def without_done(card: Card, answers: Iterable[Acceptance], since: datetime) -> Card | None:
    """A card without the steps that a person said are done, or accepted since then; None where none is left.

    However it was accepted, on a card, by FHIR or on a page: a step that now says otherwise is offered again.
    """
    own = {one.recommendation: one for one in answers if one.pathway == card.about.pathway}
    settled = [step for step in card.suggestions if step.key in own and _settles(own[step.key], step, since)]
    if not settled or card.about.indicator is Indicator.CRITICAL:
        return card
    done = [_line(step, own[step.key]) for step in settled if own[step.key].answer is Answer.COMPLETED]
    taken = [_line(step, own[step.key]) for step in settled if own[step.key].answer is Answer.ACCEPTED]
    left = tuple(step for step in card.suggestions if step not in settled)
    told = _with(_with(card, "Done already", done), "Accepted already, and not offered again", taken)
    return replace(told, suggestions=left) if left else None


def _settles(answer: Acceptance, step: Suggestion, since: datetime) -> bool:
    """Whether nobody has to be asked again; after an accept that is so for the site's hours (`Fatigue.accepted_h`)."""
    if answer.answer is Answer.COMPLETED:
        return True
    now, then = step.step, answer.about
    same = now is None or then is None or (now.code.same(then.code) and now.priority is then.priority)
    return answer.answer is Answer.ACCEPTED and answer.at > since and same


def _line(step: Suggestion, answer: Acceptance) -> str:
    return f"{md.escape(str(step.body.get('label', '')))}: as of {md.day(answer.at.date())}"


def _with(card: Card, title: str, lines: Sequence[str]) -> Card:
    if not lines:
        return card
    detail = md.document(str(card.body.get("detail", "")), md.section(title, md.bullets(lines)))
    return replace(card, body=card.body | {"detail": detail})


def _made(one: StudyCards) -> date:
    return one.report.study.study_date or date.min
