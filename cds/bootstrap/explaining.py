"""What the pathways of this site say to files (`cds pathways explain` and `order`): nothing is stored, nobody is asked.

For the committee that has to approve a pathway, and for tests. One that fails is told with the place: no patient stands
behind a file.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cds import ordering, pathways
from cds.bootstrap.case_files import FindingsFile, Record, members, read_findings, read_orders, read_record
from cds.domain.finding import Findings
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.recommendation import Case, CouldNotTell, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways.declaration import Pathway
from cds.pathways.merging import merged
from cds.settings import Settings


@dataclass(frozen=True, slots=True)
class Explained:
    """A case from files and what each pathway said of it, merged as a reader gets it; `remarks` are on the files."""

    case: Case
    outcomes: tuple[PathwayOutcome, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ordered:
    """A draft order from a file, and what the checks said of it."""

    order: ImagingOrder
    outcomes: tuple[PathwayOutcome, ...]


def explain(
    patient: Path,
    findings: Path,
    only: Collection[str] = (),
    site: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Explained:
    """Evaluate the installed pathways, or some of them; raise InvalidInput for a file that is not as wanted.

    The options are those of the settings, over them those of the file, and over both those of `site`.
    """
    installed = pathways.load()
    _known(only, installed, "pathway")
    case = read(patient, findings, site, settings)
    if mistakes := ordering.mistakes(case.site):
        raise InvalidInput("; ".join(mistakes))
    outcomes = pathways.evaluate(case, only or installed.keys())
    _whole(case, outcomes, installed)
    return Explained(case, merged(outcomes), tuple(_unread(case, installed)))


def explain_orders(
    settings: Settings, patient: Path, orders: Path, record: Record, only: Collection[str] = ()
) -> tuple[tuple[Ordered, ...], int]:
    """What the checks before an order is signed say to each draft, and how many resources of the file were none."""
    from adapters.fhir.draft_order import read_draft_orders

    installed = ordering.load()
    _known(only, installed, "check")
    ehr, bundle = read_record(patient, record), read_orders(orders)
    drafts = read_draft_orders({"draftOrders": bundle}, exams(settings))
    if not drafts:
        raise InvalidInput(f"{orders.name}: want a ServiceRequest of status draft, or a Bundle of them")
    found: list[Ordered] = []
    for order in drafts:
        case = Case(
            study_date=record.today,
            study_instance_uid="",
            modality=order.exam.modality if order.exam else "",
            outcomes=(),
            ehr=ehr,
            today=record.today,
            site=settings.options_of(),
            procedures=order.codes,
            language=settings.language_of(),
            order=order,
        )
        outcomes = ordering.evaluate(case, only or installed.keys())
        _whole(case, outcomes, installed)
        found.append(Ordered(order, outcomes))
    return tuple(found), len(members(bundle)) - len(drafts)


def exams(settings: Settings) -> dict[str, Exam]:
    """What the site's own imaging codes ask for."""
    told = settings.exams.items()
    return {code: Exam(one.modality, one.region, one.contrast, one.angiography) for code, one in told}


def read(
    patient: Path, findings: Path, site: Mapping[str, str] | None = None, settings: Settings | None = None
) -> Case:
    """The case of two files; raise InvalidInput where one of them is not as wanted."""
    images: FindingsFile = read_findings(findings)
    of_site = settings.options_of() if settings else {}
    language = settings.language_of() if settings else "en"
    return Case(
        study_date=images.study_date,
        study_instance_uid=images.study_instance_uid,
        modality=images.modality,
        outcomes=images.outcomes,
        ehr=read_record(patient, Record(images.decided_on, images.searched, images.searched_since)),
        today=images.decided_on,
        site={**of_site, **(images.site or {}), **(site or {})},
        procedures=images.procedures,
        language=images.language or language,
    )


def _known(only: Collection[str], installed: Mapping[str, Pathway], what: str) -> None:
    if unknown := sorted(set(only) - installed.keys()):
        raise InvalidInput(f"no {what} {', '.join(unknown)}: want one of {', '.join(sorted(installed))}")


def _unread(case: Case, installed: Mapping[str, Pathway]) -> Iterator[str]:
    """Findings that no pathway reads: a slip in a code would look like an answer."""
    read_by_some = {(code.system, code.code) for one in installed.values() for code in one.reads}
    for outcome in case.outcomes:
        for finding in outcome.findings if isinstance(outcome, Findings) else ():
            if (finding.code.system, finding.code.code) not in read_by_some:
                yield f"no pathway reads the finding {finding.key} ({finding.code.system}|{finding.code.code})"


def _whole(case: Case, outcomes: Collection[PathwayOutcome], installed: Mapping[str, Pathway]) -> None:
    """Raise InvalidInput with the place where a pathway failed."""
    for one in outcomes:
        if isinstance(one, CouldNotTell) and one.failed:
            try:
                installed[one.pathway](case)
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                at = f"{Path(place.filename).name}:{place.lineno}"
                raise InvalidInput(f"{one.pathway} failed: {type(error).__name__}: {error} ({at})") from error
