"""`cds check` asks the PACS, over real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from cds.bootstrap.dicom_check import destination_check, priority_check, source_check
from cds.settings import Settings
from tests.contract.dicomweb_archive import Held
from tests.contract.dicomweb_peer import Reply, serving
from tests.e2e.site import free_port


def site(folder: Path, **tables: dict[str, Any]) -> Settings:
    return Settings(data_dir=folder, **tables)


def test_a_dicomweb_pacs_that_answers_is_fine_and_is_asked_for_nobody(tmp_path: Path) -> None:
    with serving(Held().answer) as peer:
        source = {"retrieve": "wado-rs", "dicomweb": {"url": peer.url}}
        check = source_check(site(tmp_path, pacs_sources={"archive": source}), "archive")
        assert [request.path for request in peer.asked] == ["/studies"]
    assert (check.ok, check.detail) == (True, "answers QIDO-RS, images come by WADO-RS")


@pytest.mark.parametrize("status", [401, 500])
def test_a_dicomweb_pacs_that_refuses_or_fails_is_not(status: int, tmp_path: Path) -> None:
    with serving(lambda request: Reply(status)) as peer:
        destination = {"dicomweb": {"url": peer.url}}
        settings = site(tmp_path, pacs_destinations={"pacs": destination})
        check = destination_check(settings, "pacs")
    assert not check.ok
    assert "CDS_PACS_DESTINATIONS" in check.how_to_fix


@pytest.mark.parametrize("retrieve", ["c-get", "c-move"])
def test_a_dimse_pacs_answers_c_find_and_c_echo(retrieve: str, tmp_path: Path) -> None:
    asked: list[str] = []

    def find(event: evt.Event) -> Any:
        asked.append(str(event.identifier.StudyInstanceUID))
        yield from ()

    peer = AE(ae_title="PACS")
    peer.add_supported_context(Verification)
    peer.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = peer.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    try:
        node = {"host": "127.0.0.1", "port": server.server_address[1], "ae_title": "PACS"}
        settings = site(
            tmp_path,
            pacs_sources={"archive": {"retrieve": retrieve, "node": node}},
            pacs_destinations={"pacs": node},
        )
        source, destination = source_check(settings, "archive"), destination_check(settings, "pacs")
    finally:
        server.shutdown()
    assert source.ok, source.detail
    assert len(asked) == 1
    assert ("AE title SIGHTLINE, port 11112" in source.detail) is (retrieve == "c-move")
    assert (destination.ok, destination.detail) == (True, "answers C-ECHO")


def test_a_pacs_that_nobody_runs_is_told_with_what_to_do(tmp_path: Path) -> None:
    node = {"host": "127.0.0.1", "port": free_port(), "ae_title": "PACS"}
    settings = site(
        tmp_path, pacs_sources={"archive": {"retrieve": "c-get", "node": node}}, pacs_destinations={"pacs": node}
    )
    for check in (source_check(settings, "archive"), destination_check(settings, "pacs")):
        assert not check.ok
        assert check.how_to_fix


def test_a_url_with_another_path_is_not_taken_for_a_pacs_without_studies(tmp_path: Path) -> None:
    with serving(lambda request: Reply(404)) as peer:
        server = {"dicomweb": {"url": peer.url}}
        settings = site(
            tmp_path, pacs_sources={"archive": {"retrieve": "wado-rs", **server}}, pacs_destinations={"pacs": server}
        )
        found = source_check(settings, "archive"), destination_check(settings, "pacs")
    assert [(check.ok, "want a URL below which there is /studies" in check.detail) for check in found] == [
        (False, True),
        (False, True),
    ]
    assert all("URL" in check.how_to_fix for check in found)


def test_a_worklist_that_listens_or_answers_a_search_is_fine_and_another_is_told(tmp_path: Path) -> None:
    gone = {"message": "ORM^O01", "hl7": {"host": "127.0.0.1", "port": free_port()}}
    with serving(lambda request: Reply(204)) as peer:
        listener = {"message": "OMI^O23", "hl7": {"host": "127.0.0.1", "port": urlsplit(peer.url).port}}
        worklist = {"message": "UPS-RS", "dicomweb": {"url": peer.url}}
        settings = site(tmp_path, priority_destinations={"ris": listener, "ups": worklist, "gone": gone})
        ris, ups, nobody = (priority_check(settings, name) for name in ("ris", "ups", "gone"))
        assert "/workitems" in [request.path for request in peer.asked]
    assert ris.ok, ris.detail
    assert (ups.ok, ups.detail) == (True, "answers UPS-RS")
    assert not nobody.ok
    assert "CDS_PRIORITY_DESTINATIONS" in nobody.how_to_fix
