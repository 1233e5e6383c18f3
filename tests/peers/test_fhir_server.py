"""A FHIR server of another project (Medplum's router and its store in memory) takes reports, whatever it can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.contract.fhir_critical_contract import FhirCriticalContract
from tests.contract.fhir_server import FhirServer
from tests.contract.fhir_sink_contract import FhirSinkContract, Way, sent
from tests.peers.medplum import emptied, running
from tests.unit.fhir_samples import DENSITY, LAA, report

pytestmark = pytest.mark.peers

SWITCHES: dict[Way, dict[str, bool]] = {
    "transaction": {},
    "conditional": {"transactions": False},
    "search": {"transactions": False, "conditional": False},
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[Way, FhirServer]]:
    """One process for each way."""
    with ExitStack() as stack:
        yield {way: stack.enter_context(running(**switches)) for way, switches in SWITCHES.items()}


class TestMedplum(FhirSinkContract, FhirCriticalContract):
    """The same server, which says ever less of what it can do."""

    @pytest.fixture
    def server(self, way: Way, servers: dict[Way, FhirServer]) -> FhirServer:
        return emptied(servers[way])


def test_a_transaction_of_more_than_eight_entries_goes_as_one_under_our_own_ids() -> None:
    many = report(replace(DENSITY, findings=tuple(replace(LAA, key=f"laa-{number}") for number in range(8))))
    with running() as server:
        assert sent(server.url, many, own_ids=True) == "200 for 13 entries"
