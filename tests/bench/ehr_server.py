"""An EHR with one patient of 5,000 resources, in a process of its own: every page is made before the first is asked.

`python -m tests.bench.ehr_server` prints its port. A search answers the resources of its type that have one of its
codes, 200 a page, as R4 says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cds import codes
from tests.contract.ehr_wire import SYSTEM, code, resource

Json = dict[str, Any]
PAGE = 200
MEASURED = ("creatinine", "body-weight", "heart-rate", "haemoglobin", "platelets", "tsh", "inr")


def dated(number: int) -> str:
    """A moment of the last twenty years."""
    return f"{2005 + number % 20}-{1 + number % 12:02d}-{1 + number % 28:02d}T08:{number % 60:02d}:00+01:00"


def chart() -> Iterator[Json]:
    """5,000 resources as an EHR writes them, with their meta, categories and texts."""
    meta = {"versionId": "3", "lastUpdated": "2026-10-01T08:00:00.123+00:00", "profile": ["http://hl7.org/fhir/x"]}
    noise = {"meta": meta, "encounter": {"reference": "Encounter/e1"}, "performer": [{"reference": "Practitioner/1"}]}
    sets = codes.loaded()
    for number in range(3500):
        value_set = sets[MEASURED[number % len(MEASURED)]]
        entry = value_set.entries[0].coding
        shown = {**code(entry.code, entry.system, entry.display), "text": entry.display}
        amount = {"value": 1 + number % 50 / 10, "unit": value_set.unit, "code": value_set.unit}
        quantity = {**amount, "system": "http://unitsofmeasure.org"}
        when = {"effectiveDateTime": dated(number), "issued": dated(number)}
        category = [code("laboratory", "http://terminology.hl7.org/CodeSystem/observation-category")]
        yield resource("Observation", f"o{number}", shown, valueQuantity=quantity, category=category, **when, **noise)
    clinical = code("active", "http://terminology.hl7.org/CodeSystem/condition-clinical")
    confirmed = code("confirmed", "http://terminology.hl7.org/CodeSystem/condition-ver-status")
    for number in range(1000):
        what = code(f"{'JKLMN'[number % 5]}{number % 89 + 10}.{number % 10}", "http://hl7.org/fhir/sid/icd-10-cm")
        statuses = {"clinicalStatus": clinical, "verificationStatus": confirmed, "recordedDate": dated(number)}
        yield resource("Condition", f"c{number}", what, onsetDateTime=dated(number), **statuses, **noise)
    for number in range(300):
        yield resource("Procedure", f"p{number}", code("127783003"), performedDateTime=dated(number), **noise)
    for number in range(200):
        orders = {"intent": "order", "authoredOn": dated(number)}
        yield resource("ServiceRequest", f"s{number}", code("127783003"), **orders, **noise)


def pages(port: int) -> dict[str, bytes]:
    """The first page of each type by its name, and by code; the further ones by their address."""
    by_name: dict[str, list[Json]] = {}
    for one in chart():
        tokens = {f"{c['system']}|{c['code']}" for c in one["code"]["coding"]}
        for name in {one["resourceType"], *(f"{one['resourceType']}?{token}" for token in tokens)}:
            by_name.setdefault(name, []).append(one)
    found: dict[str, bytes] = {}
    names = {key: number for number, key in enumerate(by_name)}
    for key, listed in by_name.items():
        kind = key.partition("?")[0]
        listed.sort(key=lambda one: one.get("effectiveDateTime", ""), reverse=True)
        for at in range(0, len(listed), PAGE):
            entries = [
                {"fullUrl": f"urn:x:{one['id']}", "resource": one, "search": {"mode": "match"}}
                for one in listed[at : at + PAGE]
            ]
            bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(listed), "entry": entries}
            name = f"{names[key]}-{at + PAGE}"
            if at + PAGE < len(listed):
                url = f"http://127.0.0.1:{port}/fhir/{kind}?page={name}"
                bundle["link"] = [{"relation": "next", "url": url}]
            found[key if at == 0 else f"page {names[key]}-{at}"] = json.dumps(bundle).encode()
    return found


def capability() -> bytes:
    """What it can do."""
    parameters = {"Patient": ("identifier",), "Observation": ("patient", "code")}
    parameters |= dict.fromkeys(("Condition", "Procedure", "DiagnosticReport", "ServiceRequest"), ("patient", "code"))
    types = [
        {"type": kind, "interaction": [{"code": "search-type"}], "searchParam": [{"name": name} for name in names]}
        for kind, names in parameters.items()
    ]
    rest = [{"mode": "server", "resource": types}]
    return json.dumps({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}).encode()


class Chart:
    """What is answered to which request."""

    def __init__(self, port: int) -> None:
        self._pages = pages(port)
        self._empty = json.dumps({"resourceType": "Bundle", "type": "searchset", "total": 0}).encode()
        identifier = [{"system": SYSTEM, "value": "4711"}]
        patient = {"resourceType": "Patient", "id": "p1", "birthDate": "1963-05-01", "identifier": identifier}
        found = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": patient}]}
        self._patient, self._capability = json.dumps(found).encode(), capability()

    def answer(self, path: str, form: bytes) -> bytes:
        """The bytes of one page."""
        parts = urlsplit(path)
        kind = parts.path.split("/")[2]
        if kind in ("metadata", "Patient"):
            return self._capability if kind == "metadata" else self._patient
        if parts.query:
            return self._pages[f"page {dict(parse_qsl(parts.query))['page']}"]
        tokens = dict(parse_qsl(form.decode())).get("code", "").split(",")
        keys = [f"{kind}?{token}" for token in tokens if token] or [kind]
        return next((self._pages[key] for key in keys if key in self._pages), self._empty)


def main() -> None:
    """Serve until killed."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        made = Chart(server.server_port)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = made.answer(self.path, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        server.RequestHandlerClass = Handler
        server.daemon_threads = True
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
