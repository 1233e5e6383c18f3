"""What tells a person something, as ORU^R01 of HL7 v2.5.1 over MLLP: critical results and reminders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from adapters.hl7 import encode
from adapters.hl7.client import Peer
from adapters.hl7.encode import Encoded
from adapters.hl7.proof import prove
from adapters.hl7.segments import OUR_NAME, Envelope, header, software
from cds.destinations import MllpDestination


class Notice(Protocol):
    """Anything that is said at a time."""

    @property
    def sent_at(self) -> datetime:
        """When it is sent."""
        ...


Said = TypeVar("Said", bound=Notice)


class NoticeOru(ABC, Generic[Said]):
    """Port Channel over MLLP. `facility` names the site in MSH-4; times are written in `time_zone`."""

    def __init__(self, name: str, destination: MllpDestination, *, facility: str, time_zone: str) -> None:
        self._name = name
        self._destination = destination
        self._facility = facility
        self._time_zone = time_zone
        self._peer = Peer(destination)

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._name

    def encode(self, notice: Said, delivery_id: str) -> bytes:
        """The block, proven readable; MSH-10 numbers the delivery, so that a person's answer can name it."""
        to = self._destination
        envelope = Envelope(
            message_control_id=self._number(delivery_id),
            sending_application=OUR_NAME,
            sending_facility=self._facility,
            receiving_application=to.application,
            receiving_facility=to.facility,
            time_zone=self._time_zone,
            processing_id=to.processing,
        )
        said = self._segments(notice, envelope.zone)
        return prove(encode.message([header(envelope, notice.sent_at), software(), *said]))

    def send(self, payload: bytes) -> str:
        """See ReportSink.send. The peer's AA says that its system has the message, not that a person does."""
        return self._peer.send(payload)

    @abstractmethod
    def _number(self, delivery_id: str) -> str:
        """MSH-10 of a delivery."""

    @abstractmethod
    def _segments(self, notice: Said, zone: ZoneInfo) -> Iterator[Encoded]:
        """What follows MSH and SFT."""
