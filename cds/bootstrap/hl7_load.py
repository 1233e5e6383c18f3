"""Messages by hand: files into the inbox, the folder that files are taken from, and messages to a peer."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cds.bootstrap import stores
from cds.bootstrap.hl7 import message_log
from cds.clock import SystemClock
from cds.domain.audit import AuditEvent
from cds.errors import ConfigurationError, InvalidInput, Unavailable
from cds.ports import MessageLog
from cds.render.hl7_load import FileLoaded, Refused, Sent, told
from cds.settings import Settings
from cds.store.heartbeats import alive


def load_files(settings: Settings, paths: list[Path], *, dry_run: bool, by: str) -> Iterator[FileLoaded]:
    """Load each file as a whole or not at all, as far as its counts go; a message that is refused is kept as such.

    `dry_run` says what would be refused, and keeps nothing. Raise Unavailable where the inbox cannot be written: the
    file can be loaded again, what is in the inbox is recognised.
    """
    from adapters.hl7.load import Unlogged, file_ref

    if dry_run:
        yield from (_load(settings, path, Unlogged(), None) for path in paths)
        return
    log, audit, clock = message_log(settings), stores(settings).audit, SystemClock(settings.time_zone)
    for path in paths:
        loaded = _load(settings, path, log, settings.data_dir)
        counts = f"{loaded.messages} messages, {loaded.refused} refused, {loaded.duplicates} duplicates"
        what = "refused" if loaded.problems else counts
        audit.write(AuditEvent(clock.now(), by, "HL7 v2 file loaded", detail=(f"file {file_ref(path.name)}", what)))
        yield loaded


def intake_is_alive(settings: Settings) -> bool:
    """True where a role runs that applies what is in the inbox."""
    return "intake" in alive(stores(settings).database, SystemClock(settings.time_zone))


def watch_folder(settings: Settings, stopped: threading.Event, crowded: Callable[[], bool] = lambda: False) -> None:
    """Take files from the site's folder until stopped; returns at once where the site has none. For a thread.

    `crowded` says that the inbox is full. An error that nobody foresaw stops the role, which the supervisor restarts.
    """
    if settings.hl7_folder is None:
        return
    from adapters.hl7.folder import DropFolder
    from adapters.hl7.load import Loader

    clock = SystemClock(settings.time_zone)
    most = settings.hl7_limits.max_frame_bytes
    try:
        loader = Loader(message_log(settings), clock, settings.senders, max_bytes=most)
        DropFolder(settings.hl7_folder, loader, clock, crowded=crowded).watch(stopped)
    finally:
        stopped.set()


def read_blocks(path: Path, *, batch: bool) -> tuple[list[bytes], tuple[str, ...]]:
    """What there is to send in a file, and what is wrong with it; raise InvalidInput where there is nothing."""
    from adapters.hl7.mapped import contents
    from adapters.hl7.sender import blocks

    try:
        with path.open("rb") as file, contents(file, path.stat().st_size) as data:
            return blocks(data, batch=batch)
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}") from error
    except InvalidInput as error:
        raise InvalidInput(f"{path.name}: {error}") from error


def send_blocks(
    found: Sequence[bytes], host: str, port: int, *, timeout_s: float, tls: ssl.SSLContext | None, repeat: int = 1
) -> Iterator[Sent]:
    """Send over one connection and give every answer; where the peer is gone, how many were not sent.

    With `repeat` all of it so often, each time with control ids of its own, see
    `adapters.hl7.sender.repeated`. Raise Unavailable where it cannot be reached.
    """
    from adapters.hl7.sender import connected, repeated

    waiting = len(found) * repeat
    with connected(host, port, timeout_s, tls) as peer:
        for block in (repeated(block, turn) for turn in range(1, repeat + 1) for block in found):
            waiting -= 1
            for said in peer.send(block):
                yield Sent(said.control_id, said.code, said.text, said.errors, said.round_trip_ms, said.ok, said.why)
            if peer.broken:
                break
    if waiting:
        yield Sent(why=f"{waiting} more were not sent")


def tls_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS where a CA or a certificate is given; raise ConfigurationError where they cannot be used."""
    if (certificate is None) != (key is None):
        raise ConfigurationError(["want --tls-cert and --tls-key together"])
    if ca is None and certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if certificate is not None and key is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        what = "the certificate of --tls-ca, or --tls-cert with --tls-key"
        raise ConfigurationError([f"{what} cannot be used: {error.strerror or type(error).__name__}"]) from error
    return context


def _load(settings: Settings, path: Path, log: MessageLog, scratch: Path | None) -> FileLoaded:
    from adapters.hl7.layout import layout
    from adapters.hl7.load import Loader
    from adapters.hl7.mapped import MOST_BYTES, contents

    clock, most = SystemClock(settings.time_zone), settings.hl7_limits.max_frame_bytes
    accepted, duplicates, count = 0, 0, 0
    refused: list[Refused] = []
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > MOST_BYTES:
                return FileLoaded(path.name, problems=(f"want at most {MOST_BYTES} bytes in a file",))
            with contents(file, size, scratch) as data:
                found = layout(data)
                if found.problems:
                    return FileLoaded(path.name, problems=tuple(str(problem) for problem in found.problems))
                for outcome in Loader(log, clock, settings.senders, max_bytes=most).load(data, found.spans, path.name):
                    count += 1
                    accepted += not outcome.refusal
                    duplicates += outcome.duplicate and not outcome.refusal
                    if outcome.refusal:
                        refused.append(
                            Refused(outcome.number, outcome.control_id, _said(outcome.code, outcome.refusal))
                        )
    except OSError as error:
        return FileLoaded(path.name, problems=(f"it cannot be read: {error.strerror}",))
    except Unavailable as error:
        raise type(error)(f"{path.name}: {error}; {count} of its messages are in the inbox") from error
    return FileLoaded(path.name, count, accepted, duplicates, len(refused), told(refused))


def _said(code: str, refusal: str) -> str:
    return f"{code} {refusal}".strip()
