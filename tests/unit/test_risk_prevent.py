"""PREVENT, base and with HbA1c or UACR: the published examples, and what it refuses. Goes where its files go."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cds
from cds.risk import NotScored, Scored
from cds.risk.check import check
from tests.unit.clinical import reference
from tests.unit.score_inputs import Case, names_each_missing_input, outputs, ranges, refuses_what_cannot_be, score

#: The example of table S12 of doi:10.1161/CIRCULATIONAHA.123.067626.
S12 = {
    "sex": "female",
    "age": 50,
    "total_cholesterol_mg_dl": 200,
    "hdl_mg_dl": 45,
    "sbp_mm_hg": 160,
    "bp_treated": True,
    "statin": False,
    "diabetes": True,
    "current_smoker": False,
    "egfr": 90,
    "bmi": 35,
}
COMPLETE: Mapping[str, Case] = {"prevent": S12, "prevent_addons": {**S12, "hba1c_percent": 7.5}}


@pytest.mark.parametrize("name", COMPLETE)
def test_every_reference_vector_agrees(name: str, reference_dir: Path) -> None:
    report = check([reference(reference_dir) / "risk" / "vectors" / f"{name}.json"])
    assert report.mismatches == ()
    assert report.ok


@pytest.mark.parametrize("name", COMPLETE)
def test_each_missing_input_is_named_and_never_assumed(name: str) -> None:
    names_each_missing_input(score(name), COMPLETE[name])


@pytest.mark.parametrize("name", COMPLETE)
def test_each_input_out_of_its_range_is_refused_by_name(name: str) -> None:
    refuses_what_cannot_be(score(name), COMPLETE[name])


@pytest.mark.parametrize("name", COMPLETE)
def test_prevent_names_its_paper_and_has_a_unit_for_each_number(name: str) -> None:
    one = score(name)
    assert one.horizon_years == 10
    assert one.source.url == "https://doi.org/10.1161/CIRCULATIONAHA.123.067626"
    assert set(outputs(name, COMPLETE[name])) == {output.name for output in one.outputs}
    assert all(i.unit for i in one.inputs if i.kind == "number")


# PREVENT: table S12 prints 14.68/16.32 % (CVD), 9.20/10.19 % (ASCVD), 8.06/10.59 % (heart failure) for a woman and a
# man of 50, and 53.0/35.4/39.0 % over 30 years for the woman.


@pytest.mark.parametrize(
    ("sex", "printed"),
    [
        ("female", {"cvd10": 14.68, "ascvd10": 9.20, "hf10": 8.06, "cvd30": 53.0, "ascvd30": 35.4, "hf30": 39.0}),
        ("male", {"cvd10": 16.32, "ascvd10": 10.19, "hf10": 10.59}),
    ],
)
def test_prevent_gives_the_published_example(sex: str, printed: dict[str, float]) -> None:
    got = outputs("prevent", {**S12, "sex": sex})
    for name, percent in printed.items():
        assert got[name] == pytest.approx(percent / 100, abs=6e-4 if name.endswith("30") else 6e-5)


# Eight decimals as preventr and PooledCohort, two implementations by others, both answer for these people.
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            dict(sex="male", age=59, total_cholesterol_mg_dl=313, hdl_mg_dl=69, sbp_mm_hg=92)
            | dict(bp_treated=True, diabetes=False, egfr=40, bmi=30),
            dict(cvd10=0.16583385, ascvd10=0.09263872, hf10=0.10822732)
            | dict(cvd30=0.3712213, ascvd30=0.21778222, hf30=0.31109531),
        ),
        (
            dict(age=34, total_cholesterol_mg_dl=259, hdl_mg_dl=78, sbp_mm_hg=132, bp_treated=False)
            | dict(current_smoker=True, egfr=33, bmi=31.6),
            dict(cvd10=0.21628431, ascvd10=0.12560936, hf10=0.21919718)
            | dict(cvd30=0.46482037, ascvd30=0.27276795, hf30=0.48681109),
        ),
        (
            dict(age=74, total_cholesterol_mg_dl=177, hdl_mg_dl=24, sbp_mm_hg=90, statin=True, egfr=79, bmi=25.5),
            dict(cvd10=0.29060018, ascvd10=0.1578543, hf10=0.18650554),
        ),
    ],
)
def test_prevent_agrees_with_two_other_implementations(changes: Case, expected: dict[str, float]) -> None:
    assert outputs("prevent", {**S12, **changes}) == pytest.approx(expected, abs=1e-6)


# Ranges of the equations as published (BMI below 40); HbA1c and UACR as preventr takes them.
@pytest.mark.parametrize("output", ["cvd10", "ascvd10", "hf10"])
def test_one_outcome_alone_is_the_same_as_among_all(output: str) -> None:
    for sex in ("female", "male"):
        person = {**S12, "sex": sex}
        assert score("prevent").only(output, person) == Scored({output: outputs("prevent", person)[output]})
    lacking = {name: value for name, value in S12.items() if name != "egfr"}
    assert score("prevent").only(output, lacking) == NotScored(("egfr",))
    assert score("curb65").only("curb65", {}) == score("curb65")({})


def test_prevent_takes_the_published_ranges() -> None:
    base = {
        "age": (30, 79),
        "total_cholesterol_mg_dl": (130, 320),
        "hdl_mg_dl": (20, 100),
        "sbp_mm_hg": (90, 180),
        "bmi": (18.5, 40),
        "egfr": (15, 140),
    }
    assert ranges(score("prevent")) == base
    assert ranges(score("prevent_addons")) == {**base, "hba1c_percent": (4.5, 15), "uacr_mg_g": (0.1, 25000)}


def test_prevent_gives_thirty_years_up_to_59_only() -> None:
    assert {"cvd30", "ascvd30", "hf30"} <= set(outputs("prevent", {**S12, "age": 59}))
    assert set(outputs("prevent", {**S12, "age": 60})) == {"cvd10", "ascvd10", "hf10"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"age": 29}, "age below 30"),
        ({"age": 80}, "age above 79"),
        ({"total_cholesterol_mg_dl": 129}, "TC below 130"),
        ({"hdl_mg_dl": 101}, "HDL above 100"),
        ({"sbp_mm_hg": 181}, "SBP above 180"),
        ({"bmi": 40.0}, "BMI must be <40"),
        ({"bmi": 18.4}, "BMI below 18.5"),
        ({"egfr": 149}, "eGFR above 140"),
        ({"sex": "unknown"}, "sex must be one of female, male"),
    ],
)
def test_prevent_says_why_it_refuses(changes: Case, reason: str) -> None:
    answer = score("prevent")({**S12, **changes})
    assert isinstance(answer, NotScored)
    assert answer.reasons == (reason,)
    assert answer.missing == ()


@given(
    age=st.integers(30, 79),
    sex=st.sampled_from(["female", "male"]),
    flags=st.lists(st.booleans(), min_size=4, max_size=4),
    numbers=st.tuples(st.floats(130, 320), st.floats(20, 100), st.floats(90, 180), st.floats(18.5, 39.9)),
)
def test_every_prevent_risk_is_a_proportion(
    age: int, sex: str, flags: list[bool], numbers: tuple[float, float, float, float]
) -> None:
    yes_or_no = dict(zip(("diabetes", "current_smoker", "bp_treated", "statin"), flags, strict=True))
    measured = dict(zip(("total_cholesterol_mg_dl", "hdl_mg_dl", "sbp_mm_hg", "bmi"), numbers, strict=True))
    got = outputs("prevent", {**S12, "age": age, "sex": sex, **yes_or_no, **measured})
    assert all(isinstance(risk, float) and 0 < risk < 1 for risk in got.values())
    assert len(got) == (6 if age <= 59 else 3)


# With HbA1c 7.5 %: 13.59/8.35/8.06 % and 15.51/9.37/10.13 %; with UACR 40 mg/g: 17.18/10.97/10.99 % (S12).
@pytest.mark.parametrize(
    ("changes", "printed"),
    [
        ({"sex": "female", "hba1c_percent": 7.5}, {"cvd10": 13.59, "ascvd10": 8.35, "hf10": 8.06}),
        ({"sex": "male", "hba1c_percent": 7.5}, {"cvd10": 15.51, "ascvd10": 9.37, "hf10": 10.13}),
        ({"sex": "male", "uacr_mg_g": 40}, {"cvd10": 17.18, "ascvd10": 10.97, "hf10": 10.99}),
    ],
)
def test_prevent_with_hba1c_or_uacr_gives_the_published_example(changes: Case, printed: dict[str, float]) -> None:
    expected = {name: percent / 100 for name, percent in printed.items()}
    assert outputs("prevent_addons", {**S12, **changes}) == pytest.approx(expected, abs=6e-5)


def test_hba1c_has_its_own_slope_without_diabetes() -> None:
    person = {"age": 62, "total_cholesterol_mg_dl": 210, "hdl_mg_dl": 58, "sbp_mm_hg": 128, "bp_treated": False}
    more = {"statin": True, "diabetes": False, "egfr": 75, "bmi": 29, "hba1c_percent": 5.4}
    # preventr, model "hba1c".
    expected = {"cvd10": 0.05065859, "ascvd10": 0.0325205, "hf10": 0.02607531}
    assert outputs("prevent_addons", {**S12, **person, **more}) == pytest.approx(expected, abs=1e-6)


#: Both are treated and smoke, on either side of the knots; one has diabetes, the other has none.
YOUNG = {
    **{"age": 41, "total_cholesterol_mg_dl": 255, "hdl_mg_dl": 38, "sbp_mm_hg": 104, "bmi": 33, "egfr": 48},
    **{"diabetes": True, "current_smoker": True, "bp_treated": True, "statin": True},
}
OLD = {
    **{"age": 68, "total_cholesterol_mg_dl": 171, "hdl_mg_dl": 66, "sbp_mm_hg": 148, "bmi": 23, "egfr": 52},
    **{"diabetes": False, "current_smoker": True, "bp_treated": True, "statin": True},
}


# Worked apart from the supplemental tables, term by term: total CVD, ASCVD, heart failure.
@pytest.mark.parametrize(
    ("person", "sex", "more", "expected"),
    [
        (YOUNG, "female", {"hba1c_percent": 8.4}, (0.22973228, 0.12779733, 0.13056029)),
        (YOUNG, "male", {"hba1c_percent": 8.4}, (0.22495786, 0.12665463, 0.11037026)),
        (YOUNG, "female", {"uacr_mg_g": 210}, (0.29046377, 0.16350547, 0.15892382)),
        (YOUNG, "male", {"uacr_mg_g": 210}, (0.27231785, 0.16111636, 0.13867347)),
        (OLD, "female", {"hba1c_percent": 5.9}, (0.21061089, 0.10770551, 0.15132917)),
        (OLD, "male", {"hba1c_percent": 5.9}, (0.20756165, 0.10779343, 0.16448481)),
        (OLD, "female", {"uacr_mg_g": 12}, (0.18335061, 0.09533204, 0.12462142)),
        (OLD, "male", {"uacr_mg_g": 12}, (0.17489349, 0.09462754, 0.12913464)),
    ],
)
def test_every_coefficient_of_the_addons_counts(
    person: Case, sex: str, more: Case, expected: tuple[float, float, float]
) -> None:
    got = outputs("prevent_addons", {**person, "sex": sex, **more})
    assert (got["cvd10"], got["ascvd10"], got["hf10"]) == pytest.approx(expected, abs=1e-7)


# Worked apart likewise; then over 30 years.
@pytest.mark.parametrize(
    ("person", "sex", "expected"),
    [
        (YOUNG, "female", (0.23408225, 0.13305218, 0.10992119, 0.6054263, 0.39260855, 0.4010827)),
        (YOUNG, "male", (0.22833558, 0.13328793, 0.10238587, 0.57243681, 0.37889092, 0.36290568)),
        (OLD, "female", (0.19414091, 0.10018178, 0.13585747)),
        (OLD, "male", (0.19420337, 0.10088687, 0.15243318)),
    ],
)
def test_every_coefficient_of_the_base_equations_counts(person: Case, sex: str, expected: tuple[float, ...]) -> None:
    names = ("cvd10", "ascvd10", "hf10", "cvd30", "ascvd30", "hf30")
    assert outputs("prevent", {**person, "sex": sex}) == pytest.approx(
        dict(zip(names, expected, strict=False)), abs=1e-7
    )


def test_the_addons_want_one_of_hba1c_and_uacr() -> None:
    one = score("prevent_addons")
    assert one(S12) == NotScored(missing=("hba1c_percent", "uacr_mg_g"))
    both = one({**S12, "hba1c_percent": 7.5, "uacr_mg_g": 40})
    assert isinstance(both, NotScored)
    assert both.reasons == ("HbA1c and UACR together need an equation that is not implemented: give one",)


PREVENT = {"cds.risk.prevent", "cds.risk.prevent_addons"}


def imported(path: Path) -> set[str]:
    """The modules that a file imports, also those that it takes from a package by name."""
    text = path.read_text(encoding="utf-8")
    if "prevent" not in text:
        return set()
    nodes = list(ast.walk(ast.parse(text)))
    whole = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    parts = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return whole | {f"{node.module}" for node in parts} | {f"{n.module}.{name.name}" for n in parts for name in n.names}


def test_prevent_says_its_licence_and_can_be_removed() -> None:
    assert "not made or endorsed by the American Heart Association" in score("prevent").licence
    assert score("prevent_addons").licence == score("prevent").licence
    sources = Path(cds.__file__).parent.rglob("*.py")
    assert {path.stem for path in sources if imported(path) & PREVENT} == {"prevent_addons"}
