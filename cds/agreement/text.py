"""Reads English report text for findings: sections, sentences, and a small grammar of saying and denying.

Closed: a sentence counts only if every word of it is known (`words`), so that nothing is ever guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from cds.agreement import terms, words
from cds.agreement.terms import Term

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[^\s\w-]")
_NAMES = "|".join(sorted(map(re.escape, words.CONCLUSIONS | words.BODY | words.NOT_SAID), key=len, reverse=True))
_HEADING = re.compile(rf"(?im)(?:^[ \t]*|(?<=[.;])[ \t]+)(?P<name>{_NAMES})[ \t]*(?::|$)".replace(r"\ ", r"[ \t]+"))
_ITEM = re.compile(r"[ \t]*(?:\d{1,2}[.)]|[-*•–])[ \t]+")
_STOP = "."
_SHORTEST_WORD = 3
_UNITS = ("cm", "mm")
#: Stands in a sentence for the name of a finding.
_NAMED = "\0"


class Said(StrEnum):
    """What a sentence says of a finding; all but the first two are reasons for not comparing."""

    PRESENT = "the report says that it is there"
    ABSENT = "the report says that it is not there"
    DOUBTFUL = "the report speaks of it in doubt"
    PAST = "the report speaks of the past, or of a comparison"
    PARTLY = "the report denies only some kind or place of it"
    UNREAD = "the report's sentence about it is not one that can be read with certainty"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the text says of one finding; `said` is None where it does not mention it."""

    said: Said | None
    contradictory: bool = False


@dataclass(frozen=True, slots=True)
class _Mention:
    """A phrase in a sentence: where it stands among the tokens that are left."""

    phrase: tuple[str, ...]
    place: int


def read(text: str, term: Term) -> Reading:
    """The conclusion counts where it speaks of the finding, else the rest; if they contradict, neither does."""
    conclusion, body = _sections(text)
    said_last, said_before = _of_section(conclusion, term), _of_section(body, term)
    certain = {said for said in (*said_last, *said_before) if said in (Said.PRESENT, Said.ABSENT)}
    if len(certain) > 1:
        return Reading(None, contradictory=True)
    found = said_last or said_before
    return Reading(next((said for said in found if said not in certain), found[0] if found else None))


def _of_section(section: Sequence[str], term: Term) -> list[Said]:
    return [said for part in section for sentence in _sentences(part) for said in _of_sentence(sentence, term)]


def _sections(text: str) -> tuple[list[str], list[str]]:
    """The conclusion's and the findings' texts; without any heading of theirs the whole text is findings."""
    headings = list(_HEADING.finditer(text))
    names = [re.sub(r"\s+", " ", heading["name"].lower()) for heading in headings]
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    parts = [(name, text[at.end() : end]) for name, at, end in zip(names, headings, ends, strict=False)]
    conclusion = [part for name, part in parts if name in words.CONCLUSIONS]
    body = [part for name, part in parts if name in words.BODY]
    if not conclusion and not body:
        body = [text[: headings[0].start()] if headings else text]
    return conclusion, body


def _sentences(text: str) -> Iterator[list[str]]:
    """Tokens by sentence. A line break ends none, as lines are wrapped; a full stop does only behind a known word.

    So an abbreviation is no end. A line that ends with a colon opens a list whose items cannot stand alone.
    """
    sentence: list[str] = []
    listing = False
    for line in text.splitlines():
        if _ITEM.match(line) and not listing and _ends(sentence, words.DANGLING | words.NONE):
            yield sentence
            sentence = []
        tokens = _TOKEN.findall(_ITEM.sub("", line, count=1).lower())
        for token in tokens:
            if token == _STOP and not listing and _ends(sentence, words.DANGLING):
                yield sentence
                sentence = []
            else:
                sentence.append(token)
        listing = listing or tokens[-1:] == [":"]
    yield sentence


def _ends(sentence: Sequence[str], unlike: frozenset[str]) -> bool:
    """True where a sentence may end: behind a unit, a number, or a whole word that is known and leads nowhere."""
    last = sentence[-1] if sentence else ""
    whole = len(last) >= _SHORTEST_WORD and last in _vocabulary()
    return (whole or last in _UNITS or last.isdigit()) and last not in unlike


@cache
def _vocabulary() -> frozenset[str]:
    names = (*(phrase.words for phrase in terms.phrases()), *terms.OTHER_THINGS)
    return words.KNOWN | {word for name in names for word in name}


def _of_sentence(tokens: list[str], term: Term) -> Iterator[Said]:
    """What one sentence says of the finding, once for each mention of it."""
    left, mentions = _named(tokens)
    mine = {phrase.words: phrase.narrower for phrase in term.phrases}
    if not any(mention.phrase in mine for mention in mentions):
        return
    said = _verdicts(_without_label(left, mentions), mentions)
    for mention, verdict in zip(mentions, said, strict=True):
        narrower = mine.get(mention.phrase)
        if narrower is None or (narrower and verdict in (Said.ABSENT, Said.PARTLY)):
            continue
        yield verdict


def _named(tokens: Sequence[str]) -> tuple[list[str], list[_Mention]]:
    """The sentence with one mark for each phrase, the longest first, and which they are."""
    known = sorted({phrase.words for phrase in terms.phrases()} | set(terms.OTHER_THINGS), key=len, reverse=True)
    left: list[str] = []
    mentions: list[_Mention] = []
    at = 0
    while at < len(tokens):
        phrase = next((p for p in known if tuple(tokens[at : at + len(p)]) == p), None)
        if phrase is None:
            left.append(tokens[at])
            at += 1
        else:
            mentions.append(_Mention(phrase, len(left)))
            left.append(_NAMED)
            at += len(phrase)
    return left, mentions


def _without_label(left: list[str], mentions: Sequence[_Mention]) -> list[str]:
    """Without "Lungs:" before what is said of them."""
    if ":" not in left:
        return left
    label = left[: left.index(":")]
    return left[len(label) + 1 :] if label and set(label) <= words.PARTS else left


def _verdicts(left: list[str], mentions: Sequence[_Mention]) -> list[Said]:
    if doubt := _in_doubt(left):
        return [doubt] * len(mentions)
    if plain := _plain(left):
        return [plain]
    if any(not (token in words.KNOWN or token == _NAMED or token[0].isdigit()) for token in left):
        return [Said.UNREAD] * len(mentions)
    cue = _denial(left)
    if cue is None:
        return [Said.PRESENT if _asserts(left) else Said.UNREAD] * len(mentions)
    return _denied(left, cue, mentions)


def _plain(left: Sequence[str]) -> Said | None:
    """ "Pneumothorax: none" and "Pneumothorax is not seen"."""
    match left:
        case [mark, ":", answer] if mark == _NAMED:
            return Said.ABSENT if answer in words.NONE else Said.PRESENT if answer in words.THERE else Said.UNREAD
        case [mark, "is" | "are", "not", verb] if mark == _NAMED and verb in words.ENDING:
            return Said.ABSENT
    return None


def _in_doubt(left: Sequence[str]) -> Said | None:
    if words.DOUBT & set(left):
        return Said.DOUBTFUL
    return Said.PAST if words.HISTORY & set(left) else None


def _asserts(left: Sequence[str]) -> bool:
    """True for a phrase with at least one word about it: a name that stands alone may be a heading."""
    rest = [token for token in left if token not in (_NAMED, ",") and not token[0].isdigit()]
    return _NAMED in left and bool(rest) and set(rest) <= words.ASSERTING


def _denial(left: Sequence[str]) -> tuple[int, int] | None:
    """Where the first denial stands, and where it ends."""
    for at in range(len(left)):
        for cue in words.DENIALS:
            if tuple(left[at : at + len(cue)]) == cue:
                return at, at + len(cue)
    return None


def _denied(left: list[str], cue: tuple[int, int], mentions: Sequence[_Mention]) -> list[Said]:
    """[opening] denial item {, item} [or item] [ending]; or what is said, "without", and such items."""
    before, after = left[: cue[0]], left[cue[1] :]
    opened = tuple(before) in words.OPENINGS
    things = {_NAMED} | {word for thing in words.DENIED_TOO for word in thing}
    added = left[cue[0]] == "without" and _asserts(before) and bool(things & set(after))
    if _denial(after) is not None or not (opened or added):
        return [Said.UNREAD] * len(mentions)
    said = before.count(_NAMED)
    kinds = any(mention.phrase in terms.OTHER_THINGS for mention in mentions[said:])
    return [Said.PRESENT] * said + list(_items(after, Said.PARTLY if kinds else Said.ABSENT))


def _items(after: list[str], denied: Said) -> Iterator[Said]:
    """What is said of each named item. Behind the last "or" nothing is denied; without one, only the first item is.

    A kind or a place at one item may speak of all of them, so that none of them is denied as a whole.
    """
    while after and after[-1] in words.ENDING:
        after = after[:-1]
    items, reach = _cut(after)
    if not all(item == [_NAMED] or tuple(item) in words.DENIED_TOO for item in items if item):
        denied = Said.PARTLY
    for number, item in enumerate(items):
        for _ in range(item.count(_NAMED)):
            yield Said.UNREAD if words.AND in after or number > reach or words.ENDING & set(item) else denied


def _cut(after: Sequence[str]) -> tuple[list[list[str]], int]:
    """The items of a list, and the number of the last one that the denial reaches."""
    items: list[list[str]] = [[]]
    reach = 0
    for token in after:
        if token not in words.SEPARATORS:
            items[-1].append(token)
            continue
        if items[-1]:
            items.append([])
        if token in words.OR:
            reach = len(items) - 1
    return items, reach
