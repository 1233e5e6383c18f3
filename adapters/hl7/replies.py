"""Application acknowledgments of enhanced mode on their way back to the sender (HL7 v2.5.1 section 2.9.3)."""

from __future__ import annotations

from adapters.hl7.client import Peer
from cds.destinations import MllpDestination


class ReplyChannel:
    """Port Channel over MLLP to where a sender takes application acknowledgments."""

    def __init__(self, name: str, destination: MllpDestination) -> None:
        self._name = name
        self._peer = Peer(destination)

    @property
    def name(self) -> str:
        """`acknowledgment:<sender>`."""
        return self._name

    def send(self, payload: bytes) -> str:
        """See ReportSink.send."""
        return self._peer.send(payload)
