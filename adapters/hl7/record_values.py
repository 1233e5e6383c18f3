"""All that a message says of its patient beside who she is: observations, diagnoses, allergies, drugs."""

from __future__ import annotations

from adapters.hl7.allergy import read_allergies
from adapters.hl7.context import Context
from adapters.hl7.diagnosis import read_diagnoses
from adapters.hl7.medication import read_medications
from adapters.hl7.message import Message
from adapters.hl7.observation import read_observations
from adapters.hl7.own import is_own
from cds.domain.message import RecordValue


def read_values(message: Message, context: Context) -> tuple[RecordValue, ...]:
    """The values of the record that a message states or takes back; none of a message that is Sightline's own.

    The OBX of a vaccination (VXU) describe the vaccine and its funding, not the patient.
    """
    if is_own(message):
        return ()
    observations = [] if message.first("MSH").text(9) == "VXU" else read_observations(message, context)
    return (
        *observations,
        *read_diagnoses(message, context),
        *read_allergies(message, context),
        *read_medications(message, context),
    )
