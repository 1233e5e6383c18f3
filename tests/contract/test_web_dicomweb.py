"""DICOMweb of the pages: what it answers (PS3.18), to whom, and that a client of the standard can use it."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from email import message_from_bytes
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from werkzeug.serving import make_server

from adapters.dicom.qido import QidoAsker
from adapters.dicom.wado import WadoFetcher
from cds.domain.imaging import Study
from cds.domain.retrieval import StudyQuery
from cds.imaging_peers import DicomwebServer
from cds.limits import DicomLimits
from cds.ui.people import Person, Role
from tests.contract.images_site import CLINICIAN, RADIOLOGIST, ImagesSite, images_site, reported
from tests.lifecycle.stage import ANNA, BERTA
from tests.peers.dicom_peers import MemoryIndex, arrivals_into
from tests.ui_doors import staff

OHIF = "https://ohif.example"
SECRET = "a-token-of-this-installation"
RLE = "application/octet-stream; transfer-syntax=*"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImagesSite]:
    """Anna's reported head CT, her earlier one compressed with RLE, and Berta's that nobody has read."""
    folder = tmp_path_factory.mktemp("site")
    token = folder / "token"
    token.write_text(SECRET)
    with images_site(folder, viewer={"origins": [OHIF]}, http_token_file=token) as found:
        stage = found.stage
        earlier = stage.images(ANNA, seed="before", accession_number="ACC-0", study_date=date(2025, 11, 1))
        stage.store([compressed(path) for path in earlier])
        reported(found)
        stage.scan(BERTA)
        yield found


def compressed(path: Path) -> Path:
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    return path


def study(site: ImagesSite, accession: str) -> Study:
    assert site.services.images is not None
    found = site.services.images.dicomweb.studies(RADIOLOGIST, _asks(accession))
    return found[0][1]


def _asks(accession: str) -> Any:
    from cds.ui.dicomweb import StudySearch

    return StudySearch(accession_number=accession)


def get(site: ImagesSite, path: str, accept: str = "", who: Person | None = RADIOLOGIST, **headers: str) -> Any:
    given = {"Accept": accept, **headers} if accept else dict(headers)
    return site.browser(who).get(f"/dicomweb{path}", headers=given)


def instance_of(site: ImagesSite, accession: str) -> str:
    uid = study(site, accession).study_instance_uid
    (first, *_) = get(site, f"/studies/{uid}/instances").json
    return f"/studies/{uid}/series/{first['0020000E']['Value'][0]}/instances/{first['00080018']['Value'][0]}"


def parts(answer: Any) -> list[tuple[str, bytes]]:
    """The parts of a multipart/related answer, as Python's own parser of MIME sees them."""
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    told = message_from_bytes(head + answer.data)
    assert told.is_multipart()
    return [(part["Content-Type"], part.get_payload(decode=True)) for part in told.get_payload()]


@pytest.fixture(scope="module")
def routes(site: ImagesSite) -> list[str]:
    one = instance_of(site, "ACC-1")
    series, of_study = one.rpartition("/instances/")[0], one.partition("/series/")[0]
    return [
        "/studies?AccessionNumber=ACC-1",
        f"{of_study}/series",
        f"{of_study}/instances",
        f"{series}/instances",
        f"{of_study}/metadata",
        f"{series}/metadata",
        f"{one}/metadata",
        of_study,
        series,
        one,
        f"{one}/frames/1",
        f"{one}/rendered",
        f"{one}/thumbnail",
        f"{one}/frames/1/rendered",
        f"{one}/frames/1/thumbnail",
        f"{one}/bulkdata/7FE00010",
    ]


def test_radiologists_and_the_care_team_of_a_released_study_may_read(site: ImagesSite, routes: list[str]) -> None:
    for route in routes:
        for who in (RADIOLOGIST, CLINICIAN, site.launched(study(site, "ACC-1"))):
            assert get(site, route, who=who).status_code == 200, (route, who.name)


def test_nobody_else_may(site: ImagesSite, routes: list[str]) -> None:
    for route in routes:
        assert get(site, route, who=None).status_code == 401, route
        for role in (Role.COORDINATOR, Role.ENGINEER, Role.AUDITOR, Role.ADMINISTRATOR):
            assert get(site, route, who=staff(role)).status_code == 403, (route, role)


def test_a_session_of_one_patient_finds_no_other(site: ImagesSite, routes: list[str]) -> None:
    stranger = site.launched(study(site, "ACC-1"), "another patient")
    for route in routes:
        assert get(site, route, who=stranger).status_code in (204, 404), route


def test_what_is_not_released_is_not_there_for_the_care_team(site: ImagesSite) -> None:
    uid = study(site, BERTA.accession).study_instance_uid
    assert get(site, f"/studies/{uid}/metadata").status_code == 200
    assert get(site, f"/studies/{uid}/metadata", who=CLINICIAN).status_code == 404
    assert get(site, f"/studies?AccessionNumber={BERTA.accession}", who=CLINICIAN).status_code == 204
    assert get(site, "/studies", who=CLINICIAN).status_code == 400


def test_a_program_shows_the_token_of_the_installation(site: ImagesSite) -> None:
    assert get(site, "/studies", who=None, Authorization=f"Bearer {SECRET}").status_code == 200
    answer = get(site, "/studies", who=None, Authorization="Bearer another")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="Sightline"')
    assert answer.content_type == "text/plain; charset=utf-8"


def test_studies_are_found_by_what_the_standard_names(site: ImagesSite) -> None:
    uid = study(site, "ACC-1").study_instance_uid
    for query, expected in {
        "": 3,
        "PatientID=A": 2,
        "00100020=A": 2,
        "AccessionNumber=ACC-1": 1,
        f"StudyInstanceUID={uid}": 1,
        f"StudyInstanceUID={uid}%5C1.2.3": 1,
        "StudyDate=20251101": 1,
        "StudyDate=20251102-": 2,
        "StudyDate=-20251101": 1,
        "StudyDate=20250101-20261231": 3,
        "ModalitiesInStudy=CT": 3,
        "ModalitiesInStudy=MR": 0,
        "limit=1": 1,
        "offset=2": 1,
        "PatientID=A&StudyDate=20251101": 1,
        "PatientID=nobody": 0,
        "includefield=all&fuzzymatching=false": 3,
    }.items():
        answer = get(site, f"/studies?{query}")
        assert len(answer.json if answer.status_code == 200 else []) == expected, query
        assert answer.status_code == (200 if expected else 204), query


def test_a_search_that_would_find_too_much_is_refused(site: ImagesSite) -> None:
    for query in ("PatientName=Z*", "PatientID=*", "StudyDate=today", "limit=many", "ModalitiesInStudy=%25", "Rows=16"):
        assert get(site, f"/studies?{query}").status_code == 400, query


def test_a_study_is_told_with_what_the_standard_requires(site: ImagesSite) -> None:
    """PS3.18 table 10.6.3-3."""
    (told,) = get(site, "/studies?AccessionNumber=ACC-1").json
    uid = study(site, "ACC-1").study_instance_uid
    values = {tag: one.get("Value", [None])[0] for tag, one in told.items()}
    assert values["0020000D"] == uid
    assert values["00100010"] == {"Alphabetic": "Zzyzxwitz^Anna"}
    assert (values["00080061"], values["00100020"], values["00100040"]) == ("CT", "A", "F")
    assert (values["00201206"], values["00201208"]) == (1, 4)
    assert values["00081190"].endswith(f"/dicomweb/studies/{uid}")
    assert list(told) == sorted(told)


def test_metadata_has_every_attribute_and_pixels_by_their_address(site: ImagesSite) -> None:
    one = instance_of(site, "ACC-1")
    (told,) = get(site, f"{one}/metadata", "application/dicom+json").json
    assert told["00280010"] == {"vr": "US", "Value": [16]}
    assert told["00083002"]["Value"] == [str(ExplicitVRLittleEndian)]
    address = told["7FE00010"]["BulkDataURI"]
    answer = get(site, address.partition("/dicomweb")[2], "application/octet-stream")
    assert len(answer.data) == 16 * 16 * 2
    assert len(get(site, f"{one.partition('/series/')[0]}/metadata").json) == 4


def test_instances_come_uncompressed_unless_the_caller_takes_them_as_stored(site: ImagesSite) -> None:
    one = instance_of(site, "ACC-0")
    for accept, syntax in (
        ("", ExplicitVRLittleEndian),
        ('multipart/related; type="application/dicom"', ExplicitVRLittleEndian),
        ('multipart/related; type="application/dicom"; transfer-syntax=*', RLELossless),
        (f"application/dicom; transfer-syntax={RLELossless}", RLELossless),
        ("application/dicom", ExplicitVRLittleEndian),
    ):
        answer = get(site, one, accept)
        body = parts(answer)[0][1] if "multipart" in answer.content_type else answer.data
        dataset = pydicom.dcmread(io.BytesIO(body))
        assert dataset.file_meta.TransferSyntaxUID == syntax, accept
        assert int(dataset.pixel_array[5, 5] + dataset.RescaleIntercept) in (35, 75)
    uncompressed = [pydicom.dcmread(io.BytesIO(body)) for _, body in parts(get(site, one.partition("/series/")[0]))]
    assert len(uncompressed) == 4


def test_frames_come_as_little_endian_or_as_they_are_stored(site: ImagesSite) -> None:
    one = instance_of(site, "ACC-0")
    ((kind, body),) = parts(get(site, f"{one}/frames/1"))
    assert kind == f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
    stored = pydicom.dcmread(io.BytesIO(get(site, one, "application/dicom").data))
    assert np.array_equal(np.frombuffer(body, stored.pixel_array.dtype).reshape(16, 16), stored.pixel_array)
    for accept, expected in (
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", "application/octet-stream"),
        ('multipart/related; type="image/dicom-rle"', "image/dicom-rle"),
    ):
        ((kind, body),) = parts(get(site, f"{one}/frames/1", accept))
        assert kind == f"{expected}; transfer-syntax={RLELossless}"
        assert body[:4] == (2).to_bytes(4, "little"), "two segments of a 16 bit RLE frame (PS3.5 annex G)"
    alone = get(site, f"{one}/frames/1", "application/octet-stream")
    assert (alone.content_type.partition(";")[0], len(alone.data)) == ("application/octet-stream", 512)


def test_what_cannot_be_answered_in_a_form_that_the_caller_takes_is_406(site: ImagesSite) -> None:
    one = instance_of(site, "ACC-0")
    for route, accept in (
        (f"{one}/frames/1", "image/jls"),
        (f"{one}/rendered", "image/gif"),
        (one, "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"),
        (one.partition("/series/")[0], "application/dicom"),
        (f"{one}/metadata", "application/dicom+xml"),
        ("/studies", 'multipart/related; type="application/dicom+xml"'),
    ):
        assert get(site, route, accept).status_code == 406, (route, accept)


def test_a_rendered_frame_has_the_window_and_size_that_are_asked_for(site: ImagesSite) -> None:
    """Centre 35 and width 2 is a step: brain (35 HU) is (35 - 34.5) / 1 + 0.5 = 1 → white."""
    one = instance_of(site, "ACC-1")
    answer = get(site, f"{one}/rendered?window=35,2,linear", "image/png")
    assert np.unique(np.asarray(Image.open(io.BytesIO(answer.data)))).tolist() == [255]
    assert get(site, f"{one}/rendered", "image/jpeg,*/*;q=0.5").content_type == "image/jpeg"
    small = get(site, f"{one}/frames/1/rendered?viewport=8,8", "image/png")
    assert Image.open(io.BytesIO(small.data)).size == (8, 8)
    for query in ("viewport=a,b", "viewport=0,8", "quality=0", "window=1"):
        assert get(site, f"{one}/rendered?{query}", "image/png").status_code == 400, query


@pytest.mark.parametrize(
    "tail", ["/frames/2", "/frames/9999999", "/frames/0", "/frames/x", "/bulkdata/00100010/x", "/bulkdata/00990099"]
)
def test_what_an_image_does_not_have_is_not_there(site: ImagesSite, tail: str) -> None:
    assert get(site, instance_of(site, "ACC-1") + tail).status_code in (400, 404)


def test_addresses_that_are_no_uids_are_not_there(site: ImagesSite) -> None:
    for route in ("/studies/x/series", "/studies/1.2.3/series", f"/studies/{'1.' * 40}1/metadata", "/studies/1..2"):
        assert get(site, route).status_code == 404, route


def test_a_browser_of_an_allowed_origin_may_read_and_no_other(site: ImagesSite) -> None:
    asked = site.browser(None).open(
        "/dicomweb/studies", method="OPTIONS", headers={"Origin": OHIF, "Access-Control-Request-Method": "GET"}
    )
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, OHIF)
    assert get(site, "/studies", Origin=OHIF).headers["Access-Control-Allow-Origin"] == OHIF
    for origin in ("https://evil.example", "null", f"{OHIF}.evil.example"):
        answer = get(site, "/studies", Origin=origin)
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


def test_every_patient_that_somebody_was_shown_is_in_the_audit_log(tmp_path: Path) -> None:
    with images_site(tmp_path) as site:
        uid = reported(site).study_instance_uid
        get(site, "/studies")
        get(site, f"/studies/{uid}/metadata")
        get(site, f"/studies/{uid}/metadata")
        assert site.seen == [("radiologist", "images searched", uid), ("radiologist", "images viewed", uid)]


def test_an_image_that_cannot_be_decoded_is_refused_in_words(tmp_path: Path) -> None:
    with images_site(tmp_path) as site:
        reported(site)
        one = instance_of(site, "ACC-1")
        for path in site.stage.held.studies.files(study(site, "ACC-1").study_instance_uid):
            file = site.stage.settings.data_dir / path
            file.write_bytes(file.read_bytes()[:-200])
        for tail in ("/frames/1", "/rendered"):
            answer = get(site, one + tail)
            assert (answer.status_code, answer.content_type) == (406, "text/plain; charset=utf-8"), tail


@contextmanager
def serving(site: ImagesSite) -> Iterator[DicomwebServer]:
    """The pages behind a real socket, as another program reaches them."""
    server = make_server("127.0.0.1", 0, site.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        token = site.stage.settings.http_token_file
        yield DicomwebServer(url=f"http://127.0.0.1:{server.server_port}/dicomweb", token_file=token)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_client_of_the_standard_finds_and_fetches(site: ImagesSite, tmp_path: Path) -> None:
    """Our own, which is tested against Orthanc and others."""
    with serving(site) as server:
        asker = QidoAsker(server, 10)
        first, second = asker.studies(StudyQuery(patient_id="A"))
        assert (first.accession_number, second.accession_number, first.instances) == ("ACC-1", "ACC-0", 4)
        (series,) = asker.series(second.study_instance_uid)
        found = asker.instances(second.study_instance_uid, series.series_instance_uid)
        index = MemoryIndex()
        fetcher = WadoFetcher(
            server, arrivals_into(tmp_path, index), source="pacs:self", timeout_s=10, parallel=1, limits=DicomLimits()
        )
        fetched = fetcher.fetch(series, [])
        assert (fetched.arrived, fetched.failed) == (4, 0)
        assert {one.header.sop_instance_uid for one in index.instances} == {one.sop_instance_uid for one in found}
        assert {one.header.transfer_syntax_uid for one in index.instances} == {str(RLELossless)}
