"""ImagingStudy of FHIR R4 as an event: which images are there, of which order, and where they can be fetched.

Read tolerantly, with one exception: what decides whether images are fetched (status, Study Instance UID) is refused
where it is not as R4 says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from adapters.fhir import systems
from adapters.fhir.based_on import read_orders
from adapters.fhir.order import OrderReader
from adapters.fhir.order_numbers import OrderNumbers, order_numbers
from adapters.fhir.plain import refuse_what_cannot_be_kept
from adapters.fhir.read import read_patient
from adapters.fhir.references import Follow, Resource, within
from adapters.fhir.tolerant import items, local_moment, obj, text
from cds.domain.endpoint import dicomweb_base
from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.fhir_news import ImagesGone, ImagesThere, Nothing, Reason
from cds.domain.identity import Patient
from cds.errors import InvalidResource

#: R4 imagingstudy-status.
_THERE = "available"
_NOT_YET, _GONE = frozenset({"registered", "unknown"}), frozenset({"cancelled", "entered-in-error"})
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_LONGEST_UID = 64
#: R4 datatypes.html#unsignedInt.
_MOST_INSTANCES = 2**31 - 1
#: There was no imaging before; a time like that is a placeholder.
_FIRST_YEAR, _LAST_YEAR = 1896, 2999
#: http://terminology.hl7.org/CodeSystem/endpoint-connection-type: WADO-RS says where images are fetched.
_DICOMWEB = ("dicom-wado-rs", "dicom-qido-rs")
#: An exam has few orders, and an archive few addresses: no resource makes us ask for more.
_MOST_FOLLOWED = 20


@dataclass(frozen=True, slots=True)
class StudyReader:
    """How the ImagingStudies of one sender are read.

    `source` names wire and sender. `accession_issuer` is the issuer of accession numbers that come without a system,
    `zone` that of times without an offset. `consumes` says whether a model reads a modality, "" where none is stated.
    """

    source: str
    identifier_systems: Mapping[str, str]
    accession_issuer: str
    zone: ZoneInfo
    consumes: Callable[[str], bool]

    def read(self, resource: Resource, follow: Follow) -> ImagesThere | ImagesGone | Nothing:
        """What it says; raise InvalidResource with the element and what was wanted.

        `follow` is asked for what it refers to by a literal reference: order, patient and endpoints.
        """
        refuse_what_cannot_be_kept(resource)
        status = _status(resource)
        if status in _NOT_YET:
            return Nothing(Reason.NOT_YET)
        uid = _study_uid(resource)
        if status in _GONE:
            return ImagesGone(uid, status, self.source) if uid else Nothing(Reason.NOT_YET)
        series = [one for one in items(resource.get("series")) if self.consumes(_modality(one.get("modality")))]
        if not self._may_be_read(resource, series):
            return Nothing(Reason.NOT_CONSUMED)
        if series and all(_count(one) == 0 for one in series):
            return Nothing(Reason.NOT_YET)
        reached = within([resource], follow)
        numbers = self._numbers(resource, reached)
        if not uid and not numbers.accession:
            raise InvalidResource(
                "ImagingStudy.identifier wants the Study Instance UID: system urn:dicom:uid, value urn:oid: and the UID"
            )
        return ImagesThere(
            StudyEvent(
                kind=StudyEventKind.IMAGES_AVAILABLE,
                source=self.source,
                occurred_at=_started(resource.get("started"), self.zone),
                study_instance_uid=uid or None,
                accession=numbers.accession,
                placer_order_number=numbers.placer,
                filler_order_number=numbers.filler,
                series=tuple(sorted((_series_uid(one), count) for one in series if (count := _count(one)))),
                endpoint=_endpoint(resource, series, reached),
                content=_content(resource, series),
            ),
            self._patient(resource, reached) if numbers else None,
            read_orders(self._orders, resource, numbers.accession, reached),
        )

    @property
    def _orders(self) -> OrderReader:
        return OrderReader(self.source, self.identifier_systems, self.accession_issuer, self.zone)

    def _may_be_read(self, resource: Resource, consumed: list[Resource]) -> bool:
        """By its series; a study without series by its own modalities; one that states none may be anything."""
        if items(resource.get("series")):
            return bool(consumed)
        stated = [_modality(one) for one in items(resource.get("modality"))]
        return any(self.consumes(modality) for modality in stated or [""])

    def _numbers(self, resource: Resource, follow: Follow) -> OrderNumbers:
        """Of the study and of the orders that it is based on; an order is asked for where nothing else says them."""
        orders = items(resource.get("basedOn"))
        listed = [*items(resource.get("identifier")), *(obj(order.get("identifier")) for order in orders)]
        found = order_numbers(listed, self.identifier_systems, self.accession_issuer)
        if found.accession:
            return found
        for order in orders[:_MOST_FOLLOWED]:
            listed += items(follow(text(order.get("reference"))).get("identifier"))
        return order_numbers(listed, self.identifier_systems, self.accession_issuer)

    def _patient(self, resource: Resource, follow: Follow) -> Patient | None:
        """Whose study it is, where the site knows one of her identifiers."""
        subject = obj(resource.get("subject"))
        named = {"resourceType": "Patient", "identifier": [subject.get("identifier")]}
        whole = follow(text(subject.get("reference")))
        for one in (named, whole):
            if (
                one.get("resourceType") == "Patient"
                and (patient := read_patient(one, self.identifier_systems)).identifiers
            ):
                return patient
        return None


def _status(resource: Resource) -> str:
    if resource.get("resourceType") != "ImagingStudy":
        raise InvalidResource("want an ImagingStudy")
    status = text(resource.get("status"))
    if status not in {*_NOT_YET, *_GONE, _THERE}:
        raise InvalidResource("ImagingStudy.status wants a code of imagingstudy-status")
    return status


def _study_uid(resource: Resource) -> str:
    """The identifier of system urn:dicom:uid; "" where there is none. Two differing ones are a mistake."""
    listed = [one for one in items(resource.get("identifier")) if one.get("system") == systems.DICOM_UID]
    uids = {_uid(one.get("value"), "ImagingStudy.identifier of system urn:dicom:uid") for one in listed}
    if len(uids) > 1:
        raise InvalidResource("ImagingStudy.identifier wants one Study Instance UID, and has several")
    return next(iter(uids), "")


def _series_uid(series: Resource) -> str:
    return _uid(series.get("uid"), "ImagingStudy.series.uid")


def _uid(value: object, element: str) -> str:
    uid = text(value).removeprefix("urn:oid:")
    if len(uid) > _LONGEST_UID or not _UID.fullmatch(uid):
        raise InvalidResource(f"{element} wants a DICOM UID (PS3.5 section 9)")
    return uid


def _modality(coding: object) -> str:
    return text(obj(coding).get("code")).upper()


def _count(series: Resource) -> int | None:
    """How many instances it has; None where it says neither a number nor lists them."""
    stated = series.get("numberOfInstances")
    if isinstance(stated, int) and not isinstance(stated, bool):
        if not 0 <= stated <= _MOST_INSTANCES:
            raise InvalidResource("ImagingStudy.series.numberOfInstances wants an unsignedInt")
        return stated
    return len(items(series.get("instance"))) or None


def _content(resource: Resource, series: Iterable[Resource]) -> str:
    """What tells this content from an earlier one where series and counts do not."""
    if items(resource.get("series")):
        return ",".join(sorted(_series_uid(one) for one in series if _count(one) is None))
    stated = [resource.get(name) for name in ("numberOfSeries", "numberOfInstances")]
    return "/".join(str(number) if isinstance(number, int) else "" for number in stated) if any(stated) else ""


def _started(value: object, zone: ZoneInfo) -> datetime | None:
    """A dateTime of at least a day; without an offset it is the site's time."""
    at = local_moment(value, zone)
    return at if at and _FIRST_YEAR <= at.year <= _LAST_YEAR else None


def _endpoint(resource: Resource, series: Iterable[Resource], follow: Follow) -> str:
    """The DICOMweb base URL, of the study before those of its series; "" where none is named that is in use."""
    named = [one for part in (resource, *series) for one in items(part.get("endpoint"))]
    references = list(dict.fromkeys(text(one.get("reference")) for one in named))
    found = [url for reference in references[:_MOST_FOLLOWED] for url in _addresses(follow(reference))]
    return next((url for kind in _DICOMWEB for said, url in found if said == kind), "")


def _addresses(endpoint: Resource) -> Iterator[tuple[str, str]]:
    """(connection type, base URL)."""
    if endpoint.get("resourceType") != "Endpoint" or endpoint.get("status") != "active":
        return
    kind = text(obj(endpoint.get("connectionType")).get("code"))
    if kind in _DICOMWEB and (url := dicomweb_base(text(endpoint.get("address")))):
        yield kind, url
