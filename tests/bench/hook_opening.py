"""How long it takes to answer who opens a patient: `python -m tests.bench.hook_opening DATA_DIR URL PATIENTS ROUNDS`.

In one process, without the web. Prints for each round the seconds of a call for patients whom nobody opened before, and
for the same again, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from cds.bootstrap import stores
from cds.bootstrap.hooks import hooks
from cds.clock import SystemClock
from cds.services import HookServices
from tests.bench import hook_chart as chart
from tests.bench.hook_settings import settings

#: Patients of one round: a thousand findings are of enough for five.
OPENED = 15


@contextmanager
def serving(data_dir: Path, url: str = "") -> Iterator[HookServices]:
    """The services as a web process has them."""
    site = settings(data_dir, **({"database_url": url} if url else {}))
    held = stores(site)
    try:
        yield hooks(site, held, SystemClock(site.time_zone))
    finally:
        held.database.dispose()


def ask(service: HookServices, calls: Sequence[bytes]) -> float:
    """The seconds of a call, from the body as it comes to that of the answer; every answer has a card."""
    begun = time.perf_counter()
    for body in calls:
        answer = orjson.dumps(service.call("imaging-findings", orjson.loads(body), ""))
        assert b'"summary"' in answer
    return (time.perf_counter() - begun) / len(calls)


def main(data_dir: str, url: str, patients: str, rounds: str) -> None:
    """Print what was measured, of patients from all over the store."""
    with serving(Path(data_dir), url) as service:
        found = []
        for number in range(int(rounds)):
            places = range(number * OPENED, (number + 1) * OPENED)
            calls = [chart.call(place * int(patients) // (int(rounds) * OPENED)) for place in places]
            found.append((ask(service, calls), ask(service, calls)))
        print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
