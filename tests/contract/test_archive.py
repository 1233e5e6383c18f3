"""A PACS of the settings, whichever way it is asked and fetched from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds.bootstrap import Stores, dicom, stores, upgrade
from cds.domain.report import Mode
from cds.domain.retrieval import RemoteSeries, StudyQuery
from cds.errors import ConfigurationError, Unavailable
from cds.ports import Archive
from cds.settings import Settings
from models.registry import load
from tests.contract.dicomweb_archive import Held
from tests.contract.dicomweb_peer import serving
from tests.peers.dicom_peers import write_series

NODE = {"host": "127.0.0.1", "port": 104, "ae_title": "PACS"}


def settings(folder: Path, **sources: dict[str, Any]) -> Settings:
    return Settings(
        data_dir=folder / "data", minimum_free_bytes=0, assigning_authority="HOSPITAL", pacs_sources=sources
    )


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Stores]:
    """Tables of their own."""
    site = settings(tmp_path)
    upgrade(site)
    opened = stores(site)
    yield opened
    opened.database.dispose()


def built(site: Settings, held: Stores, name: str) -> Archive:
    return dicom.archive(site, name, dicom.arrivals(site, held, "test"), held.studies)


def test_a_dicomweb_pacs_is_asked_and_fetched_from(tmp_path: Path, held: Stores) -> None:
    pacs = Held(write_series(tmp_path / "ct"))
    with serving(pacs.answer) as peer:
        site = settings(tmp_path, web={"retrieve": "wado-rs", "dicomweb": {"url": peer.url}, "timeout_s": 5})
        archive = built(site, held, "web")
        [study] = archive.studies(StudyQuery(accession_number="ACC-7"))
        uid = study.study_instance_uid
        assert (study.patient_id, study.issuer_of_patient_id, archive.name) == ("P-1", "HOSPITAL", "web")
        [series] = archive.series(uid)
        assert (series.modality, series.instances) == ("CT", len(pacs.paths))
        listed = archive.instances(uid, series.series_instance_uid)
        assert len(listed) == len(pacs.paths)
        fetched = archive.fetch(series, listed)
    assert (fetched.arrived, fetched.failed) == (len(pacs.paths), 0)
    assert held.studies.known(uid) == {one.sop_instance_uid for one in listed}
    assert held.studies.study(uid).study_instance_uid == uid


def test_a_fetch_that_is_cut_off_keeps_what_came_and_the_next_brings_the_rest(tmp_path: Path, held: Stores) -> None:
    pacs = Held(write_series(tmp_path / "ct"))
    pacs.cut = sum(path.stat().st_size for path in pacs.paths[:4])
    with serving(pacs.answer) as peer:
        site = settings(tmp_path, web={"retrieve": "wado-rs", "dicomweb": {"url": peer.url}, "timeout_s": 5})
        archive = built(site, held, "web")
        [study] = archive.studies(StudyQuery(patient_id="P-1"))
        [series] = archive.series(study.study_instance_uid)
        listed = archive.instances(study.study_instance_uid, series.series_instance_uid)
        with pytest.raises(Unavailable):
            archive.fetch(series, listed)
        known = held.studies.known(study.study_instance_uid)
        assert 0 < len(known) < len(listed)
        rest = [one for one in listed if one.sop_instance_uid not in known]
        assert archive.fetch(series, rest).arrived == len(rest)
    assert len(held.studies.known(study.study_instance_uid)) == len(listed)


@pytest.mark.parametrize(
    ("source", "asker", "fetcher"),
    [
        ({"retrieve": "wado-rs", "dicomweb": {"url": "http://x/dicom-web"}}, "QidoAsker", "WadoFetcher"),
        ({"retrieve": "c-get", "node": NODE}, "FindAsker", "GetFetcher"),
        ({"retrieve": "c-move", "node": NODE}, "FindAsker", "MoveFetcher"),
        (
            {"retrieve": "c-move", "query": "qido-rs", "node": NODE, "dicomweb": {"url": "http://x/dicom-web"}},
            "QidoAsker",
            "MoveFetcher",
        ),
    ],
)
def test_how_a_pacs_is_asked_and_fetched_from_is_chosen_by_its_settings(
    source: dict[str, Any], asker: str, fetcher: str, tmp_path: Path, held: Stores
) -> None:
    archive: Any = built(settings(tmp_path, pacs=source), held, "pacs")
    assert (type(archive.asker).__name__, type(archive.fetcher).__name__) == (asker, fetcher)


def test_a_pacs_that_is_not_configured_is_a_mistake_that_names_those_that_are(tmp_path: Path, held: Stores) -> None:
    site = settings(tmp_path, one={"retrieve": "c-get", "node": NODE})
    with pytest.raises(ConfigurationError, match="there is: one"):
        built(site, held, "two")


@pytest.mark.parametrize(
    ("asked", "issuers", "may"),
    [((), (), True), (("HOSPITAL",), (), True), (("HOSPITAL",), ("HOSPITAL",), True), (("A", "B"), ("C",), False)],
)
def test_studies_of_other_issuers_are_not_asked_for(
    asked: tuple[str, ...], issuers: tuple[str, ...], may: bool, tmp_path: Path
) -> None:
    site = settings(tmp_path, one={"retrieve": "c-get", "node": NODE, "issuers": issuers})
    assert dicom.queryable(site)(asked) is may
    assert not dicom.queryable(settings(tmp_path))(asked)


def test_the_installed_models_say_which_series_they_want(tmp_path: Path) -> None:
    readers = dicom.readers(settings(tmp_path))
    assert sorted(one.id for one in readers) == sorted(load())
    reader = next(one for one in readers if one.id == "ct_lung_density")
    chest = RemoteSeries("1", "1.1", "CT", "CHEST")
    assert reader.why_not(chest, ()) is None
    assert reader.why_not(replace(chest, modality="", body_part=""), ()) is None
    assert reader.why_not(replace(chest, modality="MR"), ())
    off = settings(tmp_path).model_copy(update={"model_modes": {reader.id: Mode.OFF}})
    assert reader.id not in {one.id for one in dicom.readers(off)}
