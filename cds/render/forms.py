"""A report as the documents that FHIR carries (R4 DiagnosticReport.presentedForm): HTML to read, PDF to keep."""

from __future__ import annotations

from cds.domain.report import Report
from cds.domain.resource import PresentedForm
from cds.render import html, pdf
from cds.render.document import TITLE


def presented(report: Report, *, site_name: str, time_zone: str) -> tuple[PresentedForm, ...]:
    """Both say the same; the same report gives the same bytes."""
    title = f"{TITLE}, version {report.version}, preliminary"
    return (
        PresentedForm("text/html", title, html.render(report, site_name=site_name, time_zone=time_zone)),
        PresentedForm("application/pdf", title, pdf.render(report, site_name=site_name, time_zone=time_zone)),
    )
