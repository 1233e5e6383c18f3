"""The nested tables of the settings: doors, destinations, routes, senders, sites. `cds.settings` has the rest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cds.domain.critical import Category
from cds.domain.report import Audience, Gate, Mode

#: PS3.5 section 6.2, VR AE: 1 to 16 printable ASCII characters, no backslash.
_AE_TITLE = re.compile(r"[\x20-\x5B\x5D-\x7E]{1,16}")


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"want an IANA time zone such as Europe/Berlin, got {name!r}") from error
    return name


def _ae_title(title: str) -> str:
    if not _AE_TITLE.fullmatch(title) or not title.strip():
        raise ValueError("want 1 to 16 ASCII characters without backslash (PS3.5 section 6.2, VR AE)")
    return title


def _http_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s@]+", url):
        raise ValueError("want an http:// or https:// URL without user and password")
    return url.rstrip("/")


Port = Annotated[int, Field(ge=1, le=65535)]
AeTitle = Annotated[str, AfterValidator(_ae_title)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
TimeoutS = Annotated[float, Field(gt=0, le=600)]
Minutes = Annotated[float, Field(gt=0)]


class Table(BaseModel):
    """A nested table: nothing that it does not know, and nobody changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSettings(Table):
    """Mutual TLS for one listener: our certificate and key, and the CA that client certificates must come from."""

    certificate_file: Path
    key_file: Path
    client_ca_file: Path


class Destination(Table):
    """What every destination says: whose eyes it has, and whether it takes production results or only test ones."""

    audience: Audience = Audience.EHR
    #: HL7 table 0103: only P takes production results, and takes no others.
    processing: Literal["P", "T", "D"] = "P"
    timeout_s: TimeoutS = 30.0


class MllpDestination(Destination):
    """A receiver of ORU^R01: where it listens and how it wants to be named."""

    host: str
    port: Port
    application: str = "EHR"
    facility: str = "SITE"
    tls_ca_file: Path | None = None


class FhirDestination(Destination):
    """A FHIR R4 server that takes transactions. `token_file` holds a bearer token."""

    url: HttpUrl
    token_file: Path | None = None
    #: Put resources under our own ids instead of conditionally by identifier: for servers that limit conditional
    #: transactions and let clients choose ids.
    own_ids: bool = False


class PacsDestination(Destination):
    """A PACS that takes structured reports, segmentations and rejection notes by C-STORE."""

    audience: Audience = Audience.RADIOLOGIST
    host: str
    port: Port
    ae_title: AeTitle
    calling_ae_title: AeTitle = "SIGHTLINE"
    #: Send segmentations beside the structured report.
    segmentations: bool = True


class CriticalRoute(Table):
    """How one recipient of critical results is reached, and who is next when nobody acknowledges.

    `minutes` to acknowledge per ACR category 1 to 3: the source says minutes, hours and days, the numbers are this
    project's own and for a site to set. Exactly the part that `channel` names must be given.
    """

    recipient: str
    channel: Literal["hl7", "fhir", "mail", "webhook"]
    hl7: MllpDestination | None = None
    fhir: FhirDestination | None = None
    mail_to: str = ""
    webhook_url: HttpUrl | None = None
    minutes: tuple[Minutes, Minutes, Minutes] = (15.0, 240.0, 2880.0)
    escalate_to: str = ""

    @model_validator(mode="after")
    def _has_its_part(self) -> CriticalRoute:
        parts = {"hl7": self.hl7, "fhir": self.fhir, "mail": self.mail_to, "webhook": self.webhook_url}
        given = sorted(name for name, part in parts.items() if part)
        if given != [self.channel]:
            wanted = {"mail": "mail_to", "webhook": "webhook_url"}.get(self.channel, self.channel)
            raise ValueError(f"channel {self.channel} wants {wanted} and no other")
        return self


class ReleaseRow(Table):
    """A row of the matrix: `finding` is "*", "<model>.*" or "<model>.<finding key>". The last that fits wins."""

    finding: str = "*"
    audience: Audience
    gate: Gate


class ReleaseMatrix(Table):
    """What each audience waits for where no row says otherwise (SAFETY section 4). The defaults are the safe ones."""

    radiologist: Gate = Gate.IMMEDIATE
    ehr: Gate = Gate.VERIFIED
    referral: Gate = Gate.VERIFIED

    def gate(self, audience: Audience) -> Gate:
        """The gate of one audience."""
        return {Audience.RADIOLOGIST: self.radiologist, Audience.EHR: self.ehr, Audience.REFERRAL: self.referral}[
            audience
        ]


class Sender(Table):
    """What is known of one HL7 v2 sender, named "MSH-3|MSH-4"."""

    #: The zone of its times without an offset; unset: the site's.
    time_zone: TimeZone | None = None
    #: Seconds between two messages that are normal; unset: learned.
    expected_interval_s: Annotated[float, Field(gt=0)] | None = None


class Site(Table):
    """One of several sites of an installation, told by the issuer of accession numbers or patient identifiers."""

    issuers: tuple[str, ...]
    model_modes: dict[str, Mode] = Field(default_factory=dict)
    pathway_modes: dict[str, Mode] = Field(default_factory=dict)
    release_rows: tuple[ReleaseRow, ...] = ()


CriticalFindings = dict[str, Category]
