"""The store that the web tests serve from keeps the contract of the port."""

from __future__ import annotations

import pytest

from tests.contract.memory_store import MemoryResourceStore
from tests.contract.resource_search_contract import ResourceSearchContract
from tests.contract.resource_store_contract import MakeStore, ResourceStoreContract


class TestMemoryResourceStore(ResourceStoreContract, ResourceSearchContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return MemoryResourceStore
