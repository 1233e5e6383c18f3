"""What `cds check` asks the PACS: whether each answers, as it is asked in earnest, without anything of a patient."""

from __future__ import annotations

from cds.bootstrap import dicom
from cds.checks import Check
from cds.domain.retrieval import StudyQuery
from cds.errors import SightlineError
from cds.imaging_peers import DicomNode, DicomwebServer, PacsDestination, PacsSource
from cds.settings import Settings

#: A person waits for the answer.
_LONGEST_S = 5.0
#: A study that nobody has: the UID of a UUID that is all ones (PS3.5 annex B.2).
_NOBODYS = "2.25.340282366920938463463374607431768211455"


def source_check(settings: Settings, name: str) -> Check:
    """The PACS answers a query and, where images come by DIMSE, a C-ECHO too."""
    source = settings.pacs_sources[name]
    how = "start the PACS, let it know our address and AE title, or correct CDS_PACS_SOURCES"
    try:
        _ask(source)
        if source.node is not None and source.retrieve != "wado-rs":
            _echo(source.node, source.timeout_s)
    except SightlineError as error:
        return Check(f"PACS {name}", False, str(error), how)
    return Check(f"PACS {name}", True, _how_fetched(settings, source))


def destination_check(settings: Settings, name: str) -> Check:
    """The destination answers a C-ECHO or, where it has DICOMweb alone, a query; nothing is stored there."""
    destination = settings.pacs_destinations[name]
    how = "start the PACS, let it know our address and AE title, or correct CDS_PACS_DESTINATIONS"
    try:
        said = _greet(destination)
    except SightlineError as error:
        return Check(f"destination {name}", False, str(error), how)
    return Check(f"destination {name}", True, said)


def _ask(source: PacsSource) -> None:
    brief = source.model_copy(update={"timeout_s": min(source.timeout_s, _LONGEST_S)})
    dicom.asker(brief).studies(StudyQuery(study_instance_uid=_NOBODYS))


def _how_fetched(settings: Settings, source: PacsSource) -> str:
    said = f"answers {source.asked_by.upper()}, images come by {source.retrieve.upper()}"
    if source.retrieve != "c-move":
        return said
    title = source.move_destination or settings.dicom_ae_title
    return f"{said}: it must send to AE title {title}, port {settings.dicom_port} of this machine"


def _greet(destination: PacsDestination) -> str:
    node, server = destination.node, destination.dicomweb
    if node is not None:
        _echo(node, destination.timeout_s)
    if server is not None:
        _search(server, destination.timeout_s)
    return "answers " + " and ".join(filter(None, ("C-ECHO" if node else "", "DICOMweb" if server else "")))


def _echo(node: DicomNode, timeout_s: float) -> None:
    from adapters.dicom import sender

    sender.echo(node, timeout_s=min(timeout_s, _LONGEST_S))


def _search(server: DicomwebServer, timeout_s: float) -> None:
    from adapters.dicom.qido import QidoAsker

    QidoAsker(server, min(timeout_s, _LONGEST_S)).studies(StudyQuery(study_instance_uid=_NOBODYS))
