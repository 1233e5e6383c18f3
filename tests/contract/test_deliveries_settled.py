"""A refused report waits for a person until a newer one of its study arrives where it was refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cds.domain.report import DeliveryKind
from cds.store.deliveries import DeliveryStore, enqueue
from cds.store.holds import open_holds
from tests.databases import Databases, fresh

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def put(databases: Databases, name: str, study: str, to: str, kind: DeliveryKind = DeliveryKind.REPORT) -> str:
    """A delivery that waits."""
    with databases.app.writing() as session:
        values = {"delivery_id": name, "destination": to, "kind": kind, "payload": b"", "study_uid": study}
        return enqueue(session, now=NOW, **values)


def test_a_newer_report_that_arrives_settles_the_refusal_of_an_older_one(tmp_path: Path) -> None:
    databases = fresh(tmp_path)
    store = DeliveryStore(databases.app)
    for name, study, to in (("a", "1.2", "ehr"), ("b", "1.2", "pacs"), ("c", "1.3", "ehr")):
        store.refused(put(databases, name, study, to), "AR", NOW)
    retraction = put(databases, "d", "1.2", "ehr", DeliveryKind.RETRACTION)
    store.refused(retraction, "AR", NOW)
    assert {hold.delivery_id for hold in open_holds(databases.app)} == {"a", "b", "c", "d"}
    store.sent(put(databases, "e", "1.2", "ehr"), "AA", NOW)
    assert {hold.delivery_id for hold in open_holds(databases.app)} == {"b", "c", "d"}
