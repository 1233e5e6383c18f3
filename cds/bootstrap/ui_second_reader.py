"""Second reading, wired: the store of readings with the settings of the site that a study belongs to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cds import release
from cds.bootstrap import Stores
from cds.domain.finding import ModelOutcome
from cds.domain.imaging import Study
from cds.domain.order import QUEUE_PRIORITY, Priority
from cds.domain.reading_figures import Screened
from cds.domain.report import Mode
from cds.domain.second_reading import (
    About,
    Arbitration,
    OwnReading,
    ReadingMode,
    Readings,
    ReadingState,
    ScreeningResult,
    is_wanted,
    triage_rank,
)
from cds.errors import InvalidInput, NotFound
from cds.ports import Clock
from cds.second_readers import SecondReader
from cds.settings import Settings
from cds.store.reading_lists import Exam, ReadingLists
from cds.store.readings import ReadingStore
from cds.ui.people import Person, Role
from cds.ui.second_reader import (
    STATES,
    Beside,
    FiguresPage,
    Given,
    Lists,
    SecondReaderServices,
    Waiting,
    answers,
    decisions,
)

#: A list shows so many; what is oldest comes first.
_MOST = 200
_LONGEST = timedelta(days=3 * 366)
_NOT_READ_HERE = "this model does not read beside a person in this study"


@dataclass(frozen=True, slots=True)
class Desk:
    """Second reading at one installation."""

    settings: Settings
    held: Stores
    store: ReadingStore
    exams: ReadingLists
    clock: Clock

    def hidden(self, study_uid: str) -> frozenset[str]:
        """See `SecondReaderServices.hidden`."""
        return self.hidden_of((study_uid,)).get(study_uid, frozenset())

    def hidden_of(self, studies: Collection[str]) -> Mapping[str, frozenset[str]]:
        """See `SecondReaderServices.hidden_of`."""
        if not self.settings.second_readers:
            return {}
        exams = self.exams.exams(studies)
        hiding = {one.study.study_instance_uid: self._hiding(one) for one in exams}
        return {uid: models for uid, models in hiding.items() if models}

    def states(self, studies: Collection[str]) -> Mapping[str, str]:
        """See `SecondReaderServices.states`. Of several models the one that waits for most is told."""
        order = list(ReadingState)
        found: dict[str, ReadingState] = {}
        for one in self.exams.states(studies, self.settings.second_readers):
            where = self.settings.site_of(*one.issuers)
            if self._mode_at(one.model, where) is ReadingMode.SECOND_READER:
                before = found.get(one.study_instance_uid, one.state)
                found[one.study_instance_uid] = min(before, one.state, key=order.index)
        return {uid: STATES[state] for uid, state in found.items()}

    def beside(self, study_uid: str, who: Person) -> tuple[Beside, ...]:
        """See `SecondReaderServices.beside`."""
        [exam] = self.exams.exams((study_uid,)) or (None,)
        if exam is None:
            return ()
        return tuple(self._beside(exam, model, who) for model in self._models(exam))

    def read(self, who: Person, study_uid: str, given: Given) -> None:
        """See `SecondReaderServices.read`."""
        rules, about, now = self._rules(study_uid, given), self._about(study_uid, given), self.clock.now()
        kinds = tuple(sorted(rules.findings))
        parts = answers(rules, given.answers)
        self.store.read(
            OwnReading(about, _radiologist(who), now, parts, True, kinds, given.reason, given.corrects), now
        )

    def arbitrate(self, who: Person, study_uid: str, given: Given) -> None:
        """See `SecondReaderServices.arbitrate`."""
        self._rules(study_uid, given)
        about, now = self._about(study_uid, given), self.clock.now()
        compared = self.store.of(about).compared
        parts = decisions(compared.differs if compared else (), given.answers)
        self.store.arbitrate(Arbitration(about, _radiologist(who), now, parts, given.reason), now)

    def result(self, who: Person, study_uid: str, malignant: bool, source: str) -> None:
        """See `SecondReaderServices.result`."""
        now = self.clock.now()
        self.store.result(ScreeningResult(study_uid, malignant, source, _radiologist(who), now), now)

    def result_of(self, study_uid: str) -> ScreeningResult | None:
        """See `SecondReaderServices.result_of`."""
        return self.store.results((study_uid,)).get(study_uid)

    def lists(self) -> Lists:
        """See `SecondReaderServices.lists`."""
        self.store.settle(self.clock.now())
        return Lists(
            read=tuple(self._waiting(one, model) for one, model in self._unread(ReadingMode.SECOND_READER)),
            arbitrate=tuple(self._differing()),
            triage=tuple(self._triage()),
        )

    def figures(self, since: date, until: date) -> FiguresPage:
        """See `SecondReaderServices.figures`."""
        from cds.monitoring.second_reading import figures, grouped  # statsmodels takes a second to load

        if not since <= until <= since + _LONGEST:
            raise InvalidInput("want a first day and a later last day, three years at most")
        self.store.settle(self.clock.now())
        zone = ZoneInfo(self.settings.time_zone)
        start, end = (datetime.combine(day, time(), zone) for day in (since, until + timedelta(days=1)))
        said = self.store.period(start.astimezone(UTC), end.astimezone(UTC))
        results = self.store.results({one.about.study_instance_uid for one in said})
        screened = [Screened(one, _malignant(results, one)) for one in said]
        return FiguresPage(
            since,
            until,
            figures("all", screened) if screened else None,
            grouped(screened, _model),
            grouped(screened, lambda one: one.readings.own[0].by),
            grouped(screened, lambda one: f"{one.readings.own[0].at.astimezone(zone):%Y-%m}"),
        )

    def _hiding(self, exam: Exam) -> frozenset[str]:
        return frozenset(model for model in self._models(exam) if model not in exam.read)

    def _models(self, exam: Exam) -> Iterator[str]:
        """The models that read beside a person in a study: advisory there, and not known to read no such images."""
        for model, rules in sorted(self.settings.second_readers.items()):
            if self._mode(model, exam.study) is ReadingMode.SECOND_READER and _reads(exam, model, rules):
                yield model

    def _mode(self, model: str, study: Study) -> ReadingMode:
        return self._mode_at(model, release.site(self.settings, study))

    def _mode_at(self, model: str, where: str) -> ReadingMode:
        if self.settings.model_mode(model, where) is not Mode.ADVISORY:
            return ReadingMode.OFF
        return self.settings.reading_mode(model, where)

    def _beside(self, exam: Exam, model: str, who: Person) -> Beside:
        rules, study = self.settings.second_readers[model], exam.study
        readings = self.store.of(About(study.study_instance_uid, study.image_revision, model))
        reader = who.patient_id is None and who.is_any(Role.RADIOLOGIST)
        mine, decided = who.user in readings.readers, readings.decision
        return Beside(
            model=model,
            scale=rules.scale,
            parts=rules.parts,
            recalled=tuple(sorted(rules.recalled)),
            readings=readings,
            is_hidden=not readings.own,
            may_read=reader and not readings.own,
            may_correct=reader and mine,
            may_decide=reader
            and not mine
            and readings.state in (ReadingState.ARBITRATION, ReadingState.DECIDED)
            and (decided is None or decided.by == who.user),
        )

    def _rules(self, study_uid: str, given: Given) -> SecondReader:
        [exam] = self.exams.exams((study_uid,)) or (None,)
        if exam is None or given.model not in self._models(exam):
            raise NotFound(_NOT_READ_HERE)
        return self.settings.second_readers[given.model]

    def _about(self, study_uid: str, given: Given) -> About:
        return About(study_uid, given.image_revision, given.model)

    def _unread(self, mode: ReadingMode, *, reported: bool = True) -> Iterator[tuple[Exam, str]]:
        named = {model for model, rules in self.settings.second_readers.items() if mode in _modes(rules)}
        found = self.exams.unread(named, reported=reported)
        return islice(((exam, model) for exam, model in found if self._mode(model, exam.study) is mode), _MOST)

    def _differing(self) -> Iterator[Waiting]:
        for exam, readings in self.exams.differing(_MOST):
            model = readings.about.model
            if self._mode(model, exam.study) is ReadingMode.SECOND_READER and readings.compared:
                yield replace(self._waiting(exam, model), differs=readings.compared.differs)

    def _triage(self) -> Iterator[Waiting]:
        """By the order's priority, then by the model, then by age: the model puts nothing behind its priority."""
        open_ = self._unread(ReadingMode.TRIAGE, reported=False)
        ranked = sorted(open_, key=lambda one: (_place(one[0]), self._rank(*one), one[0].received_at))
        return (self._waiting(exam, model) for exam, model in ranked)

    def _rank(self, exam: Exam, model: str) -> tuple[int, float]:
        return triage_rank(exam.answers.get(model), self.settings.second_readers[model].findings)

    def _waiting(self, exam: Exam, model: str) -> Waiting:
        study = exam.study
        return Waiting(
            public_id=study.public_id,
            accession=study.accession.value if study.accession else "",
            description=study.description,
            study_date=study.study_date,
            received_at=exam.received_at,
            model=model,
            priority=exam.priority,
            is_reported=exam.is_reported,
        )


def second_reader(settings: Settings, held: Stores, clock: Clock) -> SecondReaderServices | None:
    """What the pages use; None where no model reads beside a person."""
    if not settings.second_readers:
        return None
    at = Desk(settings, held, ReadingStore(held.database), ReadingLists(held.database, held.studies), clock)
    return SecondReaderServices(
        hidden=at.hidden,
        hidden_of=at.hidden_of,
        states=at.states,
        beside=at.beside,
        read=at.read,
        arbitrate=at.arbitrate,
        result=at.result,
        result_of=at.result_of,
        lists=at.lists,
        figures=at.figures,
    )


def hides(settings: Settings, held: Stores, clock: Clock) -> Callable[[Person, Study], bool]:
    """Whether what models marked on a study stays hidden, for whoever shows pictures: from everybody alike."""
    readers = second_reader(settings, held, clock)
    return lambda _who, study: readers is not None and bool(readers.hidden(study.study_instance_uid))


def _reads(exam: Exam, model: str, rules: SecondReader) -> bool:
    """Whether the model has answered on these images, or may: a study of its modality that it has not refused."""
    answer: ModelOutcome | None = exam.answers.get(model)
    if answer is not None:
        return is_wanted(answer)
    return not exam.modalities.isdisjoint(rules.modalities)


def _modes(rules: SecondReader) -> Iterable[ReadingMode]:
    return (rules.mode, *rules.sites.values())


def _place(exam: Exam) -> int:
    return QUEUE_PRIORITY[exam.priority or Priority.ROUTINE]


def _radiologist(who: Person) -> str:
    if who.patient_id is not None or not who.is_any(Role.RADIOLOGIST):
        raise InvalidInput("want a radiologist: nobody else reads")
    return who.user


def _malignant(results: Mapping[str, ScreeningResult], said: Readings) -> bool | None:
    found = results.get(said.about.study_instance_uid)
    return found.is_malignant if found else None


def _model(one: Screened) -> str:
    compared = one.readings.compared
    return " ".join(filter(None, (one.readings.about.model, compared.said.version if compared else "")))
