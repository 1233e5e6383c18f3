"""All that a message says of its patient beside who she is: observations, diagnoses, allergies, drugs."""

from __future__ import annotations

from adapters.hl7.allergy import read_allergies
from adapters.hl7.context import Context
from adapters.hl7.diagnosis import read_diagnoses
from adapters.hl7.medication import read_medications
from adapters.hl7.message import Message
from adapters.hl7.observation import read_observations
from adapters.hl7.own import is_own
from adapters.hl7.patient import read_race
from cds.domain.message import RecordValue


def read_values(message: Message, context: Context) -> tuple[RecordValue, ...]:
    """The values of the record that a message states or takes back; none of a message that is Sightline's own.

    The OBX of a vaccination (VXU) describe the vaccine and its funding, not the patient. Who she is, is told by
    registration (ADT): other messages repeat it.
    """
    if is_own(message):
        return ()
    kind = message.first("MSH").text(9)
    observations = [] if kind == "VXU" else read_observations(message, context)
    return (
        *(read_race(message.first("PID")) if kind == "ADT" else ()),
        *observations,
        *read_diagnoses(message, context),
        *read_allergies(message, context),
        *read_medications(message, context),
    )
