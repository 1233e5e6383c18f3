"""What Sightline reads and sends of HL7 v2, field by field; docs/hl7-conformance.md is written from these tables.

A test holds them: every field that the reader looks at stands in READ and every field that is ever sent in SENT, and
nothing else does. A field that stands in neither is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adapters.hl7.events import (
    ACKNOWLEDGMENT_TYPES,
    ORDER_TYPES,
    PATIENT_TYPES,
    SCHEDULE_EVENTS,
    identity_event,
    ignored,
    need_not_name,
)
from cds.domain.identity import IdentityEvent

Fields = Mapping[str, Mapping[int, str]]

#: Read from the bytes, before the acknowledgment.
DOOR: Fields = {
    "MSH": {
        1: "the field separator, for this message alone",
        2: "the other delimiters; a truncation character (2.7) is taken",
        3: "sender: profile, duplicates, feeds, MSH-5 of the answer",
        4: "sender, likewise; MSH-6 of the answer",
        5: "MSH-3 of the answer",
        6: "MSH-4 of the answer",
        9: "message type and trigger event",
        10: "control id: MSA-2 of the answer, duplicates",
        11: "P; T and D are applied in a realm of their own",
        12: "version: form of ERR, MSH-12 of the answer",
        15: "when an accept acknowledgment is wanted",
        16: "when an application acknowledgment is wanted",
        18: "character set",
    },
    "FHS": {
        1: "the field separator",
        2: "the other delimiters",
        3: "FHS-5 of the answer",
        4: "FHS-6 of the answer",
        5: "FHS-3 of the answer",
        6: "FHS-4 of the answer",
        11: "FHS-12 of the answer",
    },
    "BHS": {
        1: "the field separator",
        2: "the other delimiters",
        3: "BHS-5 of the answer",
        4: "BHS-6 of the answer",
        5: "BHS-3 of the answer",
        6: "BHS-4 of the answer",
        11: "BHS-12 of the answer",
    },
    "BTS": {1: "number of messages: must be right where it is given"},
    "FTS": {1: "number of batches: must be right where it is given"},
    "PID": {3: "must have a value (ADT, ORU, PPR, orders)"},
    "ORC": {
        1: "must be a code of table 0119 (orders)",
        2: "or ORC-3, OBR-2, OBR-3: one number is wanted",
        3: "likewise",
    },
    "OBR": {2: "likewise", 3: "likewise"},
}

#: Read when a message is applied.
READ: Fields = {
    "MSH": {
        3: "names the sender in sources, and its own code systems",
        4: "likewise",
        7: "when it was sent: which of two changes of an order is newer, day of a reason without one",
        9: "message type and trigger event",
        11: "P, T or D",
        12: "a type that its version does not have is a doubt",
    },
    "EVN": {1: "trigger event where MSH-9.2 has none", 2: "when it happened, without EVN-6", 6: "when it happened"},
    "PID": {
        2: "A43: the person to whom identifiers move, where PID-3 only repeats them",
        3: "identifiers of a person (table 0203) with their authority",
        5: "name: the first that is legal, for display, or of no type",
        7: "birth date",
        8: "sex, table 0001",
        10: "ADT: race, where it is a code of CDCREC (table 0005)",
        18: "account: what is filed under it can be moved",
        22: "ADT: ethnic group, table 0189 or a code of CDCREC",
        29: "time of death",
        30: "deceased",
    },
    "MRG": {
        1: "prior identifiers",
        3: "prior account",
        4: "A39: prior external identifier, without MRG-1",
        5: "prior visit",
    },
    "PV1": {15: "B6, pregnant (table 0009)", 19: "visit: what is filed under it can be moved or cancelled"},
    "ORC": {
        1: "order control, table 0119",
        2: "placer order number",
        3: "filler order number",
        5: "order status, table 0038",
        7: "priority (.6), start (.4)",
        9: "when the order was changed",
        10: "ORA: the person who acknowledges, without ORC-11",
        11: "ORA: the person who acknowledges",
        12: "requester",
        15: "start, the last that is looked at",
    },
    "OBR": {
        2: "placer order number",
        3: "filler order number",
        4: "procedure: local code and alternate",
        5: "priority, the last that is looked at",
        6: "start",
        7: "day of a result; time of a reason",
        13: "clinical information",
        16: "requester, without ORC-12",
        18: "accession number",
        22: "when a radiology report was issued",
        24: "diagnostic section or modality, table 0074",
        25: "status of a result, table 0123",
        27: "priority (.6)",
        31: "reason; a symptom among them joins the record",
        36: "start, the first that is looked at",
        44: "procedure, without OBR-4",
    },
    "TQ1": {7: "start", 9: "priority, the first that is looked at"},
    "IPC": {1: "accession number, first", 3: "Study Instance UID, first", 5: "modality, first", 6: "procedure, last"},
    "ZDS": {1: "Study Instance UID (IHE RAD-4)"},
    "OBX": {
        1: "tells repeated observations apart",
        2: "value type",
        3: "code; 110180 of DCM is the Study Instance UID",
        4: "sub-id: a correction repeats it",
        5: "value; of ED plain text alone",
        6: "unit, to UCUM where it is unambiguous",
        8: "DET and ND of a radiology report",
        11: "status, table 0085",
        14: "day of the value",
        21: "identifies an observation alone (2.7)",
    },
    "DG1": {
        2: "coding method, without a system in DG1-3",
        3: "diagnosis",
        5: "day",
        6: "A and W are suspicions, table 0052",
        20: "identifies the diagnosis",
        21: "D deletes, table 0206",
    },
    "PRB": {
        1: "action, table 0287",
        2: "day, the last that is looked at",
        3: "problem",
        4: "identifies the problem",
        7: "day, second",
        16: "onset, first",
    },
    "PR1": {
        2: "coding method, without a system in PR1-3",
        3: "procedure",
        5: "day",
        19: "identifies the procedure",
        20: "D deletes, table 0206",
    },
    "AL1": {2: "allergen type, table 0127", 3: "allergen", 4: "severity", 5: "reaction", 6: "since"},
    "RXA": {
        3: "when it was given",
        5: "drug or vaccine",
        6: "amount",
        7: "its unit",
        20: "completion, table 0322",
        21: "D deletes, table 0323",
    },
    "RXE": {1: "start", 2: "drug", 3: "amount", 5: "its unit"},
    "SCH": {11: "start (.4)", 26: "placer order number", 27: "filler order number"},
    "AIS": {4: "start, first"},
    "MSA": {1: "ORA: whether a critical result was accepted", 2: "ORA: which one"},
    "PRT": {5: "ORA: the person who acknowledges, without ORC-11 and ORC-10"},
}

#: Sent: ORU^R01, and acknowledgments with their batches.
SENT: Fields = {
    "MSH": {
        1: "`|`; in an answer the sender's",
        2: "`^~\\&`; in an answer the sender's",
        3: "`SIGHTLINE`; in an answer MSH-5 of the message",
        4: "`CDS_SITE_NAME`; in an answer MSH-6",
        5: "`application` of the destination; in an answer MSH-3",
        6: "`facility` of the destination; in an answer MSH-4",
        7: "time of the message",
        9: "`ORU^R01^ORU_R01`; `ACK^<event>^ACK`",
        10: "twenty hexadecimal digits; of an ORU the same on every attempt",
        11: "`processing` of the destination; in an answer that of the message",
        12: "`2.5.1`; in an answer the sender's version",
        15: "`AL` in an application acknowledgment to `reply_to`",
        16: "`NE` likewise",
        18: "`UNICODE UTF-8`; in an answer that of the message",
    },
    "SFT": {1: "the product", 2: "its version", 3: "the product", 4: "its version"},
    "MSA": {1: "acknowledgment code, table 0008", 2: "MSH-10 of the message", 3: "what was wanted, where it is not AA"},
    "ERR": {
        1: "to senders before 2.5: segment^sequence^field^code",
        2: "place: segment^sequence^field",
        3: "code of table 0357",
        4: "`E`",
        8: "what was wanted; never a value of the message",
    },
    "FHS": {
        1: "the sender's",
        2: "the sender's",
        3: "FHS-5 of theirs",
        4: "FHS-6",
        5: "FHS-3",
        6: "FHS-4",
        7: "time",
        11: "control id",
        12: "FHS-11 of theirs",
    },
    "BHS": {
        1: "the sender's",
        2: "the sender's",
        3: "BHS-5 of theirs",
        4: "BHS-6",
        5: "BHS-3",
        6: "BHS-4",
        7: "time",
        11: "control id",
        12: "BHS-11 of theirs",
    },
    "BTS": {1: "number of acknowledgments"},
    "FTS": {1: "number of batches"},
    "PID": {
        1: "`1`",
        3: "all identifiers (value, authority), that of the order first",
        5: "name; of type U where there is none",
        7: "birth date",
        8: "sex, table 0001",
        30: "Y where the patient is known to have died",
    },
    "OBR": {
        1: "`1`",
        3: "`SL-<uuid>^SIGHTLINE`: our own filler number, stable over versions, another one for another patient",
        4: "`AI-ANALYSIS^AI analysis of imaging study^99SIGHTLINE`",
        5: "`S` of a critical result",
        7: "when the images were made",
        18: "accession number of the exam",
        22: "time of the report",
        25: "`P`; `X` where all of it is withdrawn",
        27: "`S` of a critical result (.6)",
        29: "parent: placer and filler number of the exam's order",
    },
    "OBX": {
        1: "number",
        2: "NM, CWE, ST, TX, FT, ED and others, table 0125",
        3: "code: LN, SCT, RADLEX, DCM or `99SIGHTLINE`",
        4: "sub-id, the same in every version",
        5: "value",
        6: "unit, UCUM",
        8: "flag, table 0078",
        11: "`P`; `X` not evaluated; `W` withdrawn",
        14: "when the images were made, or the day of the value",
        17: "method: the model",
        18: "device: the model with its version",
        19: "time of the analysis",
        23: "performing organization",
    },
    "NTE": {1: "number", 2: "`L`", 3: "what belongs to the report or observation in words"},
}


def messages() -> Iterator[tuple[str, str]]:
    """Each type of message with what is done, as `adapters.hl7.events` decides it."""
    every = [f"A{number:02d}" for number in range(1, 63)]
    for change in IdentityEvent:
        events = [event for event in every if identity_event("ADT", event) is change]
        yield f"`ADT` {' '.join(events)}", f"who is who: {change.value}"
    for reason in dict.fromkeys(filter(None, (ignored("ADT", event) for event in every))):
        yield f"`ADT` {' '.join(event for event in every if ignored('ADT', event) == reason)}", f"ignored: {reason}"
    yield "`ADT`, other events", "the patient; diagnoses, procedures, allergies and observations of the message"
    yield _named(ORDER_TYPES), "the patient, orders, and the values that come along"
    yield _named(PATIENT_TYPES - ORDER_TYPES - {"ADT"}), "the patient and what is said of her; of `ORU` R01 alone"
    for kind in ("RDE", "VXU"):
        if need_not_name(kind):
            yield f"`{kind}`", "the patient, and drugs or vaccinations; ignored where it names nobody"
    yield f"`SIU` {' '.join(SCHEDULE_EVENTS)}", "an appointment for an exam: no order is cancelled by it"
    yield _named(ACKNOWLEDGMENT_TYPES), "a person acknowledges the critical result that MSA-2 names"
    yield "`ACK`, `MCF`", "kept; answered only where MSH-15 asks for it"
    yield "any other", f"ignored: {ignored('ZZZ', '')}"


def _named(kinds: frozenset[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in sorted(kinds))
