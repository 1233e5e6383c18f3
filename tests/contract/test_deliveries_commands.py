"""What an interface engineer types to see what was sent, over real tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds import bootstrap
from cds.bootstrap import Stores
from cds.cli import app
from cds.domain.report import DeliveryKind
from cds.domain.switch import SwitchKind
from cds.errors import Conflict, InvalidInput, NotFound
from cds.settings import Settings
from cds.store import holds
from cds.store.deliveries import enqueue
from tests.contract.store_contract import NOW

STUDY = "1.2.840.1"
RESULT = (
    (
        b"MSH|^~\\&|SIGHTLINE|SITE|EHR|SITE|20261120100000+0000||ORU^R01^ORU_R01|0A1B2C3D4E5F60718293|P|2.5.1\r"
        b"PID|1||4711^^^HOSP^MR||Geheim^Tom||19600302|M\r"
    )
    + b"OBX|1|ED|18748-4^x^LN||^application^pdf^Base64^"
    + b"QUJD" * 5000
    + b"||||||P\r"
)
RESOURCE = b'{"resourceType":"Bundle","entry":[{"resource":{"name":[{"family":"Geheim"}]}}]}'
PLACED = "the HL7 destination finds fault with the message: AE, condition 101 at PID^1^3"


@dataclass(frozen=True)
class Said:
    """What the program wrote, and how it ended."""

    code: int
    output: bytes

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output.decode()


Cds = Callable[..., Said]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The tables of a fresh installation, that the environment names."""
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CDS_TIME_ZONE", "Europe/Berlin")
    settings = Settings()
    bootstrap.upgrade(settings)
    return bootstrap.stores(settings)


@pytest.fixture
def cds(held: Stores) -> Cds:
    """Run the program; what it says, or the error that it would tell."""

    def run(*arguments: str) -> Said:
        result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout_bytes)

    return run


def put(held: Stores, key: str, destination: str, payload: bytes, *, minutes: int = 0, study: str = STUDY,
        kind: DeliveryKind = DeliveryKind.REPORT) -> str:  # fmt: skip
    """Enqueue a delivery; its short id."""
    with held.database.writing() as session:
        enqueue(
            session, delivery_id=key, destination=destination, kind=kind, payload=payload,
            now=NOW + timedelta(minutes=minutes), study_uid=study, patient_id="random-7",
        )  # fmt: skip
    return holds.short_id(key)


def refused(held: Stores) -> str:
    """A result that its destination refused after one attempt; its short id."""
    short = put(held, "ehr-1", "ehr", RESULT)
    assert held.deliveries.begin("ehr-1", NOW)
    held.deliveries.refused("ehr-1", PLACED, NOW)
    return short


def sent_and_waiting(held: Stores) -> tuple[str, str]:
    """A resource that a FHIR server took, and an alert that waits; their short ids."""
    first = put(held, "fhir-1", "fhir", RESOURCE, minutes=1)
    held.deliveries.begin("fhir-1", NOW)
    held.deliveries.sent("fhir-1", "201", NOW)
    return first, put(held, "alarm-1", "alarm:mail", b"x", minutes=2, study="", kind=DeliveryKind.ALERT)


def test_what_was_sent_is_a_table_newest_first_that_names_nobody(held: Stores, cds: Cds) -> None:
    old, (fhir, alarm) = refused(held), sent_and_waiting(held)
    said = cds("deliveries", "list").text
    head, *lines = said.splitlines()
    assert head.split() == ["id", "created", "destination", "kind", "MSH-10", "state", "attempts"]
    assert [line.split() for line in lines] == [
        [alarm, "2026-11-20", "11:02:00", "alarm:mail", "alert", "-", "pending", "0"],
        [fhir, "2026-11-20", "11:01:00", "fhir", "report", "-", "sent", "1"],
        ["201"],
        [old, "2026-11-20", "11:00:00", "ehr", "report", "0A1B2C3D4E5F60718293", "refused", "1"],
        PLACED.split(),
    ]
    assert max(map(len, said.splitlines())) <= 120
    assert "Geheim" not in said


def test_what_was_sent_is_asked_by_destination_state_and_study(held: Stores, cds: Cds) -> None:
    old, (fhir, alarm) = refused(held), sent_and_waiting(held)

    def ids(*arguments: str) -> list[str]:
        return [one["id"] for one in json.loads(cds("deliveries", "list", "--json", *arguments).text)]

    assert ids() == [alarm, fhir, old]
    assert ids("--limit", "2") == [alarm, fhir]
    assert ids("--destination", "fhir") == [fhir]
    assert ids("--state", "refused") == [old]
    assert ids("--study", STUDY) == [fhir, old]
    assert ids("--study", STUDY, "--state", "withheld") == []
    assert cds("deliveries", "list", "--destination", "nobody").text == "There is no such delivery.\n"
    assert cds("deliveries", "list", "--state", "lost").code == 2


def test_a_refused_delivery_is_told_in_full_with_its_hold_and_never_its_content(held: Stores, cds: Cds) -> None:
    short, hold = refused(held), holds.short_id("delivery:ehr-1:1")
    said = cds("deliveries", "show", short[:7]).text
    for line in (
        f"delivery     {short} (ehr-1)",
        "MSH-10       0A1B2C3D4E5F60718293",
        f"study        {STUDY}",
        "created      2026-11-20 11:00:00 CET",
        "attempts     1",
        f"last answer  {PLACED}",
        f"hold         {hold}, waits for a person",
        f"next         a person decides: cds holds show {hold}",
    ):
        assert line in said.splitlines()
    told = json.loads(cds("deliveries", "show", "ehr-1", "--json").text)
    assert (told["entry"]["size"], told["hold"]["id"]) == (len(RESULT), hold)
    assert told["next"] == f"a person decides: cds holds show {hold}"
    assert "Geheim" not in said + str(told)


def test_the_hold_of_a_refused_delivery_points_at_it(held: Stores, cds: Cds) -> None:
    short = refused(held)
    said = cds("holds", "show", holds.short_id("delivery:ehr-1:1")).text.splitlines()
    assert f"  delivery report to ehr, refused, 1 attempt; cds deliveries show {short} tells more" in said
    assert f"  reason   {PLACED}" in said


def test_what_comes_next_follows_the_state(held: Stores, cds: Cds) -> None:
    fhir, alarm = sent_and_waiting(held)
    behind = put(held, "alarm-2", "alarm:mail", b"y", minutes=3, study="", kind=DeliveryKind.ALERT)

    def following(short: str) -> str:
        return str(json.loads(cds("deliveries", "show", short, "--json").text)["next"])

    assert following(fhir) == "nothing: the destination has it"
    assert following(alarm) == "a worker sends it"
    assert following(behind).startswith("it waits its turn: the destination gets 1 first")
    held.deliveries.attempted("alarm-1", "the mail server does not answer", NOW)
    assert following(alarm) == "a worker sends the same bytes again, until it is taken"
    held.switches.disable(SwitchKind.DESTINATION, "alarm:mail", by="Ada", reason="moving", now=NOW)
    assert "cds enable destination alarm:mail" in following(alarm)
    held.deliveries.withheld("alarm-2", "not released any more", NOW)
    assert following(behind).startswith("the study is decided again")


def test_a_delivery_that_was_sent_again_names_its_successor(held: Stores, cds: Cds) -> None:
    short = put(held, "ack-1", "acknowledgment:RIS", RESULT, kind=DeliveryKind.ACKNOWLEDGMENT)
    held.deliveries.begin("ack-1", NOW)
    held.deliveries.refused("ack-1", "the HL7 destination refuses the message with AR", NOW)
    cds("holds", "resolve", holds.short_id("delivery:ack-1:1"), "send-again", "--by", "Ada")
    again = holds.short_id("ack-1~1")
    assert [row["id"] for row in json.loads(cds("deliveries", "list", "--state", "pending", "--json").text)] == [again]
    assert f"next         it was sent again: cds deliveries show {again}" in cds("deliveries", "show", short).text


@pytest.mark.parametrize("payload", [RESULT, RESOURCE, bytes(range(256)) * 40])
def test_the_bytes_are_written_as_they_are_sent_and_the_audit_log_has_who_saw_them(
    held: Stores, cds: Cds, payload: bytes
) -> None:
    short = put(held, "to-1", "to", payload)
    assert cds("deliveries", "show", short, "--raw", "--by", "Ada").output == payload
    [line] = json.loads(cds("audit", "--json").text)
    assert (line["actor"], line["action"], line["detail"]) == ("Ada", "delivery shown", ["delivery to-1"])
    assert (line["study"], line["patient"]) == (STUDY, "random-7")
    with pytest.raises(InvalidInput, match="not both"):
        cds("deliveries", "show", short, "--raw", "--json")


@pytest.mark.parametrize("asked", ["ffffffffff", "nobody", "%", " "])
def test_an_id_of_no_delivery_is_told_in_words_and_audits_nothing(held: Stores, cds: Cds, asked: str) -> None:
    refused(held)
    for more in ([], ["--raw"]):
        with pytest.raises(NotFound, match="no delivery has this id"):
            cds("deliveries", "show", asked, *more)
    assert json.loads(cds("audit", "--json").text) == []


def test_an_id_that_several_begin_with_is_not_guessed(held: Stores, cds: Cds) -> None:
    shorts = [put(held, f"ehr-{number}", "ehr", RESULT) for number in range(17)]
    doubled = next(s[0] for s in shorts if sum(other[0] == s[0] for other in shorts) > 1)
    with pytest.raises(Conflict, match="begin so"):
        cds("deliveries", "show", doubled)
