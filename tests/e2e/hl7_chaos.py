"""An HL7 v2 role that is killed under load, and senders that send again what was not answered."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

import sqlalchemy as sa

from adapters.hl7.mllp import Framer, frame
from cds.store.engine import open_messages
from tests.contract.hl7_wire import fields, order
from tests.databases import fresh
from tests.e2e.site import Site, until

_PATIENCE_S = 5.0
#: Frames that every second sender writes before it reads an answer.
_PIPELINED = 4


@dataclass
class Sender:
    """One connection at a time, to a listener that may die: a message is sent until it is answered AA.

    `repeated` counts the messages that were sent and not answered, and so are sent again.
    """

    port: int
    name: str
    pipelined: int
    answered: dict[str, bytes] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    repeated: int = 0

    def run(self, enough: threading.Event) -> None:
        """Send until it is enough, and then what is not answered yet."""
        for number in count():
            if enough.is_set():
                return
            waiting = {}
            for place in range(self.pipelined):
                control_id = f"{self.name}-{number}-{place}"
                waiting[control_id] = order().replace(b"MSG-1", control_id.encode())
            self._send_until_answered(waiting)

    def _send_until_answered(self, waiting: dict[str, bytes]) -> None:
        while waiting:
            try:
                self._exchange(waiting)
            except OSError:
                time.sleep(0.02)

    def _exchange(self, waiting: dict[str, bytes]) -> None:
        """Send all and take the answers off `waiting`; raises OSError where the connection ends before."""
        framer = Framer(1 << 20)
        with socket.create_connection(("127.0.0.1", self.port), _PATIENCE_S) as wire:
            wire.sendall(b"".join(map(frame, waiting.values())))
            try:
                while waiting:
                    for block in framer.feed(_received(wire)):
                        self._take(block, waiting)
            finally:
                self.repeated += len(waiting)

    def _take(self, block: bytes, waiting: dict[str, bytes]) -> None:
        said = next(segment for segment in fields(block) if segment[0] == "MSA")
        if said[1] == "AA":
            self.answered[said[2]] = waiting.pop(said[2])
        else:
            self.refused.append(said[1])


def _received(wire: socket.socket) -> bytes:
    data = wire.recv(65536)
    if not data:
        raise ConnectionError("the listener is gone")
    return data


@dataclass(frozen=True)
class Chaos:
    """What the senders were told, and what the log has."""

    answered: dict[str, bytes]
    refused: list[str]
    repeated: int
    logged: Counter[str]
    raw: dict[str, bytes]


def chaos(one: Site, *, kills: int, senders: int) -> Chaos:
    """Kill the HL7 role so often under the load of so many senders; it is started anew every time."""
    port = int(one.environment["CDS_HL7_PORT"])
    with fresh(one.data_dir, one.environment.get("CDS_DATABASE_URL", "")):
        pass
    sending = [Sender(port, f"S{number}", _PIPELINED if number % 2 else 1) for number in range(senders)]
    enough, role = threading.Event(), _start(one, port)
    with ThreadPoolExecutor(senders) as pool:
        running = [pool.submit(sender.run, enough) for sender in sending]
        try:
            for kill in range(kills):
                _under_load(sending, running, senders * 3)
                time.sleep(kill % 7 * 0.003)
                role.send_signal(signal.SIGKILL)
                role.wait(10)
                role = _start(one, port)
            _under_load(sending, running, senders * 3)
        finally:
            enough.set()
        for future in running:
            future.result(60)
    os.kill(role.pid, signal.SIGKILL)
    role.wait(10)
    return _told(one, sending)


def _start(one: Site, port: int) -> subprocess.Popen[bytes]:
    role = one.start(sys.executable, "-P", "-m", "cds", "hl7")

    def listens() -> bool:
        assert role.poll() is None, f"the role ended: {one.log.read_text()[-3000:]}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens, 30, f"the listener; the log is {one.log}", every_s=0.02)
    return role


def _under_load(sending: list[Sender], running: list[Future[None]], more: int) -> None:
    """Wait until so many more messages are answered."""
    before = sum(len(sender.answered) for sender in sending)

    def arrived() -> bool:
        for future in running:
            assert not future.done(), future.exception()
        return sum(len(sender.answered) for sender in sending) >= before + more

    until(arrived, 30, f"{more} more answers", every_s=0.002)


def _told(one: Site, sending: list[Sender]) -> Chaos:
    inbox = open_messages(one.data_dir, one.environment.get("CDS_DATABASE_URL", ""))
    try:
        with inbox.reading() as session:
            rows = session.execute(sa.text("SELECT control_id, raw FROM message")).all()
    finally:
        inbox.dispose()
    return Chaos(
        answered={name: block for sender in sending for name, block in sender.answered.items()},
        refused=[said for sender in sending for said in sender.refused],
        repeated=sum(sender.repeated for sender in sending),
        logged=Counter(name for name, _ in rows),
        raw={name: bytes(block) for name, block in rows},
    )
