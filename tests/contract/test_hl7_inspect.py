"""The command `cds hl7 inspect`: files and standard input, with and without a configuration, as text and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds.cli import app
from tests.contract.hl7_wire import order, wire

KEYS = [
    "msg_type", "version", "control_id", "order_control", "order_status", "placer", "filler", "accession", "study_uid",
    "patient_id", "assigner", "family", "given", "procedure", "procedure_text", "alt_code", "modality", "priority",
    "reason", "clinical_info", "charset", "problems",
]  # fmt: skip


def inspect(*arguments: str | Path, data: bytes = b"") -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["hl7", "inspect", *map(str, arguments)], input=data)


def file(folder: Path, name: str, data: bytes) -> Path:
    """A file with this content."""
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize(
    "data",
    [
        order(1) + order(2),
        wire(order(1)) + wire(order(2)),
        b"FHS|^~\\&\rBHS|^~\\&\r" + order(1) + order(2) + b"BTS|2\rFTS|1\r",
        b"\xef\xbb\xbf" + (order(1) + order(2)).replace(b"\r", b"\r\n"),
        (order(1) + b"\r" + order(2)).replace(b"\r", b"\n"),
    ],
)
def test_one_array_over_all_messages_of_all_files(tmp_path: Path, data: bytes) -> None:
    result = inspect("--json", file(tmp_path, "two.hl7", data), file(tmp_path, "one.hl7", order(3)))
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [entry["control_id"] for entry in found] == ["MSG-1", "MSG-2", "MSG-3"]
    assert all(list(entry) == KEYS for entry in found)
    assert all(isinstance(entry["problems"], list) for entry in found)
    assert (found[0]["placer"], found[0]["filler"], found[0]["accession"]) == ("P-1", "F-1", "F-1")


def test_the_text_names_patient_order_outcome_and_doubts(tmp_path: Path) -> None:
    result = inspect(
        file(tmp_path, "one.hl7", order(1).replace(b"ORC|NW|P-1^HIS", b"ORC|SC|P-1^HIS") + b"TQ1|1||||||||X\r")
    )
    assert result.exit_code == 0
    for told in ("ORM_O01 version 2.4 MSG-1", "RIS|CLINIC", "4711 of CLINIC", "Probe, Petra", "placer P-1", "applied"):
        assert told in result.stdout
    assert "the priority is no code of table 0485" in result.stdout


def test_standard_input_is_a_file_named_by_a_dash() -> None:
    command = [sys.executable, "-m", "cds", "hl7", "inspect", "--json", "-"]
    narrow = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run(command, input=order(1), capture_output=True, check=False, env=narrow)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)[0]["control_id"] == "MSG-1"
    assert ran.stderr == b""


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"what is this", "want nothing but messages, found other text"),
        (b"", "want HL7 v2 messages, found none"),
        (order(1).replace(b"ORC|NW", b"ORC|"), "refused with AE 101: want an order control code in ORC-1"),
        (order(1).replace(b"^^^CLINIC", b""), "quarantined: want an identifier of a person"),
    ],
)
def test_what_cannot_be_taken_is_told_and_ends_with_one(tmp_path: Path, data: bytes, told: str) -> None:
    path = file(tmp_path, "x.hl7", data)
    assert inspect(path).exit_code == 1
    assert told in inspect(path).stdout
    result = inspect("--json", path, file(tmp_path, "fine.hl7", order(2)))
    first, second = json.loads(result.stdout)
    assert (result.exit_code, second["control_id"]) == (1, "MSG-2")
    assert told.rpartition(": ")[2] in " ".join(first["problems"])


def test_a_file_that_is_not_there_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.hl7", tmp_path):
        result = inspect(path)
        assert result.exit_code == 2
        assert "cannot be read" in " ".join(result.output.replace("│", " ").split())


def test_the_configuration_holds_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path, "x.hl7", order(1).replace(b"^^^CLINIC", b""))
    assert inspect(path).exit_code == 1
    monkeypatch.setenv("CDS_ASSIGNING_AUTHORITY", "OWN")
    monkeypatch.setenv("CDS_SENDERS", json.dumps({"RIS|CLINIC": {"values": {"OBR-4": {"CTCH": "CT-THORAX"}}}}))
    result = inspect("--json", path)
    (entry,) = json.loads(result.stdout)
    assert (result.exit_code, entry["assigner"], entry["procedure"]) == (0, "OWN", "CT-THORAX")


def test_a_wrong_configuration_is_told_and_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_TIME_ZONE", "Mars/Olympus")
    result = inspect("--json", file(tmp_path, "x.hl7", order(1)))
    assert (result.exit_code, len(json.loads(result.stdout))) == (0, 1)
    assert "CDS_TIME_ZONE" in result.stderr


def test_no_control_character_of_a_message_reaches_the_terminal(tmp_path: Path) -> None:
    name = "Probe\\X1B5B324A\\\\X0D\\x\x1b[2J\u202e".encode()
    result = inspect(file(tmp_path, "x.hl7", order(1).replace(b"Probe", name)))
    assert not any(character in result.stdout for character in "\x1b\r\u202e")


def test_each_message_of_a_batch_with_wrong_counts_is_refused_with_it(tmp_path: Path) -> None:
    path = file(tmp_path, "x.hl7", b"BHS|^~\\&\r" + order(1) + order(2) + b"BTS|3\r")
    result = inspect(path)
    assert result.exit_code == 1
    assert result.stdout.count("becomes   refused with its batch") == 2
    assert "applied" not in result.stdout
    told = "want in BTS-1 the number of messages in the batch, which is 2"
    assert result.stdout.count("AR 100: " + told) == 2
    assert [entry["problems"].count(told) for entry in json.loads(inspect("--json", path).stdout)] == [1, 1]


def test_a_message_beside_a_batch_with_wrong_counts_is_not_refused_with_it(tmp_path: Path) -> None:
    wrong = b"BHS|^~\\&\r" + order(1) + b"BTS|3\r"
    result = inspect(file(tmp_path, "x.hl7", wire(wrong) + wire(order(2))))
    assert [line.split(maxsplit=1)[1] for line in result.stdout.splitlines() if "becomes" in line] == [
        "refused with its batch",
        "applied",
    ]


def test_a_trailer_without_its_header_spoils_the_messages_before_it(tmp_path: Path) -> None:
    result = inspect(file(tmp_path, "x.hl7", order(1) + order(2) + b"BTS|2\r"))
    assert (result.exit_code, result.stdout.count("refused with its batch")) == (1, 2)


def test_the_text_lists_each_value_and_who_asked_for_when(tmp_path: Path) -> None:
    result = b"OBX|1|NM|2160-0^Creatinine^LN||1.1|mg/dL|||||F|||20261030\r"
    asked = b"|" * 12 + b"17^House^Greg" + b"\r"
    data = (
        order(1).replace(b"CTCH^CT chest^L\r", b"CTCH^CT chest^L" + asked)
        + b"TQ1|1||||||20261102093000+0100\r"
        + result
    )
    said = inspect(file(tmp_path, "x.hl7", data)).stdout
    assert "value     observation  2160-0 Creatinine  1.1 mg/dL  2026-10-30" in said
    assert "requested by " in said
    assert "House" in said
    assert "scheduled 2026-11-02 09:30 +0100" in said


def test_what_is_wrong_again_and_again_is_told_once_with_its_count(tmp_path: Path) -> None:
    result = inspect(file(tmp_path, "x.hl7", b"\x0bgarbage" * 40))
    assert result.exit_code == 1
    assert result.stdout.count("want FS CR behind message 1") == 1
    assert "which 40 frames there lack" in result.stdout
