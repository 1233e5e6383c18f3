"""Who may see what now: the one place that every sink and every hook asks (SAFETY section 4).

`decide` answers for a report under the settings, switches and verifications of now; `view` is the report as one
audience may see it. Nothing that a sink or a hook says may come from anywhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from cds import critical
from cds.domain.finding import NO_SERIES, Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.follow_up import Acceptance
from cds.domain.imaging import Study
from cds.domain.matching import MatchState
from cds.domain.recommendation import Advice, NothingToSay, PathwayOutcome
from cds.domain.report import Audience, Gate, Mode, Release, Report
from cds.domain.second_reading import ReadingMode
from cds.domain.switch import SwitchKind
from cds.domain.verification import Agreement, Verdict, Verification
from cds.pathways.merging import together
from cds.ports import Switches
from cds.settings import Settings

_NOT_TOLD = "an order has been cancelled or is missing: "
_UNREAD = "second reader: hidden until a radiologist's own reading is recorded"
_SURE = frozenset({Verdict.CONFIRMED, Verdict.CORRECTED})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One finding and one audience."""

    finding: str
    audience: Audience
    gate: Gate
    verdict: Verdict | None
    agreement: Agreement | None
    reported: bool
    critical: bool
    present: bool


@dataclass(frozen=True, slots=True)
class _Then:
    """The switches of when a report was decided, as far as it shows them: what was off said nothing in it."""

    report: Report

    def off(self, kind: SwitchKind, name: str) -> bool:
        """See `cds.ports.Switches`."""
        return kind is SwitchKind.MODEL and not any(
            finding.startswith(f"{name}.") for finding in self.report.decision.release.findings
        )


def site(settings: Settings, study: Study) -> str:
    """The site that a study belongs to, by the issuer of its accession number or patient identifier."""
    known = [i.assigner for i in (study.accession, study.patient) if i]
    return settings.site_of(*known)


def decide(settings: Settings, switches: Switches, report: Report) -> Release:
    """The release of a report as it stands. Held studies reach nobody, unmatched ones the radiologist alone.

    A critical finding reaches the radiologist whatever the matrix says.
    """
    if report.match.state is MatchState.HELD:
        return Release(frozenset(), ("held: " + "; ".join(report.match.reasons),))
    findings: dict[str, frozenset[Audience]] = {}
    withheld: dict[str, None] = {}
    where = site(settings, report.study)
    urgent = {one.finding for one in critical.find(settings, report.outcomes)}
    for outcome in report.outcomes:
        if reason := _silent(settings, switches, outcome, where):
            withheld[f"{outcome.model}: {reason}"] = None
            continue
        unread = _is_unread(settings, report, outcome)
        for name in _names(outcome):
            if unread and name not in urgent:
                withheld[f"{outcome.model}: {_UNREAD}"] = None
                findings[name] = frozenset()
                continue
            gates = {audience: settings.gate(name, audience, where) for audience in Audience}
            asked = [_ask(report, name, a, gate=gate, urgent=name in urgent) for a, gate in gates.items()]
            reasons = {a.audience: _withheld(report, a) for a in asked}
            findings[name] = frozenset(audience for audience, why in reasons.items() if not why)
            withheld |= {f"{audience.value}: {why}": None for audience, why in reasons.items() if why}
    if not findings and not withheld:
        withheld["no model has evaluated this study"] = None
    return Release(frozenset().union(*findings.values()), tuple(withheld), findings)


def view(
    settings: Settings,
    switches: Switches,
    report: Report,
    audience: Audience,
    *,
    production: bool = True,
    has: bool = False,
) -> Report | None:
    """The report as an audience may see it now; None where it may see nothing.

    A test report is seen by test sinks alone, and they see no other (SAFETY section 3, MSH-11). `has` is True where the
    audience has an earlier version: what was told before its order was cancelled stays told, as it holds now.
    """
    asked = report
    if has and report.match.state is MatchState.DETACHED:
        asked = replace(report, match=replace(report.match, state=MatchState.MATCHED))
    release = decide(settings, switches, asked)
    if report.test is production or not release.allows(audience):
        return None
    said = together(_advice(settings, switches, report, release, audience))
    decision = replace(report.decision, release=release, outcomes=said)
    answers = tuple(_answers(settings, switches, report, said))
    return as_decided(replace(report, decision=decision, acceptances=answers), audience)


def as_decided(report: Report, audience: Audience) -> Report:
    """The report as an audience was shown it when it was made: what a retraction takes back.

    Whoever may see a recommendation may see what a person did with it.
    """
    release = report.decision.release
    said = tuple(_released(report.decision.outcomes, release))
    seen = [_seen(outcome, release, audience) for outcome in report.outcomes]
    outcomes = tuple(outcome for outcome in seen if outcome is not None)
    names = {name for outcome in outcomes for name in _names(outcome)}
    return replace(
        report,
        outcomes=outcomes,
        verifications=tuple(v for v in report.verifications if v.finding.name in names),
        decision=replace(
            report.decision,
            outcomes=said,
            comparisons=tuple(c for c in report.decision.comparisons if c.finding in names),
        ),
        acceptances=_answered(report, said) if release.allows(Audience.REFERRAL) else (),
        critical=tuple(name for name in report.critical if name in names),
    )


def as_told(report: Report, audience: Audience) -> Report:
    """The report as an audience that has it was told it. What stood after its order was cancelled may be all of it."""
    if report.match.state is not MatchState.DETACHED:
        return as_decided(report, audience)
    everybody = frozenset({audience, Audience.REFERRAL})
    everything = {name: everybody for outcome in report.outcomes for name in _names(outcome)}
    decision = replace(report.decision, release=Release(everybody, findings=everything))
    return as_decided(replace(report, decision=decision), audience)


def as_made(settings: Settings, report: Report, audience: Audience, *, production: bool = True) -> Report:
    """The report as a delivery says it that was made with it: under the switches of then, by the settings of now."""
    if report.match.state is MatchState.DETACHED:
        seen = view(settings, _Then(report), report, audience, production=production, has=True)
        if seen is not None:
            return seen
    return as_decided(report, audience)


def pathways(settings: Settings, switches: Switches, installed: Iterable[str], where: str) -> tuple[str, ...]:
    """The pathways that may speak at a site now."""
    return tuple(
        name
        for name in installed
        if settings.pathway_mode(name, where) is Mode.ADVISORY and not switches.off(SwitchKind.PATHWAY, name)
    )


def shown(report: Report) -> frozenset[str]:
    """The names of what a view shows, "<model>.<finding key>"."""
    return frozenset(name for outcome in report.outcomes for name in _names(outcome))


def told(settings: Settings, report: Report) -> tuple[ModelOutcome, ...]:
    """The outcomes that may be spoken of: of a second reader whom nobody has read beside, what is critical alone."""
    urgent = {one.finding for one in critical.find(settings, report.outcomes)}
    seen = (_told(one, urgent) if _is_unread(settings, report, one) else one for one in report.outcomes)
    return tuple(one for one in seen if one is not None)


def believed(outcomes: Iterable[ModelOutcome], verifications: Iterable[Verification]) -> tuple[ModelOutcome, ...]:
    """What pathways may rest on: rejected findings are gone, corrected ones have the radiologist's value."""
    newest = {v.finding.name: v for v in verifications}
    return tuple(_believed(outcome, newest) for outcome in outcomes)


def _believed(outcome: ModelOutcome, newest: dict[str, Verification]) -> ModelOutcome:
    if not isinstance(outcome, Findings):
        return outcome
    kept: list[Finding] = []
    for finding in outcome.findings:
        said = newest.get(f"{outcome.model}.{finding.key}")
        if said is None or said.verdict is Verdict.CONFIRMED:
            kept.append(finding)
        elif said.verdict is Verdict.CORRECTED:
            kept.append(replace(finding, value=said.corrected or finding.value))
    return replace(outcome, findings=tuple(kept))


def _silent(settings: Settings, switches: Switches, outcome: ModelOutcome, where: str) -> str:
    """Why nothing of a model's answer leaves the house; empty where it may."""
    mode = settings.model_mode(outcome.model, where)
    if mode is not Mode.ADVISORY:
        return f"the model is in {mode.value} mode at this site"
    if switches.off(SwitchKind.MODEL, outcome.model):
        return "the model is switched off"
    if isinstance(outcome, NotEvaluated) and outcome.gate == NO_SERIES:
        return "it reads no images like these"
    return ""


def _is_unread(settings: Settings, report: Report, outcome: ModelOutcome) -> bool:
    """Whether a model reads beside a radiologist who has not recorded their own reading of these images."""
    mode = settings.reading_mode(outcome.model, site(settings, report.study))
    return mode is ReadingMode.SECOND_READER and outcome.model not in report.read


def _told(outcome: ModelOutcome, urgent: Collection[str]) -> ModelOutcome | None:
    if not isinstance(outcome, Findings):
        return None
    kept = tuple(one for one in outcome.findings if f"{outcome.model}.{one.key}" in urgent)
    return replace(outcome, findings=kept) if kept else None


def _names(outcome: ModelOutcome) -> tuple[str, ...]:
    if isinstance(outcome, NotEvaluated):
        return (f"{outcome.model}.",)
    return tuple(f"{outcome.model}.{finding.key}" for finding in outcome.findings)


def _ask(report: Report, name: str, audience: Audience, *, gate: Gate, urgent: bool) -> _Asked:
    present = any(
        f"{o.model}.{f.key}" == name and f.presence is Presence.PRESENT
        for o in report.outcomes
        for f in (o.findings if isinstance(o, Findings) else ())
    )
    verdicts = [v.verdict for v in report.verifications if v.finding.name == name]
    agreements = [c.agreement for c in report.decision.comparisons if c.finding == name]
    return _Asked(
        name,
        audience,
        gate,
        verdicts[-1] if verdicts else None,
        agreements[-1] if agreements else None,
        report.final_report is not None,
        urgent,
        present,
    )


def _withheld(report: Report, asked: _Asked) -> str:
    """Why an audience may not see a finding now; empty where it may."""
    if asked.audience is Audience.RADIOLOGIST:
        return "" if asked.critical else _behind(asked)
    if report.match.state is not MatchState.MATCHED:
        return _NOT_TOLD + "; ".join(report.match.reasons)
    if asked.verdict is Verdict.REJECTED:
        return "a radiologist rejected the finding"
    if asked.agreement is Agreement.DISCORDANT and asked.verdict not in _SURE:
        return "the radiologist's final report contradicts the finding"
    return _behind(asked)


def _behind(asked: _Asked) -> str:
    """What its gate still waits for."""
    sure = asked.verdict in _SURE
    if asked.gate is Gate.NEVER:
        return "the release matrix never lets it go there"
    if asked.gate is Gate.VERIFIED and not (sure or _does_not_contradict(asked)):
        return "waits for a radiologist's verification, or a final report that does not contradict"
    if asked.gate is Gate.CONFIRMED and not sure:
        return "waits for a radiologist's verification"
    return ""


def _does_not_contradict(asked: _Asked) -> bool:
    """A final report that could not be compared may still deny what is there: only one that agrees lets that go.

    A measurement or a negative that the report is silent about is not contradicted by it.
    """
    if not asked.reported:
        return False
    return asked.agreement is Agreement.AGREES if asked.present else asked.agreement is not Agreement.DISCORDANT


def _seen(outcome: ModelOutcome, release: Release, audience: Audience) -> ModelOutcome | None:
    if isinstance(outcome, NotEvaluated):
        return outcome if release.shows(f"{outcome.model}.", audience) else None
    kept = tuple(f for f in outcome.findings if release.shows(f"{outcome.model}.{f.key}", audience))
    return replace(outcome, findings=kept) if kept else None


def _advice(
    settings: Settings, switches: Switches, report: Report, release: Release, audience: Audience
) -> Iterator[PathwayOutcome]:
    """What pathways say, as far as referral cards may rest on each finding that it rests on."""
    if not release.allows(Audience.REFERRAL):
        return
    for said in _released(report.decision.outcomes, release):
        told = _speaks(settings, switches, report, said.pathway) and settings.hears(said.pathway, audience)
        if told and not isinstance(said, NothingToSay):
            yield said


def _released(outcomes: Iterable[PathwayOutcome], release: Release) -> Iterator[PathwayOutcome]:
    """Without the advice that rests on a finding which referral cards may not rest on."""
    shown = {name.partition(".")[2] for name in release.findings if release.shows(name, Audience.REFERRAL)}
    return (said for said in outcomes if not isinstance(said, Advice) or set(said.finding_keys) <= shown)


def _speaks(settings: Settings, switches: Switches, report: Report, pathway: str) -> bool:
    if settings.pathway_mode(pathway, site(settings, report.study)) is not Mode.ADVISORY:
        return False
    return not switches.off(SwitchKind.PATHWAY, pathway)


def _answers(
    settings: Settings, switches: Switches, report: Report, said: Iterable[PathwayOutcome]
) -> Iterator[Acceptance]:  # fmt: skip
    """What people did with the recommendations of pathways that may speak now."""
    return (one for one in _answered(report, said) if _speaks(settings, switches, report, one.pathway))


def _answered(report: Report, said: Iterable[PathwayOutcome]) -> tuple[Acceptance, ...]:
    """The answers to what is said, and to what no pathway recommends any more; not to what is withheld."""
    withheld = _recommended(report.decision.outcomes) - _recommended(said)
    return tuple(one for one in report.acceptances if one.name not in withheld)


def _recommended(outcomes: Iterable[PathwayOutcome]) -> frozenset[str]:
    """The names of recommendations, "<pathway>.<recommendation>"."""
    advised = [said for said in outcomes if isinstance(said, Advice)]
    return frozenset(f"{said.pathway}.{step.key}" for said in advised for step in said.recommendations)
