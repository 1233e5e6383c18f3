"""Sending the same again, for a while: what is away for seconds is waited for here, for longer by whoever asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import tenacity

from adapters.fhir.exchange import NotNow

T = TypeVar("T")
Sleep = Callable[[float], None]

ATTEMPTS = 4
_FIRST_WAIT_S, _LONGEST_WAIT_S, _JITTER_S = 0.25, 8.0, 0.5


def persistently(attempt: Callable[[float], T], *, repeatable: bool, timeout_s: float, sleep: Sleep) -> T:
    """The value of `attempt(deadline)`, asked again while it is NotNow: `2 * timeout_s` and four times at most.

    Waits as long as the server asks for, else exponentially longer, with jitter. What must not be repeated is tried
    once.
    """
    if not repeatable:
        return attempt(time.monotonic() + timeout_s)
    patience_s = 2 * timeout_s
    end = time.monotonic() + patience_s
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(NotNow),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_before_delay(patience_s),
        wait=partial(_wait_s, longest_s=min(timeout_s / 4, _LONGEST_WAIT_S)),
        sleep=sleep,
        reraise=True,
    )
    try:
        return retrying(lambda: attempt(min(time.monotonic() + timeout_s, end)))
    except NotNow as error:
        if error.retry_after_s is None or error.retry_after_s < patience_s:
            raise
        words = f"{error}, which is longer than the {patience_s:g} s that a request may take"
        raise NotNow(words, retry_after_s=error.retry_after_s) from None


def _wait_s(state: tenacity.RetryCallState, longest_s: float) -> float:
    """As long as the server asks; else a quarter of a second, then twice as long each time. Never all at once."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, NotNow) and error.retry_after_s is not None:
        return error.retry_after_s + tenacity.wait_random(0, _JITTER_S)(state)
    backoff = tenacity.wait_exponential_jitter(multiplier=_FIRST_WAIT_S, max=longest_s, jitter=_JITTER_S)
    return backoff(state)
