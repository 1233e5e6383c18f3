"""The second reader's pages: what waits, own readings, decisions, results, and the figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import timedelta

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from cds.domain.quality import Share
from cds.domain.reading_figures import ReadingFigures
from cds.ui.people import Role
from cds.ui.second_reader import FiguresPage, SecondReaderServices
from cds.ui.services import UiServices
from cds.web.ui import study_forms
from cds.web.ui.guard import allow, person, viewed
from cds.web.ui.shown import page, redirect_to, say

_LISTED = "second reading lists viewed"
_READ = "Your reading is recorded. What the model says is shown from now on."
_NINETY_DAYS = timedelta(days=90)
_SHARES = (
    "own_recall", "model_recall", "recall", "arbitration", "agreement", "detected", "own_detected", "model_detected",
    "ppv", "results",
)  # fmt: skip


def blueprint(services: UiServices) -> Blueprint:
    """`/second-reader` with its figures, and what is recorded of a study."""
    found = Blueprint("second_reader", __name__)
    if services.second_reader is not None and services.study is not None:
        _lists(found, services.second_reader)
        _recorded(found, services.second_reader, services.study.uid)
        _figures(found, services, services.second_reader)
    return found


def _lists(found: Blueprint, readers: SecondReaderServices) -> None:
    @allow(Role.RADIOLOGIST)
    def lists() -> Response:
        """What waits to be read, to be decided, and in which order triage would have it read."""
        viewed(None, None, _LISTED)
        return page("second_reader.html", lists=readers.lists())

    found.add_url_rule("/second-reader", "lists", lists)


def _recorded(found: Blueprint, readers: SecondReaderServices, uid: Callable[[str], str]) -> None:
    def record(take: Callable[[str], None], public_id: str, said: str) -> AnyResponse:
        take(uid(public_id))
        say(said)
        return redirect_to("study.shown", public_id=public_id)

    @allow(Role.RADIOLOGIST)
    def read(public_id: str) -> AnyResponse:
        """An own reading; the model's is shown from now on."""
        given = study_forms.reading()
        return record(lambda study: readers.read(person(), study, given), public_id, _READ)

    @allow(Role.RADIOLOGIST)
    def arbitrate(public_id: str) -> AnyResponse:
        """A third person's decision."""
        given = study_forms.reading()
        return record(lambda study: readers.arbitrate(person(), study, given), public_id, "The decision is recorded.")

    @allow(Role.RADIOLOGIST)
    def result(public_id: str) -> AnyResponse:
        """What became of a screened person."""
        malignant, source = study_forms.result()
        return record(
            lambda study: readers.result(person(), study, malignant, source), public_id, "The result is recorded."
        )

    found.add_url_rule("/studies/<public_id>/readings", "read", read, methods=["POST"])
    found.add_url_rule("/studies/<public_id>/arbitrations", "arbitrate", arbitrate, methods=["POST"])
    found.add_url_rule("/studies/<public_id>/results", "result", result, methods=["POST"])


def _figures(found: Blueprint, services: UiServices, readers: SecondReaderServices) -> None:
    def asked() -> FiguresPage:
        until = study_forms.day(request.args, "until", services.clock.today())
        return readers.figures(study_forms.day(request.args, "since", until - _NINETY_DAYS), until)

    @allow(Role.RADIOLOGIST, Role.AUDITOR, Role.ADMINISTRATOR)
    def figures() -> Response:
        """Recall, detection, arbitration and agreement; no patient in it."""
        return page("second_reader_figures.html", figures=asked())

    @allow(Role.RADIOLOGIST, Role.AUDITOR, Role.ADMINISTRATOR)
    def table() -> Response:
        """The same as CSV."""
        told = asked()
        response = Response(_csv(told), content_type="text/csv; charset=utf-8")
        name = f"second-reader-{told.since.isoformat()}-{told.until.isoformat()}.csv"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    found.add_url_rule("/second-reader/figures", "figures", figures)
    found.add_url_rule("/second-reader/figures.csv", "table", table)


def _csv(told: FiguresPage) -> str:
    """One line per group; a share as count, denominator and bounds, empty where there was nothing to count."""
    out = io.StringIO()
    writer = csv.writer(out)
    columns = [f"{name}_{part}" for name in _SHARES for part in ("count", "of", "low", "high")]
    writer.writerow(["by", "group", "studies", "undecided", *columns, "kappa", "kappa_low", "kappa_high"])
    for by, one in _groups(told):
        kappa = (one.kappa.value, one.kappa.low, one.kappa.high) if one.kappa else ("", "", "")
        shares = [cell for name in _SHARES for cell in _cells(getattr(one, name))]
        writer.writerow([by, _safe(one.group), one.studies, one.undecided, *shares, *kappa])
    return out.getvalue()


def _groups(told: FiguresPage) -> Iterator[tuple[str, ReadingFigures]]:
    for by, groups in (
        ("all", (told.all,) if told.all else ()),
        ("model", told.by_model),
        ("reader", told.by_reader),
        ("month", told.by_month),
    ):
        yield from ((by, one) for one in groups)


def _cells(share: Share | None) -> tuple[object, ...]:
    return (share.count, share.of, share.low, share.high) if share else ("", "", "", "")


def _safe(text: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
