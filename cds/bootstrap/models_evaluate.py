"""A model measured on images whose truth is known, through the same inference process as every study."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.dicom.volume import LocalImages
from cds.bootstrap.models_folder import studies
from cds.bootstrap.models_run import Asked, Place, run_study
from cds.domain.finding import ModelOutcome, NotEvaluated
from cds.domain.imaging import ImageRef, Projections, SeriesSummary
from cds.domain.inference import StudyFacts
from cds.errors import InvalidInput, NotEvaluable, NotFound
from cds.limits import DicomLimits
from models.evaluation.evaluate import differences, evaluation, stated
from models.evaluation.pictures import SUFFIXES, read_picture
from models.evaluation.report import Evaluation
from models.evaluation.scored import Scored, score
from models.evaluation.table import Row, Table, lines_told, read_table
from models.manifest import Manifest
from models.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is evaluated: the images, their truth, subgroups beside the usual, the name of the data set.

    `view` is what pictures show whose table has no column view; "" leaves it unknown. With `check` the manifest must
    have figures of the data set, which is asked before anything runs.
    """

    images: Path
    labels: Path
    by: tuple[str, ...] = ()
    dataset: str = ""
    min_positives: int = 15
    view: str = ""
    check: bool = False

    @property
    def name(self) -> str:
        """The data set's name; the table's where none is given."""
        return self.dataset or self.labels.stem


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The evaluation, and what was said of each row."""

    manifest: Manifest
    found: Evaluation
    rows: tuple[Scored, ...]

    def differences(self) -> tuple[str, ...]:
        """How it differs from the figures of the manifest for the same data set; InvalidInput where it has none."""
        return tuple(one.text for one in differences(self.manifest, self.found))


def evaluate(
    model: str, wanted: Wanted, place: Place, told: Callable[[int, int], None] = lambda _done, _total: None
) -> Evaluated:
    """Run the model on every image of the table; `told` hears how many are done.

    Raise InvalidInput where the table cannot be used, NotFound where there is no such model or none of the images, and
    what `Runtime.run` raises: an image that breaks the model ends the evaluation.
    """
    chosen = place.manifest(model)
    if not wanted.images.is_dir():
        raise NotFound("want a folder of images")
    if wanted.check:
        stated(chosen, wanted.name)
    table = read_table(wanted.labels, chosen, wanted.by)
    rows, notices = _there(table, wanted.images)
    notices = [*notices, *_outside(chosen)]
    start = time.monotonic()
    with TemporaryDirectory() as scratch, place.runtime() as running:
        examiner = _Examiner(chosen, running, wanted, Path(scratch), place.limits)
        scored = score(rows, examiner.examine, told)
    found = evaluation(
        chosen,
        table,
        scored,
        dataset=wanted.name,
        min_positives=wanted.min_positives,
        seconds=time.monotonic() - start,
        notices=notices,
    )
    return Evaluated(chosen, found, tuple(scored))


@dataclass(frozen=True, slots=True)
class _Examiner:
    manifest: Manifest
    runtime: Runtime
    wanted: Wanted
    scratch: Path
    limits: DicomLimits

    def examine(self, row: Row) -> ModelOutcome:
        """What the production path says of one row; its arrays are gone afterwards."""
        path = self.wanted.images / row.file
        with TemporaryDirectory(dir=self.scratch) as scratch:
            if path.is_dir():
                return self._case(path, Path(scratch))
            asked = Asked(self.manifest, self.runtime, LocalImages(self.wanted.images, self.limits), Path(scratch))
            try:
                return asked.ask(Projections((self._image(asked, row, path),)))
            except NotEvaluable as error:
                return asked.refused(error, "")

    def _image(self, asked: Asked, row: Row, path: Path) -> ImageRef:
        inputs, view = self.manifest.inputs, row.view or self.wanted.view
        if inputs.kind != "projection":
            raise NotEvaluable("the model reads volumes: want a folder of DICOM files for each case", gate="input")
        if path.suffix.lower() in SUFFIXES:
            return read_picture(path, asked.scratch, modality=inputs.modality, view=view)
        image = asked.images.images(_one_file(row.file), asked.scratch)[0]
        return replace(image, view=image.view or view)

    def _case(self, folder: Path, scratch: Path) -> ModelOutcome:
        """The study of a folder; the last refusal where no series of it is evaluated."""
        here = self.manifest
        try:
            study, *others = studies(folder, StudyFacts())
        except NotFound as error:
            return NotEvaluated(here.id, here.version, (str(error),), "input")
        if others:
            return NotEvaluated(here.id, here.version, ("the case's folder holds several studies",), "input")
        run = run_study(Asked(here, self.runtime, LocalImages(folder, self.limits), scratch), study)
        refusals = [one.outcome for one in run.tried]
        return run.findings or (refusals[0] if refusals else _not_routed(here))


def _not_routed(manifest: Manifest) -> NotEvaluated:
    return NotEvaluated(manifest.id, manifest.version, ("no series is one that the model reads",), "series")


def _one_file(name: str) -> SeriesSummary:
    return SeriesSummary("", "", "", "", "", (), (), (name,))


def _there(table: Table, images: Path) -> tuple[list[Row], list[str]]:
    """The rows whose image is there, and how many are not."""
    rows = [row for row in table.rows if (images / row.file).exists()]
    missing = [row.line for row in table.rows if not (images / row.file).exists()]
    if not rows:
        raise InvalidInput("none of the files of the table is below the folder of images")
    return rows, [f"{len(missing)} files are not there ({lines_told(missing)})"] if missing else []


def _outside(manifest: Manifest) -> Sequence[str]:
    inputs = manifest.inputs
    if inputs.min_age_years is None and inputs.max_age_years is None:
        return []
    return ["ages are not asked here: images of patients whose age the model is not made for are in the figures"]
