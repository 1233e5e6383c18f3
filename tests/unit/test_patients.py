"""Ten synthetic patients: what the pathways say of each is what a clinician reviewed, to the letter.

Each has a record (a FHIR Bundle), the findings of one study, and the answer as it was reviewed: above the rule who the
patient is and why the answer is right, below it the answer itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cds.bootstrap.explaining import Explained, explain
from cds.domain.finding import Findings
from cds.domain.recommendation import Advice
from cds.pathways import load
from cds.render.pathways import as_markdown

PATIENTS = Path(__file__).parent / "patients"
NAMES = sorted(path.name.removesuffix(".bundle.json") for path in PATIENTS.glob("*.bundle.json"))
RULE = "\n---\n\n"
#: The pathways of the first release, one of them leading in each patient.
LEADING = (
    "calcium",
    "emphysema",
    "lung_nodule",
    "bone",
    "liver",
    "heart",
    "aorta",
    "intracranial_haemorrhage",
    "breast",
    "pneumonia",
)


def explained(name: str) -> Explained:
    """What the pathways say of one patient."""
    return explain(PATIENTS / f"{name}.bundle.json", PATIENTS / f"{name}.findings.json")


def reviewed(name: str) -> tuple[str, str]:
    """Who the patient is and why, and the answer, as they were reviewed."""
    head, _, answer = (PATIENTS / f"{name}.expected.md").read_text().partition(RULE)
    return head, answer


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_a_patient_is_what_was_reviewed(name: str) -> None:
    assert as_markdown(explained(name).outcomes) == reviewed(name)[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_reviewer_sees_who_the_patient_is_and_every_value_that_was_found(name: str) -> None:
    head = reviewed(name)[0]
    lines = head.splitlines()
    assert lines[0].startswith("# ")
    assert [line for line in lines[1:4] if line and not line.startswith(("-", "#"))] == [lines[2], lines[3]]
    for outcome in explained(name).case.outcomes:
        assert outcome.model in head
        for finding in outcome.findings if isinstance(outcome, Findings) else ():
            assert finding.value is None or f"{finding.value.value:g}" in head, finding.key


@pytest.mark.parametrize(("name", "pathway"), [*zip(NAMES, LEADING, strict=True)])
def test_each_pathway_of_the_first_release_speaks_for_one_patient(name: str, pathway: str) -> None:
    assert pathway in {one.pathway for one in explained(name).outcomes if isinstance(one, Advice)}


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_of_a_record_is_of_its_one_patient(name: str) -> None:
    bundle = json.loads((PATIENTS / f"{name}.bundle.json").read_text())
    patient, *others = [entry["resource"] for entry in bundle["entry"]]
    assert patient["identifier"][0]["value"].startswith("SYN-")
    whose = {(one.get("subject") or one["patient"])["reference"] for one in others}
    assert whose == {f"Patient/{patient['id']}"}


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_is_applied_that_the_pathway_does_not_declare(name: str) -> None:
    installed = load()
    for said in explained(name).outcomes:
        assert {step.rule for step in said.steps} <= {rule.key for rule in installed[said.pathway].rules}
