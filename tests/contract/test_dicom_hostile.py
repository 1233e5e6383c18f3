"""Instances and peers that mean harm, at the doors: one verdict each, and everybody else is served."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from adapters.dicom.header import HEADER_TAGS
from adapters.dicom.scan import scan
from adapters.dicom.sender import echo
from cds.errors import InvalidInstance
from cds.limits import DicomLimits
from tests.peers.dicom_peers import (
    MemoryIndex,
    arrivals_into,
    element,
    files_below,
    implicit,
    node_at,
    receiving,
)

UID = b"1.2.3.4\0"
NAMES = {0x00080016: CTImageStorage.encode() + b"\0", 0x00080018: UID, 0x0020000D: UID, 0x0020000E: UID}


def data_set(tag: int, vr: bytes, value: bytes) -> bytes:
    """A CT instance in which one element is coded like this."""
    elements = {name: element(name, b"UI", uid) for name, uid in NAMES.items()} | {tag: element(tag, vr, value)}
    return b"".join(elements[name] for name in sorted(elements))


@pytest.mark.parametrize("vr", [b"US", b"UL", b"FD", b"FL", b"SQ", b"OB", b"ZZ", b"AT"])
@pytest.mark.parametrize("tag", [0x00100010, 0x00100020, 0x00080020, 0x00200032, 0x00280008])
def test_a_value_that_does_not_fit_its_vr_is_a_flag_and_no_failure(tag: int, vr: bytes, tmp_path: Path) -> None:
    arrivals = arrivals_into(tmp_path, MemoryIndex())
    encoded = data_set(tag, vr, b"abc")
    pending = arrivals.prepare(
        encoded, ExplicitVRLittleEndian, sop_class_uid=CTImageStorage, sop_instance_uid="1.2.3.4"
    )
    assert [one.what for one in arrivals.commit([pending], source="dicom")] == ["new"]


@pytest.mark.parametrize("tag", [0x00080005, 0x0020000E])
def test_a_uid_or_character_set_that_cannot_be_read_is_refused(tag: int, tmp_path: Path) -> None:
    arrivals = arrivals_into(tmp_path, MemoryIndex())
    with pytest.raises(InvalidInstance):
        arrivals.prepare(
            data_set(tag, b"US", b"abc"),
            ExplicitVRLittleEndian,
            sop_class_uid=CTImageStorage,
            sop_instance_uid="1.2.3.4",
        )
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("day", [b"00010101", b"99991231"])
def test_a_date_at_the_edge_of_the_calendar_is_none(day: bytes, tmp_path: Path) -> None:
    arrivals = arrivals_into(tmp_path, MemoryIndex())
    encoded = data_set(0x00080020, b"DA", day)
    pending = arrivals.prepare(
        encoded, ExplicitVRLittleEndian, sop_class_uid=CTImageStorage, sop_instance_uid="1.2.3.4"
    )
    assert pending.stored.header.study_date is None
    assert pending.stored.header.flags == ("unreadable StudyDate",)


def test_a_sequence_of_a_hundred_thousand_items_is_stepped_over_and_not_parsed() -> None:
    groups = implicit(0x52009230, implicit(0xFFFEE000, b"") * 100_000)
    found = scan(groups + implicit(0x7FE00010, b"12"), ImplicitVRLittleEndian, HEADER_TAGS)
    assert 0x52009230 not in found.spans


def connected(stack: ExitStack, port: int, said: bytes) -> None:
    """Sixteen connections from another address of loopback."""
    for _ in range(16):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)))
        connection.sendall(said)


def test_connections_that_ask_for_nothing_take_no_place_of_another_host(tmp_path: Path) -> None:
    with receiving(tmp_path, MemoryIndex()) as receiver, ExitStack() as stack:
        connected(stack, receiver.port, b"")
        echo(node_at(receiver.port), timeout_s=5)


def test_a_pdu_that_drips_ends_its_connection(tmp_path: Path) -> None:
    limits = DicomLimits(network_timeout_s=0.5)
    with (
        receiving(tmp_path, MemoryIndex(), limits) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port)) as connection,
    ):
        connection.sendall(struct.pack(">BxI", 1, 50_000))
        connection.settimeout(0.1)
        deadline, answer = time.monotonic() + 15, None
        while answer is None and time.monotonic() < deadline:
            try:
                connection.sendall(b".")
                answer = connection.recv(16)
            except TimeoutError:
                continue
            except OSError:
                answer = b""
    assert answer is not None
