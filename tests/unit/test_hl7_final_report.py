"""Radiology reports in ORU^R01: which messages are some, whose, how far signed, and what they say."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds.agreement import compare
from cds.codes import SNOMED
from cds.domain.coding import Coding
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.identity import Identifier
from cds.domain.verification import Agreement, FinalReport, Stated
from cds.errors import InvalidMessage
from tests.contract.hl7_corpus import samples
from tests.unit.hl7_content import PID, READER, content

PNEUMOTHORAX = Coding(SNOMED, "36118008", "Pneumothorax")


def obr(
    status: str = "F", *, accession: str = "ACC1^RIS", section: str = "RAD", code: str = "CTCH^CT chest^L", n: str = "1"
) -> str:
    """An OBR of a radiology report."""
    fields = {1: n, 2: "PL1^EHR", 3: "R77^RIS", 4: code, 7: "20261101", 18: accession, 22: "20261101090000"}
    fields |= {24: section, 25: status}
    return "OBR|" + "|".join(fields.get(number, "") for number in range(1, 26))


def obx(text: str, code: str = "18748-4^Report^LN", kind: str = "TX", result: str = "F", flag: str = "") -> str:
    """An OBX with a text or a code."""
    return f"OBX|1|{kind}|{code}||{text}|||{flag}|||{result}"


def reports(*lines: str, reader: Reader = READER) -> tuple[FinalReport, ...]:
    """The radiology reports of a message of these segments behind a patient."""
    return content(PID, *lines, kind="ORU^R01^ORU_R01", reader=reader).final_reports


def test_a_report_is_found_by_accession_number_and_patient() -> None:
    (report,) = reports(obr(), obx("No pneumothorax."))
    assert report.accession == Identifier("ACC1", "RIS")
    assert report.patient == Identifier("4711", "CLINIC")
    assert (report.status, report.text, report.source) == ("final", "No pneumothorax.", "HL7 LAB|HOSPITAL")
    assert report.issued == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert report.identifier == "RIS|R77"
    assert report.received_at == datetime(2026, 11, 1, tzinfo=UTC)


def test_the_accession_number_stands_where_orders_have_it() -> None:
    (report,) = reports(obr(accession=""), obx("x"))
    assert report.accession == Identifier("R77", "RIS")
    nowhere = Reader("CLINIC", "CLINIC", "none", "Europe/Berlin")
    message = content(PID, obr(accession=""), obx("x"), kind="ORU^R01", reader=nowhere)
    assert message.final_reports == ()
    assert "a radiology report without an accession number was left out" in message.warnings


@pytest.mark.parametrize(
    ("stated", "results", "status"),
    [
        ("F", "F", "final"),
        ("C", "C", "corrected"),
        ("F", "", "final"),
        ("", "FF", "final"),
        ("", "FC", "corrected"),
        ("", "FP", "preliminary"),
        ("P", "P", "preliminary"),
        ("R", "R", "preliminary"),
        ("A", "F", "preliminary"),
        ("F", "P", "preliminary"),
        ("F", "FP", "final"),
        ("X", "X", "cancelled"),
        ("F", "WW", "entered-in-error"),
        ("W", "W", "entered-in-error"),
        ("", "W", "entered-in-error"),
    ],
)
def test_the_status_is_what_both_levels_bear_out(stated: str, results: str, status: str) -> None:
    (report,) = reports(obr(stated), *(obx("x", result=result) for result in results or " "))
    assert report.status == status


@pytest.mark.parametrize("status", ["O", "I", "S", "Y", "Z", ""])
def test_an_announcement_is_no_report(status: str) -> None:
    assert reports(obr(status)) == ()


def test_what_is_not_signed_is_not_said() -> None:
    (report,) = reports(obr(), obx("Signed."), obx("Draft.", result="P"), obx("Wrong.", result="W"))
    assert report.text == "Signed."


@pytest.mark.parametrize(
    ("section", "code"), [("CT", "1^CT^L"), ("RUS", "1^US^L"), ("NMR", "1^MR^L"), ("", "24627-2^Chest CT^LN")]
)
def test_a_diagnostic_section_or_a_report_code_makes_it_radiology(section: str, code: str) -> None:
    assert len(reports(obr(section=section, code=code), obx("x", code="TXT^Text^L"))) == 1


@pytest.mark.parametrize(
    ("section", "code"), [("LAB", "24627-2^Chest CT^LN"), ("CH", "718-7^Hb^LN"), ("", "718-7^Hb^LN"), ("", "CT^CT^L")]
)
def test_a_laboratory_and_what_says_nothing_of_imaging_is_none(section: str, code: str) -> None:
    message = content(PID, obr(section=section, code=code), obx("13.2", "718-7^Hb^LN", "NM"), kind="ORU^R01")
    assert message.final_reports == ()
    assert len(message.values) == 1


@pytest.mark.parametrize(
    "ours",
    [obr(code="AI-ANALYSIS^AI analysis of imaging study^99SIGHTLINE"), obr().replace("R77^RIS", "R77^SIGHTLINE")],
)
def test_our_own_report_that_comes_back_is_none(ours: str) -> None:
    assert reports(ours, obx("x")) == ()


def test_nothing_that_we_sent_is_read_as_a_report() -> None:
    header = "MSH|^~\\&|SIGHTLINE|CLINIC|S|S|20261101083000||ORU^R01^ORU_R01|1|P|2.5.1"
    block = "\r".join([header, PID, obr(), obx("x")]).encode()
    assert READER(check(block, "peer", datetime(2026, 11, 1, tzinfo=UTC))).final_reports == ()


def test_lines_in_an_obx_each_are_one_text_and_sections_get_their_headings() -> None:
    (report,) = reports(
        obr(),
        obx("Trauma.", "18785-6^Indication^LN"),
        obx("No evidence of", "59776-5^Findings^LN"),
        obx("pneumothorax.", "59776-5^Findings^LN"),
        obx("Normal.", "18748-4&IMP^Impression^LN", "FT"),
        obx("More.", "18748-4^Report^LN"),
    )
    assert report.text == (
        "INDICATION:\nTrauma.\nFINDINGS:\nNo evidence of\npneumothorax.\nIMPRESSION:\nNormal.\nFINDINGS:\nMore."
    )


def test_a_number_alone_on_its_line_belongs_to_the_text() -> None:
    (report,) = reports(obr(), obx("Largest nodule, mm:"), obx("12"), obx("5.1"), obx("1.2.840.10008.1"))
    assert report.text.splitlines() == ["Largest nodule, mm:", "12", "5.1"]


def test_embedded_text_is_read_and_a_document_is_not() -> None:
    encoded = base64.b64encode("Kein Erguß.".encode()).decode()
    plain = obx(f"RIS^TEXT^PLAIN^Base64^{encoded}", kind="ED")
    pdf = obx("RIS^APPLICATION^PDF^Base64^JVBERi0=", kind="ED")
    broken = obx("RIS^TEXT^PLAIN^Base64^%%%", kind="ED")
    (report,) = reports(obr(), plain, pdf, broken, obx("1.2.840.10008.1", kind="ST"))
    assert report.text == "Kein Erguß."


@pytest.mark.parametrize(
    ("line", "stated"),
    [
        (obx("260373001^Detected^SCT", "36118008^Pneumothorax^SCT", "CWE"), Presence.PRESENT),
        (obx("260415000^Not detected^SCT", "36118008^Pneumothorax^SCT", "CE"), Presence.NOT_DETECTED),
        (obx("^none", "36118008^Pneumothorax^SCT", "CWE", flag="ND"), Presence.NOT_DETECTED),
        (obx("36118008^Pneumothorax^SCT", "18748-4&IMP^Impression^LN", "CWE"), Presence.PRESENT),
        (obx("36118008^Pneumothorax^SCT", "19005-8^Impression^LN", "CE"), Presence.PRESENT),
        (obx("260373001^Detected^L", "36118008^Pneumothorax^SCT", "CWE"), None),
        (obx("260373001^Detected^SCT", "36118008^Pneumothorax^SCT", "CWE", flag="ND"), None),
        (obx("36118008^Pneumothorax^SCT~1^rule out^L", "19005-8^Impression^LN", "CE"), None),
        (obx("36118008^Pneumothorax^SCT", "18785-6^Indication^LN", "CE"), None),
        (obx("260373001^Detected^SCT", "36118008^Pneumothorax^SCT", "CWE", result="P"), None),
    ],
)
def test_a_coded_observation_states_whether_a_finding_is_there(line: str, stated: Presence | None) -> None:
    (report,) = reports(obr(), obx("See codes."), line)
    assert report.stated == ((Stated(PNEUMOTHORAX, stated),) if stated else ())


def test_the_groups_of_one_accession_number_are_one_report_and_others_are_their_own() -> None:
    one, other = reports(
        obr(),
        obx("First."),
        obr("C", n="2"),
        obx("Second.", result="C"),
        obr(accession="ACC2^RIS", n="3"),
        obx("Third."),
    )
    assert (one.text, one.status) == ("First.\n\nSecond.", "corrected")
    assert (other.accession.value, other.text) == ("ACC2", "Third.")


def test_a_group_that_is_not_signed_keeps_the_report_unsigned() -> None:
    (report,) = reports(obr(), obx("First."), obr("P", n="2"), obx("Second.", result="P"))
    assert report.status == "preliminary"


def test_a_withdrawal_stands_before_what_replaces_it() -> None:
    gone, new = reports(obr(), obx("New."), obr("X", n="2"), obx("Old.", result="X"))
    assert (gone.status, new.status) == ("cancelled", "final")


def test_an_order_message_brings_no_report() -> None:
    order = content(PID, "ORC|NW|1^P", obr(), obx("x"), kind="ORM^O01")
    assert order.final_reports == ()
    assert len(order.orders) == 1


def test_the_reports_of_the_corpus_are_read_and_compared_without_a_guess(reference_dir: Path) -> None:
    reader = Reader("CLINIC", "CLINIC", "ORC-3", "Europe/Berlin")
    found: dict[str, FinalReport] = {}
    for sample in samples(reference_dir):
        if sample.fields("MSH", 9)[:1] and sample.fields("MSH", 9)[0].startswith("ORU"):
            try:
                message = check(sample.block, "peer", datetime(2026, 11, 1, tzinfo=UTC))
                found |= {f"{sample.file} {one.accession.value}": one for one in reader(message).final_reports}
            except InvalidMessage:
                continue
    structured = [report for name, report in found.items() if re.search(r"ORU\^R01-SR.*AccessionNumber", name)]
    assert len(structured) == 1
    assert "congestive heart failure" in structured[0].text
    cardiomegaly = Finding("f", Coding(SNOMED, "8186001"), Presence.PRESENT)
    seen = Findings("m", "1", "1.2", (cardiomegaly, Finding("g", PNEUMOTHORAX, Presence.PRESENT)))
    compared = compare(structured[0], [seen])
    assert [one.agreement for one in compared] == [Agreement.NOT_COMPARABLE] * 2
