"""One block in, its acknowledgment out: check, commit, and only then AA (DESIGN section 3, rule 1)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from adapters.hl7 import ack
from adapters.hl7.check import check
from adapters.hl7.header import Header, read_header
from cds import metrics
from cds.domain.message import RawMessage
from cds.errors import InvalidMessage, SightlineError
from cds.logs import get_logger
from cds.ports import Clock, MessageLog

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Receiver:
    """What MllpServer calls for each block. A message that nobody reads here (SIU, MDM) is committed and AA too."""

    log: MessageLog
    clock: Clock

    async def __call__(self, block: bytes, peer: str) -> bytes:
        """AA once the log's commit is done; AE or AR with ERR where the check or the log says no."""
        header: Header | None = None
        try:
            header = read_header(block)
            message = check(block, peer, self.clock.now(), header)
            await self._commit(message)
        except SightlineError as error:
            answer = ack.reject(header, error, self.clock.now())
            metrics.HL7_MESSAGES.inc(outcome=ack.code(error))
            condition = error.condition if isinstance(error, InvalidMessage) else error.hl7_error
            fields = _fields(header, block, peer)
            _log.warning("message refused", ack_code=ack.code(error), condition=condition, **fields)
            return answer
        _log.info("message committed", ack_code="AA", sha256=message.sha256, **_fields(header, block, peer))
        metrics.HL7_MESSAGES.inc(outcome="AA")
        return ack.accept(header, self.clock.now())

    async def _commit(self, message: RawMessage) -> None:
        """A connection that goes away must not cancel a commit that its log has taken."""
        await asyncio.shield(asyncio.wrap_future(self.log.append(message)))


def _fields(header: Header | None, block: bytes, peer: str) -> dict[str, str | int]:
    known = {"message_control_id": header.component(10), "message_type": header.component(9)} if header else {}
    return {"peer": peer, "size": len(block), **known}
