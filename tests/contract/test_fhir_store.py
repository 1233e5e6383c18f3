"""The contract of a FHIR destination against a server whose abilities a test chooses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.fhir_critical_contract import FhirCriticalContract
from tests.contract.fhir_server import FhirServer
from tests.contract.fhir_sink_contract import FhirSinkContract, Way
from tests.contract.fhir_store_peer import Can, FhirStore

CAN: dict[Way, Can] = {
    "transaction": Can(update_create=True, longest=10),
    "conditional": Can(transaction=False, update_create=True),
    "search": Can(transaction=False, conditional_update=False, conditional_create=False, versions=True),
}


class TestStore(FhirSinkContract, FhirCriticalContract):
    """Servers that can do ever less."""

    @pytest.fixture
    def server(self, way: Way) -> Iterator[FhirServer]:
        with FhirStore(CAN[way]).serving() as wire:
            yield FhirServer(wire.url)
