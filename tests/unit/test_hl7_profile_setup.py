"""A profile that cannot mean what it says is refused at the start, with every mistake and the line of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.hl7.profile_setup import compile_profile, compile_profiles
from adapters.hl7.read import Reader
from cds.destinations import MappedCode, Sender
from cds.errors import ConfigurationError


def _mistakes(sender: Sender) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        compile_profile("RIS|HOSPITAL", sender)
    assert all(mistake.startswith("CDS_SENDERS: RIS|HOSPITAL: ") for mistake in caught.value.mistakes)
    return [mistake.removeprefix("CDS_SENDERS: RIS|HOSPITAL: ") for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"MSH-2": "=^~"}, "fields MSH-2: MSH-1 and MSH-2 are the delimiters"),
        ({"OBR-18": "MSH-1"}, "fields OBR-18: MSH-1 and MSH-2 are the delimiters"),
        ({"MSH-18": "=KLINGON"}, "fields MSH-18: want = and a character set"),
        ({"MSH-18": "ZZZ-1"}, "fields MSH-18: want = and a character set"),
        ({"MSH-11": "=P"}, "fields MSH-11: want =T or =D"),
        ({"MSH-11": "ZZZ-1"}, "fields MSH-11: want =T or =D"),
        ({"ORC-1": "=NW"}, "fields ORC-1: want no fixed text, by which a cancel would order"),
    ],
)
def test_fields_that_must_not_be_changed_are_refused(fields: dict[str, str], wanted: str) -> None:
    (mistake,) = _mistakes(Sender(fields=fields))
    assert mistake.startswith(wanted)


@pytest.mark.parametrize(("path", "table"), [("MSH-11", {"T": "P"}), ("MSH-11.1", {"D": "P"}), ("MSH-2", {"a": "b"})])
def test_what_is_marked_as_test_stays_test(path: str, table: dict[str, str]) -> None:
    assert len(_mistakes(Sender(values={path: table}))) == 1
    assert compile_profile("RIS|HOSPITAL", Sender(values={"MSH-11": {"PROD": "P"}})).mapped == {"MSH-11"}


def test_codes_belong_to_a_field_and_mean_something() -> None:
    sender = Sender(
        codes={"OBX-3.1": {"A": MappedCode(system="LN", code="1")}, "OBX-5": {"B": MappedCode(system="", code="1")}}
    )
    assert _mistakes(sender) == [
        "codes OBX-3.1: want a field without component, such as OBX-3",
        "codes OBX-5: want a local code, and a system and a code that it means",
    ]


def test_a_code_file_is_read_once_and_inline_codes_come_before_it(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_bytes(
        '\ufefflocal, system, code, display\r\nGLU,LN,2345-7,"Glucose, blood"\n\nCREA,LN,2160-0,\n'.encode()
    )
    own = MappedCode(system="LN", code="38483-4")
    sender = Sender(code_files={"OBX-3": file}, codes={"OBX-3": {"CREA": own}})
    reader = Reader("", "", "none", "UTC", {"RIS|HOSPITAL": sender})
    file.unlink()
    ((path, table),) = reader.profiles["RIS|HOSPITAL"].codes
    assert str(path) == "OBX-3"
    assert table == {"GLU": MappedCode(system="LN", code="2345-7", display="Glucose, blood"), "CREA": own}


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"local,system,code\nGLU,LN,1\n", "line 1: want the columns local, system, code, display"),
        (b"", "line 1: want the columns"),
        (b"local;system;code;display\n", "line 1: want the columns"),
        (b"local,system,code,display\nGLU,LN,1\n", "line 2: want 4 columns, found 3"),
        (b"local,system,code,display\nGLU,LN,1,a\n\nCREA,,2,b\n", "line 4: want a local code, a system and a code"),
        (
            b"local,system,code,display\nGLU,LN,1,a\nGLU,LN,2,b\n",
            "line 3: the local code has a meaning already, in line 2",
        ),
        (b'local,system,code,display\nGLU,LN,1,"a\n', "line 2: no CSV"),
        (b"local,system,code,display\nGL\xdc,LN,1,a\n", "want a file in UTF-8"),
    ],
)
def test_a_mistake_in_a_code_file_is_told_with_its_line(tmp_path: Path, content: bytes, wanted: str) -> None:
    file = tmp_path / "codes.csv"
    file.write_bytes(content)
    (mistake,) = _mistakes(Sender(code_files={"OBX-3": file}))
    assert mistake.startswith(f"{file}")
    assert wanted in mistake


def test_all_mistakes_of_all_profiles_are_told_at_once(tmp_path: Path) -> None:
    senders = {
        "A|B": Sender(fields={"MSH-1": "=x", "MSH-11": "=P"}),
        "C|D": Sender(code_files={"OBX-3": tmp_path / "not-there.csv"}),
        "E|F": Sender(),
    }
    for load in (lambda: compile_profiles(senders), lambda: Reader("", "", "none", "UTC", senders)):
        with pytest.raises(ConfigurationError) as caught:
            load()
        assert [mistake.split(": ")[1] for mistake in caught.value.mistakes] == ["A|B", "A|B", "C|D"]
        assert "cannot be read: No such file" in caught.value.mistakes[-1]
