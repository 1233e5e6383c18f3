"""One payload on its way: by FHIR, or by HL7 v2 where the FHIR server cannot take it and the site has another way."""

from __future__ import annotations

from typing import Protocol

from adapters.fhir import payload as payloads
from adapters.fhir.payload import Payload
from adapters.fhir.plan import NotTaken, Plan
from adapters.fhir.writing import BundleWriter
from cds.errors import PeerRefused


class Otherwise(Protocol):
    """The other way of a destination."""

    def send(self, payload: bytes) -> str:
        """See ReportSink.send."""
        ...


class Sending:
    """Sends what a destination encoded. `otherwise` is its way by HL7 v2, None where the site has none."""

    def __init__(self, writer: BundleWriter, otherwise: Otherwise | None) -> None:
        self._writer = writer
        self._otherwise = otherwise

    def send(self, payload: bytes) -> str:
        """The acknowledgment, which says the way it went.

        PeerRefused "undeliverable" where neither way takes it. What is withdrawn and does not stand at the FHIR server
        is withdrawn by HL7 v2 too: it may have gone that way before.
        """
        said = payloads.read(payload)
        words: list[str] = []

        def before(plan: Plan) -> None:
            if plan.withdraws and not plan.main_stands and said.hl7 and self._otherwise and not words:
                words.append(f"by HL7 v2 too: {self._otherwise.send(said.hl7)}")

        try:
            return "; ".join([self._writer.write(said.bundle, before), *words])
        except NotTaken as error:
            return self._other_way(said, error)

    def _other_way(self, said: Payload, error: NotTaken) -> str:
        if self._otherwise is None:
            raise PeerRefused(f"undeliverable: {error}; set hl7 of this destination, and it goes as ORU^R01") from None
        if not said.hl7:
            why = said.why_not or "it was encoded before hl7 was set"
            raise PeerRefused(f"undeliverable: {error}, and there is no ORU^R01 of it: {why}") from None
        return f"by HL7 v2, for {error}: {self._otherwise.send(said.hl7)}"
