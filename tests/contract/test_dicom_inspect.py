"""The command `cds dicom inspect`: files and folders, as text and as JSON, with and without a configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds.commands.dicom import app
from tests.peers.dicom_peers import write_series

KEYS = [
    "file", "verdict", "reason", "sop_class_uid", "sop_class", "transfer_syntax_uid", "transfer_syntax", "modality",
    "study_instance_uid", "series_instance_uid", "sop_instance_uid", "patient_id", "rows", "columns", "frames",
    "samples", "bits_allocated", "bits_stored", "signed", "photometric", "decoded", "decode_reason", "dtype", "minimum",
    "maximum", "mean", "pixel_sha256", "slope", "intercept", "pixel_spacing", "spacing_source", "position",
    "orientation", "slice_thickness", "view", "laterality", "character_set", "geometry", "problems", "own",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CDS_") and name != "CDS_REFERENCE_DIR"]:
        monkeypatch.delenv(name)


def inspect(*arguments: str | Path) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


def entries(*arguments: str | Path) -> list[dict[str, Any]]:
    result = inspect("--json", *arguments)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_one_array_with_one_object_for_each_file_and_the_same_keys(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    (tmp_path / "s" / "notes.txt").write_text("no image")
    found = entries(paths[1], tmp_path / "s")
    assert [entry["file"] for entry in found] == [str(p) for p in [paths[1], *paths, tmp_path / "s" / "notes.txt"]]
    assert all(list(entry) == KEYS for entry in found)
    assert [entry["verdict"] for entry in found] == ["image"] * 7 + ["unreadable"]
    assert found[0] == found[2]
    assert (found[0]["patient_id"], found[0]["modality"], found[0]["decoded"]) == ("P-1", "CT", True)
    assert found[0]["geometry"] == {
        "stacks": [
            {"label": "", "orientation": "", "slices": 1, "shape": [8, 10], "spacing_mm": None,
             "refusal": "a volume needs at least two slices"}
        ]
    }  # fmt: skip


def test_the_text_says_verdict_pixels_place_and_doubts(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "s")[:1]
    path.write_bytes(path.read_bytes()[132:])  # no preamble, no prefix
    result = inspect(path)
    assert result.exit_code == 0
    for told in (": image", "CT Image Storage", "8 x 10", "16 of 16 bits", "signed", "0.7 x 0.8 mm (pixel)",
                 "rescale 1 / -1024", "1 slice", "without preamble"):  # fmt: skip
        assert told in result.stdout


def test_a_file_that_cannot_be_opened_is_an_entry_and_exit_code_1(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "s")[:1]
    result = inspect("--json", tmp_path / "gone.dcm", path)
    assert result.exit_code == 1
    gone, there = json.loads(result.stdout)
    assert (gone["verdict"], gone["reason"]) == ("unreadable", "it cannot be opened: No such file or directory")
    assert there["verdict"] == "image"


def test_an_empty_folder_is_an_empty_array(tmp_path: Path) -> None:
    assert entries(tmp_path) == []


def test_without_json_an_empty_folder_is_told_in_words(tmp_path: Path) -> None:
    result = inspect(tmp_path)
    assert result.exit_code == 1
    assert "want at least one file" in result.output


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "s", patient_id="1\x1b[31m")[:1]
    assert "\x1b" not in inspect(path).stdout


def test_a_configuration_with_mistakes_is_told_and_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write_series(tmp_path / "s")[:1]
    monkeypatch.setenv("CDS_DICOM_PORT", "many")
    result = inspect("--json", path)
    assert result.exit_code == 0
    assert "The configuration has mistakes" in result.stderr
    assert json.loads(result.stdout)[0]["verdict"] == "image"


def test_the_limits_of_the_configuration_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write_series(tmp_path / "s", None)[:1]
    monkeypatch.setenv("CDS_DICOM_LIMITS", json.dumps({"max_instance_bytes": 1024}))
    with path.open("ab") as file:
        file.write(bytes(1 << 17))
    (found,) = entries(path)
    assert (found["verdict"], "size limit" in found["reason"]) == ("refused", True)


def test_the_program_needs_no_database_and_leaves_nothing_running(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "s")[:1]
    script = "import sys; from cds.commands.dicom import app; app(sys.argv[1:])"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script, "inspect", "--json", str(path)],
        capture_output=True, check=True, timeout=60, env=environment,
    )  # fmt: skip
    assert json.loads(done.stdout)[0]["verdict"] == "image"
    assert done.stderr == b""


def test_every_file_of_the_reference_folder_has_a_verdict(reference_dir: Path) -> None:
    folder = reference_dir / "reference" / "dicom"
    found = entries(folder)
    assert {entry["file"] for entry in found} == {str(path) for path in folder.rglob("*") if path.is_file()}
    assert {entry["verdict"] for entry in found} == {"image", "not-an-image", "refused", "unreadable"}
    assert sum(entry["decoded"] is True for entry in found) > 100
    assert all(entry["reason"] for entry in found if entry["verdict"] != "image")
    assert all(len(entry["pixel_sha256"]) == 64 for entry in found if entry["verdict"] == "image")
