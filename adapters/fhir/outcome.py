"""OperationOutcome: how FHIR and CDS Hooks 3.0 say that something went wrong."""

from __future__ import annotations

from collections.abc import Iterable


def operation_outcome(issue_code: str, text: str) -> dict[str, object]:
    """One error with a code of http://hl7.org/fhir/issue-type; an empty text is left out (R4 OperationOutcome)."""
    return {"resourceType": "OperationOutcome", "issue": [_issue("error", issue_code, text)]}


def informational(text: str, warnings: Iterable[str] = ()) -> dict[str, object]:
    """A hint that rides along with a successful answer, and what could not be done."""
    issues = [_issue("information", "informational", text), *(_issue("warning", "processing", w) for w in warnings)]
    return {"resourceType": "OperationOutcome", "issue": issues}


def _issue(severity: str, code: str, text: str) -> dict[str, object]:
    issue: dict[str, object] = {"severity": severity, "code": code}
    return issue | ({"details": {"text": text}} if text else {})
