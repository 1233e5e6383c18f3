"""The statistics and the table of an evaluation, against numbers worked out by other means."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.errors import InvalidInput, NotEvaluable
from models.evaluation import figures, telling
from models.evaluation.classification import Classification
from models.evaluation.evaluate import differences, evaluation
from models.evaluation.figures import Resamples
from models.evaluation.pictures import read_picture
from models.evaluation.report import Evaluation
from models.evaluation.scored import Scored, score, scored
from models.evaluation.table import Row, Table, read_table
from models.manifest import Manifest, Output, Performance
from models.registry import SHIPPED, read

LUNG = read(SHIPPED / "ct_lung_density.toml")
CODE = Coding("urn:sightline:observation", "x", "x")
CLASSIFIER = replace(
    LUNG,
    id="standin",
    task="classification",
    outputs=(
        Output("effusion", "", CODE, labels=("Effusion",)),
        Output("lesion", "", CODE, labels=("Nodule", "Mass")),
    ),
)


def flags(*values: int) -> figures.Flags:
    return np.array(values, dtype=np.bool_)


def numbers(*values: float) -> figures.Values:
    return np.array(values, dtype=np.float64)


def once(count: int) -> Resamples:
    """The data as they are, without a resample."""
    return Resamples.draw([str(number) for number in range(count)], 0)


# --- statistics


def test_the_auc_is_mann_whitneys_u_with_ties_counted_half() -> None:
    random = np.random.default_rng(3)
    truth = random.random(200) < 0.3
    scores = np.round(random.random(200) + 0.2 * truth, 1)
    expected = stats.mannwhitneyu(scores[truth], scores[~truth]).statistic / (truth.sum() * (~truth).sum())
    assert figures.wins(truth, scores, once(200)).auc[0] == pytest.approx(expected, abs=1e-12)


def test_the_auc_of_four_scores_by_hand() -> None:
    # positives 0.4 and 0.8 against negatives 0.4 and 0.1: 1 tie, 3 right, of 4 pairs
    auc = figures.wins(flags(1, 1, 0, 0), numbers(0.4, 0.8, 0.4, 0.1), once(4)).auc[0]
    assert auc == 3.5 / 4


def test_a_resample_is_weighed_as_if_its_images_were_repeated() -> None:
    random = np.random.default_rng(5)
    truth, scores = random.random(40) < 0.5, np.round(random.random(40), 1)
    resamples = Resamples.draw([str(number // 2) for number in range(40)], 5, seed=1)
    for row in range(6):
        drawn = np.repeat(np.arange(40), resamples.weights[row])
        positive, negative = scores[drawn][truth[drawn]], scores[drawn][~truth[drawn]]
        expected = stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
        assert figures.wins(truth, scores, resamples).auc[row] == pytest.approx(expected, abs=1e-12)


def test_there_is_no_auc_without_both_kinds() -> None:
    assert math.isnan(figures.wins(flags(1, 1), numbers(0.1, 0.2), once(2)).auc[0])


def test_all_images_of_a_patient_are_drawn_together_and_as_many_patients_as_there_are() -> None:
    weights = Resamples.draw(["a", "a", "b", "c", "a"], 50).weights
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert len({tuple(row) for row in weights[:, [0, 2, 3]].tolist()}) > 3


def test_many_images_of_the_same_patients_do_not_make_the_interval_narrower() -> None:
    random = np.random.default_rng(11)
    truth = random.random(60) < 0.5
    scores = random.normal(truth.astype(float))
    once_each = figures.interval(figures.wins(truth, scores, Resamples.draw([str(n) for n in range(60)])).auc)
    tenfold, patients = (np.tile(truth, 10), np.tile(scores, 10)), [str(n) for n in range(60)] * 10
    by_patient = figures.interval(figures.wins(*tenfold, Resamples.draw(patients)).auc)
    by_image = figures.interval(figures.wins(*tenfold, Resamples.draw([str(n) for n in range(600)])).auc)

    def width(one: figures.Interval) -> float:
        assert one.low is not None
        assert one.high is not None
        return one.high - one.low

    assert by_patient.value == pytest.approx(once_each.value)
    assert width(by_patient) == pytest.approx(width(once_each), rel=0.15)
    assert width(by_image) < 0.5 * width(by_patient)


def test_the_interval_of_an_auc_is_near_to_hanley_and_mcneils() -> None:
    random = np.random.default_rng(2)
    truth = np.arange(600) < 200
    scores = random.normal(truth.astype(float))
    found = figures.interval(figures.wins(truth, scores, Resamples.draw([str(n) for n in range(600)])).auc)
    auc, positive, negative = found.value, 200, 400
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    error = math.sqrt(
        (auc * (1 - auc) + (positive - 1) * (q1 - auc**2) + (negative - 1) * (q2 - auc**2)) / (positive * negative)
    )  # doi:10.1148/radiology.143.1.7063747
    assert found.low == pytest.approx(auc - 1.96 * error, abs=0.012)
    assert found.high == pytest.approx(auc + 1.96 * error, abs=0.012)


def test_the_average_precision_by_hand_without_and_with_ties() -> None:
    plain = figures.average_precision(flags(1, 0, 1, 0), numbers(0.9, 0.8, 0.7, 0.6), once(4))[0]
    assert plain == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 3)
    tied = figures.average_precision(flags(1, 0, 1, 0), numbers(0.9, 0.7, 0.7, 0.6), once(4))[0]
    assert tied == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 3)
    all_tied = figures.average_precision(flags(1, 0, 1, 0), numbers(0.5, 0.5, 0.5, 0.5), once(4))[0]
    assert all_tied == pytest.approx(0.5)


def test_a_share_has_wilsons_interval() -> None:
    found, z, p, n = figures.proportion(8, 10), 1.959963984540054, 0.8, 10
    assert found is not None
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert found == pytest.approx((0.8, middle - half, middle + half))
    assert figures.proportion(0, 0) is None


def test_the_brier_score_and_the_calibration_error_by_hand() -> None:
    truth, scores = flags(1, 0, 1, 0), numbers(0.75, 0.71, 1.0, 0.05)
    assert figures.brier(truth, scores) == pytest.approx((0.0625 + 0.5041 + 0.0 + 0.0025) / 4)
    # bins: 0.7 to 0.8 has two of mean 0.73 and share 0.5; 0.9 to 1.0 one that is right; 0.0 to 0.1 one of 0.05
    assert figures.calibration_error(truth, scores) == pytest.approx((2 * 0.23 + 0.0 + 0.05) / 4)


def test_the_agreement_of_measured_and_true_values_by_hand() -> None:
    measured, true = numbers(10.0, 21.0, 29.0, 42.0), numbers(10.0, 20.0, 30.0, 40.0)
    found = figures.agreement(measured, true)
    difference = [0.0, 1.0, -1.0, 2.0]
    spread = math.sqrt(sum((d - 0.5) ** 2 for d in difference) / 3)
    assert (found.n, found.bias.value, found.mean_absolute_error) == (4, 0.5, 1.0)
    assert found.lower_limit == pytest.approx(0.5 - 1.96 * spread, abs=1e-4)
    assert found.upper_limit == pytest.approx(0.5 + 1.96 * spread, abs=1e-4)
    assert found.bias.high == pytest.approx(0.5 + 3.182446 * spread / 2)  # t with three degrees of freedom
    assert found.correlation is not None
    r = float(np.corrcoef(measured, true)[0, 1])
    assert found.correlation == pytest.approx(
        (r, math.tanh(math.atanh(r) - 1.959964), math.tanh(math.atanh(r) + 1.959964))
    )


def test_one_case_has_a_bias_and_no_limits_and_equal_values_have_no_correlation() -> None:
    assert figures.agreement(numbers(3.0), numbers(1.0))[1:] == ((2.0, None, None), 2.0, None, None, None)
    assert figures.agreement(numbers(1.0, 2.0, 3.0), numbers(5.0, 5.0, 5.0)).correlation is None


# --- the table


def table_of(path: Path, text: str, manifest: Manifest = CLASSIFIER, by: Sequence[str] = ()) -> Table:
    (path / "labels.csv").write_text(text)
    return read_table(path / "labels.csv", manifest, by)


def test_labels_in_one_column_are_the_truth_of_every_output(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        "file,finding_labels,patient_id,age,sex,view,source_repo\n"
        "a.jpg,Effusion|Mass,1,58,M,PA,here\nb.jpg,No Finding,1,058Y,F,AP,\nc.jpg,Hernia|nodule,2,,,,there\n",
    )
    assert [row.truth for row in table.rows] == [
        {"effusion": True, "lesion": True},
        {"effusion": False, "lesion": False},
        {"effusion": False, "lesion": True},
    ]
    assert [row.groups for row in table.rows] == [
        {"source_repo": "here", "sex": "M", "age": "40-64", "view": "PA"},
        {"sex": "F", "age": "40-64", "view": "AP"},
        {"source_repo": "there"},
    ]
    assert [(row.patient, row.view, row.line) for row in table.rows] == [("1", "PA", 2), ("1", "AP", 3), ("2", "", 4)]
    assert table.notices == ("labels that no output of the model stands for: Hernia (1)",)
    assert table.by_patient


def test_a_column_for_each_label_may_leave_the_truth_open(tmp_path: Path) -> None:
    table = table_of(
        tmp_path, "file,Nodule,mass,other\na.png,1,0,x\nb.png,0,,x\nc.png,,1,x\nd.png,0,0,x\ne.png,0,-1,x\n"
    )
    assert [row.truth for row in table.rows] == [{"lesion": True}, {}, {"lesion": True}, {"lesion": False}, {}]
    assert table.notices == ("the table has no column for: effusion",)
    assert not table.by_patient


def test_outputs_whose_labels_never_occur_are_told(tmp_path: Path) -> None:
    table = table_of(tmp_path, "file,finding_labels\na.jpg,Effusion\n")
    assert table.notices == ("outputs whose labels are in no row: lesion",)


def test_a_column_that_is_asked_for_makes_groups(tmp_path: Path) -> None:
    table = table_of(tmp_path, "file,finding_labels,scanner\na.jpg,Mass,one\n", by=("scanner",))
    assert table.rows[0].groups == {"scanner": "one"}


def test_a_row_that_repeats_another_is_left_out_and_counted(tmp_path: Path) -> None:
    table = table_of(tmp_path, "file,finding_labels\na.jpg,Mass\na.jpg,Mass\nb.jpg,No Finding\n")
    assert [row.file for row in table.rows] == ["a.jpg", "b.jpg"]
    assert table.notices[0] == "1 rows repeat a file and are left out (line 3)"


def test_a_model_that_measures_wants_numbers(tmp_path: Path) -> None:
    table = table_of(tmp_path, "file,lung_volume,perc15\ncase1,4200,\ncase2,3800.5,-920\n", LUNG)
    assert [row.values for row in table.rows] == [{"lung_volume": 4200.0}, {"lung_volume": 3800.5, "perc15": -920.0}]
    assert table.notices == ("the table has no column for: laa_950",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,finding_labels\na.jpg,Mass\n", "want a column file"),
        ("file,age\na.jpg,5\n", "finding_labels, or one for at least one of: Effusion, Nodule, Mass"),
        ("file,finding_labels\n", "at least one row"),
        ("file,finding_labels\na.jpg\n", "as many cells as columns in every row of the table of labels: line 2"),
        ("file,finding_labels\na.jpg,Mass,x\n", "as many cells as columns"),
        ("file,finding_labels\n../a.jpg,Mass\n", "below the folder of images in column file: line 2"),
        ("file,finding_labels\n/etc/a.jpg,Mass\n", "below the folder"),
        ("file,finding_labels\n,Mass\n", "below the folder"),
        ("file,finding_labels\na.jpg,\n", "want labels apart by |"),
        ("file,finding_labels\na.jpg,Mass|No Finding\n", "No Finding stands beside another label: line 2"),
        ("file,finding_labels\na.jpg,Mass\na.jpg,Effusion\n", "contradict each other: lines 2 and 3"),
        ("file,mass\na.jpg,perhaps\n", "want 1, 0, or nothing"),
        ("file,file,mass\na.jpg,a.jpg,1\n", "every column of the table of labels once"),
        ('file,finding_labels\na.jpg,"Mass\n', "is no CSV"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_says_what_was_wanted_and_no_value_of_it(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(words)) as refused:
        table_of(tmp_path, text)
    assert "a.jpg" not in str(refused.value)


def test_a_table_that_is_not_there_or_has_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_table(tmp_path / "absent.csv", CLASSIFIER)
    with pytest.raises(InvalidInput, match="want a number"):
        table_of(tmp_path, "file,perc15\ncase,inf\n", LUNG)
    with pytest.raises(InvalidInput, match="want a column scanner"):
        table_of(tmp_path, "file,finding_labels\na.jpg,Mass\n", by=("scanner",))


# --- pictures


def test_pictures_of_8_and_16_bits_keep_their_values(tmp_path: Path) -> None:
    shallow = np.arange(48, dtype=np.uint8).reshape(6, 8)
    deep = (shallow.astype(np.uint16) * 1000).astype(np.uint16)
    Image.fromarray(shallow).save(tmp_path / "a.png")
    Image.fromarray(deep).save(tmp_path / "b.png")
    for name, values in (("a.png", shallow), ("b.png", deep)):
        image = read_picture(tmp_path / name, tmp_path, modality="DX", view="PA")
        assert (image.dtype, image.shape, image.view, image.warnings) == (values.dtype.name, (1, 6, 8), "PA", ())
        assert np.array_equal(np.load(image.path)[0], values)


def test_a_coloured_picture_is_grey_and_says_so(tmp_path: Path) -> None:
    colour = np.zeros((4, 4, 3), dtype=np.uint8)
    colour[..., 0] = 200
    Image.fromarray(colour).save(tmp_path / "c.png")
    Image.fromarray(np.full((4, 4, 3), 90, dtype=np.uint8)).save(tmp_path / "d.png")
    assert read_picture(tmp_path / "c.png", tmp_path, modality="DX", view="").warnings
    grey = read_picture(tmp_path / "d.png", tmp_path, modality="DX", view="")
    assert (np.load(grey.path) == 90).all()
    assert not grey.warnings


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.jpg").write_bytes(b"\xff\xd8 broken")
    with pytest.raises(NotEvaluable, match="no JPEG or PNG") as refused:
        read_picture(tmp_path / "e.jpg", tmp_path, modality="DX", view="")
    assert refused.value.gate == "decode"


# --- an evaluation


def row(number: int, truth: int | None, **groups: str) -> Row:
    known = {} if truth is None else {"effusion": bool(truth)}
    return Row(number, f"{number}.jpg", f"p{number}", known, groups=groups)


def answered(number: int, truth: int | None, probability: float, **groups: str) -> Scored:
    finding = Finding(
        "effusion",
        CODE,
        Presence.PRESENT if probability >= 0.5 else Presence.NOT_DETECTED,
        threshold=Quantity(0.5, "1"),
        confidence=probability,
    )
    return scored(row(number, truth, **groups), Findings("standin", "1.0.0", "1.2", (finding,)))


def not_answered(number: int, truth: int, **groups: str) -> Scored:
    return scored(row(number, truth, **groups), NotEvaluated("standin", "1.0.0", ("it is dark",), "light"))


def evaluated(rows: Sequence[Scored], min_positives: int = 1) -> Evaluation:
    return evaluation(
        CLASSIFIER, Table(tuple(one.row for one in rows), (), True), rows, dataset="made", min_positives=min_positives
    )


ROWS = [
    answered(1, 1, 0.9, sex="F"), answered(2, 1, 0.6, sex="M"), answered(3, 1, 0.3, sex="F"),
    answered(4, 0, 0.7, sex="F"), answered(5, 0, 0.2, sex="M"), answered(6, 0, 0.1, sex="M"),
    not_answered(7, 1, sex="M"), not_answered(8, 0, sex="F"), answered(9, None, 0.99, sex="M"),
]  # fmt: skip


def value(found: Evaluation, name: str, output: str = "effusion") -> float:
    figure = found.figure(name, output)
    assert figure is not None, name
    return figure.interval.value


def test_the_figures_of_an_output_by_hand() -> None:
    found = evaluated(ROWS)
    assert (found.n, found.evaluated, found.patients) == (9, 7, 9)
    # 0.9 wins three pairs, 0.6 and 0.3 two each, of nine
    assert value(found, "auc") == pytest.approx(7 / 9)
    assert value(found, "sensitivity") == pytest.approx(2 / 3)
    assert value(found, "specificity") == pytest.approx(2 / 3)
    assert value(found, "ppv") == pytest.approx(2 / 3)
    assert value(found, "npv") == pytest.approx(2 / 3)
    assert value(found, "macro_auc", "") == pytest.approx(7 / 9)
    auc = found.figure("auc", "effusion")
    assert auc is not None
    assert (auc.n, auc.positives) == (6, 3)
    assert found.thresholds == (("effusion", 0.5),)
    assert [(one.gate, one.count, one.reasons) for one in found.refused] == [("light", 2, ("it is dark",))]


def test_a_refused_image_counts_as_a_coin_toss_where_it_is_counted() -> None:
    # sixteen pairs: nine as before, seven with a refused image are half right
    found = evaluated(ROWS)
    assert value(found, "auc_refused_as_chance") == pytest.approx((7 + 7 / 2) / 16)
    assert value(found, "macro_auc_refused_as_chance", "") == pytest.approx((7 + 7 / 2) / 16)


def test_the_auc_within_groups_counts_pairs_of_one_group_alone() -> None:
    # women: 0.9 and 0.3 against 0.7; men: 0.6 against 0.2 and 0.1
    found = evaluated(ROWS)
    assert value(found, "auc[sex=F]") == pytest.approx(1 / 2)
    assert value(found, "auc[sex=M]") == pytest.approx(2 / 2)
    assert value(found, "auc[within sex]") == pytest.approx(3 / 4)
    assert value(found, "macro_auc[within sex]", "") == pytest.approx(3 / 4)


def test_an_output_with_too_few_positives_is_not_in_the_macro_auc() -> None:
    assert evaluated(ROWS, min_positives=3).figure("macro_auc") is not None
    assert evaluated(ROWS, min_positives=4).figure("macro_auc") is None
    assert evaluated(ROWS, min_positives=2).figure("macro_auc[sex=M]") is None


def test_an_evaluation_of_which_everything_was_refused_is_an_error_with_the_reasons() -> None:
    with pytest.raises(InvalidInput, match=r"nothing was evaluated: 1 refused \(light: it is dark\)"):
        evaluated([not_answered(1, 1)])


def test_the_same_rows_give_the_same_figures() -> None:
    assert evaluated(ROWS).figures == evaluated(ROWS).figures


def test_rows_keep_their_order_whichever_is_done_first() -> None:
    rows = [row(number, 1) for number in range(40)]
    heard: list[tuple[int, int]] = []
    found = score(rows, lambda one: NotEvaluated("m", "1", (one.file,)), lambda done, of: heard.append((done, of)))
    assert [one.row.line for one in found] == list(range(40))
    assert heard[-1] == (40, 40)


def test_an_image_that_breaks_the_model_ends_the_evaluation() -> None:
    def broken(one: Row) -> NotEvaluated:
        raise InvalidInput("broken")

    with pytest.raises(InvalidInput, match="broken"):
        score([row(1, 1), row(2, 0)], broken, lambda _done, _of: None)


def test_the_value_of_the_whole_counts_and_not_its_lesions_again() -> None:
    lesion = Finding("volume", CODE, Presence.MEASURED, Quantity(2.0, "mL"), tracking_id="volume-1")
    whole = Finding("volume", CODE, Presence.MEASURED, Quantity(5.0, "mL"))
    both = scored(row(1, 1), Findings("m", "1.0.0", "1.2", (lesion, whole, replace(lesion, tracking_id="volume-2"))))
    assert both.values == {"volume": 5.0}
    lesions = scored(row(1, 1), Findings("m", "1.0.0", "1.2", (lesion, replace(lesion, tracking_id="volume-2"))))
    assert lesions.values == {"volume": 4.0}


def test_the_figures_of_a_model_that_measures() -> None:
    rows = [
        Scored(Row(n, f"{n}", f"p{n}", values={"lung_volume": true}), values={"lung_volume": measured})
        for n, (true, measured) in enumerate([(4000.0, 4100.0), (5000.0, 4900.0), (3000.0, 3150.0)])
    ]
    table = Table(tuple(one.row for one in rows), (), True)
    found = evaluation(LUNG, table, rows, dataset="made", min_positives=15)
    assert value(found, "bias", "lung_volume") == pytest.approx(50.0)
    assert value(found, "mean_absolute_error", "lung_volume") == pytest.approx(350 / 3)
    correlation = np.corrcoef([4000, 5000, 3000], [4100, 4900, 3150])[0, 1]
    assert value(found, "correlation", "lung_volume") == pytest.approx(correlation)


# --- told and checked


def test_the_json_has_the_figures_in_the_form_of_a_manifests_performance() -> None:
    told = json.loads(telling.as_json(evaluated(ROWS)))
    auc = next(one for one in told["figures"] if (one["measure"], one["output"]) == ("auc", "effusion"))
    stated = Performance(**auc)
    assert (stated.dataset, stated.value, stated.n) == ("made", 0.778, 6)
    assert stated.statement == "AUC of effusion: 0.778, n = 6, 3 positive."
    assert (told["images"], told["evaluated"], told["differences"]) == (9, 7, None)
    assert told["refused"] == [{"gate": "light", "images": 2, "reasons": ["it is dark"]}]


def test_the_text_tells_what_was_refused_and_every_group() -> None:
    text = telling.as_text(evaluated(ROWS))
    assert "7 of 9 images evaluated of 9 patients" in text
    assert "refused at light: 2 (it is dark)" in text
    assert "effusion: n = 6, 3 positive, threshold 0.500" in text
    assert "within sex: macro 0.750" in text


def test_the_scores_of_every_image_can_be_kept() -> None:
    lines = list(csv.DictReader(io.StringIO(telling.as_csv(CLASSIFIER, ROWS))))
    assert (lines[0]["file"], lines[0]["effusion.score"], lines[0]["effusion.called"]) == ("1.jpg", "0.9", "1")
    assert (lines[6]["gate"], lines[6]["reason"], lines[6]["effusion.score"]) == ("light", "it is dark", "")


def stating(**figure: object) -> Manifest:
    base = Performance("said", "made", "auc", 0.778, output="effusion")
    return replace(CLASSIFIER, performance=(replace(base, **figure),))


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ({}, ""),
        ({"n": 6}, ""),
        ({"value": 0.9}, "the value of auc of effusion is 0.778, stated is 0.900"),
        ({"low": 0.0}, "the lower bound of auc of effusion"),
        ({"n": 7}, "auc of effusion is of 6 images, stated is 7"),
        ({"measure": "kappa"}, "kappa of effusion is stated, and was not measured"),
        ({"output": "lesion"}, "auc of lesion is stated, and was not measured"),
    ],
    ids=["same", "same count", "value", "bound", "count", "measure", "output"],
)
def test_figures_that_differ_from_the_manifests_are_told(figure: dict[str, object], words: str) -> None:
    found = [one.text for one in differences(stating(**figure), evaluated(ROWS))]
    assert (words == "" and found == []) or words in " ".join(found)


def test_a_check_against_a_data_set_without_figures_says_which_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"no figure of the dataset 'made'; it has figures of: elsewhere"):
        differences(stating(dataset="elsewhere"), evaluated(ROWS))


def test_every_row_that_is_scored_is_in_the_arrays_of_its_outputs() -> None:
    arrays = Classification.of(CLASSIFIER, ROWS, 1, resamples=1).outputs[0]
    assert arrays.known.tolist() == [True] * 8 + [False]
    assert arrays.evaluated.tolist() == [True] * 6 + [False, False, True]
