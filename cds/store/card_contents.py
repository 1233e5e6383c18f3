"""What a call showed, held back and noted, without what is different at every call: as text, and as its digest.

People open the same patients again and again: what was said before is written no second time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cds.domain.card_names import beginning
from cds.domain.hook import About, ShownCard, StudyNote, Suppressed
from cds.domain.recommendation import Indicator, Recommendation
from cds.store.driver_values import key_text
from cds.store.values import dump


@dataclass(frozen=True, slots=True, eq=False)
class Offered:
    """The recommendations of a card, the same where they are the very same objects: they are long to compare."""

    steps: tuple[Recommendation | None, ...]

    def __hash__(self) -> int:
        """Of which objects."""
        return hash(tuple(map(id, self.steps)))

    def __eq__(self, other: object) -> bool:
        """Whether these are the same objects in the same order."""
        return isinstance(other, Offered) and tuple(map(id, self.steps)) == tuple(map(id, other.steps))


#: A card's `About` with the keys of its suggestions, and the recommendations.
Shown = tuple[About, tuple[str, ...], Offered]
#: The names of a card and its suggestions; what it begins with is left out.
_Names = tuple[str, ...]

#: Contents that are known by what they are made of, and texts that are known as they were read.
_KNOWN: Final = 1024
_DIGEST_LENGTH: Final = 24
#: Before a name that does not begin as its call.
_WHOLE: Final = "/"


@dataclass(frozen=True, slots=True)
class Written:
    """A content for the driver. `advices` are what counts as seen, empty where the cards give no advice."""

    id: str
    body: str
    about: tuple[str, ...]
    advices_id: str
    advices: str


@dataclass(frozen=True, slots=True)
class KeptCard:
    """A card as it was shown; `suggestions` are the keys of its recommendations in their order.

    `steps` are these recommendations as JSON, where the card was about a study: who accepts one begins a follow-up.
    """

    study_uid: str | None
    episode: int
    pathway: str
    key: str
    digest: str
    indicator: str
    site: str
    models: tuple[str, ...]
    suggestions: tuple[str, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptBack:
    """A card that was held back."""

    pathway: str
    why: str
    site: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptNote:
    """What was shown of a study, and what was silent or held back and why."""

    study_uid: str
    patient_id: str | None
    shown: int
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """A content as it was read."""

    cards: tuple[KeptCard, ...]
    held: tuple[KeptBack, ...]
    notes: tuple[KeptNote, ...]


@lru_cache(maxsize=_KNOWN)
def written(shown: tuple[Shown, ...], held: tuple[Suppressed, ...], notes: tuple[StudyNote, ...]) -> Written:
    """A content by what it is made of."""
    told = [_note(one, held) for one in notes]
    body = json.dumps([[_card(*one) for one in shown], [_held(one) for one in held], told])
    about = {one.study_instance_uid for one in notes} | {one.patient_id for one in notes if one.patient_id}
    advices = [(key_text(one.key), one.digest, _is_critical(one)) for one, *_ in shown if one.pathway]
    seen = json.dumps(advices) if advices else ""
    return Written(_digest(body), body, tuple(sorted(about)), _digest(seen), seen)


@lru_cache(maxsize=_KNOWN)
def read(body: str) -> Content:
    """A content by its text."""
    cards, held, notes = json.loads(body)
    return Content(
        tuple(_read_card(one) for one in cards),
        tuple(KeptBack(pathway, why, site, tuple(models)) for pathway, why, site, models in held),
        tuple(KeptNote(study_uid, patient_id, shown, tuple(told)) for study_uid, patient_id, shown, told in notes),
    )


def names(call: str, cards: Iterable[ShownCard]) -> str:
    """The names of cards and their suggestions, each without what the call's begin with."""
    return _packed(tuple(tuple(_short(call, name) for name in (one.uuid, *one.suggestions)) for one in cards))


def named(call: str, packed: str) -> Sequence[Sequence[str]]:
    """The names of each card and its suggestions, whole again."""
    cards: Sequence[Sequence[str]] = json.loads(packed)
    return [[one[1:] if one.startswith(_WHOLE) else call + one for one in card] for card in cards]


@lru_cache(maxsize=_KNOWN)
def _packed(cards: tuple[_Names, ...]) -> str:
    return json.dumps(cards)


def _short(call: str, name: str) -> str:
    return name[len(call) :] if beginning(name) == call and name[len(call)] != _WHOLE else _WHOLE + name


def _card(about: About, suggestions: tuple[str, ...], offered: Offered) -> Sequence[Any]:
    of_study = offered.steps if about.study_instance_uid else ()
    steps = [dump(Recommendation, one) for one in of_study if one is not None]
    return (
        *(about.study_instance_uid, about.episode, about.pathway, key_text(about.key), about.digest),
        *(about.indicator.value, about.site, about.models, suggestions, steps),
    )


def _read_card(packed: Sequence[Any]) -> KeptCard:
    study_uid, episode, pathway, key, digest, indicator, site, models, suggestions, steps = packed
    return KeptCard(
        study_uid=study_uid,
        episode=episode,
        pathway=pathway,
        key=key,
        digest=digest,
        indicator=indicator,
        site=site,
        models=tuple(models),
        suggestions=tuple(suggestions),
        steps=tuple(steps),
    )


def _held(one: Suppressed) -> Sequence[Any]:
    return one.about.pathway, one.why.value, one.about.site, one.about.models


def _note(note: StudyNote, suppressed: Iterable[Suppressed]) -> Sequence[Any]:
    held = [one for one in suppressed if one.about.study_instance_uid == note.study_instance_uid]
    told = (*note.quiet, *(f"{one.about.pathway}: held back ({one.why.value})" for one in held))
    return note.study_instance_uid, note.patient_id, max(note.cards - len(held), 0), told


def _is_critical(about: About) -> bool:
    return about.indicator is Indicator.CRITICAL


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
