"""Diseases, symptoms and family history: each value set knows its codes, and not their neighbours."""

from __future__ import annotations

from itertools import permutations

import pytest

from cds import codes, condition_codes
from cds.codes import ICD10, ICD10_CM, SNOMED
from cds.domain.coding import Coding
from cds.value_sets import Kind

#: By value set: codes that mean it (a code below an ICD-10 category among them), and near misses that do not.
#: From the tabular list of ICD-10 (https://icd.who.int/browse10/2019/en) and the ICD-10-CM tables (CDC).
KNOWN: dict[str, tuple[str, str]] = {
    "diabetes": ("E11.65 E10 E13.9 E14.9 E08.9 O24.1 44054006", "O24.4 O24.41 E23.2 R73.0 R73.03 Z83.3 E15"),
    "hypertension": ("I10 I11.9 I12.9 I13.0 I15.1 I16.0 O10.0 59621000", "R03.0 O13 I27.0 I27.20 K76.6 G93.2"),
    "ascvd": (
        "I20.0 I21.4 I25.10 I63.9 I64 I65.21 I70.21 I70.92 I73.9 Z95.1 Z95.5 Z98.61 Z86.73 G45.9 53741008 399211009",
        "I70.0 I71.4 I48.0 I50.9 I61.9 I62.0 I73.0 G45.4 I74.3 Z95.0 Z82.49 I67.1 I69.1 I26.9",
    ),
    "familial-hypercholesterolaemia": ("E78.01 398036000", "E78.0 E78.00 E78.5 E78.2"),
    "stroke": ("I63.4 I64 I61.0 I60.9 G45.0 I69.3 I69.1 Z86.73 266257000", "I62.0 I65.2 G45.4 S06.5 I67.1 I69.2"),
    "heart-failure": ("I50.22 I11.0 I13.0 I13.2 I09.81 84114007 42343007", "I11.9 I13.1 I13.9 I42.0 I51.7 J81.0 I25.5"),
    "atrial-fibrillation": ("I48.0 I48.91 I48.3 49436004 5370000", "I47.1 I49.9 I49.4"),
    "chronic-kidney-disease": ("N18.31 N18.6 I12.0 I13.2 E11.22 709044004", "N17.9 N19 I12.9 Z94.0 N28.9 E11.21"),
    "acute-kidney-injury": ("N17.0 N17.9 O90.4 14669001", "N18.4 N19 N99.0"),
    "dialysis": ("Z99.2 Z49.1 Z49.31 105502003 714152005", "Z49.0 Z49.01 N18.6 Z99.1 265764009"),
    "osteoporosis": ("M80.08 M81.0 M82.0 64859006", "M85.80 M83.9 M84.3"),
    "vertebral-fracture": ("M48.54 S22.01 S22.1 S32.01 T08 42942008", "S12.1 M80.08 S22.3 S32.1 S32.5 M48.0 S33.0"),
    "menopause": ("Z78.0 N95.1 E28.31 E89.4 76498008", "Z79.890 N94.6 E28.2 N91.2"),
    "fatty-liver": ("K76.0 K70.0 K75.81 197321007", "K74.60 K70.30 K75.4 K76.9"),
    "chronic-liver-disease": (
        "K74.60 K70.30 B18.2 K75.4 K76.6 K83.01 E83.110 19943007",
        "K76.0 K70.0 B17.1 K72.0 E83.1",
    ),
    "alcohol-use-disorder": ("F10.10 F10.20 F10.21 F10.3 66590003", "F10.0 F10.920 F11.2 Z72.1 K70.3"),
    "cancer": (
        "C18.9 C34.11 C43.9 C50.911 C80.1 C92.0 C97 C4A.9 C7A.1 363346000",
        "C44.91 D05.1 D12.6 Z85.3 Z80.3 D48.9",
    ),
    "cancer-history": ("Z85.11 Z85.038 Z85.3 Z85.8 Z85.820 Z85.9 266987004", "Z85.828 Z80.0 C50 Z86.0 Z87.4"),
    "immunosuppression": (
        "B20 B24 Z21 D83.9 D84.821 Z94.0 Z94.84 Z79.620 Z79.52 86406008",
        "Z94.7 Z94.5 D69.6 Z79.51 D86.0",
    ),
    "breast-cancer": ("C50.911 D05.0 D05.1 Z85.3 Z86.000 254837009 109888004", "D24.1 N60.1 Z80.3 C44.5 Z86.001 D04.5"),
    "brca": ("Z15.01 412734009 412738007", "Z15.02 Z80.3 C50"),
    "chest-radiation": ("Z92.3 143501000119107", "Z92.2 Z51.0"),
    "aortic-aneurysm": ("I71.4 I71.01 I71.2 I79.0 233985008", "I77.810 I72.3 I70.0 I67.1"),
    "abdominal-aortic-aneurysm": (
        "I71.3 I71.4 I71.43 I71.02 I71.5 I71.6 I71.03 233985008",
        "I71.2 I71.1 I71.01 I71.9 I71.8 I71.00 67362008 433068007 308546005 I79.0",
    ),
    "thoracic-aortic-aneurysm": (
        "I71.1 I71.2 I71.21 I71.01 I71.5 I71.6 I71.03 433068007",
        "I71.3 I71.4 I71.02 I71.9 I71.8 I71.00 67362008 233985008 308546005 I79.0",
    ),
    "aortopathy": ("Q87.40 Q96.9 Q23.1 Q23.81 Q79.63 19346006", "Q79.62 Q79.6 Q23.0 Q87.8 I71.2"),
    "venous-thromboembolism": (
        "I26.99 I80.1 I80.2 I82.401 I82.5 I82.622 I82.A11 O88.2 Z86.711 59282003",
        "I80.0 I80.3 I82.9 I82.612 I81 O88.1 I83.9 I74.3",
    ),
    "pneumonia": ("J18.9 J12.82 J13 J10.0 J69.0 A48.1 233604007", "J84.9 J20.9 J10.1 J44.0 J90 J69.1"),
    "dementia": ("F03.90 F01.5 G30.9 F02.8 G31.83 F05.1 52448006", "F06.7 G31.84 F05.0 R41.3 G31.9"),
    "mild-cognitive-impairment": ("F06.7 G31.84 386805003", "F03 R41.81 F06.8 G31.83"),
    "palliative-care": ("Z51.5 103735009 385763009", "Z51.1 Z66 Z51.8"),
    "cardiac-device": ("Z95.0 Z95.810 Z45.02 441509002", "Z95.1 Z95.2 Z95.811 Z95.8 Z45.1 I44.2"),
    "hyperthyroidism": ("E05.90 E05.0 34486009", "E03.9 E04.1 E06.3"),
    "intracranial-haemorrhage": ("I61.9 I60.7 I62.00 S06.5X0A S06.34 S06.6 1386000", "I63.9 I69.1 S06.0 P52.3 S06.37"),
    "head-injury": ("S06.0X1A S09.90 S02.0 S02.1 S07.1 82271004", "S00.03 S01.0 S02.4 S09.2 S10.0"),
    "seizure": ("R56.9 R56.8 G40.909 G41.0 91175000", "R55 R25.1 F44.5"),
    "nursing-home": ("Z59.3 160734000", "Z59.0 Z60.2"),
    "dyspnoea": ("R06.02 R06.0 267036007", "R06.2 R06.5 J96.0"),
    "cough": ("R05 R05.9 49727002", "R04.2 R06.0 J40"),
    "fever": ("R50.9 386661006", "R68.0 R51"),
    "chest-pain": ("R07.2 R07.4 R07.89 R07.9 29857009", "R07.0 R10.1 I20.9"),
    "confusion": ("R41.0 R41.82 F05.9 40917007", "R41.3 F03 R40.2"),
    "leg-swelling": ("R60.0 R22.41 102572006", "R60.1 R22.3 I89.0"),
    "memory-complaint": ("R41.3 R41.81 386807006", "R41.1 R41.2 F03 G45.4"),
    "low-back-pain": ("M54.50 M54.41 279039007", "M54.2 M54.6 M54.9 M51.2"),
    "headache": ("R51.9 G43.909 G44.1 25064002", "R52 G45.4 M54.2"),
    "thunderclap-headache": ("G44.53", "G44.5 G44.52 R51 I60.9"),
    "abdominal-pain": ("R10.0 R10.31 R10.9 R10.84 21522001", "R10.2 R11 R07.4"),
    "family-lung-cancer": ("Z80.1 C34.9 429011007 363358000", "Z80.0 Z80.2 Z85.11"),
    "family-breast-cancer": ("Z80.3 C50.9 429740004", "Z80.4 Z85.3 D24.1"),
    "family-heart-disease": ("Z82.49 Z82.41 I21.9 I25.10 266897007", "Z82.3 Z83.3 I63.9 I48.0"),
    "family-aortic-aneurysm": ("I71.4 67362008", "Z82.49 I70.0"),
}
#: Value sets with codes in common, because one question includes the other or a code says both.
OVERLAPS = {
    frozenset(pair.split())
    for pair in (
        "abdominal-aortic-aneurysm aortic-aneurysm",
        "abdominal-aortic-aneurysm thoracic-aortic-aneurysm",
        "aortic-aneurysm thoracic-aortic-aneurysm",
        "ascvd stroke",
        "breast-cancer cancer",
        "breast-cancer cancer-history",
        "cancer lung-cancer",
        "cancer-history lung-cancer",
        "chronic-kidney-disease diabetes",
        "chronic-kidney-disease dialysis",
        "chronic-kidney-disease heart-failure",
        "chronic-kidney-disease hypertension",
        "confusion dementia",
        "head-injury intracranial-haemorrhage",
        "headache thunderclap-headache",
        "heart-failure hypertension",
        "intracranial-haemorrhage stroke",
    )
}
_OF_THE_PATIENT: frozenset[Kind] = frozenset({"answer", "condition", "procedure", "symptom", "measurement"})


def coding(code: str) -> Coding:
    """A code as a record has it: SNOMED CT where it is a number."""
    return Coding(SNOMED if code.isdigit() else ICD10_CM, code)


def _cases(place: int) -> list[tuple[str, str]]:
    return [(name, code) for name, lists in KNOWN.items() for code in lists[place].split()]


@pytest.mark.parametrize(("name", "code"), _cases(0))
def test_a_value_set_has_the_codes_that_mean_it(name: str, code: str) -> None:
    assert codes.loaded()[name].contains(coding(code))


@pytest.mark.parametrize(("name", "code"), _cases(1))
def test_a_value_set_does_not_have_its_neighbours(name: str, code: str) -> None:
    assert not codes.loaded()[name].contains(coding(code))


def test_every_value_set_of_the_module_is_looked_at_and_says_something() -> None:
    assert {value_set.name for value_set in condition_codes.ALL} == KNOWN.keys()
    assert all(codes.loaded()[name].entries for name in KNOWN)


def test_a_value_set_has_no_code_twice() -> None:
    for value_set in condition_codes.ALL:
        own = [(entry.coding.system, entry.coding.code) for entry in value_set.entries]
        assert len(own) == len(set(own)), value_set.name


def test_value_sets_share_codes_only_where_it_is_meant() -> None:
    asked = [value_set for value_set in codes.loaded().values() if value_set.kind in _OF_THE_PATIENT]
    shared = {
        frozenset((one.name, other.name))
        for one, other in permutations(asked, 2)
        if any(other.contains(entry.coding) for entry in one.entries)
    }
    ours = {pair for pair in shared if pair & KNOWN.keys()}
    assert ours == OVERLAPS


@pytest.mark.parametrize(("one", "other"), [("cancer", "cancer-history"), ("dementia", "mild-cognitive-impairment")])
def test_what_excludes_each_other_shares_no_code(one: str, other: str) -> None:
    assert frozenset((one, other)) not in OVERLAPS
    assert not any(codes.loaded()[other].contains(entry.coding) for entry in codes.loaded()[one].entries)


@pytest.mark.parametrize("category", [f"C{n:02}" for n in range(98)])
def test_every_malignant_category_but_other_skin_cancer_is_cancer(category: str) -> None:
    """Chapter II has no C27 to C29, C35, C36, C42, C59, C87 and C89."""
    missing = {"C27", "C28", "C29", "C35", "C36", "C42", "C44", "C59", "C87", "C89"}
    assert codes.loaded()["cancer"].contains(Coding(ICD10, f"{category}.9")) is (category not in missing)


@pytest.mark.parametrize("code", ["Z80.3", "Z80.1", "Z82.49", "Z83.3", "Z84.8", "429740004", "266897007", "429011007"])
def test_a_code_of_family_history_says_so_itself(code: str) -> None:
    assert condition_codes.is_of_family(coding(code))


@pytest.mark.parametrize("code", ["Z85.3", "C50.9", "Z86.73", "Z79.6", "Z87.4", "254837009", "399211009", "429087003"])
def test_what_the_patient_has_or_had_is_no_family_history(code: str) -> None:
    assert not condition_codes.is_of_family(coding(code))


def test_no_disease_of_the_patient_is_told_by_a_code_of_family_history() -> None:
    for value_set in codes.loaded().values():
        if value_set.kind in _OF_THE_PATIENT:
            assert not any(condition_codes.is_of_family(entry.coding) for entry in value_set.entries), value_set.name


def test_a_relative_may_have_the_disease_under_the_codes_that_the_patient_would_have_it() -> None:
    loaded = codes.loaded()
    for own, family in (("breast-cancer", "family-breast-cancer"), ("lung-cancer", "family-lung-cancer")):
        diseases = [e.coding for e in loaded[family].entries if not condition_codes.is_of_family(e.coding)]
        assert diseases
        assert all(loaded[own].contains(code) for code in diseases)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("I13.2", {"hypertension", "heart-failure", "chronic-kidney-disease"}),
        ("E11.22", {"diabetes", "chronic-kidney-disease"}),
        ("I63.9", {"ascvd", "stroke"}),
        ("I61.0", {"stroke", "intracranial-haemorrhage"}),
        ("C34.1", {"lung-cancer", "cancer", "family-lung-cancer"}),
        ("I70.0", set()),
        ("O24.410", set()),
        ("C44.9", set()),
    ],
)
def test_the_index_finds_every_question_that_a_code_answers(code: str, found: set[str]) -> None:
    assert {value_set.name for value_set in codes.index().find(Coding("I10C", code))} == found
