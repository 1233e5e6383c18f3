"""The study page, wired: what a radiologist sees of a study, and what is released to everybody else."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from cds import release
from cds.bootstrap import Stores
from cds.bootstrap.installed import manifests
from cds.bootstrap.study_pages import Shelf, shelf
from cds.bootstrap.ui_second_reader import second_reader
from cds.domain.audit import PAGE_VIEWED, AuditEvent
from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.recommendation import PathwayOutcome
from cds.domain.report import Audience, Mode, Report, TimelineEvent
from cds.domain.story import Story, StudyTold
from cds.domain.switch import SwitchKind
from cds.domain.verification import Agreement, FindingRef, Verdict, Verification
from cds.errors import Forbidden, InvalidInput, NotFound
from cds.ports import Clock
from cds.settings import Settings
from cds.store.public_ids import study_uid
from cds.store.reading_lists import ReadingLists
from cds.store.why import why
from cds.study_pages import Visitor
from cds.ui.people import Person, Role
from cds.ui.second_reader import Beside, SecondReaderServices, without
from cds.ui.study import (
    StudyServices,
    StudyView,
    VerdictGiven,
    advised,
    models,
    over_time,
    quiet,
    refused,
    verified,
    without_advice,
)

_NOTHING = "Sightline has no result that may be shown here now. That is not a negative result."
_NO_REPORT = "No AI result of this study is here yet. That is not a negative result."
_ANOTHERS = "the images name another patient now"
#: Steps of the timeline that tell what a model found, also where they do not name it.
_TELLING = frozenset({"infer", "alert", "prioritise", "compare", "decide", "priority", "verify", "final report"})
#: How many earlier studies a line over time looks at.
_MOST_EARLIER = 20


@dataclass(frozen=True, slots=True)
class Pages:
    """The study pages of one installation."""

    settings: Settings
    held: Stores
    clock: Clock
    shelf: Shelf
    readers: SecondReaderServices | None
    exams: ReadingLists

    def view(self, who: Person, public_id: str) -> StudyView:
        """See `StudyServices.view`."""
        uid = self.uid(public_id)
        view = self._full(who, uid) if _is_reader(who) else self._released(who, uid, public_id)
        return replace(view, study=replace(view.study, modalities=self.exams.modalities(uid)))

    def report(self, who: Person, public_id: str) -> Report:
        """See `StudyServices.report`."""
        view = self.view(who, public_id)
        if view.report is None:
            raise NotFound(_NOTHING)
        return view.report

    def verify(self, who: Person, public_id: str, given: VerdictGiven) -> bool:
        """See `StudyServices.verify`. What they were not shown cannot be verified."""
        _allowed(who)
        uid = self.uid(public_id)
        seen = self._seen(uid)
        finding = _named(seen, given) if seen else None
        if finding is None:
            raise NotFound("this finding is not shown here now; look at the study again")
        if given.verdict is not Verdict.CONFIRMED and not given.reason.strip():
            raise InvalidInput("want the reason; no names of patients")
        model, _, key = given.finding.partition(".")
        about, now = FindingRef(uid, given.image_revision, model, given.version, key), self.clock.now()
        said = Verification(
            about, given.verdict, who.user, Role.RADIOLOGIST.value, now, given.reason, _value(finding, given)
        )
        return self.held.opinions.verify(said, now)

    def story(self, who: Person, public_id: str) -> Story:
        """See `StudyServices.story`."""
        _allowed(who)
        uid = self.uid(public_id)
        seen, hidden = self._seen(uid), self._hidden(uid)
        told = _of_study(why(self.held.database, uid), uid)
        silent = self._silent(self.held.studies.study(uid)) | hidden
        return replace(
            told,
            studies=tuple(_study(one, seen, silent) for one in told.studies),
            events=tuple(_events(told.events, silent, hidden=bool(hidden))),
        )

    def card(self, model: str) -> str:
        """See `StudyServices.card`."""
        from models.card import markdown

        found = manifests(self.settings).get(model)
        if found is None:
            raise NotFound("there is no model of this name here")
        return markdown(found)

    def uid(self, public_id: str) -> str:
        """See `StudyServices.uid`."""
        return study_uid(self.held.database, public_id)

    def _full(self, who: Person, uid: str) -> StudyView:
        study, seen = self.held.studies.study(uid), self._seen(uid)
        beside = self.readers.beside(uid, who) if self.readers else ()
        patient_id = self._patient_id(uid)
        version = (f"version {seen.version}",) if seen else ("no report",)
        self.held.audit.write(AuditEvent(self.clock.now(), who.user, PAGE_VIEWED, uid, patient_id, version))
        nothing = "" if seen else self._why_nothing(uid, study, beside)
        view = StudyView(study, patient_id, True, seen, nothing, beside=beside, is_screened=bool(beside))
        if self.readers and beside:
            view = replace(view, result=self.readers.result_of(uid))
        if seen is None:
            return view
        newer = seen.study.image_revision < study.image_revision or seen.study.match_revision < study.match_revision
        filled = self._filled(view, seen, seen.decision.outcomes)
        contradicted = [
            f"{one.title} by {one.model}"
            for model in filled.models
            for one in model.findings
            if one.comparison and one.comparison.agreement is Agreement.DISCORDANT
        ]
        return replace(filled, final=seen.final_report, discordant=tuple(contradicted), is_newer_under_way=newer)

    def _released(self, who: Person, uid: str, public_id: str) -> StudyView:
        """What is released to the care team, evaluated with the record of now; the shelf writes the audit log."""
        patient_id = who.patient_id or self._patient_id(uid)
        if patient_id is None:
            raise NotFound(_NOTHING)
        page = self.shelf.page(Visitor(who.user, patient_id), public_id)
        seen = without(page.report, self._hidden(uid))
        if not seen.outcomes:
            raise NotFound(_NOTHING)
        said = (
            page.said if seen is page.report else without(_with(seen, page.said), self._hidden(uid)).decision.outcomes
        )
        return self._filled(StudyView(seen.study, patient_id, False, seen), seen, said)

    def _filled(self, view: StudyView, seen: Report, said: Iterable[PathwayOutcome]) -> StudyView:
        told = tuple(said)
        advice, untold = advised(told)
        earlier = self._earlier(seen, self._seen if view.is_full else self._referral)
        return replace(
            view,
            models=models(seen, over_time(seen, earlier)),
            refused=refused(seen),
            advice=advice,
            untold=untold,
            no_advice=without_advice(told),
            verified=verified(seen),
            quiet=quiet(seen),
        )

    def _seen(self, uid: str) -> Report | None:
        """The newest report as a radiologist may see it now; None where there is none, or it may be another's."""
        report, study = self.held.reports.latest_of_study(uid), self.held.studies.study(uid)
        if report is None:
            return None
        said = self.held.opinions.verifications(uid, report.work.revision.image)
        read = self.held.opinions.read_models(uid, report.work.revision.image)
        report = replace(report, verifications=said, match=_match(report, study), read=tuple(sorted(read)))
        seen = release.view(self.settings, self.held.switches, report, Audience.RADIOLOGIST)
        return self._shown(seen, uid)

    def _shown(self, seen: Report | None, uid: str) -> Report | None:
        """What is left of a report without what is hidden; one that says nothing is none, and never a clean one."""
        left = without(seen, self._hidden(uid)) if seen else None
        return left if left is not None and left.outcomes else None

    def _referral(self, uid: str) -> Report | None:
        """The newest report as the care team may see it now."""
        report = self.held.reports.latest_of_study(uid)
        return self._shown(self.shelf.context.view(report) if report else None, uid)

    def _earlier(self, seen: Report, view: Callable[[str], Report | None]) -> list[Report]:
        today = seen.study.study_date
        if seen.patient is None or today is None:
            return []
        found = [one for i in seen.patient.identifiers for one in self.held.reports.latest_of_patient(i)]
        days = {r.study.study_instance_uid: r.study.study_date for r in found}
        before = [uid for uid, day in days.items() if day is not None and day < today]
        return [one for uid in before[:_MOST_EARLIER] if (one := view(uid)) is not None]

    def _hidden(self, uid: str) -> frozenset[str]:
        return self.readers.hidden(uid) if self.readers else frozenset()

    def _patient_id(self, uid: str) -> str | None:
        """Our id of whose the study is now, by its newest report, else by what its images name."""
        report = self.held.reports.latest_of_study(uid)
        if report is not None:
            return self.held.reports.survivor(report.patient.id) if report.patient and report.patient.id else None
        named = self.held.studies.study(uid).patient
        return next(iter(self.held.reports.owners([named])), None) if named else None

    def _why_nothing(self, uid: str, study: Study, beside: Collection[Beside]) -> str:
        """In words; a model in shadow mode, or one that is hidden, is not told to have said anything."""
        if study.contradiction:
            return f"Held: {study.contradiction}. No result is shown until a person has decided whose it is."
        report = self.held.reports.latest_of_study(uid)
        if report is not None and _match(report, study).state is MatchState.HELD:
            return "Held: it is not certain whose these images are. No result is shown until a person has decided."
        if any(one.is_hidden for one in beside):
            return "What the model says is hidden until your own reading is recorded."
        return _NO_REPORT if report is None else "No AI result of this study may be shown now. That is not a negative."

    def _silent(self, study: Study) -> frozenset[str]:
        """Models whose results reach only the quality page here, and those that are switched off."""
        where, off = release.site(self.settings, study), self.held.switches.off
        return frozenset(
            model
            for model in manifests(self.settings)
            if self.settings.model_mode(model, where) is not Mode.ADVISORY or off(SwitchKind.MODEL, model)
        )


def study(settings: Settings, held: Stores, clock: Clock) -> StudyServices:
    """What the study page uses."""
    pages = Pages(
        settings,
        held,
        clock,
        shelf(settings, held, held.audit, clock),
        second_reader(settings, held, clock),
        ReadingLists(held.database, held.studies),
    )
    return StudyServices(
        view=pages.view,
        report=pages.report,
        verify=pages.verify,
        story=pages.story,
        card=pages.card,
        uid=pages.uid,
    )


def _is_reader(who: Person) -> bool:
    """A radiologist at work, not in the one chart that an EHR opened."""
    return who.patient_id is None and who.is_any(Role.RADIOLOGIST)


def _allowed(who: Person) -> None:
    if not _is_reader(who):
        raise Forbidden("This is for radiologists.")


def _match(report: Report, study: Study) -> Match:
    """As it stands now: a doubt counts before the next version of the report says so."""
    doubt = study.contradiction
    if not doubt and study.patient and report.patient and not study.decided:
        known = {one.as_sent() for one in report.patient.known_as}
        doubt = "" if study.patient.as_sent() in known else _ANOTHERS
    return replace(report.match, state=MatchState.HELD, reasons=(doubt,)) if doubt else report.match


def _with(report: Report, said: tuple[PathwayOutcome, ...]) -> Report:
    return replace(report, decision=replace(report.decision, outcomes=said))


def _named(seen: Report, given: VerdictGiven) -> Finding | None:
    for said in seen.outcomes:
        for finding in said.findings if isinstance(said, Findings) else ():
            if (f"{said.model}.{finding.key}", said.version) == (given.finding, given.version):
                return finding
    return None


def _value(finding: Finding, given: VerdictGiven) -> Quantity | None:
    """The corrected value in the unit of the finding; a value beside another verdict is a mistake of the form."""
    if given.verdict is not Verdict.CORRECTED or given.value is None:
        return None
    if finding.value is None:
        raise InvalidInput("a finding without a value cannot be corrected: confirm or reject it")
    return Quantity(given.value, finding.value.unit)


def _of_study(told: Story, uid: str) -> Story:
    """The part of a story that is of this study alone."""
    studies = tuple(one for one in told.studies if one.study_instance_uid == uid)
    events = tuple(one for one in told.events if one.study_instance_uid in (uid, None))
    return replace(told, studies=studies, events=events)


def _study(told: StudyTold, seen: Report | None, silent: Collection[str]) -> StudyTold:
    """With the report as it may be seen, and without what people said of findings that may not be."""
    verifications = tuple(one for one in told.verifications if one.finding.model not in silent)
    return replace(told, report=seen, verifications=verifications)


def _events(
    events: Iterable[TimelineEvent], silent: Collection[str], *, hidden: bool
) -> Iterator[TimelineEvent]:  # fmt: skip
    names = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in sorted(silent))) if silent else None
    for event in events:
        if hidden and event.step in _TELLING:
            continue
        if names is None:
            yield event
        elif not names.search(f"{event.step} {event.outcome}"):
            yield replace(event, detail=tuple(line for line in event.detail if not names.search(line)))
