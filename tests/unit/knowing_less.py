"""Whoever knows less is told the same or what is missing: an input that is not known never reads as any value."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hypothesis import strategies as st

from cds.risk import Score, Scored


def same_answer_or_missing(score: Score, case: Mapping[str, object], forgotten: Collection[str]) -> None:
    """The answer to a case of which some inputs were forgotten, beside the answer to the whole case."""
    whole = score(case)
    less = score({name: value for name, value in case.items() if name not in forgotten})
    if isinstance(less, Scored):
        assert less == whole
    elif isinstance(whole, Scored):
        assert less.missing
        assert set(less.missing) <= set(forgotten)


def some_of(names: Collection[str]) -> st.SearchStrategy[set[str]]:
    """Any subset of these names."""
    return st.sets(st.sampled_from(sorted(names)))
