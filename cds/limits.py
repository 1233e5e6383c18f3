"""The bounds of the doors and of the decoder, as tables of the settings. Durations are seconds, sizes bytes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cds.destinations import Table


class Hl7Limits(Table):
    """Bounds of the MLLP listener: bytes, seconds, and how many at once."""

    max_frame_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    idle_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    in_frame_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    total_frame_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    max_connections: Annotated[int, Field(ge=1)] = 256
    max_connections_per_peer: Annotated[int, Field(ge=1)] = 128
    #: Messages that are committed and not applied yet; at more of them senders wait.
    max_inbox_depth: Annotated[int, Field(ge=1)] = 100_000


class DicomLimits(Table):
    """Bounds of the DICOM listener and decoder."""

    max_associations: Annotated[int, Field(ge=1)] = 16
    max_pdu_bytes: Annotated[int, Field(ge=4096)] = 131072
    network_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    max_instance_bytes: Annotated[int, Field(ge=1024)] = 512 * 1024 * 1024
    max_series_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024 * 1024
    require_called_ae_title: bool = True
    max_connections_per_peer: Annotated[int, Field(ge=1)] = 16
    #: Processes that decode pixels, each with its own bounds of memory and of time for one task.
    decode_processes: Annotated[int, Field(ge=1, le=64)] = 2
    decode_memory_bytes: Annotated[int, Field(ge=256 * 1024 * 1024)] = 2 * 1024 * 1024 * 1024
    decode_timeout_s: Annotated[float, Field(gt=0)] = 60.0
