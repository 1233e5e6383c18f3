"""The nested tables of the settings: doors, destinations, routes, senders, sites. `cds.settings` has the rest."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cds.character_sets import CHARACTER_SETS
from cds.domain.critical import Category
from cds.domain.imaging_order import Contrast
from cds.domain.report import Audience, Gate, Mode

#: PS3.5 section 6.2, VR AE: 1 to 16 printable ASCII characters, no backslash.
_FIELD_PATH = re.compile(r"[A-Z][A-Z0-9]{2}-[1-9]\d{0,2}(\.[1-9]\d?){0,2}")
_URI = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+|(?!urn:oid:)[A-Za-z][A-Za-z0-9+.\-]*:\S+")
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


def _uri(text: str) -> str:
    if not _URI.fullmatch(text):
        raise ValueError(f"want an absolute URI such as urn:oid:1.2.3 or https://hospital.example/mrn, got {text!r}")
    return text


def _network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError as error:
        raise ValueError(f"want an IP address or a network such as 10.1.0.0/16, got {text!r}") from error


def _field_path(path: str) -> str:
    if not _FIELD_PATH.fullmatch(path):
        raise ValueError(f"want a field such as OBR-18, OBR-18.1 or PID-3.4.2, got {path!r}")
    return path


def _field_source(source: str) -> str:
    if not source.startswith("=") and not _FIELD_PATH.fullmatch(source):
        raise ValueError(f"want a field such as ZDS-1.1, or = and a fixed text, got {source!r}")
    return source


def _character_set(name: str) -> str:
    if name and name.strip().upper() not in CHARACTER_SETS:
        raise ValueError(f"want a character set of HL7 table 0211 such as 8859/1 or UNICODE UTF-8, got {name!r}")
    return name


def _sender_name(name: str) -> str:
    if name.count("|") != 1:
        raise ValueError(f"want MSH-3|MSH-4, * for any application or facility, got {name!r}")
    return name


SenderName = Annotated[str, AfterValidator(_sender_name)]
Port = Annotated[int, Field(ge=1, le=65535)]
Network = Annotated[str, AfterValidator(_network)]
#: "SEG-field[.component[.subcomponent]]", counted from 1 as HL7 does.
FieldPath = Annotated[str, AfterValidator(_field_path)]
#: A field, or "=" and a fixed text.
FieldSource = Annotated[str, AfterValidator(_field_source)]
CharacterSet = Annotated[str, AfterValidator(_character_set)]
AeTitle = Annotated[str, AfterValidator(_ae_title)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Uri = Annotated[str, AfterValidator(_uri)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
TimeoutS = Annotated[float, Field(gt=0, le=600)]
Minutes = Annotated[float, Field(gt=0)]


class Table(BaseModel):
    """A nested table: nothing that it does not know, and nobody changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListenerTls(Table):
    """TLS for a listener; client certificates are demanded where their CA is named."""

    certificate_file: Path
    key_file: Path
    client_ca_file: Path | None = None


class PeerTls(Table):
    """TLS to a peer: the CA that its certificate must come from, and our own certificate where it wants one."""

    ca_file: Path
    certificate_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> PeerTls:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("want certificate_file and key_file together, or neither")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that must be there."""
        return tuple(file for file in (self.ca_file, self.certificate_file, self.key_file) if file)


class Hl7Door(Table):
    """One MLLP listener: where it listens, and who may come in.

    `allowed_peers` are addresses and networks; without any, every address may connect that reaches the door.
    """

    host: str = "127.0.0.1"
    port: Port
    tls: ListenerTls | None = None
    allowed_peers: tuple[Network, ...] = ()

    @property
    def proven(self) -> bool:
        """True where a peer must show a certificate, or come from an address that the site named."""
        return bool(self.allowed_peers) or (self.tls is not None and self.tls.client_ca_file is not None)


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
    #: Attach the report as a PDF (ED) beside its observations.
    pdf: bool = False


class FhirServer(Table):
    """A FHIR R4 server that we are a client of: its base URL, and how we prove who we are.

    A fixed bearer token (`token_file`), or `client_id` with `client_secret_file` (OAuth 2.0 client_credentials), or
    `client_id` alone: SMART Backend Services, signed with a key of CDS_SMART_KEY_FILES. `tls` may add mutual TLS.
    """

    url: HttpUrl
    token_file: Path | None = None
    client_id: str = ""
    client_secret_file: Path | None = None
    #: The algorithm of the assertion; unset: that of the first of CDS_SMART_KEY_FILES.
    key_algorithm: Literal["", "RS384", "ES384"] = ""
    #: Where tokens come from; unset: as the server's .well-known/smart-configuration says.
    token_url: HttpUrl | None = None
    #: The scopes that are asked for; unset: those that are needed, in the syntax of SMART 2.
    scope: str = ""
    tls: PeerTls | None = None
    timeout_s: TimeoutS = 30.0
    #: Requests at once.
    parallel: Annotated[int, Field(ge=1, le=32)] = 4
    #: post: searches go by POST _search, so that no log of a proxy has a patient's number in an address.
    search: Literal["post", "get"] = "post"

    @model_validator(mode="after")
    def _one_way_in(self) -> FhirServer:
        if self.token_file and self.client_id:
            raise ValueError("want token_file, or client_id, or neither")
        if self.client_secret_file and not self.client_id:
            raise ValueError("client_secret_file wants client_id")
        if (self.token_url or self.key_algorithm or self.scope) and not self.client_id:
            raise ValueError("token_url, key_algorithm and scope want client_id")
        return self

    @property
    def signs(self) -> bool:
        """True where we prove who we are with a key of our own (private_key_jwt)."""
        return bool(self.client_id) and self.client_secret_file is None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that must be there."""
        own = tuple(file for file in (self.token_file, self.client_secret_file) if file)
        return own + (self.tls.files if self.tls else ())


class FhirDestination(Destination, FhirServer):
    """A FHIR R4 server that takes results: as one transaction, or as its CapabilityStatement lets us."""

    #: Put resources under our own ids instead of conditionally by identifier: for servers that limit conditional
    #: transactions and let clients choose ids.
    own_ids: bool = False
    #: Where a result goes as ORU^R01 that this server cannot take; unset: such a result is held.
    hl7: MllpDestination | None = None


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


class MappedCode(Table):
    """What a sender's own code means: a code of a standard system, or of one that the site names by its URI."""

    system: str
    code: str
    display: str = ""


class Sender(Table):
    """What is known of one HL7 v2 sender, named "MSH-3|MSH-4"; `*` stands for any application or facility.

    Fields, codes and values are changed in what Sightline reads; the stored bytes are never touched. The order:
    `fields`, then `values`, then `codes`.
    """

    #: The zone of its times without an offset; unset: the site's.
    time_zone: TimeZone | None = None
    #: Seconds between two messages that are normal; unset: learned.
    expected_interval_s: Annotated[float, Field(gt=0)] | None = None
    #: HL7 table 0211; what its messages are written in where MSH-18 says nothing.
    character_set: CharacterSet = ""
    #: auto: as MSH-15 and MSH-16 ask; original: always one AA, AE or AR; enhanced: always CA, CE or CR.
    acknowledgment: Literal["auto", "original", "enhanced"] = "auto"
    #: Where application acknowledgments of enhanced mode go; unset: over the sender's own connection while it is open.
    reply_to: MllpDestination | None = None
    #: One answer to a batch: a batch of acknowledgments, or a single one for all of it.
    batch_acknowledgment: Literal["batch", "single"] = "batch"
    #: Whose its numbers are; unset: the site's.
    assigning_authority: str | None = None
    accession_issuer: str | None = None
    accession_fallback: Literal["none", "ORC-3", "ORC-2"] | None = None
    #: Where a field is read from instead: {"OBR-18.1": "ZDS-2.1", "PID-3.4": "=CLINIC"}. Empty sources change nothing.
    fields: dict[FieldPath, FieldSource] = Field(default_factory=dict)
    #: What a plain value means: {"OBR-5": {"U1": "S"}, "OBX-6": {"mg%": "mg/dL"}}.
    values: dict[FieldPath, dict[str, str]] = Field(default_factory=dict)
    #: What the sender's own codes mean: {"OBX-3": {"GLU": {system, code, display}}}. The own code stays beside it.
    codes: dict[FieldPath, dict[str, MappedCode]] = Field(default_factory=dict)
    #: The same as CSV files with the columns local, system, code, display.
    code_files: dict[FieldPath, Path] = Field(default_factory=dict)


def sender_name(senders: Mapping[str, Sender], application: str, facility: str) -> str | None:
    """Which profile is that of MSH-3 and MSH-4: as sent, else by their first components, else with `*` for one."""
    app, place = (field.partition("^")[0].strip() for field in (application, facility))
    names = [(application, facility), (app, place)]
    tried = [name for a, f in names for name in (f"{a}|{f}", f"{a}|*", f"*|{f}")]
    return next((name for name in (*tried, "*|*") if name in senders), None)


def sender_of(senders: Mapping[str, Sender], application: str, facility: str) -> Sender | None:
    """The profile of MSH-3 and MSH-4, see `sender_name`."""
    name = sender_name(senders, application, facility)
    return senders[name] if name else None


class Site(Table):
    """One of several sites of an installation, told by the issuer of accession numbers or patient identifiers."""

    issuers: tuple[str, ...]
    model_modes: dict[str, Mode] = Field(default_factory=dict)
    pathway_modes: dict[str, Mode] = Field(default_factory=dict)
    #: Its own options and language, over those of the installation.
    site_options: dict[str, str] = Field(default_factory=dict)
    text_language: str | None = None
    release_rows: tuple[ReleaseRow, ...] = ()


class Orderable(Table):
    """What a site's EHR orders an action by: a code of its own catalogue, beside the public one."""

    system: Uri
    code: Annotated[str, Field(min_length=1)]
    display: str = ""


ExamRegion = Literal[
    "head", "neck", "chest", "abdomen", "pelvis", "spine", "heart", "breast", "limb", "whole-body"
]  # as `cds.domain.imaging_order.Exam` names them


class SiteExam(Table):
    """What one of the site's own imaging codes asks for, see `cds.domain.imaging_order.Exam`."""

    modality: Literal["CT", "MR", "US", "CR", "DX", "MG", "NM", "PT", "XA", "RF", "DXA"]
    region: ExamRegion | None = None
    contrast: Contrast | None = None
    angiography: bool | None = None


CriticalFindings = dict[str, Category]


def is_loopback(host: str) -> bool:
    """True for localhost and for every address of 127.0.0.0/8 and ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
