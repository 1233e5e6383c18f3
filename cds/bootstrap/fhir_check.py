"""What `cds check` asks FHIR servers: whether each lets us in, and can do what we want of it. Nothing is written."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cds.checks import Check
from cds.destinations import FhirDestination, FhirServer
from cds.errors import ConfigurationError, NotFound, SightlineError
from cds.fhir_peers import FhirSource
from cds.settings import Settings, is_loopback

if TYPE_CHECKING:
    from adapters.fhir.abilities import Abilities
    from adapters.fhir.client import FhirClient

#: A person waits for the answer.
_LONGEST_S = 5.0
_VERSION = "4.0."
_LONGEST_NAME = 60
_NOT_THERE = frozenset({404, 405, 501})
#: What EhrData is made of, all of it searched by patient.
_RECORD = (
    "Condition", "Observation", "MedicationRequest", "AllergyIntolerance", "Procedure", "FamilyMemberHistory",
    "ServiceRequest", "DiagnosticReport",
)  # fmt: skip
#: What a report is made of, and a critical result; the first is what it is about.
_REPORT = ("DiagnosticReport", "Observation", "RiskAssessment", "Device", "Provenance")
_CRITICAL = ("Communication",)
#: What a copy is found by where R4 gives a type no identifier.
_FOUND_BY = {"Provenance": "_tag"}


@dataclass(frozen=True, slots=True)
class _Found:
    """What a server cannot do: without `needed` it is of no use as it is configured, without `wanted` of less."""

    needed: Sequence[str] = ()
    wanted: Sequence[str] = ()


Look = Callable[["Abilities"], _Found]


def fhir_checks(settings: Settings) -> list[Callable[[], Check]]:
    """A check for every FHIR source, destination and critical route."""
    routes = {name: route.fhir for name, route in settings.critical_routes.items() if route.fhir is not None}
    return [
        *(partial(source_check, settings, name) for name in settings.fhir_sources),
        *(partial(destination_check, settings, name) for name in settings.fhir_destinations),
        *(partial(_route_check, settings, name, server) for name, server in routes.items()),
    ]


def wrong_keys(settings: Settings) -> list[str]:
    """What is wrong with the files of CDS_SMART_KEY_FILES: web and worker would end at once, again and again."""
    from adapters.fhir.keys import SmartKeys

    try:
        SmartKeys(settings.smart_key_files)
    except ConfigurationError as error:
        return error.mistakes
    return []


def source_check(settings: Settings, name: str) -> Check:
    """The server lets us in, and can be searched for what we want to know of it."""
    source = settings.fhir_sources[name]
    label = f"FHIR source {name}", "CDS_FHIR_SOURCES"
    found = _check(settings, name, source, label, lambda abilities: _of_source(source, abilities))
    return replace(found, detail="; ".join([found.detail, *_doubts(settings, source)])) if found.ok else found


def _doubts(settings: Settings, source: FhirSource) -> Iterator[str]:
    """What the server cannot tell, and what makes it useless all the same."""
    if not settings.identifier_systems:
        yield "CDS_IDENTIFIER_SYSTEMS is empty, so that no patient of it is known here"
    notified = urlsplit(source.notify_url or settings.public_url).hostname or ""
    elsewhere = not is_loopback(urlsplit(source.url).hostname or "")
    if source.events in ("subscription", "topic") and elsewhere and is_loopback(notified):
        yield f"it cannot notify {notified}: set notify_url or CDS_BASE_URL, until then it is polled"


def destination_check(settings: Settings, name: str) -> Check:
    """The server lets us in, and takes what a report is made of."""
    destination = settings.fhir_destinations[name]
    label = f"destination {name}", "CDS_FHIR_DESTINATIONS"
    return _check(
        settings, name, destination, label, lambda abilities: _of_destination(destination, abilities, _REPORT)
    )


def _route_check(settings: Settings, name: str, server: FhirDestination) -> Check:
    label = f"critical route {name}", "CDS_CRITICAL_ROUTES"
    return _check(settings, name, server, label, lambda abilities: _of_destination(server, abilities, _CRITICAL))


def _check(settings: Settings, name: str, server: FhirServer, label: tuple[str, str], look: Look) -> Check:
    from adapters.fhir.client import open_client
    from adapters.fhir.keys import SmartKeys

    title, setting = label
    try:
        brief = server.model_copy(update={"timeout_s": min(server.timeout_s, _LONGEST_S)})
        with closing(open_client(name, brief, SmartKeys(settings.smart_key_files))) as client:
            abilities = client.capability(fresh=True)
            _greet(client, abilities)
    except SightlineError as error:
        return Check(title, False, str(error), _how(error, settings, server, setting))
    if not abilities.fhir_version.startswith(_VERSION):
        said = f"speaks FHIR {_printable(abilities.fhir_version) or 'of no version'}, want 4.0.1 (R4)"
        return Check(title, False, said, f"correct its url in {setting}: many servers have one for each version")
    return _judged(title, setting, _answers(server, abilities), look(abilities))


def _greet(client: FhirClient, abilities: Abilities) -> None:
    """One request that wants the token, which the CapabilityStatement does not: for a Patient whom nobody has."""
    nobody = str(uuid.uuid4())
    if abilities.can("Patient", "search-type"):
        for _ in client.search("Patient", [("_id", nobody)]):
            pass
        return
    if abilities.can("Patient", "read"):
        try:
            client.read(f"Patient/{nobody}")
        except NotFound:
            return


def _judged(title: str, setting: str, answers: str, found: _Found) -> Check:
    if found.needed:
        lacks = f"{answers}; its CapabilityStatement lacks {', '.join(found.needed)}"
        return Check(title, False, lacks, f"let it be switched on there, or leave out what it cannot do in {setting}")
    return Check(title, True, f"{answers}; does without {', '.join(found.wanted)}" if found.wanted else answers)


def _of_source(source: FhirSource, abilities: Abilities) -> _Found:
    needed: list[str] = []
    wanted: list[str] = []
    if source.ehr_data:
        needed += [] if abilities.searches("Patient", "identifier") else ["Patient by identifier"]
        wanted += [f"{name} by patient" for name in _RECORD if not abilities.searches(name, "patient")]
    news = source.resources if source.events != "none" else ()
    needed += [name for name in news if not abilities.can(name, "search-type")]
    wanted += [
        f"{name} by _lastUpdated"
        for name in news
        if abilities.can(name, "search-type") and not abilities.searches(name, "_lastUpdated")
    ]
    if source.events in ("subscription", "topic") and not abilities.can("Subscription", "create"):
        wanted.append("Subscription (it is polled)")
    return _Found(needed, wanted)


def _of_destination(destination: FhirDestination, abilities: Abilities, types: Sequence[str]) -> _Found:
    """Nothing is delivered without the first of the types; what else it does not take is left out."""
    from adapters.fhir.ways import way_to

    params = {name: _FOUND_BY.get(name, "identifier") for name in types}
    ways = {name: way_to(abilities, name, param, own_ids=destination.own_ids) for name, param in params.items()}
    taken = {name: way for name, way in ways.items() if way is not None}
    wanted = [] if abilities.transaction else ["transaction"]
    wanted += [name for name in types[1:] if name not in taken]
    wanted += [f"conditions for {name}" for name, way in taken.items() if not (way.own or way.conditional_create)]
    if types[0] in taken:
        return _Found((), wanted)
    if destination.hl7 is not None:
        return _Found((), [f"{types[0]}, so that it all goes by HL7 v2"])
    return _Found([f"a way to {types[0]} (create, update, search by identifier)"], wanted)


def _answers(server: FhirServer, abilities: Abilities) -> str:
    software = _printable(abilities.software)
    said = f"answers as {software or 'a server without a name'}, FHIR {_printable(abilities.fhir_version)}"
    address = urlsplit(server.url)
    if address.scheme == "http" and not is_loopback(address.hostname or ""):
        said += ", unencrypted"
    return said


def _how(error: SightlineError, settings: Settings, server: FhirServer, setting: str) -> str:
    from adapters.fhir.client import FhirRefused, NotAllowed

    if isinstance(error, ConfigurationError):
        return f"correct CDS_SMART_KEY_FILES, or url and token_url in {setting}"
    if isinstance(error, FhirRefused) and error.status in _NOT_THERE and server.search == "post":
        return f'where it knows no POST _search, set search = "get" in {setting}'
    if isinstance(error, NotAllowed) and server.signs:
        keys = f"{settings.public_url}/.well-known/jwks.json"
        return f"let it know our keys ({keys}) and scopes, or correct client_id and token_url in {setting}"
    if isinstance(error, NotAllowed):
        return f"correct token_file, or client_id and client_secret_file, in {setting}, or let it give us more scopes"
    return f"start it, or correct url and tls in {setting}"


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:_LONGEST_NAME]
