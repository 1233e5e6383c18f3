"""What a profile changes in what is understood: only that, message by message."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.hl7.profile_effect import effect_on_file
from adapters.hl7.read import Reader
from cds.destinations import MappedCode, Sender
from cds.domain.profile import Difference, FileEffect

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_PROFILE = Sender(
    time_zone="Europe/Berlin",
    character_set="8859/1",
    accession_issuer="RAD",
    fields={"OBR-18": "ZDS-2"},
    values={"OBR-5": {"U1": "S"}, "OBX-6": {"mg%": "mg/dL"}},
    codes={"OBX-3": {"CREA": MappedCode(system="LN", code="2160-0", display="Creatinine")}},
)
_ORDER = (
    "MSH|^~\\&|RIS|HOSPITAL|S|S|20261101083000||ORM^O01|77|P|2.3\rPID|1||4711^^^CLINIC||Müller\r"
    "ORC|XO|1|2\rOBR|1|1|2|CT^c^L|U1|20261102\rOBX|1|NM|CREA^c^L||1.1|mg%|||||F\rZDS|1.2.3|ACC\r"
).encode("latin-1")
_OTHER = b"MSH|^~\\&|LAB|HOSPITAL|S|S|20261101083000||ADT^A08|78|P|2.3\rPID|1||4711^^^CLINIC\r"


def _effect(data: bytes, sender: Sender = _PROFILE, authority: str = "CLINIC") -> FileEffect:
    readers = (
        Reader(authority, "", "none", "UTC"),
        Reader(authority, "", "none", "UTC", {"RIS|HOSPITAL": sender, "*|LAB": Sender()}),
    )
    return effect_on_file("RIS|HOSPITAL", data, readers, _NOW)


def test_only_what_differs_is_told() -> None:
    (effect,) = _effect(_ORDER).effects
    assert (effect.sender, effect.control_id, effect.message_type) == ("RIS|HOSPITAL", "77", "ORM^O01")
    assert [change.path for change in effect.changes] == ["OBR-18", "OBR-5", "OBX-6", "OBX-3"]
    told = {one.what: (one.without, one.with_profile) for one in effect.differences}
    assert told.keys() <= {
        "character set",
        "order 1 accession",
        "order 1 priority",
        "order 1 scheduled at",
        "order 1 changed at",
        "occurred at",
        "value 1 code",
        "value 1 value",
    }
    assert told["character set"] == ("cp1252", "iso8859-1")
    assert told["order 1 accession"] == ("", "ACC of RAD")
    assert told["order 1 priority"][1] == "stat"
    assert told["order 1 scheduled at"] == ("2026-11-02T00:00:00+00:00 UTC", "2026-11-02T00:00:00+01:00 Europe/Berlin")
    assert told["value 1 code"] == ("CREA c (urn:hl7v2:HOSPITAL)", "2160-0 Creatinine (http://loinc.org)")
    assert "1.1 mg/dL" in told["value 1 value"][1]
    assert "the character set was guessed: cp1252" in effect.gone
    assert effect.new == ()


def test_a_profile_that_says_nothing_changes_nothing() -> None:
    (effect,) = _effect(_ORDER, Sender()).effects
    assert (effect.changes, effect.differences, effect.gone, effect.new) == ((), (), (), ())


def test_messages_of_others_are_named_and_skipped() -> None:
    found = _effect(_ORDER + _OTHER + _OTHER)
    assert len(found.effects) == 1
    assert found.skipped == (("LAB|HOSPITAL", 2),)
    assert found.readable


def test_a_message_that_only_the_profile_makes_readable_is_told() -> None:
    lines = b"MSH|^~\\&|RIS|HOSPITAL|S|S|20261101083000||ADT^A08|79|P|2.3||||||8859/1\rPID|1|4711\r"
    found = _effect(lines, Sender(fields={"PID-3": "PID-2", "PID-3.4": "=CLINIC"}))
    (effect,) = found.effects
    assert "PID-3" in effect.unreadable_without
    assert effect.unreadable == ""
    assert Difference("patient identifiers", "", "4711 of CLINIC") in effect.differences
    assert found.readable


def test_a_message_that_cannot_be_read_is_told_with_what_was_changed() -> None:
    found = _effect(_ORDER.replace(b"PID|1||4711^^^CLINIC", b"PID|1||^^^CLINIC"))
    (effect,) = found.effects
    assert effect.unreadable == effect.unreadable_without != ""
    assert not found.readable
    two_studies = _ORDER.replace(b"ZDS|", b"ZDS|1.2.9|ACC\rZDS|")
    (conflict,) = _effect(two_studies).effects
    assert "two different Study Instance UIDs" in conflict.unreadable
    assert len(conflict.changes) == 4


def test_values_that_only_one_reading_has_are_told_whole() -> None:
    more = _ORDER.replace(b"\rZDS|", b"\rOBX|2|X1|K^Kalium^L||4.1|mmol/L|||||F\rZDS|")
    sender = Sender(values={"OBX-11": {"F": "I"}})
    (effect,) = _effect(more, sender).effects
    told = [
        (one.what, one.without != "", one.with_profile) for one in effect.differences if one.what.startswith("value")
    ]
    assert told
    assert all(without and not with_profile for _, without, with_profile in told)
