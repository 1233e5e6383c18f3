"""What `cds dicom send` and `cds dicom echo` do: find the peer, ask it."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cds.errors import InvalidInput, NotFound, SightlineError
from cds.imaging_peers import DicomNode
from cds.settings import Settings, load

if TYPE_CHECKING:
    from adapters.dicom.sender import StoreResult

_PEER = re.compile(r"(?P<ae>[^@\\]+)@(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s:\[\]@]+)):(?P<port>\d{1,5})")

#: What is said of files that came after one on which the peer hung up, and after how many such files it is believed.
_ENDED, _MOST_ENDS = "the association ended", 3


@dataclass(frozen=True, slots=True)
class Sent:
    """What a peer said of one file."""

    path: Path
    stored: bool
    said: str = ""


def send(files: Sequence[Path], to: str, *, calling: str, timeout_s: float) -> list[Sent]:
    """C-STORE of files and of what folders hold; raise NotFound, InvalidInput, Unavailable or PeerRefused.

    A file on which the peer hangs up stops no other: they go over a new association, three times in vain at most.
    """
    from adapters.dicom import sender

    to_node, paths = node(to, calling), _paths(files)
    sent, in_vain = _told(sender.send(paths, to_node, timeout_s=timeout_s)), 0
    while (left := [path for path, one in sent.items() if one.said == _ENDED]) and in_vain < _MOST_ENDS:
        try:
            again = _told(sender.send(left, to_node, timeout_s=timeout_s))
        except SightlineError:  # what is known of the first files counts more than that nobody answers any more
            break
        in_vain = 0 if any(one.stored for one in again.values()) else in_vain + 1
        sent.update(again)
    return list(sent.values())


def echo(peer: str, *, calling: str, timeout_s: float) -> float:
    """C-ECHO; the seconds that it took, opening the association included. Raises as `send` does."""
    from adapters.dicom import sender

    to_node, started = node(peer, calling), time.monotonic()
    sender.echo(to_node, timeout_s=timeout_s)
    return time.monotonic() - started


def node(peer: str, calling: str = "") -> DicomNode:
    """A peer by its name in the settings, or AE_TITLE@HOST:PORT, which needs no settings to be right."""
    found = _PEER.fullmatch(peer)
    named = _written(found) if found else _configured(load(), peer)
    return named.model_copy(update={"calling_ae_title": calling}) if calling else named


def _written(found: re.Match[str]) -> DicomNode:
    try:
        return DicomNode(host=found["six"] or found["host"], port=int(found["port"]), ae_title=found["ae"])
    except ValueError as error:  # pydantic's is one
        raise InvalidInput("want AE_TITLE@HOST:PORT with 1 to 16 characters and a port of 1 to 65535") from error


def _configured(settings: Settings, name: str) -> DicomNode:
    nodes = {key: one.node for key, one in settings.pacs_sources.items()}
    nodes |= {key: one.node for key, one in settings.pacs_destinations.items() if one.node or key not in nodes}
    if name not in nodes:
        known = ", ".join(sorted(nodes)) or "none is configured"
        raise NotFound(f"want AE_TITLE@HOST:PORT or a PACS of the settings ({known})")
    found = nodes[name]
    if found is None:
        raise InvalidInput("want a PACS with host, port and ae_title: this one is reached by DICOMweb alone")
    return found


def _paths(files: Sequence[Path]) -> list[Path]:
    """Files as given, and of folders what begins as a DICOM file does (PS3.10 section 7.1)."""
    paths: list[Path] = []
    for file in files:
        paths += [file] if file.is_file() else sorted(one for one in file.rglob("*") if _is_dicom(one))
    return paths


def _is_dicom(path: Path) -> bool:
    if not path.is_file() or path.name.upper() == "DICOMDIR":
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _told(answers: Sequence[StoreResult]) -> dict[Path, Sent]:
    return {one.path: Sent(one.path, one.stored, _said(one.status, one.comment)) for one in answers}


def _said(status: int | None, comment: str) -> str:
    clean = "".join(letter if letter.isprintable() else " " for letter in comment).strip()
    if status is None:
        return clean or "no answer"
    return "" if status == 0 else f"0x{status:04X} {clean}".strip()
