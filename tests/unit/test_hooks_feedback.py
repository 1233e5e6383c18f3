"""What a client says became of cards (CDS Hooks 2.0, Feedback), as the services read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.domain.coding import Coding
from cds.domain.hook import Feedback, Outcome
from cds.errors import InvalidResource
from cds.hooks.feedback import read

#: The example of the standard, https://cds-hooks.hl7.org/2.0/#feedback: accepted, and overridden with a reason.
CARD = "4e0a3a1e-3283-4575-ab82-028d55fe2719"
SUGGESTION = "e56e1945-20b3-4393-8503-a1a20fd73152"
AT = datetime(2020, 12, 11, 0, 0, 0, tzinfo=UTC)
ACCEPTED = {
    "card": CARD,
    "outcome": "accepted",
    "acceptedSuggestions": [{"id": SUGGESTION}],
    "outcomeTimestamp": "2020-12-11T00:00:00Z",
}
OVERRIDDEN = {
    "card": "9368d37b-283f-44a0-93ea-547cebab93ed",
    "outcome": "overridden",
    "overrideReason": {
        "reason": {
            "code": "d7ecf885",
            "system": "https://example.com/cds-hooks/override-reason-system",
            "display": "Not clinically relevant",
        },
        "userComment": "clinically inappropriate",
    },
    "outcomeTimestamp": "2020-12-11T00:00:00Z",
}


def one(**changes: object) -> Feedback:
    """What is read of the overridden example with other members; None leaves one out."""
    said = {name: value for name, value in (OVERRIDDEN | changes).items() if value is not None}
    [feedback] = read({"feedback": [said]})
    return feedback


def refused(**changes: object) -> str:
    """Why the overridden example with other members is refused, as the third of a request."""
    said = {name: value for name, value in (OVERRIDDEN | changes).items() if value is not None}
    with pytest.raises(InvalidResource) as refusal:
        read({"feedback": [ACCEPTED, OVERRIDDEN, said]})
    return str(refusal.value)


def test_the_standard_s_examples_are_read() -> None:
    reason = Coding("https://example.com/cds-hooks/override-reason-system", "d7ecf885", "Not clinically relevant")
    assert read({"feedback": [ACCEPTED, OVERRIDDEN]}) == (
        Feedback(CARD, Outcome.ACCEPTED, AT, (SUGGESTION,)),
        Feedback(
            "9368d37b-283f-44a0-93ea-547cebab93ed",
            Outcome.OVERRIDDEN,
            AT,
            reason=reason,
            comment="clinically inappropriate",
        ),
    )


def test_no_feedback_is_none() -> None:
    assert read({"feedback": []}) == ()


@pytest.mark.parametrize("body", [{}, {"feedback": None}, {"feedback": {}}, {"feedback": "x"}])
def test_a_body_without_an_array_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(InvalidResource, match=r"^feedback: want an array"):
        read(body)


def test_as_much_is_taken_at_once_as_is_said() -> None:
    assert len(read({"feedback": [ACCEPTED] * 200})) == 200
    with pytest.raises(InvalidResource, match="at most 200"):
        read({"feedback": [ACCEPTED] * 201})


def test_members_that_the_standard_does_not_name_are_ignored() -> None:
    assert one(extension={"com.example": 1}, other=[1]) == one()


@pytest.mark.parametrize("why", [None, {}, {"reason": None, "userComment": None}])
def test_nobody_has_to_give_a_reason(why: object) -> None:
    assert (one(overrideReason=why).reason, one(overrideReason=why).comment) == (None, "")


def test_a_comment_alone_is_no_reason() -> None:
    said = one(overrideReason={"userComment": "not now"})
    assert (said.reason, said.comment) == (None, "not now")


def test_a_code_alone_is_a_reason() -> None:
    assert one(overrideReason={"reason": {"code": "x"}}).reason == Coding("", "x")


def test_a_comment_is_cut_after_four_thousand_characters() -> None:
    assert one(overrideReason={"userComment": "é" * 5000}).comment == "é" * 4000


def test_an_override_accepts_nothing_and_an_accept_has_no_reason() -> None:
    assert one(acceptedSuggestions=[{"id": "s"}]).accepted == ()
    [said] = read({"feedback": [ACCEPTED | {"overrideReason": OVERRIDDEN["overrideReason"]}]})
    assert (said.reason, said.comment) == (None, "")


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2020-12-11T00:00:00+00:00", 0),
        ("2020-12-11T02:00:00+02:00", 0),
        ("2020-12-10T18:30:00-05:30", 0),
        ("2020-12-11t01:00:00z", 1),
        ("2020-12-11 01:00:00Z", 1),
        ("2020-12-11T01:00:00.000Z", 1),
        ("2020-12-11T01:00:00.0000000009Z", 1),
        ("2020-12-11T01:00:00-00:00", 1),
    ],
)
def test_every_time_of_rfc_3339_is_read(text: str, hours: int) -> None:
    assert one(outcomeTimestamp=text).at == AT + timedelta(hours=hours)


def test_a_leap_second_is_the_second_before_it() -> None:
    assert one(outcomeTimestamp="2016-12-31T23:59:60Z").at == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "",
        "2020-12-11",
        "2020-12-11T00:00:00",
        "2020-12-11T00:00Z",
        "2020-13-11T00:00:00Z",
        "2020-12-11T24:00:00Z",
        "2020-12-11T00:00:00+24:00",
        "2020-12-11T00:00:00+0200",
        "20201211T000000Z",
        "٢٠٢٠-12-11T00:00:00Z",
        "0001-01-01T00:00:00+10:00",
        "2020-12-11T00:00:00Z\n",
    ],
)
def test_what_is_no_time_with_an_offset_is_refused_by_its_place(value: object) -> None:
    assert refused(outcomeTimestamp=value).startswith("feedback[2].outcomeTimestamp: want an RFC 3339 time")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"card": None}, "feedback[2].card"),
        ({"card": ""}, "feedback[2].card"),
        ({"card": 7}, "feedback[2].card"),
        ({"card": "Quentina" * 100}, "feedback[2].card"),
        ({"outcome": None}, "feedback[2].outcome"),
        ({"outcome": "Quentina"}, "feedback[2].outcome"),
        ({"outcome": ["accepted"]}, "feedback[2].outcome"),
        ({"outcome": "accepted"}, "feedback[2].acceptedSuggestions"),
        ({"outcome": "accepted", "acceptedSuggestions": {"id": "x"}}, "feedback[2].acceptedSuggestions"),
        ({"outcome": "accepted", "acceptedSuggestions": [{"id": "x"}] * 101}, "feedback[2].acceptedSuggestions"),
        ({"outcome": "accepted", "acceptedSuggestions": [{"id": "x"}, "Q"]}, "feedback[2].acceptedSuggestions[1]"),
        ({"outcome": "accepted", "acceptedSuggestions": [{}]}, "feedback[2].acceptedSuggestions[0].id"),
        ({"overrideReason": "Quentina"}, "feedback[2].overrideReason"),
        ({"overrideReason": {"userComment": ["Quentina"]}}, "feedback[2].overrideReason.userComment"),
        ({"overrideReason": {"reason": "Quentina"}}, "feedback[2].overrideReason.reason"),
        ({"overrideReason": {"reason": {"display": "Quentina"}}}, "feedback[2].overrideReason.reason.code"),
        ({"overrideReason": {"reason": {"code": "c", "system": 1}}}, "feedback[2].overrideReason.reason.system"),
        ({"overrideReason": {"reason": {"code": "c", "display": ""}}}, "feedback[2].overrideReason.reason.display"),
    ],
)
def test_a_mistake_is_named_by_its_place_and_never_by_what_came(changes: dict[str, object], path: str) -> None:
    text = refused(**changes)
    assert text.startswith(f"{path}: want ")
    assert "Quentina" not in text


def test_an_item_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidResource, match=r"^feedback\[0\]: want an object"):
        read({"feedback": ["Quentina"]})


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_WHY = st.fixed_dictionaries({}, optional={"reason": _JSON, "userComment": _JSON})
_ITEM = st.fixed_dictionaries(
    {},
    optional={
        "card": st.just(CARD) | _JSON,
        "outcome": st.sampled_from(["accepted", "overridden"]) | _JSON,
        "acceptedSuggestions": st.lists(st.fixed_dictionaries({"id": st.text()}) | _JSON, max_size=3) | _JSON,
        "overrideReason": _WHY | _JSON,
        "outcomeTimestamp": st.just("2020-12-11T00:00:00Z") | _JSON,
    },
)


@given(st.dictionaries(st.text(), _JSON, max_size=3) | st.fixed_dictionaries({"feedback": st.lists(_ITEM | _JSON)}))
def test_whatever_comes_is_read_or_refused_by_its_place(body: dict[str, Any]) -> None:
    found = read_or_refused(body)
    if isinstance(found, str):
        assert found.startswith("feedback")
        assert ": want " in found
    else:
        assert len(found) == len(body["feedback"])
        assert all(said.at.tzinfo is UTC and said.card for said in found)


def read_or_refused(body: dict[str, Any]) -> tuple[Feedback, ...] | str:
    """What is read, or why it is not."""
    try:
        return read(body)
    except InvalidResource as error:
        return str(error)


_OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_TIMES = st.datetimes(timezones=_OFFSETS).filter(lambda at: 1 < at.year < 9999)


@given(_TIMES)
def test_a_time_is_the_same_moment_in_whatever_zone_it_is_written(at: datetime) -> None:
    assert one(outcomeTimestamp=at.isoformat()).at == at


_NAMES = st.text(min_size=1, max_size=256)
_CODINGS = st.builds(Coding, st.just("") | _NAMES, _NAMES, st.just("") | _NAMES)


@given(st.lists(st.tuples(_NAMES, st.none() | _CODINGS, st.text(max_size=4000)), max_size=5))
def test_what_was_said_is_what_is_read(said: list[tuple[str, Coding | None, str]]) -> None:
    wire = [OVERRIDDEN | {"card": card, "overrideReason": _why(reason, text)} for card, reason, text in said]
    found = read({"feedback": json.loads(json.dumps(wire))})
    assert [(one.card, one.reason, one.comment) for one in found] == said


def _why(reason: Coding | None, comment: str) -> dict[str, object]:
    coding = {"system": reason.system, "code": reason.code, "display": reason.display} if reason else {}
    said = {name: value for name, value in coding.items() if value}
    return {"userComment": comment} | ({"reason": said} if said else {})
