"""Every setting of Sightline in one typed place: environment variables `CDS_…` over an optional TOML file.

`load()` reports every mistake at once, in words. `CDS_CONFIG_FILE` names the file; nested settings are tables there
and JSON in the environment. Secrets are read from files (`…_FILE`), never from this table's values.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from cds.coordination import FollowUpCare
from cds.destinations import (
    AeTitle,
    CriticalFindings,
    CriticalRoute,
    FhirDestination,
    FhirServer,
    HttpUrl,
    ListenerTls,
    Minutes,
    MllpDestination,
    Network,
    Port,
    ReleaseMatrix,
    ReleaseRow,
    Sender,
    SenderName,
    TimeZone,
    Uri,
    is_loopback,
)
from cds.domain.report import Audience, Gate, Mode
from cds.errors import ConfigurationError
from cds.fhir_peers import FhirSource, SmartIssuer
from cds.guidance import Guidance
from cds.hl7_doors import Hl7Doors
from cds.hook_peers import HookDoor
from cds.imaging_peers import PacsDestination, PacsSource, PriorityDestination
from cds.limits import DicomLimits, Hl7Limits
from cds.quality_bounds import QualityBounds
from cds.second_readers import SecondReaders
from cds.ui_door import UiDoor
from cds.viewing import Viewing

#: Seconds without an instance after which a series is usually whole: projections come at once, MR takes its pauses.
_QUIET_S = {"CR": 15.0, "DX": 15.0, "RG": 15.0, "MG": 30.0, "CT": 60.0, "US": 60.0, "MR": 120.0, "PT": 120.0}

__all__ = ["Settings", "is_loopback", "load", "unknown_variables"]


class _Environment(EnvSettingsSource):
    """The environment, where what is no JSON is a mistake of its own setting and does not hide the others."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The JSON of a nested setting; the text itself where it is none, which the field then refuses."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Settings(Guidance, Hl7Doors, HookDoor, UiDoor, SecondReaders, BaseSettings):
    """See the module. Durations are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="CDS_", extra="forbid", frozen=True, env_nested_delimiter="__")

    data_dir: Path = Path("data")
    database_url: str = ""

    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    http_workers: Annotated[int, Field(ge=1, le=64)] = 2
    http_threads: Annotated[int, Field(ge=1, le=64)] = 4
    http_token_file: Path | None = None
    base_url: HttpUrl | Literal[""] = ""

    #: The same bytes under the same MSH-3, MSH-4 and MSH-10 within this time are a repeat.
    hl7_duplicate_window_h: Annotated[float, Field(gt=0)] = 168.0
    #: A folder whose files are taken as messages and batches, and moved to done/ or failed/ below it.
    hl7_folder: Path | None = None
    hl7_limits: Hl7Limits = Hl7Limits()

    dicom_host: str = "127.0.0.1"
    dicom_port: Port = 11112
    dicom_ae_title: AeTitle = "SIGHTLINE"
    dicom_tls: ListenerTls | None = None
    #: Addresses and networks that may connect; empty: every one that reaches the port.
    dicom_allowed_peers: tuple[Network, ...] = ()
    #: Calling AE titles that may open an association; empty: any. They are no secrets: addresses and TLS keep out.
    dicom_allowed_ae_titles: tuple[AeTitle, ...] = ()
    dicom_limits: DicomLimits = DicomLimits()
    #: Images on the pages, and DICOMweb beside them.
    viewer: Viewing = Viewing()

    site_name: str = "Sightline"
    time_zone: TimeZone = "UTC"
    #: The authority of identifiers that come without one (PID-3.4, (0010,0021)); unset: such a patient cannot match.
    assigning_authority: str = ""
    #: The issuer of accession numbers that come without one; unset: such an order cannot match.
    accession_issuer: str = ""
    #: FHIR identifier system → assigning authority, both ways (SAFETY section 1).
    identifier_systems: dict[Uri, str] = Field(default_factory=dict)
    #: Where an order's accession number stands when IPC-1 and OBR-18 are empty.
    accession_fallback: Literal["none", "ORC-3", "ORC-2"] = "ORC-3"

    #: How long nothing must come before a series may be complete; unset: by modality, see `quiet_s`.
    quiet_period_s: Annotated[float, Field(ge=0)] | None = None
    #: The same for single modalities, e.g. {"US": 120}.
    quiet_periods_s: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    #: A revision that is not complete by then runs with what there is, and says so.
    incomplete_after_s: Annotated[float, Field(gt=0)] = 3600.0
    #: Between the two times that a PACS is asked how many instances a series has.
    count_interval_s: Annotated[float, Field(ge=0)] = 10.0
    #: A stat CT starts with its first complete series; the others make a new revision.
    stat_per_series: bool = True
    minimum_free_bytes: Annotated[int, Field(ge=0)] = 256 * 1024 * 1024
    worker_slot: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    #: Where `cds models install` puts weights and a site's own models; unset: `models` below the data folder.
    models_dir: Path | None = None
    #: What the networks of one worker may take of the device's memory, MiB; 0: no bound.
    model_memory_mb: Annotated[int, Field(ge=0)] = 0
    allow_torchscript: bool = False

    model_modes: dict[str, Mode] = Field(default_factory=dict)
    release: ReleaseMatrix = ReleaseMatrix()
    #: Whose door /fhir is: it serves what this audience may see. Unverified results wait there too, unless it is
    #: the radiologist's.
    fhir_audience: Audience = Audience.EHR
    #: Roles that must be alive for /health/ready; a site without DICOM, say, leaves it out.
    expected_roles: tuple[str, ...] = ("worker", "hl7", "intake", "dicom")
    oru_destinations: dict[str, MllpDestination] = Field(default_factory=dict)
    fhir_destinations: dict[str, FhirDestination] = Field(default_factory=dict)
    #: EHRs and VNAs that are read: patients' data, and news of studies and reports.
    fhir_sources: dict[str, FhirSource] = Field(default_factory=dict)
    #: PEM private keys (RSA, or EC on P-384) that sign SMART Backend Services assertions; of each algorithm the first
    #: signs, all are published at /.well-known/jwks.json: a new key is put in front, the old one leaves later.
    smart_key_files: tuple[Path, ...] = ()
    #: Who may give out access tokens for /fhir, by the `iss` of their tokens.
    smart_issuers: dict[HttpUrl, SmartIssuer] = Field(default_factory=dict)
    pacs_destinations: dict[str, PacsDestination] = Field(default_factory=dict)
    #: Worklists that an urgent finding raises a study at.
    priority_destinations: dict[str, PriorityDestination] = Field(default_factory=dict)
    #: Where images are fetched from, asked in this order. None: a site that pushes everything.
    pacs_sources: dict[str, PacsSource] = Field(default_factory=dict)

    #: What is known of HL7 v2 senders, by "MSH-3|MSH-4".
    senders: dict[SenderName, Sender] = Field(default_factory=dict)
    #: Rows of the release matrix for single findings; the last that fits wins.
    release_rows: tuple[ReleaseRow, ...] = ()

    #: Who is told of critical results, by name; `critical_route` is the first.
    critical_routes: dict[str, CriticalRoute] = Field(default_factory=dict)
    critical_route: str = ""
    #: ACR category of findings, by "<model>.<finding key>", over what the installation knows by their codes.
    critical_findings: CriticalFindings = Field(default_factory=dict)
    #: Images older than this make no critical alert as new (downtime catch-up).
    critical_age_limit_minutes: Minutes = 240.0

    #: What a site expects of its models, pathways and times.
    quality: QualityBounds = QualityBounds()
    #: Who owns follow-ups, and who is reminded of them.
    follow_ups: FollowUpCare = FollowUpCare()

    smtp_host: str = ""
    smtp_port: Port = 25
    smtp_from: str = "sightline@localhost"
    #: Where alarms go: silent feeds, stuck deliveries, unacknowledged critical results.
    alarm_mail_to: str = ""
    alarm_webhook_url: HttpUrl | None = None
    #: A delivery that waits longer is stuck; a held item that waits longer is told.
    stuck_after_minutes: Minutes = 15.0

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_s: Annotated[float, Field(gt=0, le=600)] = 20.0

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over environment over file."""
        file, environment = os.environ.get("CDS_CONFIG_FILE"), _Environment(settings_cls)
        if not file:
            return init_settings, environment
        return init_settings, environment, TomlConfigSettingsSource(settings_cls, toml_file=Path(file))

    @model_validator(mode="after")
    def _doors_are_closed(self) -> Settings:
        mistakes = [
            f"CDS_{name}_HOST is {host!r}, which is not loopback: set {wanted} first, or bind 127.0.0.1"
            for name, host, proven, wanted in (
                ("HTTP", self.http_host, self.http_token_file, "CDS_HTTP_TOKEN_FILE"),
                (
                    "DICOM",
                    self.dicom_host,
                    (self.dicom_tls.client_ca_file if self.dicom_tls else None) or self.dicom_allowed_peers or None,
                    "CDS_DICOM_TLS (certificate_file, key_file, client_ca_file) or CDS_DICOM_ALLOWED_PEERS",
                ),
            )
            if not is_loopback(host) and proven is None
        ]
        mistakes += self.open_hl7_doors()
        ports = [self.http_port, self.ui_port, self.dicom_port, *(door.port for door in self.hl7_doors.values())]
        if len(set(ports)) < len(ports):
            names = "CDS_HTTP_PORT, CDS_UI_PORT, CDS_HL7_PORT and CDS_DICOM_PORT"
            mistakes.append(f"{names} must differ, from CDS_HL7_LISTENERS too")
        if self.database_url and not self.database_url.startswith("postgresql"):
            mistakes.append("CDS_DATABASE_URL wants postgresql://… or to be unset for the embedded SQLite")
        mistakes += [f"{self._place(path)}: {path} does not exist" for path in self._files() if not path.is_file()]
        mistakes += self._unknown_routes()
        token = self.http_token_file
        if token is not None and token.is_file() and not token.read_text().strip():
            mistakes.append("CDS_HTTP_TOKEN_FILE holds no token")
        mistakes += self._unproven()
        mistakes += self.follow_ups.mistakes(mail=bool(self.smtp_host), signs=bool(self.smart_key_files))
        mistakes += self.open_ui_doors(self.base_url)
        mistakes += self.open_hook_doors(loopback=is_loopback(self.http_host), token=token is not None)
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def _unproven(self) -> list[str]:
        """FHIR servers that want a signature which nothing here can make."""
        named: list[tuple[str, FhirServer]] = [*self.fhir_sources.items(), *self.fhir_destinations.items()]
        named += [(name, route.fhir) for name, route in self.critical_routes.items() if route.fhir]
        if self.smart_key_files:
            return []
        return [f"CDS_SMART_KEY_FILES is wanted: {name} has a client_id and no secret" for name, d in named if d.signs]

    def _unknown_routes(self) -> list[str]:
        """Names that lead nowhere, names that two destinations share, and mail without a server."""
        routes = self.critical_routes
        mistakes = [
            f"CDS_CRITICAL_ROUTES: {name} escalates to {route.escalate_to}, which is no route"
            for name, route in routes.items()
            if route.escalate_to and route.escalate_to not in routes
        ]
        if self.critical_route not in (routes or {""}):
            mistakes.append("CDS_CRITICAL_ROUTE wants the name of the route that is told first")
        taken = [
            *self.oru_destinations,
            *self.fhir_destinations,
            *self.pacs_destinations,
            *self.priority_destinations,
        ]
        twice = sorted({name for name in taken if taken.count(name) > 1})
        mistakes += [f"two destinations are named {name}: deliveries could not tell them apart" for name in twice]
        if (self.alarm_mail_to or any(r.channel == "mail" for r in routes.values())) and not self.smtp_host:
            mistakes.append("CDS_SMTP_HOST is wanted where mail is sent")
        return mistakes

    def _place(self, file: Path) -> str:
        """The setting that names a file, as it is written in the configuration file."""
        waiting: list[tuple[str, object]] = list(self.model_dump().items())
        for name, value in waiting:
            if value == file:
                return name
            if isinstance(value, dict):
                waiting += [(f"{name}.{key}", one) for key, one in value.items()]
            elif isinstance(value, list | tuple):
                waiting += [(name, one) for one in value]
        return "a setting"

    def _files(self) -> list[Path]:
        files = [self.http_token_file] if self.http_token_file else []
        for tls in (*(door.tls for door in self.hl7_doors.values()), self.dicom_tls):
            if tls is not None:
                files += [file for file in (tls.certificate_file, tls.key_file, tls.client_ca_file) if file]
        files += [file for sender in self.senders.values() for file in sender.code_files.values()]
        routes = self.critical_routes.values()
        mllp = [*self.oru_destinations.values(), *(r.hl7 for r in routes if r.hl7)]
        mllp += [d.hl7 for d in self.priority_destinations.values() if d.hl7]
        mllp += [sender.reply_to for sender in self.senders.values() if sender.reply_to]
        fhir = [*self.fhir_destinations.values(), *(r.fhir for r in routes if r.fhir)]
        servers_of_fhir: list[FhirServer] = [*fhir, *self.fhir_sources.values()]
        files += [file for server in servers_of_fhir for file in server.files]
        mllp += [d.hl7 for d in fhir if d.hl7]
        files += [d.tls_ca_file for d in mllp if d.tls_ca_file]
        files += [file for route in self.follow_ups.routes.values() for file in route.files]
        files += [*self.hook_files, *self.ui_files]
        files += [*self.smart_key_files, *(i.jwks_file for i in self.smart_issuers.values() if i.jwks_file)]
        nodes = [d.node for d in self.pacs_destinations.values()] + [d.node for d in self.pacs_sources.values()]
        files += [file for node in nodes if node and node.tls for file in node.tls.files]
        servers = [d.dicomweb for d in self.pacs_destinations.values()]
        servers += [d.dicomweb for d in self.pacs_sources.values()]
        servers += [d.dicomweb for d in self.priority_destinations.values()]
        files += [file for server in servers if server for file in server.files]
        return files

    def quiet_s(self, modality: str) -> float:
        """How long nothing must come of a series of this modality before it may be complete, seconds."""
        if modality in self.quiet_periods_s:
            return self.quiet_periods_s[modality]
        return self.quiet_period_s if self.quiet_period_s is not None else _QUIET_S.get(modality, 60.0)

    @property
    def public_url(self) -> str:
        """The base URL that links and CDS Hooks sources carry, without a trailing slash."""
        return (self.base_url or f"http://{self.http_host}:{self.http_port}").rstrip("/")

    @property
    def ui_address(self) -> str:
        """The base URL of the pages, without a trailing slash."""
        return self.pages_at(self.base_url)

    @property
    def models_folder(self) -> Path:
        """Where the site's own models and the weights of the shipped ones lie."""
        return self.models_dir or self.data_dir / "models"

    def model_mode(self, model: str, site: str = "") -> Mode:
        """A model that nobody switched runs in shadow; a site's own word comes first."""
        own = self.sites[site].model_modes if site in self.sites else {}
        return own.get(model, self.model_modes.get(model, Mode.SHADOW))

    def gate(self, finding: str, audience: Audience, site: str = "") -> Gate:
        """What an audience waits for before it sees a finding "<model>.<key>"."""
        found, every = self.release.gate(audience), f"{finding.partition('.')[0]}.*"
        for row in (*self.release_rows, *(self.sites[site].release_rows if site in self.sites else ())):
            if row.audience is audience and row.finding in ("*", finding, finding.partition("-")[0], every):
                found = row.gate
        return found


def load(**overrides: object) -> Settings:
    """Read the settings; raise ConfigurationError with every mistake, each naming its variable."""
    mistakes = [f"{name}: no setting has this name" for name in unknown_variables()]
    file = os.environ.get("CDS_CONFIG_FILE")
    if file and not Path(file).is_file():
        raise ConfigurationError([*mistakes, f"CDS_CONFIG_FILE: {file} does not exist"])
    settings = _read(overrides, mistakes)
    if mistakes or settings is None:
        raise ConfigurationError(mistakes)
    return settings


def _read(overrides: dict[str, object], mistakes: list[str]) -> Settings | None:
    """Read again without what was wrong, so that one mistake does not hide the others."""
    given = dict(overrides)
    for _ in range(len(Settings.model_fields)):
        try:
            return Settings(**given)  # type: ignore[arg-type]  # pydantic checks them
        except ValidationError as error:
            mistakes += [m for m in _mistakes(error) if m not in mistakes]
            wrong = {str(item["loc"][0]) for item in error.errors() if item["loc"]} & set(Settings.model_fields)
        except tomllib.TOMLDecodeError as error:
            mistakes.append(f"CDS_CONFIG_FILE: the file is no TOML: {error}")
            return None
        if not wrong - given.keys():
            return None
        given |= {name: Settings.model_fields[name].get_default(call_default_factory=True) for name in wrong}
    return None


def unknown_variables() -> list[str]:
    """`CDS_…` variables that no setting reads: usually a misspelling."""
    known = {f"CDS_{name.upper()}" for name in Settings.model_fields} | {"CDS_CONFIG_FILE", "CDS_REFERENCE_DIR"}
    return sorted(
        name
        for name in os.environ
        if name.startswith("CDS_") and name not in known and name.split("__", 1)[0] not in known
    )


def _mistakes(error: ValidationError) -> list[str]:
    mistakes: list[str] = []
    for item in error.errors():
        where = "__".join(str(part) for part in item["loc"]).upper()
        text = item["msg"].removeprefix("Value error, ")
        mistakes += [f"CDS_{where}: {line}" if where else line for line in text.splitlines()]
    return mistakes
