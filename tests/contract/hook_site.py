"""A Sightline on loopback whose CDS Hooks are called: real stores and routes, ten patients whose images were read.

The patients are the sample patients of the pathways' tests. Every name and number is invented.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
from flask import Flask

from adapters.fhir.report import resources
from cds import ordering, pathways
from cds.bootstrap import Stores, stores
from cds.bootstrap.case_files import FindingsFile, read_findings
from cds.bootstrap.hooks import hooks
from cds.domain.finding import Findings
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import InstanceHeader, StoredInstance
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.revision import Work
from cds.settings import Settings
from cds.web.app import create_app
from tests.contract import hook_ehr, web_peer
from tests.contract.closing import close_quiet
from tests.contract.smart_site import nothing_to_send
from tests.contract.store_contract import raw
from tests.databases import fresh
from tests.unit.clinical import NOW, StillClock

Json = dict[str, Any]

AUTHORITY, SYSTEM = "SYNTHETIC", "urn:example:mrn"
INSTANCE = "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc"
#: An EHR that can launch the study page.
LAUNCHING = "https://launching.example/fhir"
ADVICE, ROUTING = "imaging-order-advice", "imaging-order-routing"
FINDINGS, DISCHARGE = "imaging-findings", "imaging-discharge-check"
HOOKS = {FINDINGS: "patient-view", DISCHARGE: "encounter-discharge", ADVICE: "order-sign", ROUTING: "order-dispatch"}
ORIGIN = "https://sandbox.example"
_FOLDER = Path(__file__).parents[1] / "unit" / "patients"
NAMES = tuple(sorted(path.name.removesuffix(".bundle.json") for path in _FOLDER.glob("*.bundle.json")))


@dataclass(frozen=True)
class Chart:
    """What an EHR knows of one patient."""

    resources: tuple[Json, ...]

    @property
    def patient(self) -> Json:
        """The Patient resource."""
        return self.resources[0]

    def prefetched(self, templates: Mapping[str, str]) -> Json:
        """What an EHR brings that honours every template of a service."""
        return {key: self._read(one) for key, one in templates.items() if "PractitionerRole" not in one}

    def _read(self, template: str) -> Json:
        kind, _, query = template.partition("?")
        if not query:
            return self.patient
        tokens = set(parse_qs(query).get("code", [""])[0].split(",")) - {""}
        found = [one for one in self.resources if one["resourceType"] == kind and (not tokens or tokens & _tokens(one))]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(found)} | (
            {"entry": [{"resource": one} for one in found]} if found else {}
        )


def _tokens(resource: Json) -> set[str]:
    return {f"{one.get('system')}|{one.get('code')}" for one in resource.get("code", {}).get("coding", ())}


def chart(name: str) -> Chart:
    """The record of a sample patient."""
    bundle = json.loads((_FOLDER / f"{name}.bundle.json").read_bytes())
    return Chart(tuple(entry["resource"] for entry in bundle["entry"]))


@dataclass
class HookSite:
    """The server, and an EHR that calls it; with `signed` every call has a token of that EHR."""

    url: str
    settings: Settings
    signed: bool = False
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))

    def headers(self, path: str, **claims: object) -> dict[str, str]:
        """What shows who calls."""
        if not self.signed:
            return {}
        url = f"{self.settings.public_url}{path}"
        return {"Authorization": f"Bearer {hook_ehr.token(url, now=datetime.now(UTC), **claims)}"}

    def discovery(self) -> list[Json]:
        """The services that are listed."""
        answer = self.http.get(f"{self.url}/cds-services", headers=self.headers("/cds-services"))
        assert answer.status_code == 200
        found: list[Json] = answer.json()["services"]
        return found

    def templates(self, service: str) -> dict[str, str]:
        """The prefetch templates of a service."""
        found: dict[str, str] = next(one["prefetch"] for one in self.discovery() if one["id"] == service)
        return found

    def post(self, service: str, body: Mapping[str, object], after: str = "") -> httpx.Response:
        """A call, or with `after` the feedback of a service."""
        path = f"/cds-services/{service}{after}"
        return self.http.post(self.url + path, json=body, headers=self.headers(path))

    def answer(self, service: str, body: Mapping[str, object]) -> Json:
        """What a call is answered."""
        response = self.post(service, body)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def feedback(self, service: str, *items: Mapping[str, object]) -> httpx.Response:
        """What became of cards."""
        return self.post(service, {"feedback": list(items)}, "/feedback")

    def body(self, service: str, name: str = "02-emphysema", /, **changes: Any) -> Json:
        """A whole request about a sample patient; `changes` are members of the request, ... leaves one out."""
        who = chart(name)
        context = {"userId": "Practitioner/123", "patientId": who.patient["id"], "encounterId": "e1"}
        given = {
            "hook": HOOKS[service],
            "hookInstance": INSTANCE,
            "context": context | changes.pop("context", {}),
            "prefetch": who.prefetched(self.templates(service)),
        }
        return {key: value for key, value in (given | changes).items() if value is not ...}


def order(whose: str, exam: tuple[str, str] = ("24628-0", "CT Chest W contrast"), **members: object) -> Json:
    """A draft imaging order by its LOINC code."""
    code, display = exam
    return {
        "resourceType": "ServiceRequest",
        "id": f"draft-{code}",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}], "text": display},
        "subject": {"reference": f"Patient/{whose}"},
        "authoredOn": "2026-11-22",
        **members,
    }


def drafts(*orders: Json) -> Json:
    """Draft orders, as order-select and order-sign bring them."""
    entries = [{"resource": one} for one in orders]
    return {"draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": entries}}


@contextmanager
def serving(folder: Path, *, signed: bool = False, **changes: Any) -> Iterator[HookSite]:
    """A site at which every model, pathway and check speaks."""
    with stored(folder, signed=signed, **changes) as (settings, held), web_peer.running(app(settings, held)) as url:
        site = HookSite(url, settings, signed)
        with site.http:
            yield site


@contextmanager
def stored(folder: Path, *, signed: bool = False, **changes: Any) -> Iterator[tuple[Settings, Stores]]:
    """The settings of the site and its stores, in which the reports are."""
    settings = _settings(folder, signed=signed, **changes)
    with fresh(folder / "data"):
        held = stores(settings)
        try:
            _reported(held, settings)
            yield settings, held
        finally:
            held.database.dispose()


def app(settings: Settings, held: Stores) -> Flask:
    """The web application: CDS Hooks as bootstrap wires them, at the moment of all tests."""
    wired = hooks(settings, held, StillClock())
    return create_app(replace(web_peer.services(hooks=wired), settings=settings))


def _settings(folder: Path, *, signed: bool, **changes: Any) -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    keys = folder / "jwks.json"
    keys.write_text(json.dumps(hook_ehr.ALL), encoding="utf-8")
    client = {"issuer": hook_ehr.ISSUER, "jwks_file": keys, "rate_per_minute": 100_000}
    door: Json = {"hook_clients": {"ehr": client}} if signed else {"insecure": True}
    given: Json = {
        "data_dir": folder / "data",
        "base_url": web_peer.BASE,
        "assigning_authority": AUTHORITY,
        "identifier_systems": {SYSTEM: AUTHORITY},
        "model_modes": dict.fromkeys(_models(), "advisory"),
        "pathway_modes": dict.fromkeys([*pathways.load(), *ordering.load()], "advisory"),
        "release": {"ehr": "immediate", "referral": "immediate"},
        "site_options": {"emphysema.laa_950_percent": "10"},
        "system_actions": [ADVICE],
        "smart_apps": {LAUNCHING: {"client_id": "sightline"}},
        "hook_origins": [ORIGIN],
        "hook_rate_per_minute": 100_000,
        "fatigue": {"daily_cap": 100_000},
        **door,
    }
    return Settings(**{**given, **changes})


def _models() -> set[str]:
    return {outcome.model for name in NAMES for outcome in _findings(name).outcomes}


def _findings(name: str) -> FindingsFile:
    return read_findings(_FOLDER / f"{name}.findings.json")


def _reported(held: Stores, settings: Settings) -> None:
    """The images of each patient came and were reported."""
    emitted = {"identifier_systems": settings.identifier_systems, "site_name": settings.site_name}
    encode = replace(nothing_to_send(), resources=lambda report: list(resources(report, **emitted)))
    for number, name in enumerate(NAMES, 1):
        found, who = _findings(name), _patient(chart(name).patient)
        held.record.apply([(LoggedMessage(number, raw(str(number))), MessageContent(who))], NOW)
        image = _image(f"2.25.{number}", who.identifiers[0].value, found.study_date, found.modality)
        held.studies.add(image, received_at=NOW - timedelta(hours=2), consumed=True, source="dicom")
        [work] = close_quiet(held.database, NOW - timedelta(hours=1))
        held.reports.commit(_report(held, work, found, who), encode, NOW)


def _patient(resource: Json) -> Patient:
    name, sex = resource["name"][0], {"female": Sex.FEMALE, "male": Sex.MALE}[resource["gender"]]
    number = Identifier(resource["identifier"][0]["value"], AUTHORITY)
    born = date.fromisoformat(resource["birthDate"])
    return Patient((number,), HumanName(name["family"], name["given"][0]), birth_date=born, sex=sex)


def _image(study: str, patient_id: str, day: date, modality: str) -> StoredInstance:
    header = InstanceHeader(
        sop_instance_uid=f"{study}.1.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=f"{study}.1",
        study_instance_uid=study,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality=modality,
        patient_id=patient_id,
        accession_number=f"A-{patient_id}",
        study_date=day,
    )
    return StoredInstance(header, f"instances/{study}", study, 100, f"pixels of {study}")


def _report(held: Stores, work: Work, found: FindingsFile, named: Patient) -> Report:
    who = held.record.patient(named.identifiers[0])
    assert who is not None
    said = [one for one in found.outcomes if isinstance(one, Findings)]
    keys = [f"{one.model}.{finding.key}" for one in said for finding in one.findings]
    return Report(
        work=work,
        version=0,
        study=held.studies.study(work.study_instance_uid),
        match=Match(MatchState.MATCHED, ("accession number and patient agree",), None, who.id),
        patient=who,
        order=None,
        outcomes=found.outcomes,
        ehr=None,
        decision=Decision((), Release(frozenset(Audience), (), dict.fromkeys(keys, frozenset(Audience))), NOW.date()),
        issued=NOW,
    )
