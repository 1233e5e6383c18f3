"""`cds check`: whether what is configured can be reached and written, each answer with what to do about it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cds.destinations import ListenerTls, MllpDestination, is_loopback
from cds.exclusive import Door, doors, holder, why_closed
from cds.hook_peers import INSECURE
from cds.settings import Settings, unknown_variables

#: Older ones can corrupt a WAL database that several processes write and checkpoint (the WAL-reset bug).
OLDEST_SQLITE = (3, 51, 3)
#: Locks and shared memory of SQLite do not work there.
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "lustre", "afs"}
)
PACKAGES = ("cds", "adapters", "models")

_THIS_YEAR_OR_LATER = 2026
_PEER_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: what was looked at, whether it is fine, what was found, and how to put it right.

    `warns` where it works as it was configured and nobody should leave it so.
    """

    name: str
    ok: bool
    detail: str
    how_to_fix: str = ""
    warns: bool = False


def hook_callers(settings: Settings) -> Check:
    """Who may call CDS Hooks: a server that answers nobody, or everybody, is no mistake of its settings alone."""
    how = "set CDS_HOOK_CLIENTS: the EHRs that call, with their keys"
    if settings.insecure:
        return Check("CDS Hooks", True, INSECURE, how, warns=True)
    if settings.hook_clients:
        return Check("CDS Hooks", True, f"{', '.join(sorted(settings.hook_clients))} may call {settings.public_url}")
    if settings.http_token_file is None:
        return Check("CDS Hooks", True, "nobody may call: no EHR is configured", how, warns=True)
    return Check("CDS Hooks", True, "whoever has the token of CDS_HTTP_TOKEN_FILE may call")


def http_door(settings: Settings) -> Check:
    """Whoever is let in by a proxy reaches what is open to the machine itself."""
    host = urlsplit(settings.public_url).hostname or ""
    reached = settings.http_token_file is None and not is_loopback(host)
    detail = f"{settings.public_url} is not loopback, and every route but CDS Hooks answers without a token"
    fix = "set CDS_HTTP_TOKEN_FILE, or let the proxy pass /cds-services alone of this port"
    return Check(
        "HTTP",
        True,
        detail if reached else "what wants a token has one, or is reached from here alone",
        fix,
        warns=reached,
    )


def run_checks(settings: Settings, extra: Sequence[Callable[[], Check]] = ()) -> list[Check]:
    """Every check, in the order in which a newcomer should mend them; `extra` are those that need a concrete store."""
    return [
        packages(),
        variables(),
        clock(settings.time_zone),
        data_folder(settings.data_dir),
        free_space(settings.data_dir, settings.minimum_free_bytes),
        file_system(settings.data_dir),
        sqlite(sqlite_version()),
        *(port(door, settings.data_dir) for door in doors(settings)),
        http_door(settings),
        hook_callers(settings),
        *tls(settings),
        *(peer(name, destination) for name, destination in sorted(settings.oru_destinations.items())),
        *(check() for check in extra),
    ]


def data_folder(folder: Path) -> Check:
    """A file can be written and reaches the disk."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"sightline")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fix = "make it writable for this user, or set CDS_DATA_DIR to a folder that is"
        return Check("data folder", False, f"{folder}: {error.strerror or type(error).__name__}", fix)
    return Check("data folder", True, f"{folder} can be written, and fsync works")


def free_space(folder: Path, minimum_bytes: int) -> Check:
    """Room for what arrives: below the minimum, C-STORE is answered 0xA700; HL7 goes on until the disk is full."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check("free space", False, f"{folder}: {error.strerror}", "mend the data folder first")
    detail = f"{free / 2**30:.1f} GiB free, want {minimum_bytes / 2**30:.2f} GiB (CDS_MINIMUM_FREE_BYTES)"
    return Check("free space", free >= minimum_bytes, detail, "make room on that disk, or move CDS_DATA_DIR")


def file_system(folder: Path, mounts: Path = Path("/proc/mounts")) -> Check:
    """SQLite in WAL mode needs a disk of this machine."""
    kind = _kind_of_file_system(folder.resolve(), mounts)
    fix = "set CDS_DATA_DIR to a local disk, or CDS_DATABASE_URL to PostgreSQL"
    return Check("file system", kind not in NETWORK_FILE_SYSTEMS, f"the data folder is on {kind or 'unknown'}", fix)


def _kind_of_file_system(folder: Path, mounts: Path) -> str:
    """The type of the deepest mount above the folder, the last one mounted where two share a place; proc(5)."""
    best, kind = -1, ""
    with suppress(OSError):
        for line in mounts.read_text(errors="surrogateescape").splitlines():
            _, place, found, *_ = line.split(" ")
            point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place))
            if folder.is_relative_to(point) and len(point.parts) >= best:
                best, kind = len(point.parts), found
    return kind


def sqlite_version() -> str:
    """The version of the library that the store uses: the bundled one, else the system's."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        import sqlite3 as dbapi2
    return str(dbapi2.sqlite_version)


def sqlite(version: str) -> Check:
    """New enough not to corrupt a database that several roles write."""
    wanted = ".".join(str(part) for part in OLDEST_SQLITE)
    ok = tuple(int(part) for part in version.split(".")) >= OLDEST_SQLITE
    return Check("sqlite", ok, f"SQLite {version}, want {wanted} or newer", "install the wheel pysqlite3 (make setup)")


def port(door: Door, folder: Path) -> Check:
    """Free, or held by the server of this data folder."""
    reason = why_closed(door)
    owner = holder(folder) if reason else None
    if owner is not None:
        return Check(f"port {door.port}", True, f"{door.variable}: held by the running Sightline (pid {owner})")
    fix = f"set {door.variable} to a free port"
    return Check(f"port {door.port}", not reason, reason or f"{door.variable}: free on {door.host}", fix)


def packages(find: Callable[[str], str | None] | None = None) -> Check:
    """`cds`, `adapters` and `models` are ours, all three: PyPI has packages of the latter names."""
    origins = {name: (find or _origin)(name) for name in PACKAGES}
    homes = {Path(origin).parent.parent if origin else None for origin in origins.values()}
    detail = ", ".join(f"{name} from {origin or 'nowhere'}" for name, origin in origins.items())
    fix = "install Sightline into a clean environment (make setup) and start it outside folders with such a package"
    return Check("packages", len(homes) == 1 and None not in homes, detail, fix)


def _origin(name: str) -> str | None:
    spec = importlib.util.find_spec(name)
    return spec.origin if spec else None


def variables() -> Check:
    """Every `CDS_…` variable is one that is read."""
    unknown = unknown_variables()
    detail = f"nobody reads {', '.join(unknown)}" if unknown else "every CDS_ variable is known"
    return Check("variables", not unknown, detail, "correct the spelling, or unset it")


def clock(time_zone: str, *, now: datetime | None = None) -> Check:
    """The wall clock is plausible and runs evenly; dates of reports and of follow-ups come from it."""
    moment = now or datetime.now(UTC)
    drift_s = _drift_s()
    ok = moment.year >= _THIS_YEAR_OR_LATER and drift_s < 1
    detail = f"{moment.isoformat(timespec='seconds')}, site in {time_zone}"
    if drift_s >= 1:
        detail += f", stepped by {drift_s:.0f} s while looking"
    return Check("clock", ok, detail, "set the machine's clock and let NTP keep it")


def _drift_s(look_s: float = 0.05) -> float:
    wall, steady = time.time(), time.monotonic()
    time.sleep(look_s)
    return abs((time.time() - wall) - (time.monotonic() - steady))


def clocks_agree(theirs: datetime, ours: datetime, *, whose: str) -> Check:
    """The database's clock and ours, both timezone-aware, differ by less than five seconds."""
    apart_s = abs((theirs - ours).total_seconds())
    detail = f"the clock of {whose} is {apart_s:.1f} s apart from this machine's"
    return Check(f"clock of {whose}", apart_s < 5, detail, "let NTP keep both clocks")  # noqa: PLR2004 - said above


def tls(settings: Settings) -> list[Check]:
    """Certificate, key and CA of each listener that has them can be read and fit together."""
    more = {f"CDS_HL7_LISTENERS {name}": door.tls for name, door in settings.hl7_listeners.items()}
    tables = {"CDS_HL7_TLS": settings.hl7_tls, **more, "CDS_DICOM_TLS": settings.dicom_tls}
    return [_tls(name, table) for name, table in tables.items() if table is not None]


def _tls(name: str, table: ListenerTls) -> Check:
    fix = "give the PEM files of one certificate and its key without a passphrase, and of the CA of the clients"
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(table.certificate_file, table.key_file, password=lambda: "")
        if table.client_ca_file is not None:
            context.load_verify_locations(table.client_ca_file)
    except (OSError, ValueError) as error:
        return Check(name, False, f"cannot be used: {getattr(error, 'reason', None) or error}", fix)
    return Check(name, True, "certificate, key and CA can be read and fit")


def peer(name: str, destination: MllpDestination) -> Check:
    """Somebody listens at the destination; nothing is sent."""
    where = f"{destination.host}:{destination.port}"
    try:
        socket.create_connection((destination.host, destination.port), timeout=_PEER_TIMEOUT_S).close()
    except OSError as error:
        detail = f"{where} does not answer: {error.strerror or type(error).__name__}"
        return Check(f"destination {name}", False, detail, "start the receiver, or correct CDS_ORU_DESTINATIONS")
    return Check(f"destination {name}", True, f"{where} listens")
