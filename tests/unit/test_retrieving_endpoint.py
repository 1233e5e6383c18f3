"""A wire that says where the images are: that PACS is asked first, and no address that is not configured is asked."""

from __future__ import annotations

import pytest

from cds.bootstrap.dicom import ModelReader
from cds.domain.retrieval import Expected
from cds.retrieving.asking import ask, sources
from models.registry import load
from tests.unit.retrieval_parts import Pacs, Site, ct, remote, site

LUNG = ModelReader(load()["ct_lung_density"])
WEB = {"retrieve": "wado-rs", "dicomweb": {"url": "https://archive.example:443/dicom-web/"}}


def two(endpoint: str) -> Site:
    """A PACS that speaks DIMSE and an archive that speaks DICOMweb; both have the study."""
    near, archive = Pacs("near"), Pacs("archive")
    for one in (near, archive):
        one.add(remote(), (ct(1), 5))
    endpoints = frozenset({endpoint} - {""})
    return site(near, archive, readers=[LUNG], expected=Expected(endpoints=endpoints), archive=WEB)


@pytest.mark.parametrize(
    ("endpoint", "first"),
    [
        ("", "near"),
        ("https://archive.example/dicom-web", "archive"),
        ("https://archive.example/other", "near"),
        ("https://elsewhere.example/dicom-web", "near"),
    ],
)
def test_the_pacs_that_a_wire_named_is_asked_first(endpoint: str, first: str) -> None:
    one = two(endpoint)
    retrieval = one.retrievals.retrieval(one.want(announced="FHIR ehr"))
    assert ask(one.line, retrieval).source == first
    assert {archive.name for archive in sources(one.line, retrieval)} == {"near", "archive"}


def test_the_pacs_that_had_the_study_before_comes_before_it() -> None:
    one = two("https://archive.example/dicom-web")
    wanted = one.want(announced="FHIR ehr")
    one.retrievals.mark(wanted, one.retrievals.retrieval(wanted).state, one.clock.now(), source="near")
    assert [archive.name for archive in sources(one.line, one.retrievals.retrieval(wanted))] == ["near", "archive"]
