"""A FHIR server of another project (Medplum's router and its store in memory) and what a hospital keeps on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent / "fhir_server"
PACKAGES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sightline/fhir_server/node_modules"


@dataclass(frozen=True)
class FhirServer:
    """A running server and a word to it."""

    url: str

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every resource of one type."""
        bundle = httpx.get(f"{self.url}/{kind}", params={"_count": 100}).raise_for_status().json()
        return [entry["resource"] for entry in bundle.get("entry", ())]

    def ours(self, kind: str) -> list[dict[str, Any]]:
        """What Sightline made of one type."""
        return [body for body in self.all(kind) if "AIAST" in json.dumps(body.get("meta", {}))]

    def versions(self, body: dict[str, Any]) -> int:
        """How many versions a resource has."""
        history = httpx.get(f"{self.url}/{body['resourceType']}/{body['id']}/_history").raise_for_status().json()
        return len(history["entry"])

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """A resource that somebody else made."""
        made: dict[str, Any] = httpx.post(f"{self.url}/{body['resourceType']}", json=body).raise_for_status().json()
        return made

    def unchanged(self, bodies: list[dict[str, Any]]) -> bool:
        """True where these are as they were, in their first version."""
        now = [httpx.get(f"{self.url}/{b['resourceType']}/{b['id']}").raise_for_status().json() for b in bodies]
        return now == bodies and [self.versions(body) for body in bodies] == [1] * len(bodies)


@contextmanager
def running() -> Iterator[FhirServer]:
    """An empty one; skips where node or the packages are not installed."""
    if shutil.which("node") is None or not (PACKAGES.parent / ".installed").exists():
        pytest.skip("node or the FHIR server's packages are not installed: make test-peers installs them")
    environment = {**os.environ, "NODE_PATH": str(PACKAGES)}
    with subprocess.Popen(["node", str(HERE / "server.cjs")], stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            yield FhirServer(f"http://127.0.0.1:{int(process.stdout.readline())}/fhir")
        finally:
            process.terminate()


def of_the_hospital(server: FhirServer) -> list[dict[str, Any]]:
    """The EHR's patient and the report that a radiologist signed, under the accession number of `fhir_samples`."""
    patient = server.create(
        {
            "resourceType": "Patient",
            "identifier": [{"system": "https://hospital.example/mrn", "value": "12345"}],
            "name": [{"family": "As The Hospital Writes It"}],
        }
    )
    accession = {"system": "urn:sightline:accession:RIS", "value": "ACC1"}
    signed = server.create(
        {
            "resourceType": "DiagnosticReport",
            "identifier": [accession],
            "basedOn": [{"type": "ServiceRequest", "identifier": accession}],
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]},
            "subject": {"reference": f"Patient/{patient['id']}"},
            "conclusion": "No emphysema.",
        }
    )
    return [patient, signed]
