"""`cds hl7 profile`: what an interface engineer sees of a profile, over real files and a real configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds.bootstrap.hl7_profile import check
from cds.cli import app
from cds.errors import ConfigurationError, NotFound
from cds.settings import load

_CONFIGURATION = """
data_dir = "{folder}/data"
assigning_authority = "CLINIC"

[senders."RIS|HOSPITAL"]
time_zone = "Europe/Berlin"
character_set = "8859/1"
accession_issuer = "RAD"
fields = {{ "OBR-18" = "ZDS-2", "PV1-19" = "=1|2" }}
values = {{ "OBR-5" = {{ U1 = "S" }} }}
code_files = {{ "OBX-3" = "{folder}/codes.csv" }}

[senders."*|LAB"]
acknowledgment = "original"
"""
_ORDER = (
    "MSH|^~\\&|RIS|HOSPITAL|S|S|20261101083000||ORM^O01|77|P|2.3\rPID|1||4711||Müller\r"
    "ORC|XO|1|2\rOBR|1|1|2|CT^c^L|U1\rOBX|1|NM|CREA^c^L||1.1|mg/dL|||||F\rZDS|1.2.3|ACC\r"
).encode("latin-1")
_OTHER = b"MSH|^~\\&|PACS|HOSPITAL|S|S|20261101083000||ADT^A08|78|P|2.3\rPID|1||4712\r"

Profile = Callable[..., Result]


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Run `cds hl7 profile` where two senders are configured; errors that the program would tell are raised."""
    (tmp_path / "codes.csv").write_text("local,system,code,display\nCREA,LN,2160-0,Creatinine\n")
    (tmp_path / "sightline.toml").write_text(_CONFIGURATION.format(folder=tmp_path))
    monkeypatch.setenv("CDS_CONFIG_FILE", str(tmp_path / "sightline.toml"))

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["hl7", "profile", *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def _file(folder: Path, *blocks: bytes) -> str:
    file = folder / "messages.hl7"
    file.write_bytes(b"".join(blocks))
    return str(file)


def test_the_effect_is_shown_side_by_side(profile: Profile, tmp_path: Path) -> None:
    result = profile("test", "RIS|HOSPITAL", _file(tmp_path, _ORDER, _OTHER))
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[0] == "1. ORM^O01 77 of RIS|HOSPITAL"
    for line in (
        "OBR-5 in segment 4, by values OBR-5: U1 = S",
        "U1 → S",
        "CREA^c^L → CREA^c^L^2160-0^Creatinine^LN",
        "character set cp1252 iso8859-1",
        "order 1 accession - ACC of RAD",
        "no more: the character set was guessed: cp1252",
        "skipped: 1 of PACS|HOSPITAL",
    ):
        assert line in lines
    assert not any("patient name" in line for line in lines)


def test_framed_messages_of_everybody_are_read_with_all(profile: Profile, tmp_path: Path) -> None:
    framed = (b"\x0b" + block + b"\x1c\r" for block in (_ORDER, _OTHER))
    result = profile("test", "RIS|HOSPITAL", _file(tmp_path, *framed), "--all", "--json")
    told = json.loads(result.output)
    assert (told["profile"], told["skipped"], told["problems"]) == ("RIS|HOSPITAL", [], [])
    assert [message["control_id"] for message in told["messages"]] == ["77", "78"]
    assert {"path": "OBR-18", "segment": 3, "before": "", "after": "ACC", "rule": "fields OBR-18 = ZDS-2"} in told[
        "messages"
    ][0]["changes"]


def test_a_message_that_cannot_be_read_with_the_profile_is_exit_code_1(profile: Profile, tmp_path: Path) -> None:
    result = profile("test", "RIS|HOSPITAL", _file(tmp_path, _ORDER.replace(b"||4711||", b"||||")))
    assert result.exit_code == 1
    assert "CANNOT BE READ with the profile: want a patient identifier in PID-3" in result.output


def test_a_sender_that_is_not_configured_is_told_who_is(profile: Profile, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"configured: \*\|LAB, RIS\|HOSPITAL"):
        profile("test", "RIS|ELSEWHERE", _file(tmp_path, _ORDER))


def test_the_profiles_are_listed_in_a_table(profile: Profile) -> None:
    heading, lab, *ris = [line.split("  ") for line in profile("list").output.splitlines()]
    assert heading[0] == "SENDER"
    assert (lab[0], lab[-1].strip()) == ("*|LAB", "acknowledgment original")
    said = " ".join(" ".join(ris[0]).split())
    assert said == "RIS|HOSPITAL 8859/1 Europe/Berlin OBR-18 = ZDS-2 OBR-5: 1 OBX-3: 1 accession issuer RAD"
    assert "PV1-19 = =1|2" in " ".join(ris[1])


def test_a_broken_code_file_is_told_by_the_check_and_the_commands(profile: Profile, tmp_path: Path) -> None:
    assert check(load()).ok
    (tmp_path / "codes.csv").write_text("local,system,code,display\nCREA,LN,,x\n")
    found = check(load())
    assert not found.ok
    assert "codes.csv line 2: want a local code, a system and a code" in found.detail
    with pytest.raises(ConfigurationError, match="line 2"):
        profile("list")


def test_a_file_without_a_message_of_the_sender_is_exit_code_1(profile: Profile, tmp_path: Path) -> None:
    result = profile("test", "RIS|HOSPITAL", _file(tmp_path, _OTHER))
    assert result.exit_code == 1
    assert "no message of RIS|HOSPITAL" in result.output


def test_a_sender_for_whom_a_profile_with_an_asterisk_holds_is_shown_with_it(profile: Profile, tmp_path: Path) -> None:
    mine, other = (_OTHER.replace(b"PACS|HOSPITAL", name) for name in (b"PACS|LAB", b"CHEM|LAB"))
    result = profile("test", "PACS|LAB", _file(tmp_path, mine, other))
    assert result.exit_code == 0, result.output
    assert "of PACS|LAB" in result.output
    assert "skipped: 1 of CHEM|LAB" in result.output
    for name in ("PACS|*", "PACS"):
        with pytest.raises(NotFound, match="configured"):
            profile("test", name, _file(tmp_path, mine))
