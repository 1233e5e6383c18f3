"""What the web application and the workflow are given: ports and callables, nothing concrete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from cds.domain.critical import CriticalResult
from cds.domain.hold import Hold
from cds.ports import Clock, ResourceStore
from cds.settings import Settings

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that readiness depends on: its name, whether it works, and why not."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may use. `bootstrap` fills it."""

    settings: Settings
    clock: Clock
    resources: ResourceStore
    #: CDS Hooks discovery document.
    discovery: Callable[[], Json]
    #: service id, parsed request → response; raises NotFound, InvalidResource, PreconditionFailed.
    call_service: Callable[[str, Mapping[str, object]], Json]
    #: FHIR CapabilityStatement for a base URL.
    capability: Callable[[str], Json]
    #: FHIR searchset Bundle of a page: (base url, resource type, page, self query, next query or None).
    searchset: Callable[..., Json]
    #: OperationOutcome of an error: (issue code, text).
    outcome: Callable[[str, str], Json]
    #: What readiness depends on, probed now, within a second.
    probes: Callable[[], tuple[Probe, ...]]
    #: Everything that waits for a person, oldest first.
    holds: Callable[[], Sequence[Hold]]
    #: What is alarming now, a line each; empty where all is well.
    banner: Callable[[], tuple[str, ...]]
    #: A critical result by the secret of its link; raises NotFound.
    critical: Callable[[str], CriticalResult]
    #: (the secret of a link, a person's name) → the critical result afterwards; raises NotFound and InvalidInput.
    acknowledge_critical: Callable[[str, str], CriticalResult]
    #: What a FHIR Communication acknowledges; raises InvalidResource, NotFound.
    acknowledge_communication: Callable[[Mapping[str, object]], None]
    #: Keeps a radiologist's DiagnosticReport; False where it says nothing new.
    file_final_report: Callable[[Json], bool]
    #: (body, content type, Study Instance UID or "") → HTTP status and the Store Instances Response as DICOM JSON;
    #: raises InvalidInput, OutOfResources, Unavailable.
    store_instances: Callable[[IO[bytes], str, str], tuple[int, Json]]
    #: The bearer token that HTTP callers must show; None on loopback without authentication.
    token: str | None = None
