"""The settings as loaded, for the page of operations: what stands in `SHOWN` is shown, everything else is only named.

A list of what may be seen, never of what may not: a setting that comes tomorrow is not shown until somebody says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from cds.destinations import Table
from cds.settings import Settings

_SERVER = ("timeout_s", "audience", "processing")
_MLLP = ("host", "port", "application", "facility", "pdf", *_SERVER)
_FHIR = ("url", "token_url", "key_algorithm", "parallel", "search", "own_ids", *_SERVER)
_NODE = ("host", "port", "ae_title", "calling_ae_title")


def _below(path: str, *names: str) -> frozenset[str]:
    return frozenset(f"{path}.{name}" for name in names)


#: Settings that may be seen, by their path; `*` is the name of an entry of a table.
SHOWN: frozenset[str] = frozenset().union(
    {
        "data_dir", "http_host", "http_port", "http_workers", "http_threads", "base_url",
        "ui_host", "ui_port", "ui_workers", "ui_url", "ui_threads", "ui_idle_minutes",
        "ui_session_hours",
        "hl7_host", "hl7_port", "hl7_allowed_peers", "hl7_duplicate_window_h", "hl7_folder",
        "dicom_host", "dicom_port", "dicom_ae_title", "dicom_allowed_peers", "dicom_allowed_ae_titles",
        "site_name", "time_zone", "assigning_authority", "accession_issuer", "identifier_systems.*",
        "accession_fallback", "quiet_period_s", "quiet_periods_s.*", "incomplete_after_s", "count_interval_s",
        "stat_per_series", "minimum_free_bytes", "worker_slot", "workers", "device", "models_dir", "model_memory_mb",
        "allow_torchscript", "model_modes.*", "release.*", "fhir_audience", "expected_roles", "release_rows",
        "critical_route", "critical_findings.*", "critical_age_limit_minutes", "smtp_host", "smtp_port",
        "stuck_after_minutes", "log_level", "drain_s", "pathway_modes.*", "site_options.*",
        "pathway_audiences.*", "text_language", "most_steps", "hook_origins", "hook_rate_per_minute", "insecure",
        "system_actions", "hl7_limits.*", "dicom_limits.*", "fatigue.accepted_h", "fatigue.snooze_h",
        "fatigue.info_again_h", "fatigue.daily_cap",
    },
    _below("hl7_listeners.*", "host", "port", "allowed_peers"),
    _below("oru_destinations.*", *_MLLP),
    _below("fhir_destinations.*", *_FHIR),
    _below("fhir_destinations.*.hl7", *_MLLP),
    _below("fhir_sources.*", *_FHIR, "ehr_data", "issuers", "cache_s", "events", "resources", "poll_interval_s",
           "overlap_s", "topics.*", "payload", "heartbeat_s", "lifetime_h", "notify_url"),
    _below("smart_issuers.*", "jwks_url", "audience"),
    _below("pacs_destinations.*", *_NODE, *_SERVER, "dicomweb.url", "segmentations", "key_images", "commitment"),
    _below("priority_destinations.*", *_SERVER, "message", "field", "urgent", "dicomweb.url"),
    _below("priority_destinations.*.hl7", *_MLLP),
    _below("pacs_sources.*", "retrieve", "query", "dicomweb.url", "move_destination", "issuers", "priors", "parallel",
           "timeout_s"),
    _below("pacs_sources.*.node", *_NODE),
    _below("senders.*", "time_zone", "expected_interval_s", "character_set", "acknowledgment", "batch_acknowledgment",
           "assigning_authority", "accession_issuer", "accession_fallback", "fields.*"),
    _below("senders.*.reply_to", *_MLLP),
    _below("critical_routes.*", "channel", "minutes", "escalate_to"),
    _below("critical_routes.*.hl7", *_MLLP),
    _below("critical_routes.*.fhir", *_FHIR),
    _below("hook_clients.*", "issuer", "jwks_url", "algorithms", "tenants", "rate_per_minute"),
    _below("smart_apps.*", "scopes"),
    _below("sites.*", "issuers", "model_modes.*", "pathway_modes.*", "site_options.*", "text_language"),
    _below("second_readers.*", "mode", "sites.*", "scale", "parts", "findings", "recalled", "modalities"),
    _below("viewer", "url", "origins", "cache_bytes", "decode_processes"),
    _below("quality", "window_days", "reference_days", "reference_from", "at_hour", "smallest_cell", "enough", "psi",
           "ks", "ppv.*", "sensitivity.*", "specificity.*", "overridden.*", "p90_minutes.*"),
    _below("follow_ups", "due_soon_days", "overdue_days", "escalate_days", "remind", "escalate_to", "on_time_days",
           "routes.*.channel"),
    _below("ui_oidc", "issuer", "scopes", "user_claim", "role_claim", "roles.*", "title"),
    _below("orderables.*", "system", "code", "display"),
    _below("exams.*", "modality", "region", "contrast", "angiography"),
)  # fmt: skip

_NOT_SHOWN = "set, not shown"
_URLS = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting by its path; `own` is False for what Sightline takes where a site says nothing."""

    path: str
    value: str
    own: bool


@dataclass(frozen=True, slots=True)
class Section:
    """The settings whose names begin alike."""

    name: str
    settings: tuple[Shown, ...]


def configuration(settings: Settings) -> tuple[Section, ...]:
    """Every setting that there is, by the first word of its name."""
    sections: dict[str, list[Shown]] = {}
    for name in type(settings).model_fields:
        for path, pattern, value in _leaves(name, name, getattr(settings, name)):
            own = name in settings.model_fields_set
            sections.setdefault(name.partition("_")[0], []).append(Shown(path, _said(pattern, value), own))
    return tuple(Section(name, tuple(found)) for name, found in sorted(sections.items()))


def _leaves(path: str, pattern: str, value: object) -> Iterator[tuple[str, str, object]]:
    """Each value with its path as it is written, and with `*` for the names that a site gave."""
    if isinstance(value, Table):
        for name in type(value).model_fields:
            yield from _leaves(f"{path}.{name}", f"{pattern}.{name}", getattr(value, name))
    elif isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from _leaves(f"{path}.{_key(key)}", f"{pattern}.*", one)
    else:
        yield path, pattern, value


def _key(key: object) -> str:
    return str(key.value) if isinstance(key, Enum) else str(key)


def _said(pattern: str, value: object) -> str:
    if value is None or value in ("", (), {}):
        return "not set"
    return _text(value) if is_shown(pattern) else _NOT_SHOWN


def is_shown(pattern: str) -> bool:
    """Whether a setting may be seen, by its path with `*` for the names that a site gave."""
    return pattern in SHOWN or any(fnmatchcase(pattern, known) for known in SHOWN if known.endswith(".*"))


def _text(value: object) -> str:
    if isinstance(value, tuple | list | frozenset | set):
        told = [_text(one) for one in value]
        return ", ".join(sorted(told) if isinstance(value, frozenset | set) else told)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Table):
        return " ".join(f"{name}={_text(getattr(value, name))}" for name in type(value).model_fields)
    text = str(value.value) if isinstance(value, Enum) else str(value)
    return _origin(text) if text.startswith(_URLS) else text


def _origin(url: str) -> str:
    """Scheme, host and path: what follows a question mark may be a secret, and so may what stands before an @."""
    found = urlsplit(url)
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path}"
