"""The nested tables of the settings that name imaging peers: PACS to fetch from and to send to, and worklists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cds.destinations import (
    AeTitle,
    Destination,
    FieldPath,
    HttpUrl,
    MllpDestination,
    PeerTls,
    Port,
    Table,
    TimeoutS,
)
from cds.domain.report import Audience


class DicomNode(Table):
    """A DICOM application entity: where it listens, its AE title, and the one that we call ourselves there."""

    host: str
    port: Port
    ae_title: AeTitle
    calling_ae_title: AeTitle = "SIGHTLINE"
    tls: PeerTls | None = None


class DicomwebServer(Table):
    """A DICOMweb origin server: the URL that `/studies` follows. A bearer token or a password comes from a file."""

    url: HttpUrl
    token_file: Path | None = None
    user: str = ""
    password_file: Path | None = None
    tls: PeerTls | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> DicomwebServer:
        if bool(self.user) != (self.password_file is not None) or (self.user and self.token_file):
            raise ValueError("want token_file, or user with password_file, or neither")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that must be there."""
        own = tuple(file for file in (self.token_file, self.password_file) if file)
        return own + (self.tls.files if self.tls else ())


class PacsSource(Table):
    """A PACS that images are fetched from.

    `retrieve` is how, `query` how it is asked: by default QIDO-RS beside WADO-RS, and C-FIND beside the others.
    """

    retrieve: Literal["wado-rs", "c-get", "c-move"]
    query: Literal["auto", "qido-rs", "c-find"] = "auto"
    node: DicomNode | None = None
    dicomweb: DicomwebServer | None = None
    #: The AE title under which the PACS knows our own listener (C-MOVE); unset: CDS_DICOM_AE_TITLE.
    move_destination: AeTitle | None = None
    #: Issuers of patient identifiers or accession numbers whose studies it may hold; empty: any.
    issuers: tuple[str, ...] = ()
    #: So many earlier studies of the same patient and body part are fetched for a model that compares.
    priors: Annotated[int, Field(ge=0, le=5)] = 1
    #: Requests or associations at once.
    parallel: Annotated[int, Field(ge=1, le=8)] = 1
    timeout_s: TimeoutS = 60.0

    @model_validator(mode="after")
    def _has_its_parts(self) -> PacsSource:
        ways = {self.retrieve, self.asked_by}
        if ways & {"wado-rs", "qido-rs"} and self.dicomweb is None:
            raise ValueError("want dicomweb (url) for WADO-RS or QIDO-RS")
        if ways & {"c-get", "c-move", "c-find"} and self.node is None:
            raise ValueError("want node (host, port, ae_title) for C-GET, C-MOVE or C-FIND")
        return self

    @property
    def asked_by(self) -> str:
        """ "qido-rs" or "c-find"."""
        if self.query != "auto":
            return self.query
        return "qido-rs" if self.retrieve == "wado-rs" else "c-find"


class PacsDestination(Destination):
    """A PACS that takes structured reports, segmentations and rejection notes, by C-STORE or, with `dicomweb`, STOW-RS.

    `host`, `port` and `ae_title` name its application entity; with `dicomweb` they are wanted for commitment alone.
    """

    audience: Audience = Audience.RADIOLOGIST
    host: str = ""
    port: Port | None = None
    ae_title: AeTitle | None = None
    calling_ae_title: AeTitle = "SIGHTLINE"
    tls: PeerTls | None = None
    dicomweb: DicomwebServer | None = None
    #: Send segmentations beside the structured report.
    segmentations: bool = True
    #: Send key images for a PACS that shows nothing else: pictures with the overlay burnt in (secondary-capture), or
    #: references that mark the place on the original image (presentation-state).
    key_images: Literal["none", "secondary-capture", "presentation-state"] = "none"
    #: Ask for storage commitment (PS3.4 annex J) of what was sent.
    commitment: bool = False

    @model_validator(mode="after")
    def _is_somewhere(self) -> PacsDestination:
        named = [bool(self.host), self.port is not None, self.ae_title is not None]
        if any(named) and not all(named):
            raise ValueError("want host, port and ae_title together")
        if not any(named) and self.dicomweb is None:
            raise ValueError("want host, port and ae_title, or dicomweb (url)")
        if self.commitment and not any(named):
            raise ValueError("commitment wants host, port and ae_title: it is asked for by DIMSE")
        return self

    @property
    def node(self) -> DicomNode | None:
        """Its application entity; None where it is reached by DICOMweb alone."""
        if not self.host or self.port is None or self.ae_title is None:
            return None
        return DicomNode(
            host=self.host,
            port=self.port,
            ae_title=self.ae_title,
            calling_ae_title=self.calling_ae_title,
            tls=self.tls,
        )


class PriorityDestination(Destination):
    """Where an urgent finding raises a study: a worklist that takes this message, with this value in this field.

    ORM^O01, OMI^O23 and ORU^R01 go to `hl7`; UPS-RS changes the workitems of the study at `dicomweb`. `field` is where
    the priority stands in the message ("OBR-27.6", "TQ1-9"), `urgent` the value that raises it.
    """

    audience: Audience = Audience.RADIOLOGIST
    message: Literal["ORM^O01", "OMI^O23", "ORU^R01", "UPS-RS"]
    field: FieldPath = "OBR-27.6"
    urgent: str = "S"
    hl7: MllpDestination | None = None
    dicomweb: DicomwebServer | None = None

    @model_validator(mode="after")
    def _has_its_part(self) -> PriorityDestination:
        wanted, other = (self.dicomweb, self.hl7) if self.message == "UPS-RS" else (self.hl7, self.dicomweb)
        if wanted is None or other is not None:
            raise ValueError(f"{self.message} wants {'dicomweb' if self.message == 'UPS-RS' else 'hl7'} and no other")
        return self
