"""`cds dicom fetch`: a study from a PACS of the settings into the data folder, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cds.commands.common import EXIT_FAILED, settings

if TYPE_CHECKING:
    from cds.bootstrap.dicom_fetch import SeriesFetched

_Study = Annotated[str, typer.Option("--study", metavar="UID", help="Study Instance UID")]
_From = Annotated[str, typer.Option("--from", metavar="PACS", help="its name in CDS_PACS_SOURCES")]
_Series = Annotated[
    list[str] | None, typer.Option("--series", metavar="UID", help="this series alone; may be repeated")
]
_All = Annotated[bool, typer.Option("--all", help="every series, whether or not a model reads it")]


def fetch(*, study: _Study, source: _From, series: _Series = None, everything: _All = False) -> None:
    """Fetch a study; exit code 1 unless all that was wanted is here now. What is here already is not fetched again.

    Wanted are the series that an installed model reads, unless --series or --all say otherwise. It needs no running
    server, except for C-MOVE, where the PACS sends to the DICOM role. A running worker then takes the study up.
    """
    from cds import logs
    from cds.bootstrap import dicom_fetch

    logs.configure("dicom-fetch", "ERROR")
    arrived, complete, configured = 0, True, settings()
    for one in dicom_fetch.fetch(configured, study, source, series=series or (), everything=everything):
        typer.echo(_told(one))
        arrived, complete = arrived + one.arrived, complete and one.complete
    typer.echo(f"{arrived} instances came from {source}" + ("" if complete else "; not all that was wanted is here"))
    if not complete:
        for line in dicom_fetch.advice(configured, source):
            typer.echo(line, err=True)
        raise typer.Exit(EXIT_FAILED)


def _told(one: SeriesFetched) -> str:
    number = f"series {one.series.number}" if one.series.number is not None else "a series without number"
    name = f"{number} ({one.series.modality})" if one.series.modality else number
    if one.left_out:
        return f"{name}: left out: {one.left_out}"
    said = [f"{one.arrived} came"]
    said += [f"{one.here} were here"] if one.here else []
    said += [f"{one.missing} are missing"] if one.missing else []
    return "; ".join([f"{name}: {', '.join(said)}", *one.reasons])


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(fetch)
