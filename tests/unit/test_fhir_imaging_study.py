"""ImagingStudy as an event: which images, of which order, where; and what is refused, ignored or noted."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir.imaging_study import StudyReader
from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.fhir_news import ImagesGone, ImagesThere, Nothing, Reason
from cds.domain.identity import Identifier
from cds.errors import InvalidResource
from tests.unit.clinical import reference

Json = dict[str, Any]

V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
WADO = {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "dicom-wado-rs"}
READER = StudyReader(
    source="FHIR ehr",
    identifier_systems={
        "https://h.example/mrn": "HOSP",
        "https://h.example/orders": "EHR",
        "https://h.example/acc": "RIS",
    },
    accession_issuer="SITE",
    zone=ZoneInfo("Europe/Berlin"),
    consumes=lambda modality: modality in ("CT", ""),
)


def nothing(_reference: str) -> Mapping[str, object]:
    return {}


def study(**members: object) -> Json:
    body: Json = {
        "resourceType": "ImagingStudy",
        "id": "is1",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}],
        "started": "2026-11-20T09:50:00+01:00",
        "series": [{"uid": "1.2.840.1.1", "modality": {"code": "CT"}, "numberOfInstances": 100}],
    }
    return {name: value for name, value in {**body, **members}.items() if value is not None}


def there(body: Json, follow: Any = nothing) -> ImagesThere:
    news = READER.read(body, follow)
    assert isinstance(news, ImagesThere)
    return news


def event(body: Json, follow: Any = nothing) -> StudyEvent:
    return there(body, follow).event


def number(kind: str, value: str, system: str = "") -> Json:
    return {
        "type": {"coding": [{"system": V2, "code": kind}]},
        "value": value,
        **({"system": system} if system else {}),
    }


def test_a_study_names_its_uid_its_series_and_when_it_began() -> None:
    said = event(study())
    assert said == StudyEvent(
        StudyEventKind.IMAGES_AVAILABLE,
        "FHIR ehr",
        occurred_at=datetime(2026, 11, 20, 8, 50, tzinfo=UTC),
        study_instance_uid="1.2.840.1",
        series=(("1.2.840.1.1", 100),),
    )


def example(name: str) -> Json:
    """An example of R4."""
    folder = os.environ.get("CDS_REFERENCE_DIR")
    if folder is None:
        pytest.skip("CDS_REFERENCE_DIR is not set: the examples of R4 are not in this repository")
    body: Json = json.loads((reference(Path(folder)) / "fhir-examples" / name).read_bytes())
    return body


def test_the_example_of_r4_is_read() -> None:
    said = event(example("ImagingStudy-example.json"))
    assert said.study_instance_uid == "2.16.124.113543.6003.1154777499.30246.19789.3503430045"
    assert said.series == (("2.16.124.113543.6003.2588828330.45298.17418.2723805630", 1),)


def test_the_example_of_a_radiograph_concerns_no_model_that_reads_ct() -> None:
    body = example("ImagingStudy-example-xr.json")
    assert READER.read(body, nothing) == Nothing(Reason.NOT_CONSUMED)
    reads_it = replace(READER, consumes=lambda modality: modality == "DX").read(body, nothing)
    assert isinstance(reads_it, ImagesThere)
    assert reads_it.event.accession == Identifier("W12342398", "SITE")


def test_the_numbers_of_the_order_have_their_issuers() -> None:
    said = event(
        study(
            identifier=[
                *study()["identifier"],
                number("ACSN", "A1", "https://h.example/acc"),
                number("PLAC", "P1", "https://h.example/orders"),
                number("FILL", "F1", "https://h.example/orders"),
            ]
        )
    )
    assert said.accession == Identifier("A1", "RIS")
    assert said.placer_order_number == Identifier("P1", "EHR")
    assert said.filler_order_number == Identifier("F1", "EHR")


def test_a_number_of_an_unknown_system_is_nobodys() -> None:
    strange = [number("ACSN", "A1", "https://elsewhere.example"), number("PLAC", "P1")]
    said = event(study(identifier=[*study()["identifier"], *strange]))
    assert (said.accession, said.placer_order_number) == (None, None)


def test_an_order_may_be_named_by_identifier_or_by_reference() -> None:
    by_identifier = event(study(basedOn=[{"identifier": number("ACSN", "A2")}]))
    assert by_identifier.accession == Identifier("A2", "SITE")
    asked: list[str] = []

    def follow(at: str) -> Mapping[str, object]:
        asked.append(at)
        return {"resourceType": "ServiceRequest", "identifier": [number("ACSN", "A3")]}

    assert event(study(basedOn=[{"reference": "ServiceRequest/o1"}]), follow).accession == Identifier("A3", "SITE")
    assert asked == ["ServiceRequest/o1"]
    both = event(study(basedOn=[{"reference": "ServiceRequest/o1", "identifier": number("ACSN", "A2")}]), follow)
    assert both.accession == Identifier("A2", "SITE"), "what the study says itself stands"


def test_whose_it_is_is_asked_for_where_an_order_could_be_anothers() -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "https://h.example/mrn", "value": "4711"}]}
    named = study(subject={"reference": "Patient/p1"}, basedOn=[{"identifier": number("ACSN", "A2")}])
    found = there(named, lambda at: patient if at == "Patient/p1" else {}).patient
    assert found is not None
    assert found.identifiers == (Identifier("4711", "HOSP"),)
    assert there(study(subject={"reference": "Patient/p1"}), lambda at: patient).patient is None
    said = study(subject={"identifier": {"system": "https://h.example/mrn", "value": "1"}}, basedOn=named["basedOn"])
    assert there(said).patient is not None


# --- the endpoint


def endpoint(address: str, **members: object) -> Json:
    return {"resourceType": "Endpoint", "status": "active", "connectionType": WADO, "address": address, **members}


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("https://pacs.example/dicom-web", "https://pacs.example/dicom-web"),
        ("https://PACS.example:443/dicom-web/", "https://pacs.example/dicom-web"),
        ("http://pacs.example:8042/dicom-web/studies/1.2.840.1", "http://pacs.example:8042/dicom-web"),
        ("https://[::1]:8443/wado/studies", "https://[::1]:8443/wado"),
        ("https://user:secret@pacs.example/dicom-web", ""),
        ("ftp://pacs.example/dicom-web", ""),
        ("https://pacs.example:none/", ""),
        ("", ""),
    ],
)
def test_an_endpoint_gives_the_dicomweb_base_url(address: str, base: str) -> None:
    body = study(contained=[{**endpoint(address), "id": "e"}], endpoint=[{"reference": "#e"}])
    assert event(body).endpoint == base


@pytest.mark.parametrize(
    "members",
    [
        {"status": "off"},
        {"status": "entered-in-error"},
        {"connectionType": {"code": "hl7-fhir-rest"}},
        {"resourceType": "Organization"},
    ],
)
def test_an_endpoint_that_is_not_in_use_or_no_dicomweb_is_none(members: Json) -> None:
    body = study(endpoint=[{"reference": "Endpoint/e"}])
    assert event(body, lambda at: endpoint("https://pacs.example", **members)).endpoint == ""


def test_wado_comes_before_qido_and_the_study_before_its_series() -> None:
    known = {
        "Endpoint/q": endpoint("https://q.example", connectionType={"code": "dicom-qido-rs"}),
        "Endpoint/w": endpoint("https://w.example"),
        "Endpoint/s": endpoint("https://s.example"),
    }
    series = [{**study()["series"][0], "endpoint": [{"reference": "Endpoint/s"}]}]
    body = study(endpoint=[{"reference": "Endpoint/q"}, {"reference": "Endpoint/w"}], series=series)
    assert event(body, known.__getitem__).endpoint == "https://w.example"
    assert event(study(series=series), known.__getitem__).endpoint == "https://s.example"


# --- what decides


@pytest.mark.parametrize("status", ["registered", "unknown"])
def test_images_that_are_not_there_are_no_event(status: str) -> None:
    assert READER.read(study(status=status), nothing) == Nothing(Reason.NOT_YET)


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_study_that_was_withdrawn_is_noted(status: str) -> None:
    assert READER.read(study(status=status), nothing) == ImagesGone("1.2.840.1", status, "FHIR ehr")


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"resourceType": "Media"}, "want an ImagingStudy"),
        ({"status": None}, "ImagingStudy.status wants a code of imagingstudy-status"),
        ({"status": "final"}, "ImagingStudy.status wants a code of imagingstudy-status"),
        ({"identifier": []}, "ImagingStudy.identifier wants the Study Instance UID"),
        ({"identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.x"}]}, "wants a DICOM UID"),
        ({"identifier": [{"system": "urn:dicom:uid", "value": "1." + "2" * 70}]}, "wants a DICOM UID"),
        (
            {"identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:1.{n}"} for n in (1, 2)]},
            "wants one Study Instance UID",
        ),
        ({"series": [{"uid": "x", "modality": {"code": "CT"}, "numberOfInstances": 1}]}, "ImagingStudy.series.uid"),
        ({"series": [{"uid": "1.2", "modality": {"code": "CT"}, "numberOfInstances": -1}]}, "numberOfInstances"),
    ],
)
def test_what_is_malformed_is_refused_with_the_element_and_what_was_wanted(members: Json, wanted: str) -> None:
    with pytest.raises(InvalidResource, match=wanted.replace(".", r"\.")):
        READER.read(study(**members), nothing)


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"identifier": [*study()["identifier"], number("ACSN", "A\0001")]}, "NUL"),
        ({"series": [{"uid": "1.2", "modality": {"code": "CT"}, "numberOfInstances": 2**31}]}, "unsignedInt"),
        ({"extension": functools.reduce(lambda inner, _: [{"extension": inner}], range(300), [])}, "nested"),
    ],
)
def test_what_no_table_could_keep_is_refused(members: Json, wanted: str) -> None:
    with pytest.raises(InvalidResource, match=wanted):
        READER.read(study(**members), nothing)


def test_an_accession_number_alone_is_enough() -> None:
    said = event(study(identifier=[number("ACSN", "A1")]))
    assert (said.study_instance_uid, said.accession) == (None, Identifier("A1", "SITE"))


@pytest.mark.parametrize(
    ("members", "consumed"),
    [
        ({"series": [], "modality": [{"code": "MR"}]}, False),
        ({"series": [], "modality": [{"code": "MR"}, {"code": "CT"}]}, True),
        ({"series": []}, True),
        ({"series": [{"uid": "1.2", "modality": {"code": "SR"}}], "modality": [{"code": "CT"}]}, False),
        ({"series": [{"uid": "1.2"}]}, True),
        ({"series": [{"uid": "1.2", "modality": {"code": "ct"}}]}, True),
    ],
)
def test_what_no_model_reads_is_no_event_and_what_is_not_said_may_be_read(members: Json, consumed: bool) -> None:
    assert isinstance(READER.read(study(**members), nothing), ImagesThere) is consumed


def test_a_series_of_which_nothing_is_there_is_not_there_yet() -> None:
    empty = [{**study()["series"][0], "numberOfInstances": 0}]
    assert READER.read(study(series=empty), nothing) == Nothing(Reason.NOT_YET)


# --- the same event, or another one

CT = {"uid": "1.2.840.1.1", "modality": {"code": "CT"}, "numberOfInstances": 100}


@pytest.mark.parametrize(
    "members",
    [
        {"description": "read by Dr Roe"},
        {"note": [{"text": "late"}]},
        {"meta": {"versionId": "9", "lastUpdated": "2026-11-20T12:00:00Z"}},
        {"numberOfSeries": 7},
        {"series": [CT, {"uid": "1.2.9", "modality": {"code": "SR"}, "numberOfInstances": 1}]},
        {"series": [{**CT, "description": "lung", "instance": [{"uid": "1.2.840.1.1.1"}]}]},
    ],
)
def test_a_change_that_no_model_consumes_is_the_same_event(members: Json) -> None:
    assert event(study(**members)) == event(study())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"series": [CT]}, {"series": [{**CT, "numberOfInstances": 101}]}),
        ({"series": [CT]}, {"series": [CT, {**CT, "uid": "1.2.840.1.2"}]}),
        ({"series": [{"uid": "1.2"}]}, {"series": [{"uid": "1.2"}, {"uid": "1.3"}]}),
        ({"series": [], "numberOfInstances": 10}, {"series": [], "numberOfInstances": 20}),
        ({"series": [], "numberOfSeries": 1}, {"series": [], "numberOfSeries": 2}),
    ],
)
def test_more_of_what_a_model_consumes_is_another_event(before: Json, after: Json) -> None:
    assert event(study(**before)) != event(study(**after))


def test_the_order_of_series_says_nothing() -> None:
    other = {**CT, "uid": "1.2.840.1.2"}
    assert event(study(series=[CT, other])) == event(study(series=[other, CT]))


@pytest.mark.parametrize(
    ("started", "at"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=ZoneInfo("Europe/Berlin"))),
        ("2026-11-20T10:00:00", datetime(2026, 11, 20, 10, tzinfo=ZoneInfo("Europe/Berlin"))),
        ("2026-11-20T10:00:00.5Z", datetime(2026, 11, 20, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2026-11", None),
        ("0001-01-01", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("2026-11-20T10:00:00+23:59:59.5", None),
        ("2026-11-20T10:00:00+00:19:32", None),
        ("yesterday", None),
        (7, None),
    ],
)
def test_when_it_began_is_the_sites_time_where_it_has_no_offset(started: object, at: datetime | None) -> None:
    assert event(study(started=started)).occurred_at == at


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ("status", "identifier", "series", "modality", "started", "subject", "basedOn", "endpoint", "contained")


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=5), JSON)
def test_whatever_shape_its_elements_have_it_is_read_or_refused(members: Json, followed: object) -> None:
    def follow(_reference: str) -> Mapping[str, object]:
        return followed if isinstance(followed, dict) else {}

    with suppress(InvalidResource):
        READER.read(study(**members), follow)
