"""What the web application and the workflow are given: ports and callables, nothing concrete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from cds.domain.critical import CriticalResult
from cds.domain.hold import Hold
from cds.errors import ConfigurationError
from cds.ports import Clock, ResourceStore
from cds.settings import Settings

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that readiness depends on: its name, whether it works, and why not."""

    name: str
    ok: bool
    detail: str = ""


class Notified(Protocol):
    """Where other FHIR servers notify us; see `cds.web.subscriptions`."""

    def allow(self, subscription_id: str, secret: str) -> None:
        """Raise Unauthorized where the secret is not that of the subscription."""
        ...

    def take(self, subscription_id: str, secret: str, body: bytes, *, resource_type: str, resource_id: str) -> None:
        """Keep a notification; type and id are those of the address. Raise Unauthorized, InvalidResource."""
        ...


@dataclass(frozen=True, slots=True)
class HookProof:
    """An EHR that proved who it is, by its name in the settings.

    `fresh` says whether its token was never used before, once that is committed: ask it before anything is answered.
    """

    client: str
    fresh: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class HookServices:
    """CDS Hooks as dict in, dict out; `client` is the name of the EHR that calls, empty where none is configured."""

    #: The discovery document.
    discovery: Callable[[], Json]
    #: (service id, request, client) → response; raises NotFound, InvalidResource, PreconditionFailed, NothingEvaluated.
    call: Callable[[str, Mapping[str, object], str], Json]
    #: (service id, feedback, client) → OperationOutcome; raises NotFound, InvalidResource, Unavailable.
    feedback: Callable[[str, Mapping[str, object], str], Json]
    #: (token, the URL that was called) → who calls; raises Unauthorized. None where no EHR is configured.
    prove: Callable[[str, str], HookProof] | None = None


def _no_jwks() -> Json:
    return {"keys": []}


def _no_key() -> bytes:
    raise ConfigurationError(["want a key for links to further pages: Services.seal_key"])


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may use. `bootstrap` fills it."""

    settings: Settings
    clock: Clock
    resources: ResourceStore
    hooks: HookServices
    #: FHIR CapabilityStatement for a base URL.
    capability: Callable[[str], Json]
    #: See `adapters.fhir.bundle.searchset`.
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
    #: Keeps a radiologist's DiagnosticReport or announces an ImagingStudy; False where it says nothing new.
    take: Callable[[Json], bool]
    #: The same of a transaction or batch Bundle; answers the response Bundle.
    take_bundle: Callable[[Json], Json]
    #: Who FHIR servers notify of what is new.
    notified: Notified
    #: (body, content type, Study Instance UID or "") → HTTP status and the Store Instances Response as DICOM JSON;
    #: raises InvalidInput, OutOfResources, Unavailable.
    store_instances: Callable[[IO[bytes], str, str], tuple[int, Json]]
    #: The bearer token that HTTP callers must show; None on loopback without authentication.
    token: str | None = None
    #: An access token for the FHIR API → what it grants; raises Unauthorized. None where no issuer is configured.
    access: Callable[[str], object] | None = None
    #: Our public keys as a JWK Set.
    jwks: Callable[[], Json] = _no_jwks
    #: 32 random bytes that all web processes of an installation share: they seal the links to further pages.
    seal_key: Callable[[], bytes] = _no_key
