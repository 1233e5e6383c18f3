"""`cds models route | run | evaluate`: models asked by hand, on folders of images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cds.commands.common import EXIT_FAILED
from cds.domain.coding import Coding
from cds.domain.inference import Progress, RunWish, StudyFacts
from cds.errors import ConfigurationError, InvalidInput
from cds.settings import load

if TYPE_CHECKING:
    from cds.bootstrap.models_run import Place

_Folder = Annotated[Path, typer.Argument(help="a folder of DICOM files")]
_Model = Annotated[str, typer.Argument(metavar="MODEL", help="the model's id, see cds models list")]
_Json = Annotated[bool, typer.Option("--json", help="as JSON")]
_Procedures = Annotated[
    list[str] | None, typer.Option("--procedure", metavar="SYSTEM|CODE", help="a procedure code of the order")
]
_Reason = Annotated[str, typer.Option("--reason", help="the order's reason in words")]
_Age = Annotated[int | None, typer.Option("--age", min=0, max=150, help="years, where the images do not say it")]
_Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda; the setting where it is left out")]

_ModelsDir = Annotated[
    Path | None,
    typer.Option("--models-dir", envvar="CDS_MODELS_DIR", file_okay=False, help="the site's models and weights"),
]


def route(
    folder: _Folder,
    *,
    model: Annotated[str, typer.Option("--model", help="one model alone")] = "",
    procedure: _Procedures = None,
    reason: _Reason = "",
    age: _Age = None,
    models_dir: _ModelsDir = None,
    as_json: _Json = False,
) -> None:
    """Say which model looks at which series of a folder, in which order, and why not at the others.

    Only headers are read. Series are named by their UID, modality and body part; no description is shown.
    """
    from cds.bootstrap.models_run import route_folder
    from cds.commands import models_shown as shown

    found = route_folder(folder, _facts(procedure, reason, age), _place(models_dir), model)
    typer.echo(shown.routes_as_json(found) if as_json else shown.routes_as_text(found))


def run(
    model: _Model,
    folder: _Folder,
    *,
    out: Annotated[Path | None, typer.Option("--out", file_okay=False, help="keep masks and heat maps here")] = None,
    procedure: _Procedures = None,
    age: _Age = None,
    models_dir: _ModelsDir = None,
    device: _Device = "",
    as_json: _Json = False,
) -> None:
    """Run one model on a folder of DICOM files; exit code 1 where no study was evaluated.

    Each series is tried in the order of `cds models route` until one is evaluated; a refusal has its reason. The
    model runs whatever its mode is at this site, and nothing is stored or sent.
    """
    from cds import logs
    from cds.bootstrap.models_run import run_folder
    from cds.commands import models_shown as shown

    logs.configure("models-run", "ERROR")
    order, place = _facts(procedure, "", age), _place(models_dir, device)
    found = list(run_folder(model, folder, order, place, out=out, wish=RunWish(progress=_told)))
    typer.echo(shown.runs_as_json(found) if as_json else shown.runs_as_text(found))
    if not any(one.findings for one in found):
        raise typer.Exit(EXIT_FAILED)


def evaluate(
    model: _Model,
    *,
    images: Annotated[Path, typer.Option("--images", help="folder of images: JPEG, PNG, DICOM, or a folder per case")],
    labels: Annotated[Path, typer.Option("--labels", help="CSV with a column file and the truth")],
    by: Annotated[list[str] | None, typer.Option("--by", help="one more column that makes subgroups")] = None,
    dataset: Annotated[str, typer.Option("--dataset", help="its name in the manifest's performance")] = "",
    min_positives: Annotated[int, typer.Option(min=1, help="of an output that counts in the macro AUC")] = 15,
    view: Annotated[str, typer.Option("--view", help="what pictures show whose table has no column view")] = "",
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="write each image's scores, as CSV")] = None,
    check: Annotated[bool, typer.Option("--check", help="exit code 1 where the manifest states other figures")] = False,
    models_dir: _ModelsDir = None,
    device: _Device = "",
    as_json: _Json = False,
) -> None:
    """Measure a model on images whose truth is known, through the production path, with 95 % intervals.

    The truth is a column finding_labels ("Effusion|Mass", "No Finding"), a column for each label, or for a model that
    measures a column for each output. Columns source_repo, sex, age and view make subgroups; intervals are drawn by
    patient_id with a fixed seed. Images that a gate refuses are counted with the reason.
    """
    from cds import logs
    from cds.bootstrap.models_evaluate import Wanted, evaluate
    from models.evaluation import telling

    logs.configure("models-evaluate", "ERROR")
    wanted = Wanted(images, labels, tuple(by or ()), dataset, min_positives, view, check)
    done = evaluate(model, wanted, _place(models_dir, device), _counted)
    different = done.differences() if check else None
    if out is not None:
        _write(out, telling.as_csv(done.manifest, done.rows))
    typer.echo(telling.as_json(done.found, different) if as_json else telling.as_text(done.found))
    for text in () if as_json else different or ():
        typer.echo(f"differs from the manifest: {text}", err=True)
    if different:
        raise typer.Exit(EXIT_FAILED)


def mount(app: typer.Typer) -> None:
    """Add the commands to `cds models`."""
    for command in (route, run, evaluate):
        app.command()(command)


def _facts(procedures: list[str] | None, reason: str, age: int | None) -> StudyFacts:
    return StudyFacts(age_years=age, procedures=tuple(map(_coding, procedures or ())), reason=reason)


def _coding(text: str) -> Coding:
    system, apart, code = text.partition("|")
    if not (system and apart and code):
        raise InvalidInput("want SYSTEM|CODE for --procedure, as http://loinc.org|24627-2")
    return Coding(system, code)


def _place(models_dir: Path | None, device: str = "") -> Place:
    """As the settings say; where there is no installation, the shipped models and the limits' defaults do."""
    from cds.bootstrap.models_run import Place

    try:
        return Place.of(load(), models_dir, device)
    except ConfigurationError as error:
        for line in ("The configuration has mistakes, so that it is not used here:", *error.mistakes):
            typer.echo(line, err=True)
        return Place.of(None, models_dir, device)


def _told(progress: Progress) -> None:
    _line(f"{progress.step} {progress.done} of {progress.total}", ended=progress.done >= progress.total)


def _counted(done: int, total: int) -> None:
    _line(f"{done} of {total} images", ended=done == total)


def _line(text: str, *, ended: bool) -> None:
    """On a terminal alone, one line that is written over."""
    if sys.stderr.isatty():
        typer.echo(f"\r{text:<60}", nl=ended, err=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"the scores cannot be written: {error.strerror}") from None
