"""What models say of one series, as marks and overlays for the viewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cds.domain.conclusion import amount
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import HeatMapRef, MaskRef
from cds.domain.report import Report
from cds.domain.verification import Verdict
from cds.ui.images import Label, Mark, Overlay, Shown

_LISTED = (Presence.PRESENT, Presence.MEASURED)
MASK, HEAT = "mask", "heat"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A mask or heat map of a report, under the number that addresses name it by."""

    overlay: Overlay
    ref: MaskRef | HeatMapRef


def marks(report: Report, series_uid: str, pictures: Sequence[Shown]) -> tuple[Mark, ...]:
    """Findings that are present, then those that were measured, each with the pictures that show it."""
    places: dict[str, list[int]] = {}
    for shown in pictures:
        places.setdefault(shown.said.sop_instance_uid, []).append(shown.k)
    rejected = {v.finding.name for v in report.verifications if v.verdict is Verdict.REJECTED}
    return tuple(
        _mark(outcome, finding, places, rejected=f"{outcome.model}.{finding.key}" in rejected)
        for presence in _LISTED
        for outcome in _findings(report)
        for finding in outcome.findings
        if finding.presence is presence and (finding.series_instance_uid or outcome.series_instance_uid) == series_uid
    )


def drawings(report: Report, series_uid: str) -> tuple[Drawing, ...]:
    """The masks and heat maps on a series."""
    found = [(outcome, ref) for outcome in _findings(report) for ref in _refs(outcome, series_uid)]
    return tuple(Drawing(_overlay(number, outcome, ref), ref) for number, (outcome, ref) in enumerate(found, 1))


def _refs(outcome: Findings, series_uid: str) -> Iterator[MaskRef | HeatMapRef]:
    yield from (mask for mask in outcome.masks if mask.series_instance_uid == series_uid)
    yield from (heat for heat in outcome.heat_maps if heat.series_instance_uid == series_uid)


def _findings(report: Report) -> Iterator[Findings]:
    return (outcome for outcome in report.outcomes if isinstance(outcome, Findings))


def _mark(outcome: Findings, finding: Finding, places: Mapping[str, Sequence[int]], *, rejected: bool) -> Mark:
    """Its text never says more than the finding: what a radiologist rejected says so."""
    said = finding.code.display or finding.code.code
    parts = [said, amount(finding.value) if finding.value else "", finding.laterality, finding.note]
    text = ", ".join(filter(None, parts)) + (" – rejected by a radiologist" if rejected else "")
    uids = dict.fromkeys(filter(None, (finding.key_sop_instance_uid, *finding.key_slices)))
    pictures = tuple(k for uid in uids for k in places.get(uid, ()))
    return Mark(f"{outcome.model}.{finding.key}", text, finding.presence.value, _named(outcome), pictures)


def _overlay(number: int, outcome: Findings, ref: MaskRef | HeatMapRef) -> Overlay:
    if isinstance(ref, MaskRef):
        labels = tuple(Label(value, name) for value, name in sorted(ref.labels.items()))
        return Overlay(number, MASK, _named(outcome), ", ".join(label.name for label in labels), labels)
    finding = next((one for one in outcome.findings if one.key == ref.key), None)
    name = (finding.code.display or finding.code.code) if finding else ref.key
    return Overlay(number, HEAT, _named(outcome), name, (), (f"{outcome.model}.{ref.key}",))


def _named(outcome: Findings) -> str:
    return f"{outcome.model} {outcome.version}"
