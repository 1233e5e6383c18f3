"""One search for a patient's resources at one FHIR server: how it is put there, and what its answer proves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from adapters.fhir.abilities import Abilities
from adapters.fhir.client import FhirClient, FhirRefused, NotAllowed, Params, Resource
from adapters.fhir.clinical import Others, lacks_drug
from adapters.fhir.pages import incomplete
from adapters.fhir.read import by_reference, statements
from adapters.fhir.tolerant import obj, text
from cds.domain.message import Statement
from cds.errors import NotFound, PeerFailed, SightlineError, Unavailable
from cds.searches import Search
from cds.value_sets import Index

#: No answer is read further than this; a cut one proves no absence.
MOST_RESOURCES = 10_000
_PAGE = "200"
#: Drugs that prescriptions name by reference and that did not come along are read one by one, so many of them.
_MOST_DRUGS = 100
#: The elements that say whose a resource is, and the parameters that it is found by.
_WHOSE = ("patient", "subject")


@dataclass(frozen=True, slots=True)
class Request:
    """A search as a server can answer it: by `whose` (patient or subject), by `codes`, and what is only convenient."""

    type: str
    whose: str
    codes: tuple[tuple[str, str], ...] = ()
    convenient: tuple[tuple[str, str], ...] = ()
    newest_first: bool = False


@dataclass(slots=True)
class Spelling:
    """How a server wants a patient named: R4 allows the id and Patient/id, and some find nothing under one of them.

    None until something was found: nothing is called absent because of a spelling.
    """

    typed: bool | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer states; `reason` says why it is not whole, empty where it is; `again`: later it may be."""

    statements: tuple[Statement, ...] = ()
    reason: str = ""
    again: bool = False
    #: How many resources were found.
    found: int = 0


def put(search: Search, abilities: Abilities) -> Request | None:
    """The search as the server's CapabilityStatement lets it be put; None where the server has nothing of the kind.

    Where it cannot search by code, all of the patient's resources of the type are asked for. A value may be a component
    of an observation: the codes of both are searched for where the server can, else those of known panels.
    """
    whose = next((name for name in _WHOSE if abilities.searches(search.type, name)), None)
    if whose is None:
        return None
    request = as_template(search)
    by_code = request.codes if abilities.searches(search.type, "code") else ()
    if search.type == "Observation" and abilities.searches(search.type, "combo-code"):
        by_code = (("combo-code", ",".join(search.codes)),)
    convenient = [("_count", _PAGE), *request.convenient]
    convenient += [("_include", search.include)] if search.include else []
    return replace(request, whose=whose, codes=by_code, convenient=tuple(convenient))


def as_template(search: Search) -> Request:
    """The search as clients of CDS Hooks know it from the prefetch template: what they can do is not asked first."""
    codes = (("code", ",".join((*search.codes, *search.panels))),) if search.codes else ()
    newest = (("_sort", "-date"),) if search.newest_first else ()
    return Request(search.type, "patient", codes, newest, search.newest_first)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: in whose name statements stand, for which codes, as of when, and how far an answer is read."""

    source: str
    index: Index
    now: datetime
    most: int = MOST_RESOURCES


@dataclass(slots=True)
class _Reading:
    """What came of a search until it ended, well or not: pages are read as they come, and only what counts is kept."""

    base_url: str
    patient_id: str
    asker: Asker
    #: Names what has no id of its own.
    search: str
    stated: list[Statement] = field(default_factory=list)
    found: int = 0
    lacking: list[Resource] = field(default_factory=list)
    reason: str = ""
    again: bool = False

    def take(self, matches: Sequence[Resource], others: Others) -> None:
        """The resources of a page, without those that name somebody else."""
        self.found += len(matches)
        own = [one for one in matches if _is_about(one, self.patient_id, self.base_url)]
        if len(own) < len(matches):
            self.reason = self.reason or "answered with what is another patient's"
        self.state(own, others)

    def state(self, resources: Sequence[Resource], others: Others) -> None:
        """What they state of what is asked for; what names a drug that is not here waits for it."""
        known: list[Resource] = []
        for one in resources:
            (self.lacking if lacks_drug(one, others) else known).append(one)
        asker, place = self.asker, f"{self.search} up to {self.found}"
        self.stated += statements(known, asker.source, latest=asker.now, others=others, place=place, index=asker.index)

    def failed(self, error: SightlineError) -> None:
        """The server did not answer."""
        self.reason, self.again = reason(error)


def ask(client: FhirClient, request: Request, patient_id: str, asker: Asker, spelling: Spelling) -> Told:
    """Read all pages and keep what states something that is asked for. An error of the server is part of the answer.

    Where nothing is found, and nothing ever was, the patient is named the other way too.
    """
    typed = bool(spelling.typed) or request.whose != "patient"
    told = _ask(client, request, patient_id, asker, typed=typed)
    if request.whose != "patient" or told.reason:
        return told
    if not told.found and spelling.typed is not typed:  # another search may have found out meanwhile
        typed = not typed
        told = _ask(client, request, patient_id, asker, typed=typed)
    if told.found:
        spelling.typed = typed
    return told


def _ask(client: FhirClient, request: Request, patient_id: str, asker: Asker, *, typed: bool) -> Told:
    """With what is convenient; where a strict server refuses it, without."""
    plain = ((request.whose, f"Patient/{patient_id}" if typed else patient_id), *request.codes)
    reading = _Reading(client.base_url, patient_id, asker, f"{request.type} {request.codes}")
    for params in ((*plain, *request.convenient), plain):
        try:
            _collect(client, request.type, params, reading)
        except FhirRefused as error:
            if params != plain and not reading.found:
                continue
            reading.failed(error)
        except SightlineError as error:
            reading.failed(error)
        break
    _read_drugs(client, reading)
    stated = tuple(reading.stated)
    if reading.reason and request.newest_first and not _is_newest_first(stated):
        stated = ()  # what is missing may be newer
    return Told(stated, reading.reason, reading.again, reading.found)


def reason(error: SightlineError) -> tuple[str, bool]:
    """Why a server did not answer, as it follows its name, and whether it may answer when it is asked again."""
    if isinstance(error, NotAllowed):
        return "does not let us ask", True
    if isinstance(error, PeerFailed):
        return "failed when it was asked", True
    if isinstance(error, Unavailable):
        return "could not be asked", True
    return "refused to be asked", False


def _collect(client: FhirClient, resource_type: str, params: Params, reading: _Reading) -> None:
    total = 0
    for page in client.pages(resource_type, params):
        total = page.total or total
        reading.take(page.matches, by_reference(page.included, client.base_url))
        if incomplete(page.outcomes):
            reading.reason = "did not search everything"
        if reading.found > reading.asker.most:
            reading.reason = f"has more than {reading.asker.most} that could be meant: not all were read"
            return
    if total > reading.found:
        reading.reason = reading.reason or "has more than it gave"


def _read_drugs(client: FhirClient, reading: _Reading) -> None:
    """The drugs that prescriptions name and that did not come with them."""
    named = dict.fromkeys(lacks_drug(one, {}) for one in reading.lacking)
    found: list[Resource] = []
    for reference in list(named)[:_MOST_DRUGS]:
        try:
            found.append(client.read(reference.removeprefix(f"{client.base_url}/")))
        except NotFound:
            continue
        except SightlineError as error:
            reading.failed(error)
            break
    lacking, reading.lacking = reading.lacking, []
    reading.state(lacking, by_reference(found, client.base_url))
    if reading.lacking:
        reading.reason = reading.reason or "names drugs that could not be read"


def _is_about(resource: Resource, patient_id: str, base_url: str) -> bool:
    """False where a resource names anybody else; what names nobody was found under the patient."""
    hers = f"Patient/{patient_id}"
    for element in _WHOSE:
        reference = text(obj(resource.get(element)).get("reference")) if element in resource else hers
        if reference and reference != hers:
            relative = reference.removeprefix(f"{base_url}/").partition("/_history/")[0]
            if relative != hers:
                return False
    return True


def _is_newest_first(stated: tuple[Statement, ...]) -> bool:
    days = [statement.value.effective for statement in stated]
    dated = [day for day in days if day is not None]
    return len(dated) == len(days) and dated == sorted(dated, reverse=True)
