"""What `cds check` asks the PACS: whether each answers, as it is asked in earnest, without anything of a patient."""

from __future__ import annotations

from dataclasses import replace

from cds.bootstrap import dicom
from cds.checks import Check, peer
from cds.domain.retrieval import StudyQuery
from cds.errors import PeerRefused, SightlineError
from cds.imaging_peers import DicomNode, DicomwebServer, PacsDestination, PacsSource
from cds.settings import Settings

#: A person waits for the answer.
_LONGEST_S = 5.0
#: A study that nobody has: the UID of a UUID that is all ones (PS3.5 annex B.2).
_NOBODYS = "2.25.340282366920938463463374607431768211455"


_REFUSED = "let it know our address and AE title, or correct URL, user, password or token in"
_SILENT = "start it, or correct its address in"


def source_check(settings: Settings, name: str) -> Check:
    """The PACS answers a query and, where images come by DIMSE, a C-ECHO too."""
    source = settings.pacs_sources[name]
    try:
        _ask(source)
        if source.node is not None and source.retrieve != "wado-rs":
            _echo(source.node, source.timeout_s)
    except SightlineError as error:
        return Check(f"PACS {name}", False, str(error), _how(error, "CDS_PACS_SOURCES"))
    return Check(f"PACS {name}", True, _how_fetched(settings, source))


def destination_check(settings: Settings, name: str) -> Check:
    """The destination answers a C-ECHO or, where it has DICOMweb alone, a query; nothing is stored there."""
    destination = settings.pacs_destinations[name]
    try:
        said = _greet(destination)
    except SightlineError as error:
        return Check(f"destination {name}", False, str(error), _how(error, "CDS_PACS_DESTINATIONS"))
    return Check(f"destination {name}", True, said)


def priority_check(settings: Settings, name: str) -> Check:
    """The worklist takes an MLLP connection or, for UPS-RS, answers a search; nothing is raised there."""
    destination, setting = settings.priority_destinations[name], "CDS_PRIORITY_DESTINATIONS"
    if destination.hl7 is not None:
        found = peer(name, destination.hl7)
        return found if found.ok else replace(found, how_to_fix=f"{_SILENT} {setting}")
    try:
        if destination.dicomweb is not None:
            _search(destination.dicomweb, "/workitems", destination.timeout_s)
    except SightlineError as error:
        return Check(f"destination {name}", False, str(error), _how(error, setting))
    return Check(f"destination {name}", True, "answers UPS-RS")


def _how(error: SightlineError, setting: str) -> str:
    return f"{_REFUSED if isinstance(error, PeerRefused) else _SILENT} {setting}"


def _ask(source: PacsSource) -> None:
    if source.asked_by == "qido-rs" and source.dicomweb is not None:
        _search(source.dicomweb, "/studies", source.timeout_s)
        return
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
        _search(server, "/studies", destination.timeout_s)
    return "answers " + " and ".join(filter(None, ("C-ECHO" if node else "", "DICOMweb" if server else "")))


def _echo(node: DicomNode, timeout_s: float) -> None:
    from adapters.dicom import sender

    sender.echo(node, timeout_s=min(timeout_s, _LONGEST_S))


def _search(server: DicomwebServer, resource: str, timeout_s: float) -> None:
    """A search for nobody is answered 200 or 204 (PS3.18 sections 8.5 and 10.6.3): 404 means another path."""
    from adapters.dicom.dicomweb import DICOM_JSON, NOT_FOUND, Dicomweb, judge

    path = f"{resource}?StudyInstanceUID={_NOBODYS}&limit=1"
    with (
        Dicomweb(server, min(timeout_s, _LONGEST_S)) as web,
        web.send("GET", path, {"Accept": DICOM_JSON}) as answer,
    ):
        if answer.status == NOT_FOUND:
            raise PeerRefused(f"want a URL below which there is {resource}: the DICOMweb server answers 404")
        judge(answer)
