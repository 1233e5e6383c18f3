"""`cds models route`, `run` and `evaluate` over real files and the real inference process, without an installation."""

from __future__ import annotations

import csv
import json
import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from adapters.dicom.phantom import write_ct_series
from cds.bootstrap.models_evaluate import Evaluated, Wanted, evaluate
from cds.bootstrap.models_run import Place
from cds.commands import models_run
from cds.errors import InvalidInput, NotFound, SightlineError
from models.phantom import Phantom, chest_phantom
from models.registry import load, missing
from tests.peers.dicom_peers import edited
from tests.unit.test_dicom_projection import write

app = typer.Typer()
models_run.mount(app)

#: The grey of a picture is its probability; a picture that is black is refused.
STANDIN_CODE = """
import numpy as np, torch
from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.errors import NotEvaluable

def prepare(manifest, given, task):
    image = given.images[0]
    grey = np.load(image.path).astype(np.float32) / np.iinfo(image.dtype).max
    if image.view not in manifest.inputs.projection.views:
        raise NotEvaluable("the view is not stated", gate="view")
    if grey.max() == 0:
        raise NotEvaluable("the image is black", gate="exposure")
    return torch.tensor([[float(grey.mean())]])

def build(manifest, device):
    return torch.nn.Identity()

def infer(network, prepared, task):
    return network(prepared)[0]

def interpret(manifest, given, prepared, raw, task):
    grey, limit = float(raw[0, 0]), manifest.threshold("bright")
    presence = Presence.PRESENT if grey >= limit else Presence.NOT_DETECTED
    code = manifest.output("bright").code
    finding = Finding("bright", code, presence, threshold=Quantity(limit, "1"), confidence=grey)
    return Findings(manifest.id, manifest.version, given.series_instance_uid, (finding,), device=task.device)
"""
STANDIN = """
id = "standin"
version = "1.0.0"
title = "Says how bright a picture is"
task = "classification"
intended_use = "A test."
not_for = ["Anything else."]
limits = ["It knows grey alone."]
licence = "As the project"
source = ["The test."]
thresholds = [{ name = "bright", value = 0.5, unit = "1", chosen = "The test's own." }]
body_site = { system = "http://snomed.info/sct", code = "51185008", display = "Thorax" }

[[performance]]
statement = "AUC of the made pictures."
dataset = "labels"
measure = "auc"
value = 0.75
n = 4
output = "bright"

[inputs]
modality = "DX"
modalities = ["CR"]
sop_class_uids = ["1.2.840.10008.5.1.4.1.1.1.1"]
body_parts = ["", "CHEST"]
kind = "projection"
projection = { views = ["PA", "AP"], min_rows = 1, min_columns = 1 }

[[outputs]]
key = "bright"
unit = ""
labels = ["Bright", "Pneumonia"]
code = { system = "urn:sightline:observation", code = "bright", display = "Bright" }

[runtime]
max_batch = 8
"""


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CDS_") and name != "CDS_REFERENCE_DIR"]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return chest_phantom(spacing_mm=(3.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def chest(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study of an adult: a sharp series, whose UID sorts first, and a smooth one."""
    folder = tmp_path_factory.mktemp("chest")
    for name, kernel in (("1", "B70f"), ("2", "B30f")):
        for path in write_chest(folder / name, phantom, kernel=kernel):
            with edited(path) as dataset:
                dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.9", f"1.2.9.{name}"
    return folder


def write_chest(folder: Path, phantom: Phantom, **options: Any) -> list[Path]:
    who = {
        "patient_id": "MRN-4711", "issuer": "HOSP", "patient_name": "Zyxwvut^Anna", "birth_date": date(1960, 1, 1),
        "sex": "F", "accession_number": "ACC-1", "accession_issuer": "HOSP", "study_date": date(2026, 1, 1),
    }  # fmt: skip
    return write_ct_series(phantom.hu, phantom.spacing_mm, folder, **(who | options))


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def error_of(result: Result) -> SightlineError:
    assert isinstance(result.exception, SightlineError), result.output
    return result.exception


def told(*arguments: str | Path) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert "Zyxwvut" not in result.output
    assert "MRN-4711" not in result.output
    return json.loads(result.stdout)


# --- route


def test_a_folder_is_routed_series_by_series_with_reasons(chest: Path) -> None:
    (study,) = told("route", chest)
    assert (study["study_instance_uid"], study["age_years"]) == ("1.2.9", 66)
    lung = next(one for one in study["models"] if one["model"] == "ct_lung_density")
    assert lung["chosen"] == ["1.2.9.2", "1.2.9.1"]
    assert [d["standing"] for d in lung["decisions"]] == [
        "100 images; slices of 3 mm; its headers fail the model's gates: kernel",
        "100 images; slices of 3 mm",
    ]
    others = [one for one in study["models"] if not one["chosen"]]
    assert all(d["reason"] for one in others for d in one["decisions"])


def test_the_text_of_a_route_names_no_description_and_nobody(chest: Path) -> None:
    result = call("route", chest, "--model", "ct_lung_density", "--reason", "cough")
    assert result.exit_code == 0
    assert "chosen, 1 (100 images; slices of 3 mm): series 1.2.9.2 (CT, CHEST, 100 images)" in result.output
    for hidden in ("Zyxwvut", "MRN-4711", "ACC-1", "phantom"):
        assert hidden not in result.output


def test_the_age_may_be_said_where_images_do_not(chest: Path) -> None:
    (study,) = told("route", chest, "--model", "ct_lung_density", "--age", "7")
    assert {d["gate"] for d in study["models"][0]["decisions"]} == {"age"}


def test_a_series_whose_uids_were_blanked_is_run_and_its_refusal_is_a_failure_with_the_reason(
    chest: Path, phantom: Phantom, tmp_path: Path
) -> None:
    shutil.copytree(chest / "1", tmp_path / "blank")
    for path in (tmp_path / "blank").iterdir():
        with edited(path) as dataset:
            dataset.StudyInstanceUID = dataset.SeriesInstanceUID = dataset.SOPInstanceUID = ""
    (study,) = told("route", tmp_path, "--model", "ct_lung_density")
    assert [one["images"] for one in study["series"]] == [len(phantom.hu)]
    result = call("run", "ct_lung_density", tmp_path)
    assert result.exit_code == 1
    assert "    not evaluated, gate kernel\n    the kernel B70f is sharp" in result.output


def test_real_files_whose_uids_were_blanked_are_one_series(reference_dir: Path) -> None:
    (study,) = told("route", reference_dir / "images" / "totalseg_ct_dicom", "--model", "ct_lung_density")
    assert [(one["modality"], one["images"]) for one in study["series"]] == [("CT", 20)]


def test_a_wrong_folder_model_or_code_is_told_in_words(chest: Path, tmp_path: Path) -> None:
    assert "holds no DICOM file" in str(error_of(call("route", tmp_path)))
    assert "want a folder" in str(error_of(call("route", tmp_path / "absent")))
    assert "there is no model x; there are: " in str(error_of(call("run", "x", chest)))
    assert "want SYSTEM|CODE" in str(error_of(call("route", chest, "--procedure", "24627-2")))


# --- run


def test_a_model_runs_on_the_series_of_its_route_and_keeps_its_mask(
    chest: Path, phantom: Phantom, tmp_path: Path
) -> None:
    (study,) = told("run", "ct_lung_density", chest, "--out", tmp_path / "kept")
    assert study["evaluated"]
    (tried,) = study["tried"]
    assert (tried["series_instance_uid"], tried["kind"], tried["device"]) == ("1.2.9.2", "findings", "cpu")
    volume = next(one["value"]["value"] for one in tried["findings"] if one["key"] == "lung_volume")
    assert volume == pytest.approx(phantom.imaged.lung_volume_ml, rel=0.03)
    assert tried["timings_ms"]
    (mask,) = study["files"]
    assert Path(mask).parent == tmp_path / "kept" / "study-1"
    assert np.load(mask).shape == phantom.hu.shape


def test_a_study_that_no_series_is_tried_of_says_why(chest: Path) -> None:
    result = call("run", "ct_lung_density", chest, "--age", "7")
    assert result.exit_code == 1
    assert "not evaluated: the patient's age is not one that the model is made for (of 18 years" in result.output


# --- evaluate


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("models")
    (folder / "standin.toml").write_text(STANDIN)
    (folder / "standin.py").write_text(STANDIN_CODE)
    return Place(device="cpu", folder=folder)


def grey(path: Path, value: int) -> None:
    Image.fromarray(np.full((12, 10), value, dtype=np.uint8)).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures that are evaluated, one that is black, one broken, one whose view is not stated."""
    for name, value in (("a.jpg", 250), ("b.png", 100), ("c.png", 200), ("d.png", 20), ("e.png", 0), ("g.png", 90)):
        grey(tmp_path / name, value)
    (tmp_path / "f.jpg").write_bytes(b"no picture")
    (tmp_path / "labels.csv").write_text(
        "file,finding_labels,patient_id,sex,view\n"
        "a.jpg,Bright,1,F,PA\nb.png,Pneumonia,2,F,PA\nc.png,No Finding,3,M,AP\nd.png,No Finding,4,M,PA\n"
        "e.png,Bright,5,F,PA\nf.jpg,No Finding,6,F,PA\ng.png,No Finding,7,F,\nh.png,Bright,8,F,PA\n"
    )
    return tmp_path


def measured(pictures: Path, place: Place, **wanted: Any) -> Evaluated:
    return evaluate("standin", Wanted(pictures, pictures / "labels.csv", min_positives=1, **wanted), place)


def test_pictures_are_evaluated_through_the_inference_process(pictures: Path, standin: Place) -> None:
    done = measured(pictures, standin)
    auc = done.found.figure("auc", "bright")
    assert auc is not None
    # 250 and 100 against 200 and 20: three of four pairs
    assert (auc.interval.value, auc.n, auc.positives) == (0.75, 4, 2)
    assert {(one.gate, one.count) for one in done.found.refused} == {("exposure", 1), ("decode", 1), ("view", 1)}
    assert "1 files are not there (line 9)" in done.found.notices
    assert done.rows[0].scores["bright"] == pytest.approx(250 / 255, abs=0.01)
    assert (done.found.device, done.found.thresholds) == ("cpu", (("bright", 0.5),))
    assert done.differences() == ()


def test_a_view_may_be_said_for_all_pictures_that_state_none(pictures: Path, standin: Place) -> None:
    done = measured(pictures, standin, view="AP")
    assert {one.gate for one in done.found.refused} == {"exposure", "decode"}
    assert done.found.figure("auc", "bright") is not None
    assert any("is of 5 images, stated is 4" in text for text in done.differences())


def test_a_radiograph_in_dicom_is_evaluated_with_its_own_view(pictures: Path, standin: Place) -> None:
    bright = np.full((12, 10), 60000, dtype=np.uint16)
    write(pictures / "x.dcm", pixels=bright, ViewPosition="PA", BitsStored=16, HighBit=15)
    (pictures / "labels.csv").write_text("file,finding_labels\nx.dcm,Bright\nc.png,No Finding\n")
    done = measured(pictures, standin, view="AP")
    assert [round(one.scores["bright"], 2) for one in done.rows] == [0.92, 0.78]


def test_real_radiographs_are_evaluated_in_groups(standin: Place, reference_dir: Path, tmp_path: Path) -> None:
    source = reference_dir / "images" / "nih_chest_xray"
    if not source.is_dir():
        pytest.skip("the reference data have no NIH radiographs")
    with (source / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    one = "muhammedtalo+COVID-19"
    here = [row for row in rows if row["source_repo"] == one and (source / "images" / row["file"]).is_file()]
    chosen = [row for row in here if row["finding_labels"] == "Pneumonia"][:6]
    chosen += [row for row in here if row["finding_labels"] == "No Finding"][:6]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(chosen)
    wanted = Wanted(source / "images", tmp_path / "labels.csv", min_positives=1)
    done = evaluate("standin", wanted, standin)
    assert (done.found.n, done.found.evaluated) == (12, 12)
    auc, of_source = done.found.figure("auc", "bright"), done.found.figure(f"auc[source_repo={one}]", "bright")
    assert auc is not None
    assert of_source is not None
    assert (of_source.interval, of_source.n, of_source.positives) == (auc.interval, 12, 6)
    assert all(0 < one.scores["bright"] < 1 for one in done.rows)


def test_a_table_none_of_whose_files_is_there_is_refused(pictures: Path, standin: Place) -> None:
    (pictures / "labels.csv").write_text("file,finding_labels\nzzz.png,Bright\n")
    with pytest.raises(InvalidInput, match="none of the files of the table") as refused:
        measured(pictures, standin)
    assert "zzz" not in str(refused.value)
    with pytest.raises(NotFound, match="want a folder of images"):
        evaluate("standin", Wanted(pictures / "absent", pictures / "labels.csv"), standin)


def test_a_model_that_measures_is_held_to_true_values(chest: Path, phantom: Phantom, tmp_path: Path) -> None:
    shutil.copytree(chest / "2", tmp_path / "cases" / "smooth")
    shutil.copytree(chest / "1", tmp_path / "cases" / "sharp")
    grey(tmp_path / "cases" / "one.png", 90)
    truth = phantom.imaged
    (tmp_path / "truth.csv").write_text(
        "file,lung_volume,laa_950\n"
        f"smooth,{truth.lung_volume_ml},{truth.laa_950_percent}\nsharp,{truth.lung_volume_ml},\none.png,1,1\n"
    )
    scores = tmp_path / "scores.csv"
    found = told("evaluate", "ct_lung_density", "--images", tmp_path / "cases", "--labels", tmp_path / "truth.csv",
                 "--out", scores, "--dataset", "phantoms")  # fmt: skip
    bias = {one["output"]: one["value"] for one in found["figures"] if one["measure"] == "bias"}
    assert abs(bias["lung_volume"]) < 0.03 * truth.lung_volume_ml
    assert abs(bias["laa_950"]) < 1.0
    assert {one["gate"] for one in found["refused"]} == {"kernel", "input"}
    assert (found["dataset"], found["evaluated"], found["images"]) == ("phantoms", 1, 3)
    lines = list(csv.DictReader(scores.open()))
    assert float(lines[0]["lung_volume.value"]) == pytest.approx(truth.lung_volume_ml, rel=0.03)
    assert (lines[1]["gate"], lines[1]["lung_volume.value"]) == ("kernel", "")


def test_a_check_against_a_data_set_that_the_manifest_does_not_know_is_an_error(chest: Path, tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("file,lung_volume\n2,4000\n")
    result = call("evaluate", "ct_lung_density", "--images", chest, "--labels", tmp_path / "truth.csv", "--check")
    assert "states no figure of the dataset 'truth'" in str(error_of(result))


def test_the_chest_radiograph_model_is_evaluated_on_real_images(reference_dir: Path, tmp_path: Path) -> None:
    model, source = load().get("chest_xray"), reference_dir / "images" / "nih_chest_xray"
    if model is None or missing(model) or not source.is_dir():
        pytest.skip("the chest radiograph model, its weights or the NIH radiographs are not here")
    with (source / "labels.csv").open() as file:
        lines = [
            line for line in file if line.startswith("file,") or (source / "images" / line.split(",")[0]).is_file()
        ]
    (tmp_path / "labels.csv").write_text("".join(lines[:25]))
    found = told("evaluate", "chest_xray", "--images", source / "images", "--labels", tmp_path / "labels.csv",
                 "--min-positives", "1")  # fmt: skip
    assert found["images"] == 24
    assert found["evaluated"] > 12
    assert any(one["measure"] == "macro_auc" and 0.0 <= one["value"] <= 1.0 for one in found["figures"])
