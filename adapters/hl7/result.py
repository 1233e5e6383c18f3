"""What a report says, cut into observations for OBX (SAFETY section 6).

Each finding is one observation; what belongs to it (threshold, certainty, body site, series) follows under its OBX-4
with a code of its own. Then comes what guidelines and scores say, all of it in plain words, and which study it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace

from adapters.hl7.advice import guided
from adapters.hl7.encode import NOTHING, Encoded, components, field
from adapters.hl7.segments import OUR_CODES, OUR_NAME
from adapters.hl7.statement import NOT_OBTAINED, WRONG, Observation, number, prose, quantity, short_sub_id, unit
from cds.codes import DCM, SNOMED
from cds.domain import conclusion
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.opinion import remarks
from cds.domain.report import Report
from cds.domain.wording import details

_SYSTEM_NAMES = {
    "http://loinc.org": "LN",
    SNOMED: "SCT",
    "http://www.radlex.org": "RADLEX",
    DCM: "DCM",
}
#: SNOMED CT qualifier values.
_DETECTED = "260373001"
_NOT_DETECTED = "260415000"
#: HL7 table 0078. A negative has no flag: N would call it normal, and it excludes nothing (SAFETY section 6).
_ABNORMAL = "A"

_MEASURED = components("AI-MEASURED", "What was measured where nothing was detected", OUR_CODES)
_THRESHOLD = components("AI-THRESHOLD", "Threshold of the finding", OUR_CODES)
#: PS3.16 annex D, and TID 1501.
_CHANGE = components("AI-CHANGE", "Change since the earlier study", OUR_CODES)
_CATEGORY = components("AI-CATEGORY", "Published category of the value", OUR_CODES)
_LATERALITY = components("272741003", "Laterality", "SCT")
#: PS3.16 CID 244.
_SIDES = {
    "left": components("7771000", "Left", "SCT"),
    "right": components("24028007", "Right", "SCT"),
    "both": components("51440002", "Bilateral", "SCT"),
}
_CERTAINTY = components("111012", "Certainty of Finding", "DCM")
_FINDING_SITE = components("363698007", "Finding Site", "SCT")
_SERIES = components("112002", "Series Instance UID", "DCM")
_STUDY = components("110180", "Study Instance UID", "DCM")
#: Not LOINC 19005-8: a receiver would file that as the radiologist's impression (SAFETY section 3).
_IMPRESSION = components("AI-IMPRESSION", "AI analysis in plain words, no radiologist's impression", OUR_CODES)
_LABEL = components("AI-LABEL", "Label of the content", OUR_CODES)
#: v3 ObservationValue, the label of the AI Transparency IG; table 0396 of 2.5.1 has no name for that system.
_AI_ASSERTED = components("AIAST", "Artificial Intelligence asserted", "99V3OBSVALUE")
_DOCUMENT = components("AI-DOCUMENT", "AI analysis as a document", OUR_CODES)


def observations(report: Report, document: bytes | None = None) -> Iterator[Observation]:
    """All of a report, each observation with an identity of its own in it.

    `report` is what its audience may see (`cds.release.view`). `document` is the same as a PDF, None where it is not
    sent.
    """
    seen: set[tuple[str, str]] = set()
    for said in _said(report, document):
        one = _apart(said, seen)
        seen.add(one.identity)
        yield one


def withdrawn(before: Observation, reason: str) -> Observation:
    """The same OBX without its value, posted as wrong."""
    notes = (f"Withdrawn: {reason.rstrip('.')}.",)
    return replace(before, value_type="ST", value=field("withdrawn"), unit=NOTHING, flag="", status=WRONG, notes=notes)


def negative(finding: Finding, model: str) -> str:
    """SAFETY section 6: a negative names its model and threshold, and what it does not mean."""
    at = f" at threshold {quantity(finding.threshold)}" if finding.threshold else ""
    measured = f" (measured {quantity(finding.value)})" if finding.value else ""
    return f"not detected by {model}{at}{measured}; does not exclude"


def _said(report: Report, document: bytes | None) -> Iterator[Observation]:
    for outcome in report.outcomes:
        if isinstance(outcome, NotEvaluated):
            yield from _refusal(outcome)
        else:
            for finding in outcome.findings:
                yield from _finding(finding, outcome, report)
    yield from guided(report)
    yield Observation("FT", _IMPRESSION, "", field(conclusion.text(report)))
    yield Observation("CWE", _LABEL, "", _AI_ASSERTED)
    yield Observation("ST", _STUDY, "", field(report.study.study_instance_uid))
    if document is not None:
        # ED: source application ^ type of data ^ subtype ^ encoding ^ data (section 2.A.24, tables 0191, 0291, 0299).
        data = base64.b64encode(document).decode("ascii")
        yield Observation("ED", _DOCUMENT, "", components(OUR_NAME, "Application", "PDF", "Base64", data))


def _apart(said: Observation, seen: set[tuple[str, str]]) -> Observation:
    """Two models may name their findings alike: the second is not to be filed over the first."""
    one, times = said, 1
    while one.identity in seen:
        times += 1
        one = replace(said, sub_id=short_sub_id(f"{said.model}.{said.sub_id}#{times}"))
    return one


def _finding(finding: Finding, outcome: Findings, report: Report) -> Iterator[Observation]:
    model = f"{outcome.model} {outcome.version}"
    kind, value, value_unit = _value(finding, model)
    main = Observation(
        kind,
        _code(finding.code),
        short_sub_id(finding.key),
        value,
        value_unit,
        flag=_ABNORMAL if finding.presence is Presence.PRESENT else "",
        status=NOT_OBTAINED if finding.presence is Presence.NOT_EVALUATED else "P",
        model=outcome.model,
        version=outcome.version,
        notes=(*_finding_notes(finding, outcome, model), *_opinions(finding, outcome, report)),
    )
    yield main
    yield from _details(finding, replace(main, unit=NOTHING, flag="", status="P", notes=()))


def _details(finding: Finding, like: Observation) -> Iterator[Observation]:
    if finding.value is not None and finding.presence is Presence.NOT_DETECTED:
        yield _measured(replace(like, code=_MEASURED), finding.value)
    if finding.threshold is not None:
        yield _measured(replace(like, code=_THRESHOLD), finding.threshold)
    if finding.confidence is not None:
        yield _measured(replace(like, code=_CERTAINTY), Quantity(round(finding.confidence * 100, 4), "%"))
    if finding.body_site is not None:
        yield replace(like, value_type="CWE", code=_FINDING_SITE, value=_code(finding.body_site))
    if finding.presence is not Presence.NOT_EVALUATED:
        yield from _about(finding, like)
    yield from _series(finding.series_instance_uid, like)


def _about(finding: Finding, like: Observation) -> Iterator[Observation]:
    if finding.laterality:
        yield replace(like, value_type="CWE", code=_LATERALITY, value=_SIDES[finding.laterality])
    if finding.category is not None:
        yield replace(like, value_type="CWE", code=_CATEGORY, value=_code(finding.category))
    if (change := finding.change) is not None:
        yield _measured(replace(like, code=_CHANGE), Quantity(round(change.absolute, 6), change.prior.unit))


def _series(uid: str, like: Observation) -> Iterator[Observation]:
    if uid:
        yield replace(like, value_type="ST", code=_SERIES, value=field(uid))


def _measured(like: Observation, value: Quantity) -> Observation:
    return replace(like, value_type="NM", value=field(number(value.value)), unit=unit(value))


def _value(finding: Finding, model: str) -> tuple[str, Encoded, Encoded]:
    if finding.presence is Presence.NOT_EVALUATED:
        return *prose(f"not evaluated: {finding.reason or 'no reason given'}"), NOTHING
    if finding.presence is Presence.NOT_DETECTED:
        sentence = negative(finding, model)
        return "CWE", components(_NOT_DETECTED, sentence, "SCT", "", "", "", "", "", sentence), NOTHING
    if finding.value is not None:
        return "NM", field(number(finding.value.value)), unit(finding.value)
    return "CWE", components(_DETECTED, f"detected by {model}", "SCT"), NOTHING


def _finding_notes(finding: Finding, outcome: Findings, model: str) -> Iterator[str]:
    if finding.presence is Presence.PRESENT:
        at = f" at threshold {quantity(finding.threshold)}" if finding.threshold else ""
        yield f"Detected by {model}{at}."
    if finding.reason and finding.presence is not Presence.NOT_EVALUATED:
        yield finding.reason
    yield from details(finding)
    if finding.gates:
        yield f"Checked: {'; '.join(finding.gates)}."
    if outcome.limits:
        yield "Limits: " + " ".join(limit.rstrip(".") + "." for limit in outcome.limits)


def _opinions(finding: Finding, outcome: Findings, report: Report) -> Iterator[str]:
    """OBX-5 and OBX-11 stay the model's: a verification signs nothing (SAFETY section 3)."""
    for said in remarks(report, outcome.model, outcome.version, finding.key, quantity):
        yield said.text


def _refusal(outcome: NotEvaluated) -> Iterator[Observation]:
    """A model that refused the whole study: no result (OBX-11 X), and why."""
    kind, text = prose(f"not evaluated: {'; '.join(outcome.reasons) or 'no reason given'}")
    code = components(outcome.model, f"Analysis by {outcome.model}", OUR_CODES)
    main = Observation(kind, code, short_sub_id(outcome.model), text, model=outcome.model, version=outcome.version)
    yield replace(main, status=NOT_OBTAINED)
    yield from _series(outcome.series_instance_uid, main)


def _code(code: Coding) -> Encoded:
    return components(code.code, code.display or code.code, _SYSTEM_NAMES.get(code.system, OUR_CODES))
