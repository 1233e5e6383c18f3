"""EhrData of a patient of 5,000 resources against the bare download and parse of the same pages, in the same run.

Both ask the same server in a process of its own, over as many connections; ours finds the patient, pages, reads every
resource, keeps what is asked for, and assembles the facts.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from adapters.fhir.client import open_client
from adapters.fhir.ehr import EhrSource
from adapters.fhir.keys import SmartKeys
from cds import codes
from cds.domain.ehr import EhrData, Known, NotFoundSince
from cds.fhir_peers import FhirSource
from cds.record import assemble
from cds.searches import searches
from tests.bench.ehr_server import MEASURED
from tests.contract.ehr_wire import SYSTEMS
from tests.unit.clinical import NOW, TODAY, StillClock, patient

pytestmark = pytest.mark.bench

ASKS = (
    *(codes.loaded()[name] for name in MEASURED), codes.SPIROMETRY, codes.COPD, codes.LUNG_CANCER, codes.HAEMOPTYSIS,
    codes.SPIROMETRY_ORDERED,
)  # fmt: skip
PARALLEL, ROUNDS = 4, 5
#: Ours, as a multiple of the bare download and parse.
MOST = 3.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The server's base."""
    command = [sys.executable, "-m", "tests.bench.ehr_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/fhir"
        finally:
            process.kill()


def ours(url: str) -> EhrData:
    """What pathways see of the patient, nothing of it known before."""
    table = FhirSource(url=url, parallel=PARALLEL, timeout_s=60)
    client = open_client("ehr", table, SmartKeys(()))
    found = EhrSource(client, table, identifier_systems=SYSTEMS, asks=ASKS, clock=StillClock())
    with closing(found):
        told = found.statements(patient())
        assert told.unasked == ()
        return assemble(patient(), told, now=NOW, today=TODAY)


def theirs(url: str, asked: list[tuple[str, str]]) -> int:
    """Every page of the same searches with httpx alone; answers how many resources came."""

    def pages(search: tuple[str, str]) -> int:
        bundle = http.post(f"{url}/{search[0]}/_search", data={"patient": "p1", "code": search[1]}).json()
        count = len(bundle.get("entry", ()))
        while links := [link["url"] for link in bundle.get("link", ()) if link["relation"] == "next"]:
            bundle = http.get(links[0]).json()
            count += len(bundle["entry"])
        return count

    with httpx.Client(timeout=60) as http, ThreadPoolExecutor(PARALLEL) as pool:
        return sum(pool.map(pages, asked))


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def test_a_patient_of_five_thousand_resources(url: str) -> None:
    asked = [(search.type, ",".join(search.codes)) for search in searches(ASKS)]
    data = ours(url)
    assert all(isinstance(data.measurement(name), Known) for name in MEASURED)
    assert isinstance(data.procedure("spirometry"), Known)
    assert isinstance(data.condition("copd"), Known)
    assert isinstance(data.symptom("haemoptysis"), NotFoundSince)
    assert theirs(url, asked) == 5000
    both = [(seconds(lambda: ours(url)), seconds(lambda: theirs(url, asked))) for _ in range(ROUNDS)]
    mine, bare = (min(column) for column in zip(*both, strict=True))
    print(f"EhrData of 5,000 resources: {mine:.3f} s, bare download and parse {bare:.3f} s, {mine / bare:.2f} x")
    assert mine <= MOST * bare
