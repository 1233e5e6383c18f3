"""A person's word on a finding: the extension on its Observation, and who a person is in R4.

The value stays the model's, and the Observation preliminary: only the RIS signs (SAFETY section 3).
"""

from __future__ import annotations

from adapters.fhir import systems
from adapters.fhir.elements import Element, quantity
from cds.domain.verification import Verdict, Verification


def practitioner(name: str) -> Element:
    """A logical reference to a person, by the name that they are known by here."""
    own: Element = {"system": systems.PERSON_IDENTIFIER, "value": name}
    return {"type": "Practitioner", "identifier": own, "display": name}


def verification(said: Verification) -> Element:
    """What was said (confirmed, rejected, corrected), by whom in which role, when, and the value that was put right."""
    parts: list[Element] = [
        {"url": "verdict", "valueCode": said.verdict.value},
        {"url": "verifier", "valueReference": practitioner(said.by)},
        {"url": "role", "valueString": said.role},
        {"url": "at", "valueDateTime": said.at.isoformat()},
    ]
    if said.verdict is Verdict.CORRECTED and said.corrected is not None:
        parts.append({"url": "corrected", "valueQuantity": quantity(said.corrected)})
    return {"url": systems.VERIFICATION_EXTENSION, "extension": parts}
