"""Shadow replay: it tells what the same studies really send in advisory mode, and sends and changes nothing itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select

from cds import alerting, bootstrap, delivering, hooks, pathways, pipeline
from cds.bootstrap import Stores
from cds.bootstrap.hooks import hook_context
from cds.bootstrap.line import line
from cds.bootstrap.replay import replayed
from cds.codes import LOINC, SNOMED
from cds.demo.engine import Engine
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Presence
from cds.domain.identity import Identifier
from cds.domain.message import LoggedMessage, MessageContent, RecordValue
from cds.domain.order import OrderChange
from cds.domain.replay import Replayed, StudyReplayed
from cds.domain.report import DeliveryKind
from cds.domain.revision import Work
from cds.domain.switch import SwitchKind
from cds.errors import InvalidInput
from cds.render import replay as telling
from cds.settings import Settings
from cds.store.tables import AppBase, DeliveryRow
from models.registry import load
from tests.contract.closing import close_quiet
from tests.contract.store_contract import ORDER, PATIENT, instance, raw
from tests.unit.clinical import density

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SINCE, UNTIL = NOW - timedelta(days=1), NOW + timedelta(days=1)
SYSTEM = "urn:test:mrn"
ADVISORY: dict[str, Any] = {
    "model_modes": {"ct_lung_density": "advisory"},
    "pathway_modes": {"emphysema": "advisory"},
}


class Standing:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW

    def today(self) -> date:
        return NOW.date()


@dataclass(frozen=True)
class Place:
    """A site with a receiver of messages."""

    data_dir: Path
    engine: Engine

    def settings(self, **changes: object) -> Settings:
        """New models and pathways are in shadow; results would go out at once; a finding is critical here."""
        to = {"host": "127.0.0.1", "port": self.engine.port}
        given: dict[str, object] = {
            "data_dir": self.data_dir,
            "assigning_authority": "HOSP",
            "accession_issuer": "RIS",
            "identifier_systems": {SYSTEM: "HOSP"},
            "release": {"ehr": "immediate", "referral": "immediate"},
            "site_options": {"emphysema.laa_950_percent": "5"},
            "oru_destinations": {"ehr": to},
            "critical_routes": {"ward": {"recipient": "the ward", "channel": "hl7", "hl7": to}},
            "critical_route": "ward",
            "critical_findings": {"ct_lung_density.air": 2},
        }
        return Settings(**{**given, **changes})

    def replay(self, *only: str, since: datetime = SINCE, until: datetime = UNTIL, **changes: object) -> Replayed:
        """What `cds replay` finds."""
        return replayed(self.settings(**changes), Standing(), since=since, until=until, only=only, by="Ada")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Engine() as engine:
        one = Place(tmp_path / "data", engine)
        bootstrap.upgrade(one.settings())
        yield one


@pytest.fixture
def held(place: Place) -> Iterator[Stores]:
    found = bootstrap.stores(place.settings())
    yield found
    found.database.dispose()


@pytest.fixture
def work(held: Stores) -> Work:
    """A smoker's chest CT with its order, which a model in shadow mode has measured."""
    stated = (
        RecordValue("observation", "1", Coding(LOINC, "72166-2"), Coding(SNOMED, "8517006"), date(2026, 10, 1)),
        RecordValue("observation", "2", Coding(SNOMED, "401201003"), Quantity(35.0, "{pack-years}"), date(2026, 10, 1)),
        RecordValue("observation", "3", Coding(LOINC, "74010-0"), date(2021, 9, 15), date(2026, 10, 1)),
    )
    content = MessageContent(PATIENT, orders=(OrderChange(ORDER, "NW"),), values=stated)
    held.record.apply([(LoggedMessage(1, raw("1")), content)], NOW)
    return measured(held, "1.2")


def measured(held: Stores, study: str, accession: str = "A1") -> Work:
    images = instance(f"{study}.1", study=study, accession=accession)
    held.studies.add(images, received_at=NOW, consumed=True, source="dicom")
    [work] = close_quiet(held.database, NOW)
    seen = density()
    air = Finding("air", Coding("urn:test", "air", "Air outside the lung"), Presence.PRESENT)
    held.works.save_outcome(work, replace(seen, findings=(*seen.findings, air)), NOW)
    pipeline.match(shadow(held), work.id)
    return work


def shadow(held: Stores) -> Any:
    """What the steps are given at a site where nothing is configured."""
    return line(Settings(data_dir=Path("nowhere")), held, {}, Standing())


def counts(held: Stores) -> dict[str, int]:
    with held.database.reading() as session:
        return {
            name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in AppBase.metadata.tables.items()
        }


def run(place: Place, held: Stores, work: Work) -> None:
    """The real thing: the same study at the same time, with the model and the pathway in advisory mode."""
    advisory = line(place.settings(**ADVISORY), held, {}, Standing())
    for step in (pipeline.match, pipeline.enrich, pipeline.decide, pipeline.report, alerting.alert):
        step(advisory, work.id)
    for due in held.deliveries.pending():
        assert delivering.deliver(advisory, due.id) == "sent"


def one(found: Replayed) -> StudyReplayed:
    [study] = found.studies
    assert study.not_sent == ()
    return study


def test_what_is_told_is_what_is_really_sent_and_shown_in_advisory_mode(place: Place, held: Stores, work: Work) -> None:
    told = one(place.replay())
    assert {d.kind for d in told.deliveries} == {DeliveryKind.REPORT, DeliveryKind.CRITICAL}
    assert place.engine.wait(0.3) is None
    run(place, held, work)
    with held.database.reading() as session:
        rows = session.exec(select(DeliveryRow)).all()
    really = {(row.destination, row.kind, len(row.payload)) for row in rows}
    assert {(d.destination, d.kind.value, d.size) for d in told.deliveries} == really
    [report] = [row for row in rows if row.kind == DeliveryKind.REPORT.value]
    assert hashlib.sha256(report.payload).hexdigest() in {d.sha256 for d in told.deliveries}
    assert all(place.engine.wait(5) for _ in told.deliveries)
    request = {
        "hook": "patient-view",
        "hookInstance": "00000000-0000-0000-0000-000000000001",
        "context": {"userId": "Practitioner/7", "patientId": "ehr-1"},
        "prefetch": {"patient": {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": "P1"}]}},
    }
    context = hook_context(place.settings(**ADVISORY), held, Standing())
    answer: Any = hooks.call("imaging-findings", request, context)
    assert list(told.cards) == [card["summary"] for card in answer["cards"]]
    assert told.cards


def test_a_replay_changes_no_table_but_for_its_line_in_the_audit_log(place: Place, held: Stores, work: Work) -> None:
    before = counts(held)
    told = place.replay()
    after = counts(held)
    assert after.pop("audit") == before.pop("audit") + 1
    assert after == before
    [line_of_audit] = held.audit.search()
    assert (line_of_audit.actor, line_of_audit.action) == ("Ada", "shadow replay")
    assert "1 studies" in line_of_audit.detail
    assert set(told.advisory) == {*load(), *pathways.load()}
    assert place.engine.wait(0.3) is None


def test_it_tells_who_would_have_seen_what_and_which_advice(place: Place, work: Work) -> None:
    found = place.replay()
    told = one(found)
    assert (told.work_id, told.match) == (work.id, "matched")
    assert told.audiences == ("ehr", "radiologist", "referral")
    assert dict(told.findings)["ct_lung_density.laa_950"] == ("ehr", "radiologist", "referral")
    assert [said.partition(":")[0] for said in told.advice] == ["emphysema"]
    assert found.deliveries == {("ehr", DeliveryKind.REPORT): 1, ("critical:ward", DeliveryKind.CRITICAL): 1}
    text = telling.as_text(found)
    assert "would send to ehr: report, " in text
    assert "would have been sent to critical:ward: 1 × critical" in text
    assert text.endswith("sent: 0")
    assert '"sent": 0' in telling.as_json(found)


def test_the_release_matrix_and_the_kill_switches_of_now_hold(place: Place, held: Stores, work: Work) -> None:
    told = one(place.replay(release={}))
    assert told.audiences == ("radiologist",)
    assert {d.kind for d in told.deliveries} == {DeliveryKind.CRITICAL}
    assert told.cards == ()
    held.switches.disable(SwitchKind.MODEL, "ct_lung_density", by="Ada", reason="ghosts", now=NOW)
    silent = one(place.replay())
    assert (silent.audiences, silent.deliveries) == ((), ())
    assert "ct_lung_density: the model is switched off" in silent.withheld


def test_only_what_is_named_is_taken_as_advisory_and_what_is_off_stays_off(place: Place, work: Work) -> None:
    found = place.replay("ct_lung_density")
    assert found.advisory == ("ct_lung_density",)
    assert one(found).advice == ()
    others = {*load(), *pathways.load()} - {"ct_lung_density"}
    assert set(place.replay(model_modes={"ct_lung_density": "off"}).advisory) == others
    site = {"issuers": ("RIS",), "model_modes": {"ct_lung_density": "shadow"}}
    assert one(place.replay(sites={"north": site}, model_modes={"ct_lung_density": "advisory"})).deliveries
    with pytest.raises(InvalidInput, match="ct_lung_density"):
        place.replay("ct_lung_densty")


def test_a_study_counts_when_it_was_analysed_or_reported_in_the_window(place: Place, work: Work) -> None:
    assert place.replay(since=NOW, until=NOW + timedelta(seconds=1)).studies
    assert place.replay(since=SINCE, until=NOW).studies == ()
    assert place.replay(since=NOW + timedelta(seconds=1)).studies == ()
    with pytest.raises(InvalidInput):
        place.replay(since=UNTIL, until=SINCE)


def test_the_newest_analysis_of_a_study_is_replayed(place: Place, held: Stores, work: Work) -> None:
    held.works.again(work, "an order came", NOW)
    [pending] = [w.id for w in held.works.pending() if w.id != work.id]
    assert one(place.replay()).work_id == work.id
    pipeline.match(shadow(held), pending)
    assert one(place.replay()).work_id == pending


def test_a_report_that_was_sent_is_told_with_its_own_version(place: Place, held: Stores, work: Work) -> None:
    run(place, held, work)
    told = one(place.replay(**ADVISORY))
    with held.database.reading() as session:
        rows = session.exec(select(DeliveryRow).where(DeliveryRow.kind == DeliveryKind.REPORT.value)).all()
    assert [d.sha256 for d in told.deliveries if d.kind is DeliveryKind.REPORT] == [
        hashlib.sha256(row.payload).hexdigest() for row in rows
    ]


def test_a_study_in_doubt_or_without_order_is_told_so(place: Place, held: Stores) -> None:
    who = replace(PATIENT, identifiers=(Identifier("P2", "HOSP"),))
    theirs = OrderChange(replace(ORDER, accession=Identifier("A2", "RIS")), "NW")
    held.record.apply([(LoggedMessage(1, raw("1")), MessageContent(who, orders=(theirs,)))], NOW)
    measured(held, "1.7", accession="A2")
    measured(held, "1.8", accession="A8")
    told = {study.study_instance_uid: study for study in place.replay().studies}
    assert (told["1.7"].match, told["1.7"].audiences, told["1.7"].cards) == ("held", (), ())
    assert (told["1.8"].match, told["1.8"].audiences, told["1.8"].cards) == ("unmatched", ("radiologist",), ())
    for study in told.values():
        assert [d.kind for d in study.deliveries] == [DeliveryKind.CRITICAL]
