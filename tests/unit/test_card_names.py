"""The uuids of one response's cards and suggestions."""

from __future__ import annotations

import re
import uuid
from itertools import islice

from cds.domain.card_names import beginning, card_names

#: RFC 9562 section 5.4, in lower case.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_names_are_uuids_of_one_beginning_and_each_is_another() -> None:
    found = list(islice(card_names(), 300))
    assert len(set(found)) == 300
    assert len({beginning(one) for one in found}) == 1
    assert all(_UUID.fullmatch(one) and uuid.UUID(one).version == 4 for one in found)


def test_no_two_responses_begin_with_the_same() -> None:
    assert len({beginning(next(card_names())) for _ in range(2000)}) == 2000


def test_a_response_of_more_cards_than_there_are_places_begins_anew() -> None:
    found = list(islice(card_names(), 65_537))
    assert len(set(found)) == 65_537
    assert len({beginning(one) for one in found}) == 2


def test_what_is_shown_later_sorts_later() -> None:
    earlier = next(card_names())
    assert earlier[:13] <= next(card_names())[:13]
