"""A PACS for tests: a C-STORE SCP that keeps what it gets."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt

SUCCESS = 0x0000


class PacsPeer:
    """What it has, in the order in which it came; the same instance again replaces itself."""

    def __init__(self, ae_title: str = "PACS") -> None:
        self.ae_title = ae_title
        self.instances: dict[str, Dataset] = {}
        self.stores = 0

    def __enter__(self) -> PacsPeer:
        entity = AE(self.ae_title)
        entity.supported_contexts = AllStoragePresentationContexts
        self._server: Any = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def _store(self, event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.stores += 1
        self.instances[str(dataset.SOPInstanceUID)] = dataset
        return SUCCESS
