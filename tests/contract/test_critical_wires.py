"""Critical results over the wires that carry them: mail, webhook, HL7 v2, FHIR, each to a real peer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default

import pytest

from adapters.fhir.client import open_client
from adapters.fhir.communication import CommunicationChannel
from adapters.fhir.keys import SmartKeys
from adapters.hl7.critical import CriticalOru
from adapters.hl7.message import Message
from adapters.notify.critical import critical_mail, critical_webhook
from adapters.notify.mail import MailChannel, mail_message
from adapters.notify.webhook import WebhookChannel, webhook_body
from cds.bootstrap.critical import alarm_channels, critical_channels, tellers
from cds.demo.engine import Engine
from cds.destinations import FhirDestination, MllpDestination
from cds.domain.critical import delivery_id, message_number
from cds.errors import InvalidInput, PeerFailed, PeerRefused, Unavailable
from cds.ports import Channel
from tests.contract.critical_notices import DOUBTFUL, NOTICE, NOW, PHI, RESULT, WITHDRAWN
from tests.contract.critical_site import settings
from tests.contract.fhir_store_peer import FhirStore
from tests.contract.fhir_wire import Asked, Reply, outcome, searchset, serving
from tests.contract.notify_peers import Hook, Mailbox, http_server, mail_server
from tests.unit.fhir_samples import SYSTEMS

DELIVERY = delivery_id(RESULT.id, "duty")


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def hook() -> Iterator[Hook]:
    with http_server() as hook:
        yield hook


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def mail() -> bytes:
    return critical_mail(NOTICE, DELIVERY, sender="sightline@site.example", to="Duty <duty@site.example>")


class TestMail:
    """One message without PHI."""

    def test_a_mail_arrives_as_it_was_made_and_names_nobody(self, box: Mailbox) -> None:
        assert MailChannel("critical:duty", "127.0.0.1", box.port).send(mail()).startswith("taken by the mail server")
        [taken] = box.taken
        assert box.to == ["rcpt TO:<duty@site.example>"]
        read = message_from_bytes(taken, policy=default)
        assert read["Message-ID"] == f"<{DELIVERY}@site.example>"
        assert read["Subject"] == "[Sample Hospital] Critical AI finding, ACR category 1: Intracranial hemorrhage"
        body = read.get_body(("plain",))
        assert body is not None
        text = body.get_content()
        assert f"Acknowledge by name at https://sightline.example/critical/{RESULT.token}" in text
        assert "Images made at 2026-03-04 09:55+01:00" in text
        assert [one for one in PHI if one in taken.decode()] == []

    def test_a_repeat_has_the_same_bytes(self) -> None:
        assert mail() == mail()

    @pytest.mark.parametrize(
        ("verb", "answer", "error"),
        [
            ("RCPT", "550 no such user", PeerRefused),
            ("RCPT", "451 later", PeerFailed),
            ("DATA", "554 refused", PeerRefused),
            ("END", "452 full", PeerFailed),
            ("MAIL", "530 who are you", PeerRefused),
        ],
    )
    def test_what_the_server_says_is_judged(self, box: Mailbox, verb: str, answer: str, error: type[Exception]) -> None:
        box.answers[verb] = answer
        with pytest.raises(error) as raised:
            MailChannel("m", "127.0.0.1", box.port).send(mail())
        assert type(raised.value) is error
        assert "site.example" not in str(raised.value)

    def test_a_server_that_is_down_is_asked_again(self) -> None:
        with pytest.raises(Unavailable) as raised:
            MailChannel("m", "127.0.0.1", closed_port(), timeout_s=1).send(mail())
        assert type(raised.value) is Unavailable

    def test_a_subject_cannot_start_another_header(self) -> None:
        made = mail_message(sender="a@b", to="c@d", subject="x\r\nBcc: e@f", lines=["y"], message_id="1", at=NOW)
        assert message_from_bytes(made)["Bcc"] is None

    def test_an_address_that_is_none_is_refused(self) -> None:
        with pytest.raises(InvalidInput):
            mail_message(sender="a@b", to="nobody", subject="x", lines=["y"], message_id="1", at=NOW)


class TestWebhook:
    """One POST without PHI."""

    def test_a_post_arrives_with_its_key_and_names_nobody(self, hook: Hook) -> None:
        payload = critical_webhook(NOTICE, DELIVERY)
        channel = WebhookChannel("critical:duty", f"{hook.url}/room")
        assert channel.send(payload) == "200 from the webhook"
        [(path, headers, body)] = hook.taken
        assert (path, headers["Idempotency-Key"], headers["Content-Type"]) == ("/room", DELIVERY, "application/json")
        said = json.loads(body)
        assert (said["kind"], said["acr_category"], said["withdrawn"]) == ("critical", 1, "")
        assert said["acknowledge_at_url"].endswith(RESULT.token)
        assert [one for one in PHI if one in body.decode()] == []

    def test_a_withdrawal_says_why_and_has_no_link(self, hook: Hook) -> None:
        WebhookChannel("critical:duty", hook.url).send(critical_webhook(WITHDRAWN, DELIVERY))
        said = json.loads(hook.taken[0][2])
        assert (said["kind"], said["acknowledge_at_url"]) == ("critical-withdrawn", "")
        assert said["withdrawn"] == "a radiologist rejected the finding"

    @pytest.mark.parametrize(
        ("status", "error"),
        [(400, PeerRefused), (302, PeerRefused), (500, PeerFailed), (503, Unavailable), (429, Unavailable)],
    )
    def test_what_the_peer_says_is_judged(self, hook: Hook, status: int, error: type[Exception]) -> None:
        hook.status = status
        with pytest.raises(error) as raised:
            WebhookChannel("w", hook.url).send(webhook_body("1", kind="alarm", title="x", at=NOW, fields={}))
        assert type(raised.value) is error

    def test_a_peer_that_is_down_is_asked_again(self) -> None:
        with pytest.raises(Unavailable):
            WebhookChannel("w", f"http://127.0.0.1:{closed_port()}").send(critical_webhook(NOTICE, DELIVERY))


class TestHl7:
    """ORU^R01 to a real MLLP listener."""

    def test_it_arrives_under_the_number_that_an_answer_names(self) -> None:
        with Engine() as engine:
            destination = MllpDestination(host="127.0.0.1", port=engine.port)
            channel = CriticalOru("critical:duty", destination, facility="SITE", time_zone="Europe/Berlin")
            assert channel.send(channel.encode(NOTICE, DELIVERY)) == f"AA for message {message_number(DELIVERY)}"
            block = engine.wait(5)
        assert block is not None
        assert Message(block).first("PID").text(5) == "Unmistakable"


class TestFhir:
    """A Communication to a real FHIR server; tests/contract/test_fhir_ways.py has those that can do less."""

    @contextmanager
    def channel(self, url: str) -> Iterator[CommunicationChannel]:
        destination = FhirDestination(url=url)
        client = open_client("critical:duty", destination, SmartKeys(()), sleep=lambda _: None)
        try:
            yield CommunicationChannel("critical:duty", destination, client=client, identifier_systems=SYSTEMS)
        finally:
            client.close()

    def test_it_is_created_once_whatever_is_repeated(self) -> None:
        with FhirStore().serving() as wire, self.channel(wire.url) as channel:
            payload = channel.encode(NOTICE, DELIVERY)
            assert channel.send(payload) == "200 for 1 entries"
            assert channel.send(payload) == "all 1 entries stood there already"
        [sent] = [asked.json for asked in wire.asked if (asked.method, asked.path) == ("POST", "/fhir")]
        [entry] = sent["entry"]
        condition = f"identifier=urn:sightline:critical%7C{message_number(DELIVERY)}"
        assert entry["request"] == {"method": "POST", "url": "Communication", "ifNoneExist": condition}
        said = entry["resource"]
        assert (said["status"], said["priority"]) == ("in-progress", "stat")
        assert said["category"][0]["coding"][0]["code"] == "alert"
        assert said["subject"]["identifier"]["value"] == "12345"
        assert said["recipient"] == [{"display": "Duty radiologist"}]

    def test_a_refusal_is_for_good(self) -> None:
        statement = FhirStore().statement()

        def answering(asked: Asked) -> Reply:
            if asked.path == "/fhir/metadata":
                return Reply(200, statement)
            return Reply(200, searchset()) if asked.path.endswith("_search") else Reply(422, outcome("invariant"))

        with serving(answering) as wire, self.channel(wire.url) as channel, pytest.raises(PeerRefused):
            channel.send(channel.encode(DOUBTFUL, DELIVERY))


def test_every_route_and_alarm_of_the_settings_has_its_channel() -> None:
    server = {"recipient": "Chart", "channel": "fhir", "fhir": {"url": "http://127.0.0.1:9"}}
    mllp = {"recipient": "EHR", "channel": "hl7", "hl7": {"host": "127.0.0.1", "port": 9}}
    routes = {
        "mail": {"recipient": "Duty", "channel": "mail", "mail_to": "duty@site.example"},
        "hook": {"recipient": "Room", "channel": "webhook", "webhook_url": "http://127.0.0.1:9"},
        "chart": server, "ehr": mllp,
    }  # fmt: skip
    site = settings(
        critical_routes=routes, critical_route="mail", alarm_mail_to="it@site.example", alarm_webhook_url="http://x.y"
    )
    channels: dict[str, Channel] = {**critical_channels(site), **alarm_channels(site)}
    assert {name: channel.name for name, channel in channels.items()} == {name: name for name in channels}
    assert set(channels) == {*(f"critical:{name}" for name in routes), "alarm:mail", "alarm:webhook"}
    made = {name: tell(NOTICE, DELIVERY) for name, tell in tellers(site).items()}
    assert [name for name, payload in made.items() if b"Unmistakable" in payload or b"12345" in payload] == [
        "chart", "ehr",
    ]  # fmt: skip
