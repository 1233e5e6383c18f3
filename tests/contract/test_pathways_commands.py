"""`cds pathways`: what is installed, what a pathway declares, and what is decided for the files of a committee."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds import ordering
from cds.cli import app
from cds.errors import SightlineError
from cds.pathways import load

ROOT = Path(__file__).parents[2]
BORN = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1950-03-01"}
PAGE = (ROOT / "docs" / "pathways" / "README.md").read_text()


def invoke(*arguments: str) -> tuple[int, str]:
    """Exit code, and what was written."""
    result = CliRunner().invoke(app, ["pathways", *arguments])
    if isinstance(result.exception, SightlineError):
        return 1, str(result.exception)
    return result.exit_code, result.output


def bundle(folder: Path, *resources: object) -> str:
    """A FHIR Bundle of some resources."""
    path = folder / "patient.json"
    body = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}
    path.write_text(json.dumps(body))
    return str(path)


def findings(folder: Path, **changes: object) -> str:
    """The findings file that the documentation shows: an abdominal aorta of 46 mm."""
    [shown] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    path = folder / "findings.json"
    path.write_text(json.dumps(json.loads(shown) | changes))
    return str(path)


def test_every_pathway_is_listed_with_its_mode_version_and_review_date() -> None:
    code, text = invoke("list")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == [*load(), *ordering.load()]
    assert re.search(
        r"^aorta +shadow +\d+\.\d+\.\d+ +\d{4}-\d\d-\d\d +Diameter of the abdominal aorta$", text, re.MULTILINE
    )


def test_a_pathway_shows_its_rules_options_and_orderables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_ORDERABLES", json.dumps({"vascular-surgery-referral": {"system": "urn:x", "code": "REF9"}}))
    code, text = invoke("show", "aorta")
    assert code == 0
    for rule in load()["aorta"].rules:
        assert rule.says in text
    assert "ordered here as REF9" in text
    assert "CDS_ORDERABLES has no code for it" in text
    assert "https://doi.org/10.1016/j.jvs.2017.10.044" in text


def test_an_unknown_pathway_is_refused_with_the_names_that_there_are() -> None:
    code, text = invoke("show", "aortaa")
    assert code == 1
    assert "want one of adrenal, aorta" in text


def test_the_decision_is_a_table_of_rules_values_and_steps(tmp_path: Path) -> None:
    code, text = invoke("explain", "--patient", bundle(tmp_path, BORN), "--findings", findings(tmp_path))
    assert code == 0
    block = text.split("\n\n")[0]
    assert block.startswith("aorta: Diameter of the abdominal aorta\n  advice (")
    assert re.search(r"yes +An abdominal aortic aneurysm of 4\.0 to 4\.9 cm is imaged again after 12 months\.", block)
    assert re.search(r"diameter of the abdominal aorta +4\.6 cm +2026-11-02", block)


def test_the_decision_is_json_for_programs(tmp_path: Path) -> None:
    files = ("--patient", bundle(tmp_path, BORN), "--findings", findings(tmp_path))
    code, text = invoke("explain", *files, "--pathway", "aorta", "--json")
    assert code == 0
    [said] = json.loads(text)
    assert (said["pathway"], said["kind"]) == ("aorta", "advice")
    assert any(step["rule"] == "one-year" and step["held"] for step in said["steps"])


def test_what_the_bundle_lacks_is_not_known_unless_the_record_was_searched(tmp_path: Path) -> None:
    files = ("--patient", bundle(tmp_path, BORN), "--pathway", "aorta", "--json")
    told = {
        searched: invoke("explain", *files, "--findings", findings(tmp_path, searched=searched))[1]
        for searched in ("", "the record")
    }
    assert json.loads(told[""])[0]["missing"]
    assert any("none found" in item["value"] for item in json.loads(told["the record"])[0]["inputs"])


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"study_date": "yesterday"}, "findings.json: study_date"),
        ({"study_date": "2027-11-02"}, "want a day that is not after today"),
        ({"searched_since": "2030-01-01"}, "searched_since: want a day that is not after today"),
        ({"language": "fr"}, "language: want one of en, de"),
        ({"banana": 1}, "findings.json: banana"),
        ({"outcomes": [{"kind": "findings"}]}, "findings.json: outcomes.0"),
        ({"site": {"aorta.pain_days": "0"}}, "want a number from 1 to 30"),
        ({"site": {"aorta.pain": "1"}}, "there is no such option"),
        ({"site": {"aortaa.pain": "1"}}, "there is no such pathway"),
    ],
)
def test_findings_that_are_none_are_refused_in_words(tmp_path: Path, changes: dict[str, object], wanted: str) -> None:
    code, text = invoke("explain", "--patient", bundle(tmp_path, BORN), "--findings", findings(tmp_path, **changes))
    assert code == 1
    assert wanted in text


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("{", "want JSON"),
        ('{"resourceType": "Patient"}', "want a FHIR R4 Bundle"),
        ('{"resourceType": "Bundle"}', "exactly one Patient, there are 0"),
    ],
)
def test_a_patient_that_is_none_is_refused_in_words(tmp_path: Path, content: str, wanted: str) -> None:
    path = tmp_path / "patient.json"
    path.write_text(content)
    code, text = invoke("explain", "--patient", str(path), "--findings", findings(tmp_path))
    assert code == 1
    assert wanted in text


def test_an_option_is_tried_without_being_set(tmp_path: Path) -> None:
    files = ("--patient", bundle(tmp_path, BORN), "--findings", findings(tmp_path))
    assert invoke("explain", *files, "--option", "aorta.pain_days=30")[0] == 0
    assert "want a number from 1 to 30" in invoke("explain", *files, "--option", "aorta.pain_days=300")[1]
    assert invoke("explain", *files, "--option", "aorta.pain_days")[0] == 2


def test_the_sites_options_and_language_hold_unless_the_file_says_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDS_SITE_OPTIONS", json.dumps({"aorta.pain_days": "7"}))
    monkeypatch.setenv("CDS_TEXT_LANGUAGE", "de")
    files = ("--patient", bundle(tmp_path, BORN), "--pathway", "aorta", "--json")
    [said] = json.loads(invoke("explain", *files, "--findings", findings(tmp_path))[1])
    assert said["language"] == "de"
    [said] = json.loads(invoke("explain", *files, "--findings", findings(tmp_path, language="en"))[1])
    assert said["language"] == "en"


def test_what_a_clinician_would_see_is_told_as_markdown(tmp_path: Path) -> None:
    files = ("--patient", bundle(tmp_path, BORN), "--findings", findings(tmp_path))
    code, text = invoke("explain", *files, "--markdown")
    assert code == 0
    assert text.startswith("## Diameter of the abdominal aorta (")
    assert "- **Ultrasound of the abdominal aorta; routine" in text


def test_a_finding_that_no_pathway_reads_is_noted(tmp_path: Path) -> None:
    [shown] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    told = json.loads(shown)["outcomes"]
    told[0]["findings"][0]["code"]["code"] = "abdominal-aorta"
    code, text = invoke("explain", "--patient", bundle(tmp_path, BORN), "--findings", findings(tmp_path, outcomes=told))
    assert code == 0
    assert "no pathway reads the finding abdominal_aorta (urn:sightline:observation|abdominal-aorta)" in text


def test_a_resource_of_another_patient_is_refused(tmp_path: Path) -> None:
    other = {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/other"}}
    code, text = invoke("explain", "--patient", bundle(tmp_path, BORN, other), "--findings", findings(tmp_path))
    assert code == 1
    assert "want every resource to be about this Patient: Condition c1 is not" in text


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert invoke("explain", "--patient", bundle(tmp_path, BORN), "--findings", str(tmp_path))[0] == 2
    assert invoke("order", "--patient", bundle(tmp_path, BORN), "--order", str(tmp_path))[0] == 2


def test_the_languages_are_listed() -> None:
    code, text = invoke("languages")
    assert code == 0
    assert text.splitlines()[0] == "en"
    assert "de" in text.splitlines()


# --- an order before it is signed

BACK_PAIN = {"system": "http://hl7.org/fhir/sid/icd-10", "code": "M54.5"}
SIGN = "urn:sightline:sign"


def order(folder: Path, **changes: object) -> str:
    """A draft of an MRI of the lumbar spine, for low back pain; the form asked for the signs of danger."""
    path = folder / "order.json"
    body: dict[str, object] = {
        "resourceType": "ServiceRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "30679-5"}], "text": "MRI lumbar spine"},
        "reasonCode": [{"coding": [BACK_PAIN]}, {"coding": [{"system": SIGN, "code": "asked-low_back_pain"}]}],
    }
    path.write_text(json.dumps(body | changes))
    return str(path)


def asked(folder: Path, *more: str, **changes: object) -> tuple[int, str]:
    """What the checks say to the draft on one day, in a record that was searched."""
    day = ("--today", "2026-11-22", "--searched", "the record")
    patient = bundle(folder, BORN | {"birthDate": "1990-03-01"})
    return invoke("order", "--patient", patient, "--order", order(folder, **changes), *day, *more)


def test_an_order_that_no_sign_of_danger_asks_for_is_replaced_by_none(tmp_path: Path) -> None:
    code, text = asked(tmp_path, "--json")
    assert code == 0
    said = {one["pathway"]: one for one in json.loads(text)}
    [step] = said["low_back_pain"]["recommendations"]
    assert (step["instead"], step["code"]["code"]) == (True, "no-imaging")


def test_while_the_signs_are_unknown_no_exam_is_withdrawn_and_the_questions_are_listed(tmp_path: Path) -> None:
    code, text = asked(tmp_path, "--json", reasonCode=[{"coding": [BACK_PAIN]}])
    assert code == 0
    assert "no-imaging" not in text
    said = {one["pathway"]: one for one in json.loads(text)}
    assert said["low_back_pain"]["missing"]


def test_the_checks_of_an_order_are_a_table(tmp_path: Path) -> None:
    code, text = asked(tmp_path)
    assert code == 0
    assert text.startswith("order draft-1: MRI lumbar spine")
    assert "low_back_pain: " in text


@pytest.mark.parametrize("changes", [{"status": "active"}, {"resourceType": "Patient"}])
def test_what_is_no_draft_order_is_refused_in_words(tmp_path: Path, changes: dict[str, object]) -> None:
    code, text = asked(tmp_path, **changes)
    assert code == 1
    assert "want a ServiceRequest of status draft" in text


def test_the_sites_own_code_says_what_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"coding": [{"system": "urn:oid:1.2.3", "code": "MRLS"}], "text": "MR LWS"}
    assert "no-imaging" not in asked(tmp_path, "--json", code=own)[1]
    exam = {"modality": "MR", "region": "spine", "contrast": "none"}
    monkeypatch.setenv("CDS_EXAMS", json.dumps({"urn:oid:1.2.3|MRLS": exam}))
    assert "no-imaging" in asked(tmp_path, "--json", code=own)[1]
