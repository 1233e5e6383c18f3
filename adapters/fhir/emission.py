"""What the resources of one report share: subject, times, labels, and the check before anything leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from fhir.resources.R4B.communication import Communication
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.flag import Flag
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient as FhirPatient
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.riskassessment import RiskAssessment
from fhir.resources.R4B.servicerequest import ServiceRequest
from fhir.resources.R4B.task import Task
from pydantic import BaseModel, ValidationError

from adapters.fhir import systems
from adapters.fhir.elements import Element, absent, coding, reference, tidied
from adapters.fhir.invariants import check
from adapters.fhir.parameters import EDITION, index
from cds.domain.conclusion import guidance
from cds.domain.identity import Patient
from cds.domain.ids import resource_id
from cds.domain.matching import MatchState
from cds.domain.recommendation import NothingToSay
from cds.domain.report import Report
from cds.domain.resource import NewResource
from cds.errors import InvalidResource

_MODELS: Mapping[str, type[BaseModel]] = {
    "Communication": Communication,
    "Device": Device,
    "DiagnosticReport": DiagnosticReport,
    "Flag": Flag,
    "Observation": Observation,
    "Patient": FhirPatient,
    "Provenance": Provenance,
    "RiskAssessment": RiskAssessment,
    "ServiceRequest": ServiceRequest,
    "Task": Task,
}
#: States in which it is known whose images they are.
_KNOWN = (MatchState.MATCHED, MatchState.DETACHED)


@dataclass(frozen=True, slots=True)
class Emission:
    """One report on its way to FHIR. `by_authority` maps an assigning authority to its identifier system.

    `previous` is the version of the study's DiagnosticReport that is stored now, 0 where there is none, None where it
    is not known. It is not the report's own number less one: a report that nobody may see makes no DiagnosticReport.
    """

    report: Report
    by_authority: Mapping[str, str]
    site_name: str
    previous: int | None = None

    @property
    def patient(self) -> Patient | None:
        """The subject; None unless the images are or were matched to an order, whatever their header says."""
        return self.report.patient if self.report.match.state in _KNOWN else None

    @property
    def patient_id(self) -> str | None:
        """The subject's id; raise ValueError for a patient that the store has not named yet."""
        if self.patient is None:
            return None
        if self.patient.id is None:
            raise ValueError("a patient wants an id before a report names it")
        return self.patient.id

    @property
    def subject(self) -> Element:
        """A reference to the patient, or an element that says that it is not known."""
        return reference("Patient", self.patient_id) if self.patient_id else absent()

    @property
    def effective(self) -> Element:
        """When the images were made: the moment, else the day, else that it is not known (US Core us-core-10)."""
        study = self.report.study
        if study.started_at is not None and study.started_at.tzinfo is not None:
            return {"effectiveDateTime": study.started_at.isoformat()}
        if study.study_date is not None:
            return {"effectiveDateTime": study.study_date.isoformat()}
        return {"_effectiveDateTime": absent()}

    @property
    def issued(self) -> str:
        """When this version was made."""
        return self.report.issued.isoformat()

    def id_of(self, resource_type: str, key: str = "") -> str:
        """The id that this study's resource keeps over all versions under one patient."""
        return resource_id(self.report.study, resource_type, key, self.report.episode)

    @property
    def made_by(self) -> tuple[str, ...]:
        """Every model and every pathway that the report speaks of."""
        models = [made_by_model(outcome.model) for outcome in self.report.outcomes]
        pathways = [
            made_by_pathway(said.pathway) for said in guidance(self.report) if not isinstance(said, NothingToSay)
        ]
        return tuple(dict.fromkeys([*models, *pathways]))

    def new(
        self,
        body: Mapping[str, object],
        *,
        identifiers: tuple[tuple[str, str], ...] = (),
        made_by: tuple[str, ...] = (),
    ) -> NewResource:
        """Check a body and pair it with its index columns."""
        return new_resource(body, patient_id=self.patient_id, identifiers=identifiers, made_by=made_by)


def made_by_model(model: str) -> str:
    """How `NewResource.made_by` names a model."""
    return f"model:{model}"


def made_by_pathway(pathway: str) -> str:
    """How `NewResource.made_by` names a pathway."""
    return f"pathway:{pathway}"


def ai_label() -> Element:
    """`meta` of what an AI asserted."""
    return {"security": [coding(systems.AI_ASSERTED)]}


def new_resource(
    body: Mapping[str, object],
    *,
    patient_id: str | None,
    identifiers: tuple[tuple[str, str], ...] = (),
    made_by: tuple[str, ...] = (),
) -> NewResource:
    """Validate a body against R4; raise InvalidResource with the places that are wrong, never their values.

    fhir.resources reads it and writes it in one form (times, order of elements); `check` knows what it does not.
    """
    resource_type = cast("str", body["resourceType"])
    try:
        model = _MODELS[resource_type].model_validate(tidied(body))
    except ValidationError as error:
        places = sorted({".".join(str(part) for part in item["loc"]) for item in error.errors()})
        raise InvalidResource(f"{resource_type} does not conform to R4 at {', '.join(places)}") from None
    checked = cast("dict[str, object]", json.loads(model.model_dump_json()))
    check(checked)
    own_id = cast("str", checked["id"])
    return NewResource(resource_type, own_id, checked, patient_id, identifiers, made_by, index(checked), EDITION)
