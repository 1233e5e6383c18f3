"""What a reader is not told again, and why.

A critical card is always shown, and so is one that gives no advice (SAFETY section 5). Everything else passes the rules
in their order; the first that fits names the reason, which is kept so that it can be counted. Reminders that come less
often, and fewer at a time, are followed more often: https://doi.org/10.1186/s12911-017-0430-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cds.domain.hook import About, CardHistory, HeldBack, Outcome, PastAnswer, Reader, Suppressed
from cds.domain.recommendation import Indicator
from cds.hook_peers import Fatigue
from cds.hooks import parts
from cds.hooks.answer import Card, Suggestion
from cds.hooks.service import HookContext
from cds.pathways import markdown as md

#: How far a client's clock may be ahead; an answer from later than that cannot be true, and holds nothing back.
_SKEW = timedelta(minutes=5)
_CAPPED = "held-back-today"


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of a reader and a patient when the cards are chosen."""

    reader: Reader
    fatigue: Fatigue
    past: CardHistory
    now: datetime

    def within(self, at: datetime, hours: float) -> bool:
        return self.now - at < timedelta(hours=hours)

    def answers(self, card: Card, outcome: Outcome) -> list[PastAnswer]:
        """What anybody answered to a card that said the same, oldest first.

        A check speaks to whoever signs an order: what others answered, or long ago, was said of another order.
        """
        if not self.past.answers:
            return []
        same = (one for one in self.past.answers if (one.key, one.digest) == (card.about.key, card.about.digest))
        said = [one for one in same if one.outcome is outcome and one.at <= self.now + _SKEW]
        if card.about.study_instance_uid is None:
            said = [one for one in said if self.is_own(one) and self.within(one.at, self.fatigue.accepted_h)]
        return sorted(said, key=lambda one: one.at)

    def overrides(self, card: Card) -> list[PastAnswer]:
        """What this reader overrode."""
        return [one for one in self.answers(card, Outcome.OVERRIDDEN) if self.is_own(one)]

    def is_own(self, one: PastAnswer) -> bool:
        """Nobody knows who a user without a name is."""
        user = self.reader.user
        return bool(user) and (one.reader.client, one.reader.user) == (self.reader.client, user)


_Verdict = Card | Suppressed


def choose(
    cards: Sequence[Card], reader: Reader, context: HookContext, whose: str
) -> tuple[tuple[Card, ...], tuple[Suppressed, ...]]:
    """The cards that are shown to a reader now, and those that are held back."""
    verdicts = [_role(card, reader, context.fatigue) for card in cards]
    if any(isinstance(one, Card) and _may_wait(one) for one in verdicts):
        told = _told(reader, context, whose)
        verdicts = _cap([_judged(one, told) for one in verdicts], told)
    held = tuple(one for one in verdicts if isinstance(one, Suppressed))
    over = {one.about for one in held if one.why is HeldBack.CAP}
    capped = [card for card in cards if card.about in over]
    said = (_until_tomorrow(capped, context),) if capped else ()
    return (*(one for one in verdicts if isinstance(one, Card)), *said), held


def _may_wait(card: Card) -> bool:
    return card.is_advice and card.about.indicator is not Indicator.CRITICAL


def _told(reader: Reader, context: HookContext, whose: str) -> _Told:
    past = context.log.history(reader, whose)
    # What was said of nobody in particular is not said of this patient.
    past = past if whose else CardHistory(today=past.today)
    return _Told(reader, context.fatigue, past, context.clock.now())


def _judged(verdict: _Verdict, told: _Told) -> _Verdict:
    for rule in _RULES if told.past.answers else _UNANSWERED:
        if isinstance(verdict, Suppressed) or not _may_wait(verdict):
            break
        verdict = rule(verdict, told)
    return verdict


def _role(card: Card, reader: Reader, fatigue: Fatigue) -> _Verdict:
    """A reader with a role that the site has listed is told what the lists of these roles name."""
    if not _may_wait(card) or fatigue.tells(reader.roles, card.about.pathway):
        return card
    return Suppressed(card.about, HeldBack.ROLE)


def _accepted(card: Card, told: _Told) -> _Verdict:
    """A step that anybody accepted is not offered again for the site's hours; afterwards it is, and says so.

    Who drew up an order again has not taken what was to take its place.
    """
    if card.selection == "at-most-one":
        return card
    when = {key: one.at for one in told.answers(card, Outcome.ACCEPTED) for key in one.accepted}
    done = [one for one in card.suggestions if one.key in when and told.within(when[one.key], told.fatigue.accepted_h)]
    left = tuple(one for one in card.suggestions if one not in done)
    if done and not left:
        return Suppressed(card.about, HeldBack.ACCEPTED)
    lines = [f"Accepted on {_day(when, one)}, and not offered again: {_label(one)}" for one in done]
    lines += [
        f"Accepted on {_day(when, one)}, and no order is known since: {_label(one)}" for one in left if one.key in when
    ]
    return replace(card, body=_with_lines(card.body, lines), suggestions=left) if lines else card


def _overridden(card: Card, told: _Told) -> _Verdict:
    """Who gave a reason is not told the same again until it changes; without a reason nothing is known."""
    refused = any(_refuses(one, card) for one in told.overrides(card))
    return Suppressed(card.about, HeldBack.OVERRIDDEN) if refused else card


def _refuses(said: PastAnswer, card: Card) -> bool:
    """Whether an override holds: a finding that was called wrong is told again once a radiologist says it is there."""
    if said.reason is None or said.reason.same(parts.LATER):
        return False
    confirmed = card.about.confirmed_at
    return not (said.reason.same(parts.AI_FINDING_WRONG) and confirmed is not None and said.at < confirmed)


def _snoozed(card: Card, told: _Told) -> _Verdict:
    """Who wants to be reminded later is, after the site's hours."""
    later = [one.at for one in told.overrides(card) if one.reason and one.reason.same(parts.LATER)]
    snoozed = any(told.within(at, told.fatigue.snooze_h) for at in later)
    return Suppressed(card.about, HeldBack.SNOOZED) if snoozed else card


def _seen(card: Card, told: _Told) -> _Verdict:
    """What is merely good to know is not repeated to who saw it, where the site wants that.

    What was said of an order when it was selected is said again when it is signed: that answer replaces the first.
    """
    if card.about.study_instance_uid is None:
        return card
    at = told.past.seen.get((card.about.key, card.about.digest)) if told.reader.user else None
    again = card.about.indicator is not Indicator.INFO or at is None or not told.within(at, told.fatigue.info_again_h)
    return card if again else Suppressed(card.about, HeldBack.SEEN)


#: After the role and before the cap, in this order.
_RULES: tuple[Callable[[Card, _Told], _Verdict], ...] = (_accepted, _overridden, _snoozed, _seen)
#: Where nobody has answered anything.
_UNANSWERED = (_seen,)


def _cap(verdicts: Iterable[_Verdict], told: _Told) -> list[_Verdict]:
    """Beyond so many advices a day those that are new today wait, the least urgent first."""
    said, today = list(verdicts), told.past.today
    waiting = [one.about for one in said if isinstance(one, Card) and _may_wait(one)]
    waiting.sort(key=lambda about: about.indicator is not Indicator.WARNING)
    room = max(told.fatigue.daily_cap - len(today), 0)
    fresh = list(dict.fromkeys(about.key for about in waiting if about.key not in today))
    over = fresh[room:] if told.reader.user else []
    late = {about for about in waiting if about.key in over}
    return [Suppressed(one.about, HeldBack.CAP) if isinstance(one, Card) and one.about in late else one for one in said]


def _until_tomorrow(waiting: Sequence[Card], context: HookContext) -> Card:
    """What the cap holds back is said, with where it can be read: an empty list would read as nothing found."""
    many = f"{len(waiting)} suggestion{' is' if len(waiting) == 1 else 's are'}"
    most = context.fatigue.daily_cap
    site = parts.Site(context.site_name, context.public_url)
    body: parts.Json = {
        "summary": parts.summary(f"{many} held back today"),
        "detail": f"You were shown as many suggestions today as this site allows a day ({most}). The less urgent ones "
        "wait until tomorrow; critical ones are always shown. That is not a negative result.",
        "indicator": Indicator.INFO.value,
        "source": parts.source(site, parts.FINDINGS, "suggestions a day"),
    }
    links = _links(waiting)
    return Card(About(_CAPPED, ""), body | ({"links": links} if links else {}))


def _links(cards: Iterable[Card]) -> list[object]:
    """Where the studies of the cards are told whole, each once."""
    found: list[object] = []
    for card in cards:
        links = card.body.get("links")
        if card.about.study_instance_uid and isinstance(links, list):
            found += [link for link in links[:1] if link not in found]
    return found


def _with_lines(body: parts.Json, lines: Iterable[str]) -> parts.Json:
    return body | {"detail": md.document(str(body.get("detail", "")), *lines)}


def _day(when: dict[str, datetime], one: Suggestion) -> str:
    return md.day(when[one.key].date())


def _label(one: Suggestion) -> str:
    return md.escape(str(one.body.get("label", "")))
