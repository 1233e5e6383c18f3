"""What it costs to keep what arrives: our receiver over its real index and disk, against an SCP that keeps nothing.

Each time is the best of several rounds, which take turns: what else the machine does comes on top of either.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.presentation import AllStoragePresentationContexts

from cds.limits import DicomLimits
from cds.store.engine import open_app
from cds.store.studies import StudyStore
from tests.databases import fresh
from tests.peers.dicom_peers import AE_TITLE, files_below, noise, receiving, write_series

pytestmark = pytest.mark.bench

_SLICES, _ROUNDS = 200, 7
_PDU = 131072
#: Sends the files of a folder again and again, with the UIDs of its round, and says how long each round took. An
#: association's own thread may take an answer that comes at once for a request of the peer's: pynetdicom pauses it
#: before each request, but does not see that it is still about to run from the last one. Here it never looks.
_SENDER = """
import sys, time, pydicom
from pathlib import Path
from pynetdicom import AE, build_context
images = [pydicom.dcmread(path) for path in sorted(Path(sys.argv[1]).iterdir())]
entity = AE("SENDER")
entity.requested_contexts = [build_context(images[0].SOPClassUID, images[0].file_meta.TransferSyntaxUID)]
for line in sys.stdin:
    port, number = line.split()
    for image in images:
        image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
        image.SOPInstanceUID = f"1.2.3.{number}.1.{image.InstanceNumber}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    association = attentive(entity.associate("127.0.0.1", int(port), ae_title="SIGHTLINE"))
    take = association.dimse.get_msg
    association.dimse.get_msg = lambda block=False, take=take: take(block) if block else (None, None)
    started = time.perf_counter()
    statuses = {association.send_c_store(image).Status for image in images}
    seconds = time.perf_counter() - started
    association.release()
    print(seconds, sorted(statuses) == [0], flush=True)
"""


@contextmanager
def sender(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _SENDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            assert child.stdin is not None
            child.stdin.close()


def seconds(child: subprocess.Popen[str], port: int, number: int) -> float:
    """How long this sender took to send all of its images, all of which were stored."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{port} {number}\n")
    child.stdin.flush()
    took, stored = child.stdout.readline().split()
    assert stored == "True"
    return float(took)


@contextmanager
def forgetting() -> Iterator[int]:
    """pynetdicom's own SCP, with PDUs as large as ours; its port."""
    entity = AE(AE_TITLE)
    entity.maximum_pdu_size = _PDU
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, _success)])
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


def _success(_: Event) -> int:
    return 0


def test_durable_receive_takes_at_most_half_as_long_again_as_an_scp_that_keeps_nothing(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", noise(_SLICES, 512, 512))
    with fresh(tmp_path / "data") as databases, sender(tmp_path / "series") as child, forgetting() as other:
        durable = open_app(databases.data_dir, "", durable=True)
        index = StudyStore(durable, assigning_authority="HOSPITAL", accession_issuer="RIS")
        with receiving(databases.data_dir, index, DicomLimits()) as receiver:
            seconds(child, other, 0), seconds(child, receiver.port, 100)
            theirs, ours = [], []
            for number in range(1, _ROUNDS + 1):
                theirs.append(seconds(child, other, number))
                ours.append(seconds(child, receiver.port, 100 + number))
        durable.dispose()
        kept = len(files_below(databases.data_dir / "instances"))
    ratio = min(ours) / min(theirs)
    print(
        f"\n{_SLICES} CT, best of {_ROUNDS}: ours {min(ours):.2f} s, "
        f"keeping nothing {min(theirs):.2f} s, ratio {ratio:.2f}"
    )
    assert kept == (_ROUNDS + 1) * len(paths)
    assert ratio <= 1.5
