"""What is promised of a run of the quality figures, on every database; a subclass gives `databases`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cds.bootstrap.quality import computed, nightly, seen
from cds.domain.hook import Feedback, HeldBack, Outcome, Suppressed
from cds.domain.imaging import VolumeRef
from cds.domain.quality import Crossed, InputNumbers, ModelFigures, QualityDay
from cds.domain.revision import Revision, Work
from cds.domain.verification import Agreement
from cds.errors import NotFound
from cds.hooks.parts import AI_FINDING_WRONG
from cds.monitoring import METHOD
from cds.quality_bounds import QualityBounds
from cds.render import quality as telling
from cds.settings import Settings
from cds.store.card_log import SqlCardLog
from cds.store.grouped import GroupWriter
from cds.store.quality import QualityStore, crossed
from tests.contract.card_log_contract import ABOUT, SERVICE, call, card
from tests.contract.quality_site import DAY, MODEL, NOW, VERSION, Case, critical, put
from tests.databases import Databases, fresh

TODAY = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def settings(databases: Databases, **bounds: object) -> Settings:
    return Settings(
        data_dir=databases.data_dir,
        quality=QualityBounds.model_validate({"window_days": 7, "reference_days": 30, "enough": 10, **bounds}),
        sites={"north": {"issuers": ["RIS-N"]}},
    )


def run(databases: Databases, day: date = DAY, **bounds: object) -> QualityDay:
    return computed(settings(databases, **bounds), databases.app, day)


def only_model(day: QualityDay) -> ModelFigures:
    (model,) = day.models
    return model


def older(databases: Databases, **new: Any) -> None:
    """A reference of 30 studies long ago, and 30 of this week that differ in what is named."""
    put(databases, *(Case(n, TODAY - timedelta(days=60), intensity=40.0 + n % 5) for n in range(30)))
    this_week = (Case(100 + n, TODAY, intensity=40.0 + n % 5) for n in range(30))
    put(databases, *(replace(one, **new) for one in this_week))


class Still:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW

    def today(self) -> date:
        return NOW.date()


def volume(path: Path) -> VolumeRef:
    values = np.arange(-1000, 1000, dtype=np.int16).repeat(32).reshape(10, 80, 80)
    np.save(path, values)
    about = {"manufacturer": "ACME", "model": " One\n", "kvp": "120", "slice_thickness_mm": "nan", "kernel": "B30f"}
    return VolumeRef(str(path), "int16", (10, 80, 80), (2.5, 0.7, 0.8), (), "1.2", "CT", "axial", about)


class QualityContract:
    """What is counted, what is left out, what is kept, and what alarms."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """The database; subclasses override it."""
        with fresh(tmp_path / "data") as found:
            yield found

    def test_studies_are_counted_by_what_the_model_said_and_what_people_said_to_it(self, databases: Databases) -> None:
        put(
            databases,
            Case(1, TODAY, agreement=Agreement.AGREES),
            Case(2, TODAY, agreement=Agreement.DISCORDANT, verdict="confirmed"),
            Case(3, TODAY, agreement=Agreement.DISCORDANT),
            Case(4, TODAY),
            Case(5, TODAY, there=False, agreement=Agreement.AGREES),
            Case(6, TODAY, there=False, agreement=Agreement.DISCORDANT),
            Case(7, TODAY, there=False),
            Case(8, TODAY, refused=True),
            Case(9, TODAY, test=True),
            Case(10, TODAY - timedelta(days=8)),
        )
        model = only_model(run(databases))
        assert (model.model, model.version, model.read, model.evaluated) == (MODEL, VERSION, 8, 7)
        assert model.not_evaluated == {"contrast": 1}
        bleed, volume = model.findings
        assert (bleed.kind, volume.kind) == ("bleed", "volume")
        assert bleed.positive is not None
        assert (bleed.positive.count, bleed.positive.of) == (4, 7)
        assert bleed.ppv is not None
        assert (bleed.ppv.count, bleed.ppv.of) == (2, 3)
        assert bleed.sensitivity is not None
        assert (bleed.sensitivity.count, bleed.sensitivity.of) == (2, 3)
        assert bleed.specificity is not None
        assert (bleed.specificity.count, bleed.specificity.of) == (1, 2)
        assert (bleed.unverified, bleed.by_radiologist, bleed.by_report) == (1, 1, 4)
        assert volume.positive is None
        assert [(one.day, one.read) for one in model.days][-1] == (DAY, 8)
        assert [one.read for one in model.days][:-1] == [0] * 6
        assert {one.group for one in model.subgroups if one.dimension == "site"} == {"north"}

    def test_a_day_is_the_day_of_the_site(self, databases: Databases) -> None:
        put(databases, Case(1, datetime(2026, 11, 21, 23, 30, tzinfo=UTC)))
        there = settings(databases).model_copy(update={"time_zone": "Europe/Berlin"})
        assert computed(there, databases.app, DAY).models == ()
        assert only_model(computed(there, databases.app, DAY + timedelta(days=1))).read == 1

    def test_a_model_that_fell_silent_is_told_with_nought(self, databases: Databases) -> None:
        put(databases, Case(1, TODAY - timedelta(days=9)))
        assert only_model(run(databases)).read == 0
        assert run(databases, DAY + timedelta(days=7)).models == ()

    def test_input_that_changed_is_drift_and_crosses_a_bound(self, databases: Databases) -> None:
        older(databases, scanner="Acme Two", intensity=90.0)
        day = run(databases)
        drifted = {one.name for one in only_model(day).drift if one.drifted}
        assert drifted == {"scanner", "intensity_p50"}
        assert [one.key for one in day.crossed] == [f"quality:drift:{MODEL} {VERSION}"]
        assert "input scanner (PSI" in day.crossed[0].text

    def test_input_that_is_as_before_is_no_drift(self, databases: Databases) -> None:
        older(databases)
        day = run(databases)
        assert {one.name for one in only_model(day).drift} >= {
            "intensity_p50",
            "slices",
            "scanner",
            "sex",
            "age",
            "bleed",
        }
        assert not any(one.drifted for one in only_model(day).drift)
        assert day.crossed == ()

    def test_nothing_is_compared_while_the_reference_window_is_not_over(self, databases: Databases) -> None:
        older(databases, scanner="Acme Two")
        assert only_model(run(databases, reference_days=60)).drift == ()
        later = only_model(run(databases, reference_from=date(2026, 11, 1), reference_days=10))
        assert (later.reference_from, later.reference_to) == (date(2026, 11, 1), date(2026, 11, 11))
        assert {one.reference for one in later.drift} <= {0}

    def test_a_bound_of_accuracy_is_crossed_only_where_the_whole_interval_is_beyond_it(
        self, databases: Databases
    ) -> None:
        put(
            databases,
            *(Case(n, TODAY, agreement=Agreement.AGREES if n < 5 else Agreement.DISCORDANT) for n in range(20)),
        )
        # Wilson of 5 of 20 ends at 0.469 (Newcombe's method 3).
        assert [one.key for one in run(databases, ppv={MODEL: 0.48}).crossed] == [
            f"quality:PPV:{MODEL} {VERSION}:bleed"
        ]
        assert run(databases, ppv={MODEL: 0.46}).crossed == ()
        assert run(databases, ppv={MODEL: 0.48, f"{MODEL}.bleed": 0.3}).crossed == ()

    def test_a_bound_that_is_about_nothing_is_told(self, databases: Databases) -> None:
        put(databases, Case(1, TODAY))
        day = run(databases, ppv={"head_blead": 0.9, f"{MODEL}.bleed": 0.1}, overridden={"aorta": 0.5})
        assert day.idle == ("ppv: head_blead", "overridden: aorta")
        with pytest.raises(ValidationError):
            run(databases, p90_minutes={"coffee": 5})

    def test_times_are_from_arrival_to_report_and_from_finding_to_acknowledgment(self, databases: Databases) -> None:
        put(databases, Case(1, TODAY), Case(2, TODAY))
        critical(databases, 1, TODAY, TODAY + timedelta(minutes=7))
        critical(databases, 2, TODAY, None)
        report, acknowledgment = run(databases).turnaround
        assert (report.what, report.done, report.open, report.p50_minutes) == ("report", 2, 0, 10)
        assert (acknowledgment.done, acknowledgment.open, acknowledgment.p90_minutes) == (1, 1, 7)
        (beyond,) = run(databases, p90_minutes={"acknowledgment": 5}).crossed
        assert beyond == Crossed(
            "quality:time:acknowledgment", "Quality: the 90th percentile until acknowledgment is 7 min, want 5 min"
        )

    def test_the_night_computes_the_last_whole_day_once_whoever_looks(self, databases: Databases) -> None:
        put(databases, Case(1, TODAY))
        look, kept = nightly(settings(databases), databases.app), QualityStore(databases.app)
        look(NOW - timedelta(hours=2))
        with pytest.raises(NotFound):
            kept.newest()
        look(NOW)
        look(NOW)
        nightly(settings(databases), databases.app)(NOW + timedelta(hours=1))
        found = kept.newest()
        assert (found.day.day, found.computed_at, found.id) == (DAY, NOW, 1)
        assert list(kept.days()) == [DAY]
        assert not kept.add(found.day, NOW, once=True)

    def test_runs_are_only_added_and_the_newest_of_a_day_counts(self, databases: Databases) -> None:
        kept = QualityStore(databases.app)
        first = QualityDay(DAY, DAY, METHOD, 10, crossed=(Crossed("quality:a", "A"),))
        kept.add(first, NOW)
        kept.add(QualityDay(DAY, DAY, METHOD, 10), NOW + timedelta(hours=1))
        assert kept.newest(DAY).day.crossed == ()
        assert kept.run(1).day == first
        kept.add(QualityDay(DAY - timedelta(days=1), DAY, METHOD, 10, crossed=(Crossed("quality:b", "B"),)), NOW)
        with databases.app.reading() as session:
            assert crossed(session) == (), "a day that is computed late is not the last one"
        with pytest.raises(NotFound):
            kept.newest(DAY + timedelta(days=1))

    def test_every_figure_of_a_run_comes_back_as_it_was(self, databases: Databases) -> None:
        older(databases, scanner="Acme Two")
        day = run(databases)
        QualityStore(databases.app).add(day, NOW)
        assert QualityStore(databases.app).newest().day == day

    def test_tables_are_csv_without_formulas_of_strangers(self, databases: Databases) -> None:
        put(databases, *(Case(n, TODAY, scanner="=cmd|' /C calc'!A0") for n in range(12)))
        day = run(databases)
        for table in telling.tables():
            rows = list(csv.reader(io.StringIO(telling.as_csv(day, table), newline="")))
            assert {len(row) for row in rows} == {len(rows[0])}
        rows = list(csv.DictReader(io.StringIO(telling.as_csv(day, "subgroups"), newline="")))
        (scanner,) = [row for row in rows if row["by"] == "scanner" and row["finding"] == "bleed"]
        assert scanner["group"] == "'=cmd|' /C calc'!A0"
        assert scanner["studies"] == "12"
        assert f"{MODEL}" in telling.headed(day)

    def test_an_input_that_cannot_be_read_keeps_no_run_from_its_answer(
        self, databases: Databases, tmp_path: Path
    ) -> None:
        given = volume(tmp_path / "volume.npy")
        keep, work = seen(databases.app, Still()), Work("dicom", "1.2.3", Revision(1, 1, 1))
        Path(given.path).unlink()
        keep(work, MODEL, VERSION, given)
        keep(work, MODEL, VERSION, volume(tmp_path / "volume.npy"))
        keep(work, MODEL, VERSION, volume(tmp_path / "volume.npy"))
        put(databases, Case(1, TODAY))
        assert only_model(run(databases)).read == 1

    def test_numbers_of_an_input_belong_to_its_reading(self, databases: Databases) -> None:
        put(databases, Case(1, TODAY, intensity=55.0))
        kept = QualityStore(databases.app)
        kept.saw(
            Work("dicom", "1.2.826.1", Revision(2, 1, 1)), MODEL, VERSION, InputNumbers({"rows": 1.0}, "Later"), NOW
        )
        model = only_model(run(databases, smallest_cell=1))
        assert {one.group for one in model.subgroups if one.dimension == "scanner"} == {"Acme One"}

    def test_cards_of_the_window_are_counted_and_those_called_wrong_stand_beside_their_model(
        self, databases: Databases
    ) -> None:
        put(databases, Case(1, TODAY))
        log = SqlCardLog(databases.app, GroupWriter(databases.app), databases.app, (AI_FINDING_WRONG,))
        about = replace(ABOUT, models=(f"{MODEL} {VERSION}",))
        shown = [card(about) for _ in range(4)]
        log.keep(call(*shown, at=TODAY, suppressed=(Suppressed(about, HeldBack.CAP),)))
        log.keep(call(card(about), card(about), at=TODAY + timedelta(days=1)))
        log.keep(call(card(about), at=TODAY - timedelta(days=9)))
        wrong = Feedback(shown[0].uuid, Outcome.OVERRIDDEN, TODAY + timedelta(hours=1), reason=AI_FINDING_WRONG)
        accepted = Feedback(shown[1].uuid, Outcome.ACCEPTED, TODAY + timedelta(hours=1), ())
        log.feedback(SERVICE, "epic", (wrong, accepted), TODAY + timedelta(hours=2))
        day = run(databases)
        (pathway,) = day.pathways
        assert (pathway.pathway, pathway.shown, pathway.unanswered) == ("p", 4, 2)
        assert (pathway.reasons, pathway.suppressed) == ({"ai-finding-wrong": 1}, {"daily-cap": 1})
        assert pathway.overridden is not None
        # Wilson of 1 of 4: (0.25 + 0.4802 ± sqrt(0.0469 + 0.0600) 1.96) / 1.9604 = 0.0456, 0.6994.
        assert (pathway.overridden.low, pathway.overridden.high) == (
            pytest.approx(0.0456, abs=1e-4), pytest.approx(0.6994, abs=1e-4)
        )  # fmt: skip
        assert only_model(day).disputed == 1
        assert run(databases, overridden={"p": 0.04}).crossed[0].key == "quality:overridden:p"
        assert run(databases, overridden={"p": 0.05}).crossed == ()
