"""What every FHIR server keeps of a critical result. Runs against the store peer and Medplum."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.fhir.client import open_client
from adapters.fhir.communication import CommunicationChannel, OtherChannel
from adapters.fhir.keys import SmartKeys
from cds.destinations import FhirDestination
from cds.domain.critical import delivery_id, message_number
from tests.contract.critical_notices import NOTICE, RESULT, WITHDRAWN
from tests.contract.fhir_server import FhirServer, patient_of_the_hospital
from tests.unit.fhir_samples import SYSTEMS

FIRST, BACK = delivery_id(RESULT.id, "duty"), delivery_id(RESULT.id, "duty", "withdrawal")


@contextmanager
def channel(url: str, otherwise: OtherChannel | None = None) -> Iterator[CommunicationChannel]:
    """A route of critical results to a server."""
    to = FhirDestination(url=url)
    client = open_client("critical:duty", to, SmartKeys(()), sleep=lambda _: None)
    try:
        yield CommunicationChannel("critical:duty", to, client=client, identifier_systems=SYSTEMS, otherwise=otherwise)
    finally:
        client.close()


class FhirCriticalContract:
    """The server of the fixture takes Communications, one way or the other."""

    def test_it_is_made_once_and_what_became_of_it_there_stays_until_it_is_withdrawn(self, server: FhirServer) -> None:
        with channel(server.url) as duty:
            payload = duty.encode(NOTICE, FIRST)
            duty.send(payload)
            [told] = server.all("Communication")
            known = server.change(told, status="completed")
            assert duty.send(payload) == "all 1 entries stood there already"
            assert server.all("Communication") == [known]
            duty.send(duty.encode(WITHDRAWN, BACK))
        old, new = sorted(server.all("Communication"), key=lambda body: str(body["status"]))
        assert (old["status"], new["status"]) == ("entered-in-error", "in-progress")
        assert new["inResponseTo"][0]["identifier"]["value"] == message_number(FIRST)

    def test_it_does_not_wait_for_patients_to_be_tidied_up(self, server: FhirServer) -> None:
        patient_of_the_hospital(server)
        patient_of_the_hospital(server)
        with channel(server.url) as duty:
            duty.send(duty.encode(NOTICE, FIRST))
        [told] = server.all("Communication")
        assert "reference" not in told["subject"]

    def test_it_names_the_servers_own_patient(self, server: FhirServer) -> None:
        patient = patient_of_the_hospital(server)
        with channel(server.url) as duty:
            duty.send(duty.encode(NOTICE, FIRST))
        [told] = server.all("Communication")
        assert told["subject"]["reference"] == f"Patient/{patient['id']}"
