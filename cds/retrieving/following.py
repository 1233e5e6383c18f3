"""A retrieval from its first question to its end, over steps that somebody else makes durable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds.patience import Sleep, Step, StepFailed, delay_s, patiently
from cds.retrieving import steps as names

#: A PACS is asked so often for a study that was announced: about nine minutes with the delays of `delay_s`.
LOOKS = 15
#: A study that still grows in the PACS is followed for so many counts, about half an hour.
COUNTS = 35
#: Where nothing comes of what is missing, it is tried so often.
IN_VAIN = 3


def follow(steps: Mapping[str, Step], retrieval_id: str, interval_s: float, sleep: Sleep) -> str:
    """Look, fetch, count, look for priors. Answers what it came to: "done", "failed" or a word of `look`.

    `steps` say that they wait or failed as `patiently` reads it; "fetch" is given source, series and priority.
    """
    try:
        found = _found(steps["look"], retrieval_id, sleep)
        if found["next"] != names.FETCH:
            patiently(sleep, steps["end"], retrieval_id, found["next"], found["reason"])
            return str(found["next"])
        _complete(steps, retrieval_id, found, interval_s, sleep)
        patiently(sleep, steps["priors"], retrieval_id, found["source"])
    except StepFailed as error:
        patiently(sleep, steps["end"], retrieval_id, names.FAILED, str(error))
        return names.FAILED
    return "done"


def _found(look: Step, retrieval_id: str, sleep: Sleep) -> dict[str, Any]:
    """What a look came to; a study that was announced is looked for until a PACS knows it, or long enough."""
    for attempt in range(1, LOOKS + 1):
        found: dict[str, Any] = patiently(sleep, look, retrieval_id)
        if not found.get("again"):
            break
        sleep(delay_s(attempt))
    return found


def _complete(
    steps: Mapping[str, Step], retrieval_id: str, found: Mapping[str, Any], interval_s: float, sleep: Sleep
) -> None:
    """Fetch and count, until the PACS said the same twice and all of it is here; raise StepFailed where it never is."""
    source, series, in_vain, before = found["source"], found["series"], 0, 0
    for count in range(1, COUNTS + 1):
        for uid in series:
            patiently(sleep, steps["fetch"], source, uid, found["priority"])
        sleep(interval_s if count == 1 else max(interval_s, delay_s(count - 1)))
        seen = patiently(sleep, steps["verify"], retrieval_id, source)
        series, missing = seen["series"], seen["missing"]
        if not series:
            return
        in_vain = in_vain + 1 if missing and missing == before else 0
        before = missing
        if in_vain == IN_VAIN:
            break
    raise StepFailed(f"{source}: {seen['said']}")
