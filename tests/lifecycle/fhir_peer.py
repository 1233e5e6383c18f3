"""The FHIR server of a stage: a whole one in memory, of a site whose EHR takes transactions."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from tests.contract.fhir_store_peer import FhirStore


class FhirPeer:
    """What the server has, and how often it was written to."""

    def __init__(self) -> None:
        self.store = FhirStore()
        self.url = ""
        self._stack = ExitStack()

    def __enter__(self) -> FhirPeer:
        self.url = self._stack.enter_context(self.store.serving()).url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """What it has of a type, in the order in which it came."""
        return self.store.of_type(kind)
