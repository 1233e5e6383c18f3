"""Models asked by hand: which would look at what of a folder, and what one of them says. Nothing is stored or sent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.dicom.volume import LocalImages
from cds.bootstrap.models_folder import FolderStudy, studies
from cds.domain.finding import Findings, ModelOutcome, NotEvaluated
from cds.domain.imaging import ImageRef, ModelInput, Projections, SeriesSummary
from cds.domain.inference import RunWish, StudyFacts
from cds.errors import NotEvaluable, NotFound
from cds.limits import DicomLimits
from cds.ports import ImageSource
from cds.settings import Settings
from models.manifest import Manifest
from models.registry import load
from models.routing import Route, route, routes
from models.runtime import Runtime

_NO_SERIES = "no series of this study is one that the model reads"


@dataclass(frozen=True, slots=True)
class RoutedStudy:
    """What every model does with one study."""

    study: FolderStudy
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """What a model said of one series, or of the projections that begin with it."""

    series_instance_uid: str
    outcome: ModelOutcome


@dataclass(frozen=True, slots=True)
class StudyRun:
    """What a model said of one study: its route, each series tried, the files that it wrote."""

    study_instance_uid: str
    route: Route
    tried: tuple[Tried, ...]
    files: tuple[Path, ...] = ()

    @property
    def findings(self) -> Findings | None:
        """The findings, None where nothing was evaluated."""
        return next((one.outcome for one in self.tried if isinstance(one.outcome, Findings)), None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the models lie and how they run: as the settings say, or the shipped ones without an installation.

    `folder` holds models with code in place of the shipped ones.
    """

    models_dir: Path | None = None
    device: str = "auto"
    limits: DicomLimits = field(default_factory=DicomLimits)
    torchscript: bool = False
    folder: Path | None = None

    @classmethod
    def of(cls, settings: Settings | None, models_dir: Path | None = None, device: str = "") -> Place:
        """By the settings where there are any; what is given comes first."""
        if settings is None:
            return cls(models_dir, device or "auto")
        return cls(
            models_dir or settings.models_folder,
            device or settings.device,
            settings.dicom_limits,
            settings.allow_torchscript,
        )

    def manifests(self) -> dict[str, Manifest]:
        """Every model by its id."""
        return load(self.folder, self.models_dir, torchscript=self.torchscript)

    def manifest(self, model: str) -> Manifest:
        """One model by its id; raise NotFound."""
        known = self.manifests()
        if model not in known:
            raise NotFound(f"there is no model {model}; there are: {', '.join(known)}")
        return known[model]

    def runtime(self) -> Runtime:
        """An inference process that builds the network of the model that is asked for, and no other."""
        return Runtime(
            self.device, folder=self.folder, models_dir=self.models_dir, memory_mb=1, torchscript=self.torchscript
        )


def route_folder(folder: Path, order: StudyFacts, place: Place, model: str = "") -> tuple[RoutedStudy, ...]:
    """Which model looks at which series of each study of a folder, with the reasons."""
    asked = [place.manifest(model)] if model else list(place.manifests().values())
    return tuple(RoutedStudy(study, routes(asked, study.series, study.facts)) for study in studies(folder, order))


def run_folder(
    model: str, folder: Path, order: StudyFacts, place: Place, *, out: Path | None = None, wish: RunWish | None = None
) -> Iterator[StudyRun]:
    """What a model says of each study of a folder; masks and heat maps are kept in `out`.

    Raise NotFound where there is no such model or no image, and what `Runtime.run` raises.
    """
    chosen = place.manifest(model)
    found = studies(folder, order)
    with TemporaryDirectory() as temporary, place.runtime() as running:
        for number, study in enumerate(found, start=1):
            scratch = Path(temporary) / str(number)
            scratch.mkdir()
            asked = Asked(chosen, running, LocalImages(folder, place.limits), scratch, wish)
            run = run_study(asked, study)
            yield run if out is None else _kept(run, out / f"study-{number}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A model, and what it needs to answer."""

    manifest: Manifest
    runtime: Runtime
    images: ImageSource
    scratch: Path
    wish: RunWish | None = None

    def ask(self, given: ModelInput) -> ModelOutcome:
        """The model's answer."""
        return self.runtime.run(self.manifest.id, given, self.scratch, self.wish)

    def refused(self, error: NotEvaluable, series_instance_uid: str) -> NotEvaluated:
        """A series of which there is no volume or image."""
        return NotEvaluated(self.manifest.id, self.manifest.version, (str(error),), error.gate, series_instance_uid)


def run_study(asked: Asked, study: FolderStudy) -> StudyRun:
    """The series in the order of the route until one is evaluated; projections together."""
    taken = route(asked.manifest, study.series, study.facts)
    by_uid = {one.series_instance_uid: one for one in study.series}
    chosen = [by_uid[uid] for uid in taken.chosen]
    tried = (_projections if asked.manifest.inputs.kind == "projection" else _volumes)(asked, chosen)
    return StudyRun(study.study_instance_uid, taken, tuple(_cautioned(one, taken) for one in tried))


def _volumes(asked: Asked, chosen: Sequence[SeriesSummary]) -> Iterator[Tried]:
    for series in chosen:
        uid = series.series_instance_uid
        try:
            outcome = asked.ask(asked.images.volume(series, asked.scratch))
        except NotEvaluable as error:
            outcome = asked.refused(error, uid)
        yield Tried(uid, outcome)
        if isinstance(outcome, Findings):
            return


def _projections(asked: Asked, chosen: Sequence[SeriesSummary]) -> Iterator[Tried]:
    """A series without an image has its own reason; the images of the others are one input."""
    images: list[ImageRef] = []
    for series in chosen:
        try:
            images += asked.images.images(series, asked.scratch)
        except NotEvaluable as error:
            yield Tried(series.series_instance_uid, asked.refused(error, series.series_instance_uid))
    if images:
        yield Tried(images[0].series_instance_uid, asked.ask(Projections(tuple(images))))


def _cautioned(tried: Tried, taken: Route) -> Tried:
    if not isinstance(tried.outcome, Findings):
        return tried
    return replace(tried, outcome=replace(tried.outcome, limits=(*taken.cautions, *tried.outcome.limits)))


def _kept(run: StudyRun, out: Path) -> StudyRun:
    """Copy what the model wrote; the outcome names the copies."""
    found = run.findings
    if found is None or not (found.masks or found.heat_maps):
        return run
    out.mkdir(parents=True, exist_ok=True)
    masks = tuple(replace(mask, path=_copied(mask.path, out)) for mask in found.masks)
    maps = tuple(replace(one, path=_copied(one.path, out)) for one in found.heat_maps)
    tried = tuple(
        replace(one, outcome=replace(one.outcome, masks=masks, heat_maps=maps))
        if isinstance(one.outcome, Findings)
        else one
        for one in run.tried
    )
    files = [Path(mask.path) for mask in masks] + [Path(one.path) for one in maps]
    return replace(run, tried=tried, files=tuple(files))


def _copied(path: str, out: Path) -> str:
    target = out / Path(path).name
    shutil.copyfile(path, target)
    return str(target)


def reason_of(run: StudyRun) -> str:
    """Why a study was not evaluated, where no series was even tried."""
    if run.tried:
        return ""
    told = [d.reason for d in run.route.decisions if d.gate in ("age", "contrast")]
    return "; ".join(dict.fromkeys(told)) or _NO_SERIES
