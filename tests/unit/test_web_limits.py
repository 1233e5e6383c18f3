"""What bounds callers of CDS Hooks: how often they come, and how deep their JSON nests."""

from __future__ import annotations

import random

import orjson
import pytest

from cds.errors import TooManyRequests
from cds.web.limits import DEEPEST, Shares, too_deep


def nested(levels: int, kind: str) -> bytes:
    """JSON of so many levels, with brackets and quotes in its strings that are none of its own."""
    inside = "1"
    for level in range(levels):
        as_list = kind == "lists" or (kind == "both" and level % 2)
        inside = f"[{inside}]" if as_list else '{"a\\"[{":"}]\\\\","b":' + inside + "}"
    return inside.encode()


@pytest.mark.parametrize("kind", ["lists", "objects", "both"])
def test_sixty_four_levels_are_read_and_sixty_five_are_not(kind: str) -> None:
    assert DEEPEST == 64
    assert not too_deep(nested(64, kind))
    assert too_deep(nested(65, kind))
    assert too_deep(nested(900, kind))


def test_many_shallow_members_are_not_deep() -> None:
    assert not too_deep(orjson.dumps([[], {}, {"x": [[]]}] * 5000))


@pytest.mark.parametrize(
    "text", ["[" * 70, "{" * 70, '"[' * 70, "\\[" * 70, '\\"' * 70 + "[" * 70, "\\" * 71 + "[" * 70, "]}" * 70]
)
def test_brackets_in_strings_nest_nothing_and_hide_nothing(text: str) -> None:
    assert not too_deep(orjson.dumps({text: [text, text, {"x": text}]}))
    assert too_deep(orjson.dumps({text: [text, {"x": orjson.Fragment(nested(62, "both"))}], "y": text}))
    assert not too_deep(orjson.dumps({text: [text, {"x": orjson.Fragment(nested(61, "both"))}], "y": text}))


def test_the_passes_over_bytes_say_what_counting_says() -> None:
    made = random.Random(9)

    def anything(levels: int) -> object:
        if levels == 0 or made.random() < 0.2:
            return made.choice([1, "", "[{", '\\"{', "\\", '\\\\"[', 'x"]}', None])
        if made.random() < 0.5:
            return [anything(levels - 1) for _ in range(made.randint(0, 3))]
        return {made.choice(["a", "[", '"', "\\"]) + str(n): anything(levels - 1) for n in range(made.randint(0, 3))}

    for _ in range(300):
        value = anything(6)
        for _ in range(made.randint(56, 66)):
            value = [value]
        assert too_deep(orjson.dumps(value)) == (_levels(value) > DEEPEST)


def _levels(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_levels, value.values()), default=0)
    return 1 + max(map(_levels, value), default=0) if isinstance(value, list) else 0


def test_a_client_has_its_rate_in_a_minute_and_then_is_told_when_to_come_again() -> None:
    shares = Shares({"north": 4}, others=1, processes=2)
    shares.take("north", "10.0.0.1")
    shares.take("north", "10.0.0.2")
    with pytest.raises(TooManyRequests, match="come again in") as refused:
        shares.take("north", "10.0.0.3")
    assert 1 <= refused.value.retry_after_s <= 60


def test_one_callers_rate_is_not_anothers() -> None:
    shares = Shares({"north": 1, "south": 1}, others=1, processes=1)
    for client, address in (("north", ""), ("south", ""), ("", "10.0.0.1"), ("", "10.0.0.2"), ("", "north")):
        shares.take(client, address)
        with pytest.raises(TooManyRequests):
            shares.take(client, address)


def test_a_rate_that_is_smaller_than_the_processes_still_lets_one_in() -> None:
    Shares({}, others=1, processes=8).take("", "10.0.0.1")
