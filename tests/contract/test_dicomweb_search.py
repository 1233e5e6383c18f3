"""QIDO-RS, and every request to a DICOMweb server, over real HTTP: answers of all kinds, and what becomes of them."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import ssl
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.dicom.qido import QidoAsker
from cds.destinations import PeerTls
from cds.domain.retrieval import RemoteInstance, RemoteSeries, RemoteStudy, StudyQuery
from cds.errors import InvalidInstance, PeerFailed, PeerRefused, SightlineError, Unavailable
from cds.imaging_peers import DicomwebServer
from tests.contract.dicomweb_peer import Reply, Request, serving

BY_PATIENT = StudyQuery(patient_id="P-1")


def item(**tags: Any) -> dict[str, object]:
    """A data set in DICOM JSON; `x0020000D="1.2"` is an attribute with one value."""
    return {
        tag[1:]: {"vr": "LO", "Value": value if isinstance(value, list) else [value]} for tag, value in tags.items()
    }


def found(*items: object) -> Reply:
    return Reply(body=json.dumps(items).encode())


def study(uid: str = "1.2.3", **more: Any) -> dict[str, object]:
    return item(x0020000D=uid, **({"x00100020": "P-1"} | more))


def studies(reply: Reply, query: StudyQuery = BY_PATIENT) -> list[RemoteStudy]:
    with serving(lambda request: reply) as peer:
        return list(QidoAsker(peer.server, 5).studies(query))


def test_a_query_asks_with_the_keys_of_the_standard() -> None:
    query = StudyQuery("1.2", "A&C", "P 1", "HOSPITAL", "CT", date(2026, 3, 2))
    with serving(lambda request: found()) as peer:
        assert QidoAsker(peer.server, 5).studies(query) == []
    [asked] = peer.asked
    assert asked.path == "/studies"
    assert dict(asked.query) | {"includefield": ""} == {
        "0020000D": "1.2",
        "00080050": "A&C",
        "00100020": "P 1",
        "00080061": "CT",
        "00080020": "-20260301",
        "includefield": "",
        "limit": "500",
        "offset": "0",
    }
    assert asked.headers["accept"] == "application/dicom+json"
    assert asked.headers["accept-encoding"] == "identity"


def test_a_study_is_read_with_everything_that_the_server_states() -> None:
    full = study(
        x00100021="HOSPITAL",
        x00080050=" ACC-7 ",
        x00080020="20260302",
        x00080030="120000.0",
        x00081030="CT\x07 Chest",
        x00080061=["CT", "SR"],
        x00201206="3",
        x00201208=412.0,
    )
    expected = RemoteStudy(
        "1.2.3", "P-1", "HOSPITAL", "ACC-7", date(2026, 3, 2), "120000.0", "CT  Chest", ("CT", "SR"), 3, 412
    )
    assert studies(found(full)) == [expected]


@pytest.mark.parametrize("odd", [{}, {"vr": "IS"}, {"Value": []}, {"Value": [None]}, {"Value": "x"}, [], 7, None])
def test_attributes_that_make_no_sense_are_empty(odd: object) -> None:
    tags = ("00080020", "00080030", "00080050", "00080061", "00100021", "00201206", "00201208")
    odd_study = study() | {tag: odd for tag in tags if odd != {"Value": "x"} or tag == "00201206"}
    assert studies(found(odd_study)) == [RemoteStudy("1.2.3", "P-1")]


def test_studies_come_newest_first_and_dates_of_any_form_are_read() -> None:
    three = (study("1.1", x00080020="1999.12.31"), study("1.2"), study("1.3", x00080020="2026-03-02"))
    assert [one.study_instance_uid for one in studies(found(*three))] == ["1.3", "1.1", "1.2"]


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        (StudyQuery(patient_id="P-*"), False),
        (StudyQuery(patient_id="p-1"), False),
        (StudyQuery(patient_id="P-1", issuer_of_patient_id="HOSPITAL"), True),
        (StudyQuery(patient_id="P-1", issuer_of_patient_id="CLINIC"), False),
        (StudyQuery(accession_number="ACC-?"), False),
        (StudyQuery(accession_number="ACC-7"), True),
        (StudyQuery(patient_id="P-1", modality="MR"), False),
        (StudyQuery(patient_id="P-1", before=date(2026, 3, 2)), False),
        (StudyQuery(patient_id="P-1", before=date(2026, 3, 3)), True),
        (StudyQuery(study_instance_uid="1.2.4"), False),
    ],
)
def test_what_a_server_finds_beyond_the_query_is_left_out(query: StudyQuery, fits: bool) -> None:
    one = study(x00100021="HOSPITAL", x00080050="ACC-7", x00080061="CT", x00080020="20260302")
    assert bool(studies(found(one), query)) is fits


def test_a_study_without_a_date_is_none_of_earlier_days() -> None:
    assert studies(found(study()), StudyQuery(patient_id="P-1", before=date(2026, 3, 2))) == []


def test_an_issuer_that_the_server_does_not_state_excludes_nothing() -> None:
    assert len(studies(found(study()), StudyQuery(patient_id="P-1", issuer_of_patient_id="CLINIC"))) == 1


def test_pages_are_read_to_the_end() -> None:
    def page(request: Request) -> Reply:
        offset, limit = (int(dict(request.query)[key]) for key in ("offset", "limit"))
        return found(*(study(f"1.{number}") for number in range(offset + 1, min(offset + limit, 700) + 1)))

    with serving(page) as peer:
        assert len(QidoAsker(peer.server, 5).studies(BY_PATIENT)) == 700
    assert len(peer.asked) == 2
    assert peer.connections == 1


def test_a_server_that_gives_fewer_than_asked_for_is_asked_on_while_it_says_there_are_more() -> None:
    def page(request: Request) -> Reply:
        offset = int(dict(request.query)["offset"])
        items = [study(f"1.{number}") for number in range(offset + 1, min(offset + 2, 5) + 1)]
        more = {"Warning": '299 pacs "There are more results"'} if offset + 2 < 5 else {}
        return Reply(body=json.dumps(items).encode(), headers=more)

    with serving(page) as peer:
        assert len(QidoAsker(peer.server, 5).studies(BY_PATIENT)) == 5


def test_a_server_that_ignores_the_offset_is_not_asked_for_ever() -> None:
    same = [study(f"1.{number}") for number in range(1, 501)]
    with serving(lambda request: found(*same)) as peer:
        assert len(QidoAsker(peer.server, 5).studies(BY_PATIENT)) == 500
    assert len(peer.asked) == 2


def test_a_question_that_matches_too_much_is_refused() -> None:
    def endless(request: Request) -> Reply:
        offset = int(dict(request.query)["offset"])
        return found(*(study(f"1.{number}") for number in range(offset + 1, offset + 501)))

    with serving(endless) as peer, pytest.raises(PeerRefused, match="at most 1000 entries"):
        QidoAsker(peer.server, 5).studies(BY_PATIENT)


def test_series_and_instances_are_read() -> None:
    one_series = item(
        x0020000E="1.2.3.4", x00080060="CT", x00180015="CHEST", x0008103E="Lung", x00200011="2", x00201209="3"
    )
    one_instance = item(x00080018="1.2.3.4.5", x00080016="1.2.840.10008.5.1.4.1.1.2")

    def answer(request: Request) -> Reply:
        return found(one_instance if request.path.endswith("/instances") else one_series)

    with serving(answer) as peer:
        asker = QidoAsker(peer.server, 5)
        assert asker.series("1.2.3") == [RemoteSeries("1.2.3", "1.2.3.4", "CT", "CHEST", "Lung", 2, 3)]
        expected = RemoteInstance("1.2.3", "1.2.3.4", "1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.2")
        assert asker.instances("1.2.3", "1.2.3.4") == [expected]
    assert peer.paths == ["/studies/1.2.3/series", "/studies/1.2.3/series/1.2.3.4/instances"]
    assert ("includefield", "00201209") in peer.asked[0].query


@pytest.mark.parametrize("status", [204, 404])
def test_nothing_found_is_empty(status: int) -> None:
    assert studies(Reply(status)) == []


def test_a_uid_that_is_none_is_never_asked_for() -> None:
    with serving(lambda request: found()) as peer:
        for uid in ("../etc", "1.2/3", "", "1..2"):
            with pytest.raises(InvalidInstance):
                QidoAsker(peer.server, 5).series(uid)
    assert peer.asked == []


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (Reply(401), PeerRefused, "does not let us in: 401"),
        (Reply(403), PeerRefused, "does not let us in: 403"),
        (Reply(400, b'{"error": "P-1"}'), PeerRefused, "refuses the request: 400"),
        (Reply(501), PeerRefused, "refuses the request: 501"),
        (Reply(302, headers={"Location": "http://127.0.0.1:9/"}), PeerRefused, "redirects: 302"),
        (Reply(429, headers={"Retry-After": "120"}), Unavailable, "429, which asks to wait 120 s"),
        (Reply(503, headers={"Retry-After": "P-1"}), Unavailable, "answer now: 503$"),
        (Reply(500), PeerFailed, "failed: 500"),
        (Reply(200, b"<html>"), PeerFailed, "not JSON"),
        (Reply(200, b"[" * 100_000), PeerFailed, "not JSON"),
        (Reply(200, b"[1]"), PeerFailed, "no DICOM JSON"),
        (Reply(200, b"[{}]"), PeerFailed, "no valid UID"),
        (Reply(200, b"[]" + b" " * 100, cut=50), Unavailable, "too early"),
        (Reply(200, b"[]" + b" " * 100, cut=50, chunked=True), Unavailable, "does not answer: IncompleteRead"),
        (Reply(200, b"x", headers={"Content-Encoding": "gzip"}), PeerRefused, "not compressed"),
        (Reply(200, b" " * 17_000_000), PeerRefused, "too many bytes"),
    ],
)
def test_other_answers_are_errors_that_say_what_and_no_value(
    reply: Reply, kind: type[SightlineError], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        studies(reply)
    assert "P-1" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_chunked_answer_is_read() -> None:
    many = json.dumps([study(f"1.{number}") for number in range(1, 101)]).encode()
    assert len(studies(Reply(body=many, chunked=True))) == 100


def test_nobody_at_the_address_is_unavailable() -> None:
    with serving(lambda request: found()) as peer:
        server = peer.server
    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        QidoAsker(server, 1).studies(BY_PATIENT)


def test_a_token_is_read_at_each_request_and_never_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = tmp_path / "token"
    caplog.set_level(logging.DEBUG)
    with serving(lambda request: found()) as peer:
        asker = QidoAsker(DicomwebServer(url=peer.url, token_file=token), 5)
        with pytest.raises(Unavailable, match="credentials"):
            asker.studies(BY_PATIENT)
        for value in ("one", "two"):
            token.write_text(f"{value}\n")
            asker.studies(BY_PATIENT)
        token.write_text("a\nb")
        with pytest.raises(Unavailable, match="want a token"):
            asker.studies(BY_PATIENT)
    assert [one.headers["authorization"] for one in peer.asked] == ["Bearer one", "Bearer two"]
    assert "P-1" not in caplog.text
    assert "Bearer" not in caplog.text


def test_a_user_comes_with_the_password_of_the_file(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("geheim-ü")
    with serving(lambda request: found()) as peer:
        QidoAsker(DicomwebServer(url=peer.url, user="ai", password_file=password), 5).studies(BY_PATIENT)
    expected = base64.b64encode("ai:geheim-ü".encode()).decode()
    assert peer.asked[0].headers["authorization"] == f"Basic {expected}"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-out", str(paths[0]), "-keyout", str(paths[1])]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return paths


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate, and is not installed")
def test_over_tls_only_the_named_authority_is_believed_and_ours_is_shown(tmp_path: Path) -> None:
    theirs, ours, other = (certificate(tmp_path, name) for name in ("theirs", "ours", "other"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ours[0]))
    context.load_cert_chain(*theirs)
    context.verify_mode = ssl.CERT_REQUIRED

    def ask(**tls: Path) -> int:
        server = DicomwebServer(url=peer.url, tls=PeerTls(**tls))
        return len(QidoAsker(server, 5).studies(BY_PATIENT))

    with serving(lambda request: found(study()), context) as peer:
        assert ask(ca_file=theirs[0], certificate_file=ours[0], key_file=ours[1]) == 1
        for wrong in ({"ca_file": other[0]}, {"ca_file": theirs[0]}):
            with pytest.raises(Unavailable, match="does not answer"):
                ask(**wrong)
        with pytest.raises(Unavailable, match="SSLCertVerificationError"):
            QidoAsker(peer.server, 5).studies(BY_PATIENT)
