"""What `cds hl7 inspect` shows of real messages agrees with python-hl7 and hl7kit; where it does not, it is said why.

A difference that is not in the table fails the test, and so does a line of the table that is none any more.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.hl7.inspect import inspect, inspect_file
from adapters.hl7.read import Reader
from cds.domain.inspection import InspectedOrder, Inspection
from tests.contract.hl7_corpus import Sample, samples
from tests.contract.hl7_parsers import by_hl7kit, by_python_hl7

NOW = datetime(2026, 11, 1, tzinfo=UTC)
#: As without any configuration, but for the accession number: other parsers know no fallback.
READER = Reader("", "", "none", "UTC")
#: What the field stands for, and not what the parser cut out of it.
_PERSON = (
    "the first identifier of PID-3 has a type that numbers no person (table 0203), or no value: the next one counts"
)
#: (parser, file, field): why the parser is not followed.
DIFFERENCES = {
    **{
        ("python-hl7", f"hapi/{file}", field): _PERSON
        for file in (
            "CustomModelClassTest_001_ADT_A01.hl7",
            "CustomModelClassTest_002_ZDT_A01.hl7",
            "CustomModelClasses_001_ADT_A01.hl7",
            "CustomModelClasses_002_ZDT_A01.hl7",
            "NewPipeParserTest_002_ADT_A01.hl7",
            "NewPipeParserTest_014_ADT_A03.hl7",
            "SerializationTest_001_ADT_A03.hl7",
            "hapi-osgi-test_src_test_resources_ca_uhn_hl7v2_parser_adt_a03.txt",
        )
        for field in ("patient_id", "assigner")
    },
    ("python-hl7", "linuxforhealth/ResourceExpressionTest_003_ADT_A01.hl7", "patient_id"): _PERSON,
    **{
        ("hl7kit", "hapi/EncodingCharactersTest_001_ORUR01.hl7", field): "MSH-2 does not name ^, and hl7kit does"
        for field in ("procedure", "procedure_text")
    },
    **{
        ("hl7kit", f"mirth/{file}", "accession"): "the first component of OBR-18 is the number, as in EI"
        for file in (
            "donkey_src_test_java_com_mirth_connect_donkey_test_hl7_small.hl7",
            "server_tests_test-hl7-batch-input.txt",
            "server_tests_test-hl7-input.txt",
        )
    },
    **{
        ("hl7kit", f"ms-fhir-converter/data_SampleData_Hl7v2_{file}.hl7", field): "the first ORC follows its OBR and is"
        " of the next group"
        for file in ("OUL-R22-01", "OUL-R23-01", "OUL-R24-01", "OUL-R24-02")
        for field in ("order_control", "order_status")
    },
}  # fmt: skip
#: hl7kit refuses messages with a line that is no segment; we read them without it, with a doubt.
_NOT_PARSED_BY_HL7KIT = "a line that is no segment"


@pytest.fixture(scope="module")
def shown(reference_dir: Path) -> list[tuple[Sample, Inspection]]:
    """Every message of the corpus with what is understood of it."""
    found = [(sample, inspect(sample.block, READER, NOW)) for sample in samples(reference_dir)]
    assert len(found) >= 600
    return found


def test_python_hl7_and_hl7kit_read_the_same_but_for_the_differences_that_are_listed(
    shown: list[tuple[Sample, Inspection]],
) -> None:
    found = {difference: told for sample, seen in shown for difference, told in _differences(sample, seen)}
    assert {difference: told for difference, told in found.items() if difference not in DIFFERENCES} == {}
    assert sorted(DIFFERENCES.keys() - found.keys()) == []


def test_all_fields_are_compared_with_something(shown: list[tuple[Sample, Inspection]]) -> None:
    """An agreement about nothing but empty fields would be none."""
    filled = {field for _, seen in shown for order in seen.orders for field, value in asdict(order).items() if value}
    assert filled == asdict(InspectedOrder()).keys()
    compared = {field for sample, seen in shown[:50] for entry in _by_python_hl7(sample, seen) for field in entry}
    assert compared == asdict(InspectedOrder()).keys() - {"charset", "problems"}


def test_what_hl7kit_cannot_parse_is_read_with_a_doubt(shown: list[tuple[Sample, Inspection]]) -> None:
    refused = [seen for sample, seen in shown if by_hl7kit(sample) is None]
    assert refused
    assert all(any(_NOT_PARSED_BY_HL7KIT in doubt for doubt in seen.doubts) or not seen.taken for seen in refused)


def test_every_file_is_cut_into_the_messages_that_are_in_it(
    reference_dir: Path, shown: list[tuple[Sample, Inspection]]
) -> None:
    wanted: dict[tuple[str, str], list[InspectedOrder]] = {}
    for sample, seen in shown:
        wanted.setdefault((sample.source, sample.file), []).extend(seen.orders)
    for (source, file), orders in wanted.items():
        data = (reference_dir / "reference" / "hl7" / source / file).read_bytes()
        read = [order for seen in inspect_file(file, data, READER, NOW).messages for order in seen.orders]
        assert [_numbers(order) for order in read] == [_numbers(order) for order in orders], (source, file)


def _numbers(order: InspectedOrder) -> tuple[str, ...]:
    return order.msg_type, order.control_id, order.patient_id, order.placer, order.filler, order.procedure


def _by_python_hl7(sample: Sample, seen: Inspection) -> list[dict[str, str]]:
    return by_python_hl7(sample, seen.orders[0].charset or "latin-1")


def _differences(sample: Sample, seen: Inspection) -> Iterator[tuple[tuple[str, str, str], tuple[str, str]]]:
    name = f"{sample.source}/{sample.file}"
    for entry, order in zip(_by_python_hl7(sample, seen), seen.orders, strict=True):
        for field, value in entry.items():
            if value != getattr(order, field):
                yield ("python-hl7", name, field), (value, getattr(order, field))
    for field, value in (by_hl7kit(sample) or {}).items():
        if value != getattr(seen.orders[0], field):
            yield ("hl7kit", name, field), (value, getattr(seen.orders[0], field))


def test_the_corpus_says_much(shown: list[tuple[Sample, Inspection]]) -> None:
    site = replace(READER, assigning_authority="CLINIC", accession_issuer="CLINIC", accession_fallback="ORC-3")
    contents = [content for sample, _ in shown if (content := inspect(sample.block, site, NOW).content)]
    assert len([content for content in contents if content.patient]) >= 400
    assert sum(len(content.orders) for content in contents) >= 15
    assert sum(len(content.values) for content in contents) >= 450
    assert len([content for content in contents if content.identity]) >= 15


def test_no_mutilated_message_ends_in_a_traceback(shown: list[tuple[Sample, Inspection]]) -> None:
    chance = random.Random(4)
    for sample, _ in shown[::3]:
        block = bytearray(sample.block[: 1 + chance.randrange(len(sample.block))])
        for _ in range(4):
            block[chance.randrange(len(block))] = chance.choice(b"|^~\\&\r\n\x00\x0b\x1c\x1b\xff\xc3 MSH")
        for order in inspect_file("x", bytes(block), READER, NOW).orders:
            assert all(order.problems)
