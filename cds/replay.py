"""Shadow replay: the pipeline's own steps over past studies, on stores that keep nothing and sinks that cannot send.

What models saw is taken as stored; match, record, pathways and release are of now, under settings in which shadow
models and pathways are advisory. Every write is kept in memory and dropped; destinations are taken to have nothing yet.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from cds import alerting, pipeline
from cds.domain.critical import CriticalResult, CriticalState, MakePayload, Opened, Opening, delivery_id
from cds.domain.finding import ModelOutcome
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.imaging import OwnInstance
from cds.domain.recommendation import Advice
from cds.domain.replay import Past, StudyReplayed, WouldSend
from cds.domain.report import Audience, Decision, DeliveryKind, Mode, Report
from cds.domain.resource import Encode
from cds.domain.revision import Work
from cds.domain.story import Withdrawn
from cds.errors import NotFound, SightlineError
from cds.hooks import imaging_findings
from cds.hooks.request import HookRequest
from cds.hooks.service import Forgetful, HookContext
from cds.line import Line, Reports, Works, nothing_missed
from cds.ports import ReportSink, ReportStore
from cds.settings import Settings

#: Of the secret of a link, 32 random bytes in URL-safe base 64.
_TOKEN_LENGTH = 43
_NOBODY = "00000000-0000-0000-0000-000000000000"
_STEPS_OF_NOW = ("match", "enrich", "decide", "alert")
_ENRICHED = ("matched", "detached")


def hypothetical(
    settings: Settings, *, models: Sequence[str], pathways: Sequence[str], only: Collection[str] = ()
) -> tuple[Settings, tuple[str, ...]]:
    """The settings with shadow models and pathways as advisory, at every site; and the names of those.

    `only` limits them to these names. What is off stays off, and kill switches hold.
    """
    wanted = [name for name in (*models, *pathways) if not only or name in only]
    switched: dict[str, None] = {}

    def modes(known: dict[str, Mode], installed: Sequence[str], site: str, *, of_models: bool) -> dict[str, Mode]:
        mode = settings.model_mode if of_models else settings.pathway_mode
        shadows = [name for name in installed if name in wanted and mode(name, site) is Mode.SHADOW]
        switched.update(dict.fromkeys(shadows))
        return {**known, **dict.fromkeys(shadows, Mode.ADVISORY)}

    sites = {
        name: site.model_copy(
            update={
                "model_modes": modes(site.model_modes, models, name, of_models=True),
                "pathway_modes": modes(site.pathway_modes, pathways, name, of_models=False),
            }
        )
        for name, site in settings.sites.items()
    }
    changed = {
        "model_modes": modes(settings.model_modes, models, "", of_models=True),
        "pathway_modes": modes(settings.pathway_modes, pathways, "", of_models=False),
        "sites": sites,
    }
    return settings.model_copy(update=changed), tuple(switched)


def replay(line: Line, context: HookContext, past: Sequence[Past]) -> tuple[StudyReplayed, ...]:
    """What would have been sent and shown of each study; a study that cannot be replayed says why.

    `line` and `context` have the hypothetical settings. Nothing is written, and nothing can be sent.
    """
    return tuple(_replay(line, context, one) for one in past)


def _replay(line: Line, context: HookContext, past: Past) -> StudyReplayed:
    work = past.work
    works, reports = _Works(line.works), _Reports(line.reports)
    criticals = _Criticals(past.at, timedelta(minutes=line.settings.critical_age_limit_minutes))
    silent = replace(
        line,
        works=works,
        reports=reports,
        criticals=criticals,
        sinks={name: _Mute(sink) for name, sink in line.sinks.items()},
        channels={},
        alarm=_refuse,
        missed=nothing_missed,
    )
    try:
        matched = pipeline.match(silent, work.id)
        if matched in _ENRICHED:
            pipeline.enrich(silent, work.id)
        pipeline.decide(silent, work.id)
        pipeline.report(silent, work.id)
        alerting.alert(silent, work.id)
        decided: Decision = works.step(work.id, "decide", Decision)
        cards = _cards(context, reports.committed) if reports.committed else ()
    except SightlineError as error:
        return StudyReplayed(work.study_instance_uid, work.id, not_sent=(str(error),))
    allowed = decided.release
    return StudyReplayed(
        study_instance_uid=work.study_instance_uid,
        work_id=work.id,
        match=matched,
        audiences=tuple(sorted(audience.value for audience in allowed.audiences)),
        findings=tuple((name, tuple(sorted(a.value for a in who))) for name, who in sorted(allowed.findings.items())),
        withheld=allowed.withheld,
        advice=tuple(f"{o.pathway}: {o.summary}" for o in decided.outcomes if isinstance(o, Advice)),
        deliveries=(*reports.sent, *criticals.sent),
        cards=cards,
        not_sent=(*reports.not_encoded, *criticals.not_told),
    )


def _cards(context: HookContext, report: Report) -> tuple[str, ...]:
    """The summaries of the cards that whoever opens the patient would see of this report."""
    patient = report.patient
    if patient is None:
        return ()
    alone = replace(
        context, reports=_OneReport(context.reports, report), read_patient=lambda resource: patient, log=Forgetful()
    )
    opened = HookRequest(
        hook="patient-view",
        hook_instance=_NOBODY,
        user_id="",
        patient_id=_NOBODY,
        prefetch={"patient": {"resourceType": "Patient", "id": _NOBODY}},
    )
    return tuple(str(card.body["summary"]) for card in imaging_findings.respond(opened, alone).cards)


def _refuse(*_arguments: object, **_named: object) -> NoReturn:
    raise SightlineError("a replay sends and keeps nothing")


def _would(destination: str, kind: DeliveryKind, payload: bytes) -> WouldSend:
    return WouldSend(destination, kind, len(payload), hashlib.sha256(payload).hexdigest())


@dataclass(slots=True)
class _Works:
    """What steps found, as stored; what the steps of now find stays in memory."""

    stored: Works
    found: dict[str, object] = field(default_factory=dict)

    def work(self, work_id: str) -> Work:
        return self.stored.work(work_id)

    def is_current(self, work: Work) -> bool:
        return self.stored.is_current(work)

    def outcomes(self, work: Work) -> tuple[ModelOutcome, ...]:
        return self.stored.outcomes(work)

    def step(self, work_id: str, step: str, kind: Any) -> Any:
        return self.found.get(step) if step in _STEPS_OF_NOW else self.stored.step(work_id, step, kind)

    def save_step(
        self,
        work: Work,
        step: str,
        kind: Any,
        value: object,
        now: datetime,
        *,
        outcome: str,
        detail: tuple[str, ...] = (),
    ) -> None:
        self.found[step] = value

    def mark(self, work_id: str, state: str, now: datetime) -> None:
        """A state that nobody asks for."""

    def resolve(self, work: Work, kind: HoldKind, now: datetime) -> None:
        """Holds stay as they are."""

    def hold(self, work: Work, kind: HoldKind, reason: str, now: datetime) -> None:
        """Holds stay as they are."""

    def save_outcome(self, work: Work, outcome: ModelOutcome, now: datetime) -> None:
        _refuse()

    def again(self, work: Work, reason: str, now: datetime) -> None:
        _refuse()


@dataclass(frozen=True, slots=True)
class _Done:
    """A commit that was none."""

    version: int
    deliveries: tuple[str, ...] = ()
    superseded: bool = False
    retracted: int = 0
    changed_hands: bool = False


@dataclass(slots=True)
class _Reports:
    """Encodes what would be committed, and keeps how much that is."""

    stored: Reports
    committed: Report | None = None
    sent: tuple[WouldSend, ...] = ()
    not_encoded: tuple[str, ...] = ()

    def commit(self, report: Report, encode: Encode, now: datetime) -> _Done:
        """The version that the work has, or would be the next."""
        final = self._numbered(report)
        self.committed = final
        for _, name, payload in encode.deliveries(final, {}):
            if isinstance(payload, str):
                self.not_encoded = (*self.not_encoded, f"{name}: {payload}")
            else:
                self.sent = (*self.sent, _would(name, DeliveryKind.REPORT, payload))
        return _Done(final.version)

    def latest_of_study(self, study_uid: str) -> Report | None:
        return self.stored.latest_of_study(study_uid)

    def of_work(self, work_id: str) -> Report:
        return self.stored.of_work(work_id)

    def _numbered(self, report: Report) -> Report:
        try:
            was = self.stored.of_work(report.work.id)
        except NotFound:
            last = self.stored.latest_of_study(report.work.study_instance_uid)
            if last is None:
                return replace(report, version=1)
            return replace(report, version=last.version + 1, replaces=last.version, episode=last.episode)
        return replace(report, version=was.version, replaces=was.replaces, episode=was.episode)


@dataclass(slots=True)
class _Criticals:
    """Encodes what would be told of critical findings. Images are old as they were when the study was analysed."""

    at: datetime
    age_limit: timedelta
    sent: tuple[WouldSend, ...] = ()
    not_told: tuple[str, ...] = ()

    def open(self, opening: Opening, make: MakePayload, now: datetime) -> tuple[Opened, str]:
        """As the table of critical results does it for a finding that is new."""
        what = Opened.NEW if opening.route else Opened.UNREACHABLE
        if opening.images_at is not None and self.at - opening.images_at > self.age_limit:
            what = Opened.LATE
        if what is not Opened.NEW:
            self.not_told += (f"{opening.found.finding}: {what.value}",)
            return what, ""
        result = _result(opening, now)
        payload = make(result, delivery_id(result.id, opening.route))
        self.sent += (_would(f"critical:{opening.route}", DeliveryKind.CRITICAL, payload),)
        return what, result.id

    due = escalate = to_withdraw = told = withdraw = staticmethod(_refuse)


def _result(opening: Opening, now: datetime) -> CriticalResult:
    """A result under an id and a token of the form of real ones; the token is no secret, since nobody gets its link."""
    name = f"{opening.work_id}/{opening.found.finding}"
    return CriticalResult(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        token=hashlib.sha256(name.encode()).hexdigest()[:_TOKEN_LENGTH],
        study_instance_uid=opening.study_instance_uid,
        work_id=opening.work_id,
        finding=opening.found.finding,
        title=opening.found.title,
        category=opening.found.category,
        route=opening.route,
        state=CriticalState.OPEN,
        created_at=now,
        due_at=opening.due_at,
        images_at=opening.images_at,
    )


@dataclass(frozen=True, slots=True)
class _Mute:
    """A sink that encodes and cannot send."""

    sink: ReportSink

    @property
    def name(self) -> str:
        return self.sink.name

    @property
    def audience(self) -> Audience:
        return self.sink.audience

    @property
    def production(self) -> bool:
        return self.sink.production

    def prepare(self, report: Report) -> None:
        """See the port."""
        self.sink.prepare(report)

    def encode(self, report: Report, delivery_id: str, earlier: Report | None = None) -> bytes:
        return self.sink.encode(report, delivery_id, earlier)

    def retract(self, report: Report, delivery_id: str, reason: str) -> bytes:
        return self.sink.retract(report, delivery_id, reason)

    def made(self, payload: bytes) -> Sequence[OwnInstance]:
        return self.sink.made(payload)

    def send(self, payload: bytes) -> str:
        _refuse()


@dataclass(frozen=True, slots=True)
class _OneReport:
    """The reports of a patient, were this the only one."""

    stored: ReportStore
    report: Report

    def latest_of_patient(self, patient: Identifier) -> Sequence[Report]:
        return (self.report,)

    def withdrawn_of_patient(self, patient: Identifier, since: datetime) -> Sequence[Withdrawn]:
        return ()

    def knows_patient(self, patient: Identifier) -> bool:
        return self.stored.knows_patient(patient)

    def owners(self, patients: Sequence[Identifier]) -> frozenset[str]:
        return self.stored.owners(patients)

    def survivor(self, patient_id: str) -> str:
        return self.stored.survivor(patient_id)
