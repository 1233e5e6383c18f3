"""The nested tables of the settings that name FHIR servers to read, and who may read ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cds.destinations import FhirServer, HttpUrl, Table

#: What is listened for: imaging studies, and radiologists' reports.
EventResource = Literal["ImagingStudy", "DiagnosticReport"]


class FhirSource(FhirServer):
    """An EHR or VNA that is read: for what it knows of patients, and for news of imaging studies and final reports.

    `events` is how news comes: by polling, by an R4 Subscription (rest-hook) or by a topic subscription of the R5
    backport; where the server has no Subscriptions it is polled.
    """

    #: Ask it for what pathways need of a patient.
    ehr_data: bool = True
    #: Authorities whose patients it knows; empty: every one that CDS_IDENTIFIER_SYSTEMS maps.
    issuers: tuple[str, ...] = ()
    #: How long what it said of a patient is believed.
    cache_s: Annotated[float, Field(ge=0, le=3600)] = 300.0
    events: Literal["none", "poll", "subscription", "topic"] = "poll"
    resources: tuple[EventResource, ...] = ("ImagingStudy", "DiagnosticReport")
    poll_interval_s: Annotated[float, Field(ge=1)] = 60.0
    #: So much of what was seen is asked for again: clocks differ, and transactions commit late.
    overlap_s: Annotated[float, Field(ge=0)] = 300.0
    #: The canonical URL of the SubscriptionTopic of each resource.
    topics: dict[EventResource, str] = Field(default_factory=dict)
    payload: Literal["empty", "id-only", "full-resource"] = "id-only"
    heartbeat_s: Annotated[int, Field(ge=1, le=86400)] = 60
    #: A subscription ends after so long unless it is renewed, which happens at half of it.
    lifetime_h: Annotated[float, Field(gt=0)] = 168.0
    #: The base URL under which this server reaches us; unset: CDS_BASE_URL.
    notify_url: HttpUrl | None = None

    @model_validator(mode="after")
    def _has_its_topics(self) -> FhirSource:
        missing = [name for name in self.resources if name not in self.topics] if self.events == "topic" else []
        if missing:
            raise ValueError(f"events topic wants topics for {', '.join(missing)}")
        return self


class SmartIssuer(Table):
    """Who may give out tokens for our own FHIR API: where its keys are, and what its tokens must be meant for.

    Exactly one of `jwks_url` and `jwks_file`. `audience` is CDS_BASE_URL with /fhir where unset.
    """

    jwks_url: HttpUrl | None = None
    jwks_file: Path | None = None
    audience: str = ""

    @model_validator(mode="after")
    def _has_keys(self) -> SmartIssuer:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("want jwks_url or jwks_file")
        return self
