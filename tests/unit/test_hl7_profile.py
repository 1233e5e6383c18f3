"""What a sender's profile makes of its messages: fields, values, codes; never of another order or patient."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7.check import check
from adapters.hl7.coded import codings
from adapters.hl7.message import Message
from adapters.hl7.profile import Profile
from adapters.hl7.profile_setup import compile_profile
from adapters.hl7.read import Reader
from cds.destinations import MappedCode, Sender
from cds.domain.coding import Coding, Quantity
from cds.domain.identity import Identifier
from cds.domain.message import MessageContent, RawMessage
from cds.domain.order import Priority
from cds.errors import InvalidMessage

_LOINC = "http://loinc.org"
_MSH = "MSH|^~\\&|RIS|HOSPITAL|S|S|20261101083000||{}|1|P|2.5.1||||||UNICODE UTF-8"
_PID = "PID|1||4711^^^CLINIC^MR||Probe^Petra||19610203|F"


def _message(*lines: str, kind: str = "ORM^O01") -> Message:
    return Message("\r".join([_MSH.format(kind), *lines]).encode())


def _applied(sender: Sender, *lines: str, kind: str = "ORM^O01") -> Message:
    message = _message(*lines, kind=kind)
    _profile(sender).apply(message)
    return message


def _profile(sender: Sender) -> Profile:
    return compile_profile("RIS|HOSPITAL", sender)


def _raw(*lines: str, kind: str = "ORM^O01") -> RawMessage:
    return check("\r".join([_MSH.format(kind), *lines]).encode(), "peer", datetime(2026, 11, 1, tzinfo=UTC))


def _content(sender: Sender, *lines: str, kind: str = "ORM^O01", name: str = "RIS|HOSPITAL") -> MessageContent:
    return Reader("", "", "none", "UTC", {name: sender})(_raw(*lines, kind=kind))


def _fields(**rules: str) -> Sender:
    return Sender(fields={path.replace("_", "-").replace("c", "."): source for path, source in rules.items()})


# fields


def test_a_field_is_read_from_elsewhere_in_its_own_order() -> None:
    message = _applied(
        _fields(OBR_18c1="ZDS-2.1"),
        _PID,
        "ORC|NW|1",
        "OBR|1|1",
        "ZDS|1.2.3|A1^x",
        "ORC|NW|2",
        "OBR|2|2",
        "ZDS|1.2.4|A2",
    )
    assert [obr.raw(18) for obr in message.all("OBR")] == ["A1", "A2"]


def test_what_another_order_has_is_never_taken() -> None:
    lines = (_PID, "ORC|NW|1", "OBR|1|1", "ORC|NW|2", "OBR|2|2", "IPC|ACC2||1.2.4")
    assert [obr.raw(18) for obr in _applied(_fields(OBR_18="IPC-1"), *lines).all("OBR")] == ["", "ACC2"]


def test_a_single_z_segment_and_what_stands_outside_of_all_orders_count_for_all() -> None:
    lines = (_PID, "PV1|1|I|WARD", "ORC|NW|1", "OBR|1|1", "ORC|NW|2", "OBR|2|2", "ZDS|1.2.3")
    sender = _fields(OBR_20="ZDS-1", OBR_21="PV1-3")
    found = [(obr.raw(20), obr.raw(21)) for obr in _applied(sender, *lines).all("OBR")]
    assert found == [("1.2.3", "WARD"), ("1.2.3", "WARD")]


def test_a_z_segment_of_one_order_is_never_taken_for_a_later_one() -> None:
    lines = (_PID, "ORC|NW|1", "OBR|1|1", "ZAC|ACC1", "ORC|NW|2", "OBR|2|2")
    assert [obr.raw(18) for obr in _applied(_fields(OBR_18="ZAC-1"), *lines).all("OBR")] == ["ACC1", ""]


def test_an_empty_or_absent_source_changes_nothing() -> None:
    message = _message(_PID, "ORC|NW|1", f"OBR|1|1{'|' * 16}ACC")
    assert _profile(_fields(OBR_18="OBR-19", OBR_4="ZZZ-1", OBR_3="ORC-3")).apply(message) == ()
    assert message.first("OBR").raw(18) == "ACC"
    assert [segment.name for segment in message] == ["MSH", "PID", "ORC", "OBR"]


def test_a_field_without_component_is_taken_with_components_and_repetitions() -> None:
    message = _applied(_fields(PID_3="PID-2", PID_3c4="=NEW"), "PID|1|1^a~2^b|9")
    assert message.first("PID").raw(3) == "1^a^^NEW~2^b"


def test_a_component_takes_no_more_than_it_can_hold() -> None:
    message = _applied(_fields(OBR_18c1="OBR-20", OBR_19="OBR-20.2", PID_3c4c2="OBR-20.2"), _PID, "ORC|NW|1", _OBR_20)
    assert (message.first("OBR").raw(18), message.first("OBR").raw(19)) == ("x", "y&z")
    assert message.first("PID").raw(3) == "4711^^^CLINIC&y^MR"


_OBR_20 = "OBR|1|1" + "|" * 18 + "x^y&z~second"


def test_sources_are_read_as_the_message_has_them() -> None:
    obr = _applied(_fields(OBR_18="OBR-19", OBR_19="OBR-18"), _PID, "ORC|NW|1", "OBR|1|1" + "|" * 16 + "a|b").first(
        "OBR"
    )
    assert (obr.raw(18), obr.raw(19)) == ("b", "a")


def test_a_fixed_text_can_never_be_a_delimiter() -> None:
    message = _applied(_fields(PID_3c4="=A|B^C~D\\E&F\rPID", OBR_5="="), _PID, "ORC|NW|1", "OBR|1|1|||junk")
    assert message.first("PID").text(3, 4) == "A|B^C~D\\E&F\nPID"
    assert message.first("PID").text(3, 5) == "MR"
    assert message.first("OBR").raw(5) == ""


def test_a_segment_that_an_order_lacks_is_added_at_its_end() -> None:
    message = _applied(
        _fields(ZDS_1c1="OBR-21", TQ1_9="OBR-22", OBX_5="OBR-21"),
        _PID, "ORC|NW|1", "OBR|1|1" + "|" * 19 + "1.2.3|S", "NTE|1||x", "ORC|NW|2", "OBR|2|2" + "|" * 19 + "1.2.4",
    )  # fmt: skip
    names = [segment.name for segment in message]
    assert names == ["MSH", "PID", "ORC", "OBR", "NTE", "ZDS", "TQ1", "ORC", "OBR", "ZDS"]
    assert [zds.raw(1) for zds in message.all("ZDS")] == ["1.2.3", "1.2.4"]


@pytest.mark.parametrize("path", ["MSH_30", "PID_3", "PV1_19", "ORC_2"])
def test_segments_of_the_patient_and_the_message_are_never_added(path: str) -> None:
    message = _applied(_fields(**{path: "=x"}), "EVN|A08", kind="ADT^A08")
    assert [segment.name for segment in message] == ["MSH", "EVN"]


def test_a_patient_never_gets_what_stands_behind_another_one() -> None:
    lines = ("ZSI|SITE", "PID|1||a", "MRG|b", "ZPI|1", "PID|2||c", "MRG|d", "ZPI|2")
    message = _applied(_fields(PID_2="ZPI-1", PID_4="ZSI-1"), *lines, kind="ADT^A40")
    assert [(pid.raw(2), pid.raw(4)) for pid in message.all("PID")] == [("1", "SITE"), ("2", "SITE")]


# values


def test_a_value_is_translated_in_every_repetition_and_segment() -> None:
    sender = Sender(values={"OBX-6": {"mg%": "mg/dL"}, "OBX-8": {"HH": "H"}, "PID-3.5": {"MRN": "MR"}})
    message = _applied(
        sender,
        "PID|1||1^^^A^MRN~2^^^A^SS~3^^^A^ MRN ",
        "OBX|1|NM|a||1|mg%^x||HH~L~HH",
        "OBX|2|NM|b||1|MG%",
        kind="ORU^R01",
    )
    assert message.first("PID").raw(3) == "1^^^A^MR~2^^^A^SS~3^^^A^MR"
    assert [(obx.raw(6), obx.raw(8)) for obx in message.all("OBX")] == [("mg/dL^x", "H~L~H"), ("MG%", "")]


def test_a_value_is_compared_decoded_and_written_escaped() -> None:
    sender = Sender(values={"PID-8": {"F&M": "a|b", "": "U"}})
    assert _applied(sender, "PID|1|||||||F\\T\\M", kind="ADT^A08").first("PID").text(8) == "a|b"
    assert _applied(sender, "PID|1|||||||", kind="ADT^A08").first("PID").raw(8) == "U"
    assert _applied(sender, 'PID|1|||||||""', kind="ADT^A08").first("PID").raw(8) == '""'


# codes

_GLUCOSE = MappedCode(system=_LOINC, code="2345-7", display="Glucose")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("GLU^Zucker^L", "GLU^Zucker^L^2345-7^Glucose^LN"),
        ("GLU", "GLU^^^2345-7^Glucose^LN"),
        ("X^y^99A^GLU^Zucker^L", "X^y^99A^GLU^Zucker^L^^^^2345-7^Glucose^LN"),
        ("GLU^Zucker^L^OTHER^o^L", "GLU^Zucker^L^OTHER^o^L^^^^2345-7^Glucose^LN"),
        ("GLU^Zucker^L^2345-7^g^LN", "GLU^Zucker^L^2345-7^g^LN"),
        ("GLU^Zucker^LN", "GLU^Zucker^LN"),
        ("glu^Zucker^L", "glu^Zucker^L"),
        ("", ""),
    ],
)
def test_the_meaning_of_a_code_is_put_beside_it(sent: str, read: str) -> None:
    sender = Sender(codes={"OBX-3": {"GLU": _GLUCOSE}})
    assert _applied(sender, f"OBX|1|NM|{sent}||1", kind="ORU^R01").first("OBX").raw(3) == read


def test_a_code_that_finds_no_room_is_said() -> None:
    sender = Sender(codes={"OBX-3": {"GLU": _GLUCOSE}})
    full = "GLU^a^L^b^c^L^^^^d^e^L"
    message = _applied(sender, f"OBX|1|NM|{full}||1", kind="ORU^R01")
    assert message.first("OBX").raw(3) == full
    assert message.warnings == ["a code of the sender's table has no room beside the codes of the message"]


@pytest.mark.parametrize(
    ("stated", "meant"),
    [("LN", _LOINC), (_LOINC, _LOINC), ("http://site.example/codes&more", "http://site.example/codes&more")],
)
def test_a_mapped_code_arrives_with_the_uri_of_its_system(stated: str, meant: str) -> None:
    sender = Sender(codes={"OBX-3": {"GLU": MappedCode(system=stated, code="2345-7", display="Glucose | fasting")}})
    opened = Reader("", "", "none", "UTC", {"RIS|HOSPITAL": sender}).opened(
        _raw(_PID, "OBX|1|NM|GLU^Z^L", kind="ORU^R01")
    )
    own, standard = codings(opened.message.first("OBX").value(3), opened.context)
    assert own == Coding("urn:hl7v2:HOSPITAL", "GLU", "Z")
    assert standard == Coding(meant, "2345-7", "Glucose | fasting")


@pytest.mark.parametrize(("kind", "coded"), [("CWE", True), ("ST", True), ("IS", True), ("NM", False), ("TX", False)])
def test_a_text_that_the_table_knows_becomes_a_code(kind: str, coded: bool) -> None:
    sender = Sender(codes={"OBX-5": {"never": MappedCode(system="SCT", code="266919005", display="Never smoked")}})
    content = _content(sender, _PID, "OBR|1|1", f"OBX|1|{kind}|72166-2^Smoking^LN||never||||||F", kind="ORU^R01")
    said = [value.value for value in content.values]
    assert (Coding("http://snomed.info/sct", "266919005", "Never smoked") in said) is coded


# the reader


def test_a_profile_is_found_by_sender_and_changes_what_is_read() -> None:
    sender = Sender(
        time_zone="Europe/Berlin",
        assigning_authority="CLINIC",
        accession_issuer="RAD",
        accession_fallback="ORC-3",
        fields={"OBR-20": "ZDS-2"},
        values={"OBR-5": {"U1": "S"}},
        codes={"OBX-3": {"CREA": MappedCode(system="LN", code="2160-0")}},
    )
    lines = ("PID|1||4711", "ORC|NW|1|F9", "OBR|1|1|F9|CT^c^L|U1|20261102", "OBX|1|NM|CREA^c^L||1.1|mg/dL|||||F")
    for name in ("RIS|HOSPITAL", "RIS|*", "*|HOSPITAL", "*|*"):
        content = _content(sender, *lines, name=name)
        (change,), (value,) = content.orders, content.values
        assert content.patient is not None
        assert content.patient.identifiers == (Identifier("4711", "CLINIC"),)
        assert change.order.accession == Identifier("F9", "RAD")
        assert (change.order.priority, str(change.order.scheduled_at)) == (Priority.STAT, "2026-11-02 00:00:00+01:00")
        assert (value.code.code, value.value) == ("2160-0", Quantity(1.1, "mg/dL"))
    with pytest.raises(InvalidMessage, match=r"PID-3\.4"):
        _content(sender, *lines, name="LAB|HOSPITAL")


def test_an_empty_authority_of_a_profile_is_its_own() -> None:
    reader = Reader("CLINIC", "CLINIC", "ORC-3", "UTC", {"RIS|HOSPITAL": Sender(assigning_authority="")})
    with pytest.raises(InvalidMessage, match=r"PID-3\.4"):
        reader(_raw("PID|1||4711", kind="ADT^A08"))


def test_the_stored_bytes_are_never_changed_and_every_change_is_told() -> None:
    raw = _raw(_PID, "ORC|NW|1", "OBR|1|1|||U1", "ZDS|1.2.3|ACC")
    sender = Sender(fields={"OBR-18": "ZDS-2"}, values={"OBR-5": {"U1": "S"}})
    before = raw.raw
    changes = Reader("", "", "none", "UTC", {"RIS|HOSPITAL": sender}).opened(raw).changes
    assert raw.raw == before
    assert [(c.path, c.segment, c.before, c.after, c.rule) for c in changes] == [
        ("OBR-18", 3, "", "ACC", "fields OBR-18 = ZDS-2"),
        ("OBR-5", 3, "U1", "S", "values OBR-5: U1 = S"),
    ]


def test_the_character_set_of_a_profile_holds_where_msh_18_says_nothing() -> None:
    block = _MSH.format("ADT^A08").removesuffix("UNICODE UTF-8") + "\rPID|1||4711^^^CLINIC||Łukasz"
    raw = check(block.encode("cp1250"), "peer", datetime(2026, 11, 1, tzinfo=UTC))
    content = Reader("", "", "none", "UTC", {"RIS|HOSPITAL": Sender(character_set="CP1250")})(raw)
    assert content.patient is not None
    assert (content.patient.name.family, content.warnings) == ("Łukasz", ())


def test_a_profile_may_correct_an_msh_18_that_is_wrong() -> None:
    block = _MSH.format("ADT^A08").replace("UNICODE UTF-8", "8859/1") + "\rPID|1||4711^^^CLINIC||Müller"
    raw = check(block.encode(), "peer", datetime(2026, 11, 1, tzinfo=UTC))

    def family(**fields: str) -> str:
        patient = Reader("", "", "none", "UTC", {"RIS|HOSPITAL": _fields(**fields)})(raw).patient
        return patient.name.family if patient else ""

    assert (family(), family(MSH_18="=UNICODE UTF-8")) == ("MÃ¼ller", "Müller")


def test_what_a_profile_leaves_of_msh_11_is_still_checked() -> None:
    with pytest.raises(InvalidMessage, match="MSH-11"):
        _content(Sender(values={"MSH-11": {"P": "X"}}), _PID, kind="ADT^A08")
    assert _content(_fields(MSH_11="=T"), _PID, kind="ADT^A08").test


# whatever comes

_PATH = st.builds(
    lambda name, *parts: f"{name}-{'.'.join(str(part) for part in parts if part)}",
    st.sampled_from(["PID", "ORC", "OBR", "OBX", "ZDS", "TQ1", "IPC", "PV1", "EVN", "MRG"]),
    st.integers(1, 40),
    st.integers(0, 6),
    st.just(0),
)
_TEXT = st.text("AB1^~\\&|\r\n é", max_size=6)
#: A profile that the start refuses, as one that would make orders of cancels, reaches no message.
_REFUSED = frozenset({"ORC-1", "MSH-1", "MSH-2", "MSH-11", "MSH-18"})
_SENDERS = st.builds(
    lambda fields, values, codes: Sender(fields=fields, values=values, codes=codes),
    st.dictionaries(_PATH.filter(lambda path: path not in _REFUSED), _PATH | _TEXT.map("=".__add__), max_size=4),
    st.dictionaries(_PATH, st.dictionaries(_TEXT, _TEXT, max_size=2), max_size=2),
    st.dictionaries(
        st.sampled_from(["OBX-3", "OBX-5", "OBR-4", "PID-8"]),
        st.dictionaries(st.sampled_from(["A", "1", "CT"]), st.just(_GLUCOSE), max_size=2),
        max_size=2,
    ),
)
_LINES = st.lists(
    st.builds(
        lambda name, fields: "|".join([name, *fields]),
        st.sampled_from(["PID", "ORC", "OBR", "OBX", "ZDS", "TQ1", "IPC", "PV1"]),
        st.lists(st.sampled_from(["", '""', "A", "A^b^L", "1&2^x~A", "NW", "CWE", "\\F\\", "CT^c^LN"]), max_size=8),
    ),
    max_size=6,
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(_SENDERS, _LINES, st.sampled_from(["^~\\&", "^~\\&#", "^~", "^"]))
def test_no_profile_breaks_a_message_or_its_segments(sender: Sender, lines: list[str], encoding: str) -> None:
    block = "\r".join([_MSH.format("ORM^O01").replace("^~\\&", encoding), _PID, *lines]).encode()
    message = Message(block)
    before = [segment.name for segment in message]
    changes = _profile(sender).apply(message)
    after = [segment.name for segment in message]
    added = [name for name in after if name in ("TQ1", "IPC", "ZDS")]
    assert [name for name in after if name not in added] == [name for name in before if name not in added]
    assert all(message.segments[change.segment].name == change.path[:3] for change in changes)
    assert not any("\r" in change.after or "\n" in change.after for change in changes)
    assert not any("|" in segment.raw(number) for segment in list(message)[1:] for number in range(1, 45))
