"""What an interface engineer types to see the message log and to apply messages again, over real tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds import bootstrap, intake
from cds.bootstrap.hl7 import message_log, reader
from cds.cli import app
from cds.clock import SystemClock
from cds.domain.identity import Identifier
from cds.errors import NotFound
from cds.settings import Settings
from cds.store import holds
from tests.contract.message_log_contract import message
from tests.contract.store_contract import NOW

#: No authority in PID-3.4, none configured: nobody can know whose it is.
ADMISSION = (
    b"MSH|^~\\&|LAB|HOSP|||20261120100000+0000||ADT^A04^ADT_A01|7|P|2.5.1\rPID|1||P7^^^^MR||Geheim^Tom||19600302|M\r"
)
#: The identifier stands where only a profile looks for it.
ODD = (
    b"MSH|^~\\&|LAB|HOSP|||20261120100000+0000||ADT^A04^ADT_A01|8|P|2.5.1\r"
    b"PID|1|P8^^^HOSP^MR|||Geheim^Eva||19600302|F\r"
)


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
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A fresh installation, that the environment names."""
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CDS_TIME_ZONE", "Europe/Berlin")
    found = Settings()
    bootstrap.upgrade(found)
    return found


@pytest.fixture
def cds(settings: Settings) -> Cds:
    """Run the program; what it says, or the error that it would tell."""

    def run(*arguments: str) -> Said:
        result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout_bytes)

    return run


def feed(settings: Settings) -> None:
    """A quarantined admission, a refused one, and a message that waits."""
    log = message_log(settings)
    refused = message("8", ODD, message_type="ADT", trigger_event="A04", refusal="want PID-3", answered="AE",
                      received_at=NOW + timedelta(hours=1))  # fmt: skip
    log.append([message("7", ADMISSION, message_type="ADT", trigger_event="A04"), refused])
    intake.apply_next(log, reader(settings), bootstrap.stores(settings).record, SystemClock())
    log.append([message("9" * 60, b"x" * 2500, sending_application="RIS\x1b[2J", received_at=NOW + timedelta(hours=2))])


def test_the_log_is_a_table_that_fits_a_terminal_and_names_nobody(settings: Settings, cds: Cds) -> None:
    feed(settings)
    said = cds("hl7", "log")
    head, *lines = said.text.splitlines()
    assert (said.code, head.split()) == (
        0,
        ["id", "received", "sender", "type", "control", "id", "size", "told", "state"],
    )
    assert [line.split()[0] for line in lines if line[:7].strip().isdigit()] == ["3", "2", "1"]
    assert "2026-11-20 11:00:00  LAB|HOSP" in said.text, "times are the site's"
    assert "        refused with AE: want PID-3" in lines
    assert "        want an identifier of a person with an assigning authority in PID-3.4, or a configured one" in lines
    assert "2.5 kB" in said.text
    assert max(map(len, said.text.splitlines())) <= 120
    assert "Geheim" not in said.text
    assert "\x1b" not in said.text


def test_the_log_is_asked_by_state_sender_type_control_id_and_time(settings: Settings, cds: Cds) -> None:
    feed(settings)

    def ids(*arguments: str) -> list[int]:
        return [one["id"] for one in json.loads(cds("hl7", "log", "--json", *arguments).text)]

    assert ids() == [3, 2, 1]
    assert ids("--limit", "1") == [3]
    assert ids("--state", "quarantined") == [1]
    assert ids("--sender", "LAB|HOSP") == [2, 1]
    assert ids("--type", "ADT^A04", "--state", "ignored") == [2]
    assert ids("--control-id", "7") == [1]
    assert ids("--since", "2026-11-20T12:00:00") == [3, 2]
    assert ids("--sender", "LAB|*") == ids("--sender", "*|HOSP", "--limit", "2", "--type", "ADT") == [2, 1]
    assert ids("--sender", "*|*") == ids("--sender", "*") == [3, 2, 1]
    assert ids("--refused") == ids("--answer", "ae") == ids("--answer", "AE", "--refused", "--state", "ignored") == [2]
    assert ids("--refused", "--answer", "AA") == []
    assert cds("hl7", "log", "--sender", "NOBODY").text == "The message log has no such message.\n"


def test_one_message_is_told_in_full(settings: Settings, cds: Cds) -> None:
    feed(settings)
    said = cds("hl7", "log", "1").text
    short = holds.short_id("message:1")
    for line in (
        "received      2026-11-20 11:00:00 CET from 127.0.0.1",
        "type          ADT^A04, version 2.5.1, processing P",
        "answered      AA",
        f"hold          waits for a person: cds holds show {short}",
    ):
        assert line in said.splitlines()
    assert "refused       want PID-3" in cds("hl7", "log", "2").text
    told = json.loads(cds("hl7", "log", "1", "--json").text)
    assert (told["entry"]["state"], told["hold"]["id"]) == ("quarantined", short)
    assert "Geheim" not in said + str(told)


def test_a_held_message_is_named_by_its_type_sender_and_control_id(settings: Settings, cds: Cds) -> None:
    feed(settings)
    said = cds("holds", "show", holds.short_id("message:1")).text
    assert "  message  ADT^A04 from LAB|HOSP, control id 7; cds hl7 log 1 tells more" in said.splitlines()


def test_the_bytes_are_shown_as_they_came_and_the_audit_log_has_who_saw_them(settings: Settings, cds: Cds) -> None:
    feed(settings)
    assert cds("hl7", "log", "1", "--raw", "--by", "Ada").output == ADMISSION
    [line] = json.loads(cds("audit", "--json").text)
    assert (line["actor"], line["action"], line["detail"]) == ("Ada", "message shown", ["message 1"])


def test_an_id_that_is_not_in_the_log_is_told_in_words(cds: Cds) -> None:
    with pytest.raises(NotFound, match="no message of this id"):
        cds("hl7", "log", "99")
    with pytest.raises(NotFound, match="no message of this id"):
        cds("hl7", "log", "99", "--raw")


def test_all_that_was_quarantined_is_replayed_once_the_site_can_read_it(
    settings: Settings, cds: Cds, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(settings)
    before = cds("hl7", "replay", "1")
    assert (before.code, before.text.startswith("1: still quarantined: want an identifier")) == (1, True)
    monkeypatch.setenv("CDS_ASSIGNING_AUTHORITY", "HOSP")
    said = cds("hl7", "replay", "--state", "quarantined", "--by", "Ada")
    assert said.code == 0
    assert said.text.startswith("1: quarantined, now applied")
    assert bootstrap.stores(settings).record.patient(Identifier("P7", "HOSP")) is not None
    assert cds("holds", "list").text.endswith("Nothing waits for a person.\n")
    told = cds("hl7", "log", "1").text
    assert "replayed, by Ada" in told
    assert "reason        replayed" in told.splitlines(), "when is told in one zone, by the audit log"
    assert cds("hl7", "replay", "1").text.startswith("1: applied again")
    assert cds("hl7", "replay", "--state", "quarantined").text == "No message is of this state.\n"


def test_a_refused_message_is_applied_where_the_profile_of_now_takes_it(
    settings: Settings, cds: Cds, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(settings)
    refused = cds("hl7", "replay", "2")
    assert (refused.code, refused.text.startswith("2: still ignored: refused: want a patient")) == (1, True)
    monkeypatch.setenv("CDS_SENDERS", json.dumps({"LAB|HOSP": {"fields": {"PID-3": "PID-2"}}}))
    said = cds("hl7", "replay", "2")
    assert (said.code, said.text.startswith("2: ignored, now applied")) == (0, True)
    assert bootstrap.stores(settings).record.patient(Identifier("P8", "HOSP")) is not None


def test_what_cannot_be_replayed_is_told_for_each_and_ends_with_1(settings: Settings, cds: Cds) -> None:
    feed(settings)
    said = cds("hl7", "replay", "3", "99")
    assert said.code == 1
    assert said.text.splitlines() == [
        "3: still received: it waits to be applied in its turn",
        "99: the message log has no message of this id",
    ]


def test_a_refused_batch_is_not_taken_for_one_message(settings: Settings, cds: Cds) -> None:
    log = message_log(settings)
    other = ADMISSION.replace(b"|7|", b"|6|")
    batch = b"BHS|^~\\&|LAB\r" + ADMISSION + other + b"BTS|2\r"
    log.append([replace(message("", batch), refusal="want BTS-1 to be 2", answered="AE")])
    intake.apply_next(log, reader(settings), bootstrap.stores(settings).record, SystemClock())
    said = cds("hl7", "replay", "1")
    assert said.code == 1
    assert "take its messages with cds hl7 load" in said.text


def test_a_refused_message_without_an_answer_is_told_so(settings: Settings, cds: Cds) -> None:
    log = message_log(settings)
    log.append([message("5", ODD, refusal="want PID-3", answered="")])
    words = "refused, unanswered as its sender asked: want PID-3"
    assert words in cds("hl7", "log").text
    intake.apply_next(log, reader(settings), bootstrap.stores(settings).record, SystemClock())
    assert json.loads(cds("hl7", "log", "1", "--json").text)["entry"]["reason"] == words


def test_a_message_is_shown_as_text_with_a_segment_to_a_line_and_that_is_audited(settings: Settings, cds: Cds) -> None:
    german = ADMISSION.replace(b"|P|2.5.1\r", b"|P|2.5.1||||||8859/1\r").replace(
        b"Geheim", "Ger\u00e4t\x1b[2J".encode("latin-1")
    )
    message_log(settings).append([message("7", german.rstrip(b"\r")), message("8", b"\xff\xfeno\r\nmessage\n")])
    said = cds("hl7", "log", "1", "--text", "--by", "Ada").text
    assert said.splitlines()[1] == "PID|1||P7^^^^MR||Ger\u00e4t\N{REPLACEMENT CHARACTER}[2J^Tom||19600302|M"
    assert (said.count("\n"), said[-2:]) == (2, "M\n")
    assert cds("hl7", "log", "2", "--text", "--by", "Eve").text == "\u00ff\u00feno\nmessage\n"
    told = {(line["actor"], line["action"], *line["detail"]) for line in json.loads(cds("audit", "--json").text)}
    assert told == {("Ada", "message shown", "message 1"), ("Eve", "message shown", "message 2")}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("log", "--raw"), "the id of one message"),
        (("log", "--text"), "the id of one message"),
        (("log", "1", "--refused"), "wants no filters"),
        (("log", "1", "--sender", "LAB"), "wants no filters"),
        (("log", "1", "--raw", "--json"), "one of them alone"),
        (("replay",), "ids of messages, or --state"),
    ],
)
def test_what_cannot_be_asked_is_a_mistake_of_the_caller(
    settings: Settings, arguments: Sequence[str], told: str
) -> None:
    feed(settings)
    result = CliRunner().invoke(app, ["hl7", *arguments])
    assert result.exit_code == 2
    assert told in " ".join(result.output.replace("│", " ").split())
    assert bootstrap.stores(settings).audit.search() == []
