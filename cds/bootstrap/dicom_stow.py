"""What a STOW-RS request does, for the web role: its libraries are loaded with the first one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import IO, TYPE_CHECKING

from cds.bootstrap import Stores
from cds.services import Json
from cds.settings import Settings

if TYPE_CHECKING:
    from adapters.dicom.arrival import Arrivals


def stow(settings: Settings, held: Stores) -> Callable[[IO[bytes], str, str], tuple[int, Json]]:
    """See `cds.services.Services.store_instances`; `held` commits durably."""

    @cache
    def into() -> Arrivals:
        from cds.bootstrap.dicom import arrivals

        found = arrivals(settings, held, "web")
        found.discard_partial()  # of a web process that crashed; what another one is receiving stays
        return found

    def store(body: IO[bytes], content_type: str, study: str) -> tuple[int, Json]:
        from adapters.dicom.stow_server import store

        answer = store(body, content_type, study, into())
        return answer.status, answer.dataset

    return store
