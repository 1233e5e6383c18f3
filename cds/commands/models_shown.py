"""What `cds models route` and `cds models run` answer, as text and JSON: UIDs and codes, nothing of a patient."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from cds.bootstrap.models_run import RoutedStudy, StudyRun, reason_of
from cds.domain.finding import Finding, Findings, NotEvaluated
from cds.domain.imaging import SeriesSummary
from cds.domain.wording import amount
from models.routing import Decision, Route


def routes_as_json(found: Sequence[RoutedStudy]) -> str:
    """One array: a study each, with its series and every model's decision on each of them."""
    return json.dumps([_routed(one) for one in found], indent=2, ensure_ascii=False)


def routes_as_text(found: Sequence[RoutedStudy]) -> str:
    """A paragraph for each study, a line for each model and series."""
    return "\n\n".join("\n".join(_route_lines(one)) for one in found)


def runs_as_json(found: Sequence[StudyRun]) -> str:
    """One array: a study each, with the outcome of every series that was tried."""
    return json.dumps([_run(one) for one in found], indent=2, ensure_ascii=False)


def runs_as_text(found: Sequence[StudyRun]) -> str:
    """A paragraph for each study: what was found, or every reason why nothing was."""
    return "\n\n".join("\n".join(_run_lines(one)) for one in found)


def _routed(one: RoutedStudy) -> dict[str, object]:
    return {
        "study_instance_uid": one.study.study_instance_uid,
        "age_years": one.study.facts.age_years,
        "series": [
            {
                "series_instance_uid": series.series_instance_uid,
                "modality": series.modality,
                "body_part": series.body_part,
                "images": len(series.paths),
                "views": series.views,
            }
            for series in one.study.series
        ],
        "models": [asdict(route) | {"chosen": route.chosen} for route in one.routes],
    }


def _route_lines(one: RoutedStudy) -> Iterator[str]:
    age = one.study.facts.age_years
    yield f"study {one.study.study_instance_uid}, age {'not known' if age is None else age}"
    named = {series.series_instance_uid: _named(series) for series in one.study.series}
    for route in one.routes:
        yield f"  {route.model} {route.version}" + (", urgent by the order's reason" if route.urgent else "")
        yield from (f"    {text}" for text in route.cautions)
        for decision in sorted(route.decisions, key=lambda d: (d.rank is None, d.rank or 0)):
            yield f"    {_decided(decision)}: {named[decision.series_instance_uid]}"


def _decided(decision: Decision) -> str:
    if decision.rank is not None:
        return f"chosen, {decision.rank} ({decision.standing})"
    return f"not chosen, {decision.reason}"


def _named(series: SeriesSummary) -> str:
    what = [series.modality, series.body_part, *series.views, f"{len(series.paths)} images"]
    return f"series {series.series_instance_uid} ({', '.join(filter(None, what))})"


def _run(one: StudyRun) -> dict[str, object]:
    found = one.findings
    return {
        "study_instance_uid": one.study_instance_uid,
        "model": one.route.model,
        "version": one.route.version,
        "evaluated": found is not None,
        "reason": reason_of(one),
        "not_chosen": [asdict(d) for d in one.route.decisions if d.rank is None],
        "tried": [
            {"series_instance_uid": tried.series_instance_uid, "kind": tried.outcome.kind}
            | (_findings(tried.outcome) if isinstance(tried.outcome, Findings) else _refusal(tried.outcome))
            for tried in one.tried
        ],
        "files": [str(path) for path in one.files],
    }


def _findings(found: Findings) -> dict[str, object]:
    return {
        "findings": [asdict(finding) for finding in found.findings],
        "limits": found.limits,
        "device": found.device,
        "timings_ms": found.timings_ms,
    }


def _refusal(refused: NotEvaluated) -> dict[str, object]:
    return {"gate": refused.gate, "reasons": refused.reasons}


def _run_lines(one: StudyRun) -> Iterator[str]:
    yield f"study {one.study_instance_uid}: {one.route.model} {one.route.version}"
    if not one.tried:
        yield f"  not evaluated: {reason_of(one)}"
        yield from _others(one.route)
    for tried in one.tried:
        yield f"  series {tried.series_instance_uid}"
        if isinstance(tried.outcome, Findings):
            yield from _finding_lines(tried.outcome)
        else:
            yield f"    not evaluated, gate {tried.outcome.gate}"
            yield from (f"    {reason}" for reason in tried.outcome.reasons)
    yield from (f"  written: {path}" for path in one.files)


def _others(route: Route) -> Iterator[str]:
    yield from (f"    series {d.series_instance_uid}: {d.reason}" for d in route.decisions)


def _finding_lines(found: Findings) -> Iterator[str]:
    for finding in found.findings:
        yield f"    {finding.code.display or finding.key}: {_said(finding)}"
    yield from (f"    limit: {text}" for text in found.limits)
    gates = dict.fromkeys(gate for finding in found.findings for gate in finding.gates)
    if gates:
        yield f"    gates passed: {'; '.join(gates)}"
    timings = ", ".join(f"{step} {ms:.0f} ms" for step, ms in found.timings_ms.items())
    yield f"    on {found.device}" + (f": {timings}" if timings else "")


def _said(finding: Finding) -> str:
    parts = [finding.presence.value if finding.value is None else amount(finding.value)]
    if finding.laterality:
        parts.append(finding.laterality)
    if finding.confidence is not None:
        at = f", threshold {finding.threshold.digits}" if finding.threshold else ""
        parts.append(f"probability {finding.confidence:.3f}{at}")
    if finding.category:
        parts.append(finding.category.display or finding.category.code)
    return ", ".join([*parts, *filter(None, (finding.reason, finding.note))])
