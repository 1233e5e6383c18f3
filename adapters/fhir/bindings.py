"""The codes of R4's required bindings (terminologies.html#strength): another code is no R4, whatever a server says."""

from __future__ import annotations

#: Each value set is at this address, followed by its name, in version 4.0.1.
SOURCE = "http://hl7.org/fhir/ValueSet/"

_TABLE = {
    "address-type": "postal physical both",
    "address-use": "home work temp old billing",
    "administrative-gender": "male female other unknown",
    "bundle-type": (
        "document message transaction transaction-response batch batch-response history searchset collection"
    ),
    "contact-point-system": "phone fax email pager url sms other",
    "contact-point-use": "home work temp old mobile",
    "days-of-week": "mon tue wed thu fri sat sun",
    "device-nametype": "udi-label-name user-friendly-name patient-reported-name manufacturer-name model-name other",
    "device-status": "active inactive entered-in-error unknown",
    "diagnostic-report-status": (
        "registered partial preliminary final amended corrected appended cancelled entered-in-error unknown"
    ),
    "event-status": "preparation in-progress not-done on-hold stopped completed entered-in-error unknown",
    "event-timing": (
        "MORN MORN.early MORN.late NOON AFT AFT.early AFT.late EVE EVE.early EVE.late NIGHT PHS HS WAKE"
        " C CM CD CV AC ACM ACD ACV PC PCM PCD PCV"
    ),
    "flag-status": "active inactive entered-in-error",
    "http-verb": "GET HEAD POST PUT DELETE PATCH",
    "identifier-use": "usual official temp secondary old",
    "issue-severity": "fatal error warning information",
    "issue-type": (
        "invalid structure required value invariant security login unknown expired forbidden suppressed processing"
        " not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly"
        " business-rule conflict transient lock-error no-store exception timeout incomplete throttled informational"
    ),
    "link-type": "replaced-by replaces refer seealso",
    "name-use": "usual official temp nickname anonymous old maiden",
    "narrative-status": "generated extensions additional empty",
    "observation-status": "registered preliminary final amended corrected cancelled entered-in-error unknown",
    "provenance-entity-role": "derivation revision quotation source removal",
    "quantity-comparator": "< <= >= >",
    "request-intent": ("proposal plan directive order original-order reflex-order filler-order instance-order option"),
    "request-priority": "routine urgent asap stat",
    "request-status": "draft active on-hold revoked completed entered-in-error unknown",
    "search-entry-mode": "match include outcome",
    "subscription-channel-type": "rest-hook websocket email sms message",
    "subscription-status": "requested active error off",
    "task-intent": ("unknown proposal plan order original-order reflex-order filler-order instance-order option"),
    "task-status": (
        "draft requested received accepted rejected ready cancelled in-progress on-hold failed completed"
        " entered-in-error"
    ),
    "udi-entry-type": "barcode rfid manual card self-reported unknown",
    "units-of-time": "s min h d wk mo a",
}
#: Value sets by name. `mimetypes` is no list (BCP 13): it is a form, and stands in `primitives`.
CODES = {name: frozenset(codes.split()) for name, codes in _TABLE.items()}
