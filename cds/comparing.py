"""Step 4 of a study: every finding with a value beside the same finding of the earlier study.

The earlier study is read by the same version of the same model: from what it said then, or by running it on the
earlier images now. A comparison never holds up a result: what cannot be compared says why, in the timeline.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from cds import reading
from cds.domain.finding import Findings, ModelOutcome
from cds.domain.inference import RunWish
from cds.domain.longitudinal import Compared, Earlier, with_changes
from cds.domain.longitudinal import compare as changes
from cds.domain.model import FindingModel
from cds.domain.order import QUEUE_PRIORITY, Priority
from cds.domain.prior import PriorStudy
from cds.domain.revision import Work
from cds.domain.switch import SwitchKind
from cds.errors import Cancelled, NotFound, Unavailable
from cds.line import Line

#: The study itself comes first; its comparison waits behind others that are as urgent.
_PLACE = QUEUE_PRIORITY[Priority.ROUTINE]


def compare(line: Line, work_id: str) -> int:
    """Step 4: what changed since the earlier study. Answers how many findings could be compared."""
    work = line.works.work(work_id)
    study = line.studies.study(work.study_instance_uid)
    found: list[Compared] = []
    told: list[str] = []
    asking = [(m, f) for m in reading.active(line, study) if (f := _findings(line.works.outcomes(work), m)) is not None]
    priors = line.priors.of_study(study.study_instance_uid) if asking else ()
    for model, findings in asking:
        compared, words = _compared(line, work, study.study_date, (model, findings), priors)
        found += compared
        told += words
    line.works.save_step(
        work, "compare", tuple[Compared, ...], tuple(found), line.clock.now(), outcome="done", detail=tuple(told)
    )
    return len(found)


def applied(line: Line, work: Work, outcomes: Iterable[ModelOutcome]) -> tuple[ModelOutcome, ...]:
    """The outcomes with the changes that step 4 found."""
    found: tuple[Compared, ...] = line.works.step(work.id, "compare", tuple[Compared, ...]) or ()
    return tuple(with_changes(one, found) if isinstance(one, Findings) else one for one in outcomes)


def _compared(
    line: Line, work: Work, today: date | None, asking: tuple[FindingModel, Findings], priors: Iterable[PriorStudy]
) -> tuple[tuple[Compared, ...], list[str]]:
    """The changes since the newest earlier study that the model could read, and what to tell of it."""
    model, findings = asking
    told: list[str] = []
    for prior in list(priors)[: model.priors]:
        made = prior.study.study_date
        if made is None or today is None:
            continue
        earlier, reason = _read(line, work, model, prior)
        if earlier is None:
            told.append(f"{model.id}: not compared with the study of {made:%Y-%m-%d}: {reason}")
            continue
        then = Earlier(prior.study.study_instance_uid, made, earlier)
        found = changes(findings, today, then, model.repeatability)
        told.append(f"{model.id}: {len(found)} findings compared with the study of {made:%Y-%m-%d}")
        return found, told
    return (), told


def _read(line: Line, work: Work, model: FindingModel, prior: PriorStudy) -> tuple[Findings | None, str]:
    """What this version of the model says of an earlier study; None, and why, where it says nothing."""
    known = next((o for o in prior.outcomes if (o.model, o.version) == (model.id, model.version)), None)
    if known is None:
        try:
            known = _run(line, work, model, prior)
        except Cancelled:
            return None, "the model was switched off"
        except NotFound:
            return None, "its images are not here any more"
        except Unavailable:
            return None, "it could not be read now"
    if isinstance(known, Findings):
        return known, ""
    return None, "; ".join(known.reasons)


def _run(line: Line, work: Work, model: FindingModel, prior: PriorStudy) -> ModelOutcome:
    about = reading.facts(prior.study, ())
    folder = f"{work.id}-prior"
    wish = RunWish(_PLACE, lambda: line.switches.off(SwitchKind.MODEL, model.id))
    try:
        asked = reading.Asked(prior.series, about, wish)
        return reading.said(line, folder, model, asked, reading.look(line, folder, model, asked))
    finally:
        line.artifacts.remove(folder)


def _findings(outcomes: Iterable[ModelOutcome], model: FindingModel) -> Findings | None:
    """What this version of the model found, where it found anything and is made to compare."""
    if not model.priors:
        return None
    mine = (o for o in outcomes if isinstance(o, Findings) and (o.model, o.version) == (model.id, model.version))
    return next(mine, None)
