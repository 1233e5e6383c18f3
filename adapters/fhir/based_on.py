"""The orders that an ImagingStudy is based on, and whose they are: read along with it, for they come no other way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from adapters.fhir.order import Exam, LeftOut, OrderReader, acquired, is_test
from adapters.fhir.read import read_patient
from adapters.fhir.references import Follow, Resource, within
from adapters.fhir.tolerant import has_code, items, obj, text
from cds.domain.fhir_news import Ordered
from cds.domain.identity import Identifier, Patient
from cds.domain.order import OrderChange, OrderStatus

#: HL7 table 0203: the patient's number at her hospital stands before all others, as in HL7 v2.
_RECORD_NUMBERS = frozenset({"MR", "PI"})
_ORDER = "ServiceRequest"
#: An exam has few orders: no resource makes us ask for more.
_MOST_ORDERS = 20

_NOT_TO_BE_HAD = "its ServiceRequest could not be had"
_ALIKE = "several ServiceRequests of the study have the same numbers: one of them stands for all"
_SEVERAL_PATIENTS = "the ImagingStudy and the ServiceRequests that it is based on name different patients"


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whom a reference names: the Patient that it refers to, and who the identifier in it is. The first says most."""

    stated: tuple[Patient, ...] = ()
    test: bool = False

    @property
    def patient(self) -> Patient | None:
        """With all identifiers that are stated."""
        return _all_of(self.stated)


def read_orders(reader: OrderReader, study: Resource, accession: Identifier | None, follow: Follow) -> Ordered:
    """The orders that a study is based on by literal references, with their patient; `accession` is the study's own.

    `follow` knows what references within the study mean; it is asked for orders and patients, and raises what asking
    raises.
    """
    requests, left_out = _based_on(study, follow)
    if not requests:
        return Ordered(left_out=tuple(dict.fromkeys(left_out)))
    exam = Exam(accession, _modality(study), is_test(study))
    changes, subjects = list[OrderChange](), list[_Subject]()
    for request in requests:
        subject = _whose(reader, request, study, follow)
        read = reader.read(request, subject.patient, replace(exam, test=exam.test or subject.test))
        if isinstance(read, LeftOut):
            left_out.append(read.reason)
        else:
            changes.append(read)
            subjects.append(subject)
    kept = _one_of_each(changes)
    left_out += [_ALIKE] if len(kept) < len(changes) else []
    patients = [patient for subject in subjects for patient in subject.stated]
    whole = _subject(reader, study, follow).stated if changes else ()
    return Ordered(
        _all_of(patients),
        tuple(kept),
        tuple(dict.fromkeys(left_out)),
        _SEVERAL_PATIENTS if _any_apart([*patients, *whole]) else "",
    )


def _based_on(study: Resource, follow: Follow) -> tuple[list[Resource], list[str]]:
    """The ServiceRequests, and why others could not be read. A study may be based on other things too."""
    found, left_out = list[Resource](), list[str]()
    for one in items(study.get("basedOn"))[:_MOST_ORDERS]:
        reference = text(one.get("reference"))
        resource = follow(reference)
        if resource.get("resourceType") == _ORDER:
            found.append(resource)
        elif reference and not resource and (f"{_ORDER}/" in reference or one.get("type") == _ORDER):
            left_out.append(_NOT_TO_BE_HAD)
    return found, left_out


def _whose(reader: OrderReader, request: Resource, study: Resource, follow: Follow) -> _Subject:
    """Whose an order is; where that cannot be had, the study's subject if both refer to the same."""
    found = _subject(reader, request, within([study, request], follow))
    own, of_study = (text(obj(one.get("subject")).get("reference")) for one in (request, study))
    if found.stated or not own or own != of_study:
        return found
    return _subject(reader, study, follow)


def _subject(reader: OrderReader, resource: Resource, follow: Follow) -> _Subject:
    reference = obj(resource.get("subject"))
    whole = follow(text(reference.get("reference")))
    if whole.get("resourceType") != "Patient":
        whole = {"resourceType": "Patient"}
    logical = {"resourceType": "Patient", "identifier": [reference.get("identifier")]}
    stated = (_patient(reader, whole), _patient(reader, logical))
    return _Subject(tuple(one for one in stated if one.identifiers), is_test(whole))


def _patient(reader: OrderReader, resource: Resource) -> Patient:
    """With the numbers of her records first: she is filed under the first of them."""
    patient = read_patient(resource, reader.identifier_systems)
    typed = [one for one in items(resource.get("identifier")) if has_code(one.get("type"), _RECORD_NUMBERS)]
    records = read_patient({"resourceType": "Patient", "identifier": typed}, reader.identifier_systems).identifiers
    return replace(patient, identifiers=tuple(sorted(patient.identifiers, key=lambda one: one not in records)))


def _modality(study: Resource) -> str | None:
    stated = [*items(study.get("modality")), *(obj(one.get("modality")) for one in items(study.get("series")))]
    return acquired(text(one.get("code")) for one in stated)


def _one_of_each(changes: Sequence[OrderChange]) -> list[OrderChange]:
    """Orders with the same numbers are one; one that is still wanted stands for those that are not."""
    kept: dict[tuple[Identifier | None, ...], OrderChange] = {}
    for change in sorted(changes, key=lambda one: one.order.status is OrderStatus.REVOKED):
        order = change.order
        kept.setdefault((order.placer_order_number, order.filler_order_number, order.accession), change)
    return list(kept.values())


def _any_apart(patients: Sequence[Patient]) -> bool:
    """True where an authority numbers two of them, and no number is both's: they are two people."""
    return any(_apart(one, other) for at, one in enumerate(patients) for other in patients[at + 1 :])


def _apart(one: Patient, other: Patient) -> bool:
    numbered, also = (dict(_by_authority(patient)) for patient in (one, other))
    return any(not numbered[authority] & also[authority] for authority in numbered.keys() & also.keys())


def _by_authority(patient: Patient) -> Iterator[tuple[str, set[str]]]:
    for authority in {identifier.assigner for identifier in patient.identifiers}:
        yield authority, {one.value for one in patient.identifiers if one.assigner == authority}


def _all_of(patients: Sequence[Patient]) -> Patient | None:
    """The first with the identifiers of all of them; None where there is none."""
    if not patients:
        return None
    return replace(patients[0], identifiers=tuple(dict.fromkeys(i for one in patients for i in one.identifiers)))
