"""The short way of an instance that is one more image of its study, beside the long way that every other goes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from cds.domain.imaging import StoredInstance
from cds.domain.retrieval import Purpose
from cds.store.attribution import Site
from cds.store.instance_plain import arrive_plainly
from cds.store.instances import Added, Arrival, arrive
from cds.store.tables import OwnInstanceRow, StudyRow
from tests.contract.instance_contract import LATER, House, InstanceContract, header
from tests.contract.store_contract import NOW, instance
from tests.databases import fresh

SITE = Site("HOSP", "RIS", "UTC")


def plainly(house: House, one: StoredInstance, *, consumed: bool = True) -> Added | None:
    with house.databases.app.writing() as session:
        return arrive_plainly(session, SITE, Arrival(one, LATER, consumed, "dicom"))


def changed(house: House, **columns: Any) -> None:
    """The study's row, changed by somebody else."""
    with house.databases.app.writing() as session:
        row = session.get(StudyRow, "1.2")
        for name, value in columns.items():
            setattr(row, name, value)
        session.add(row)


@pytest.mark.parametrize("seed", range(12))
def test_what_goes_the_short_way_leaves_what_it_leaves_on_the_long_one(seed: int, tmp_path: Path) -> None:
    contract, draw = InstanceContract(), random.Random(seed)
    came = [contract.drawn(draw) for _ in range(40)]
    told = []
    for name in ("short", "long"):
        with fresh(tmp_path / name) as databases:
            house = House(databases)
            contract.prepare(house, seed)
            for one in came:
                arrival = Arrival(one, LATER, one.size > 50, "dicom")
                with databases.app.writing() as session:
                    quickly = arrive_plainly(session, SITE, arrival) if name == "short" else None
                    _ = quickly or arrive(session, SITE, arrival, {})
            told.append(house.tables())
    assert told[0] == told[1]


def test_one_more_image_of_an_open_study_goes_the_short_way(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        house = House(databases)
        house.add(instance("1.2.1"))
        assert plainly(house, instance("1.2.2")) == Added("new")
        row = house.row()
        assert (row.instances, row.consumed_instances, row.last_instance_at) == (2, 2, LATER)
        assert plainly(house, instance("1.2.3"), consumed=False) == Added("new")
        row = house.row()
        assert (row.instances, row.consumed_instances, row.image_revision) == (3, 2, 1)


@pytest.mark.parametrize(
    "columns",
    [{"revision_open": False}, {"purpose": Purpose.PRIOR.value}, {"instances": 0}, {"contradiction": "two patients"},
     {"stopped": "all images were rejected (DCM 113037)"}, {"patient_value": "P9"}, {"description": ""}],
    ids=lambda columns: next(iter(columns)),
)  # fmt: skip
def test_a_study_that_would_change_takes_the_long_way(columns: dict[str, Any], tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        house = House(databases)
        house.add(header(instance("1.2.1"), study_description="Thorax"))
        changed(house, **columns)
        before = house.tables()
        assert plainly(house, header(instance("1.2.2"), study_description="Thorax")) is None
        assert house.tables() == before


def test_what_no_model_reads_goes_the_short_way_into_a_closed_study(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        house = House(databases)
        house.arrived("1.2.1")
        assert plainly(house, instance("1.2.2"), consumed=False) == Added("new")
        assert not house.row().revision_open


def test_what_is_known_made_by_us_rejected_or_first_takes_the_long_way(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        house = House(databases)
        house.add(instance("1.2.1"))
        house.reject("113037", "1.2.9")
        own = instance("1.2.5").header
        with databases.app.writing() as session:
            uid = own.sop_instance_uid
            session.add(
                OwnInstanceRow(sop_instance_uid=uid, series_uid="7", study_uid="1.2", work_id="w", kind="sr", at=NOW)
            )
        ours = header(instance("1.2.6"), manufacturer="Sightline", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.22")
        of_our_series = header(instance("1.2.7"), series_instance_uid="7")
        first = instance("1.3.1", study="1.3")
        for one in (instance("1.2.1"), instance("1.2.9"), instance("1.2.5"), ours, of_our_series, first):
            assert plainly(house, one) is None
