"""Searching the FHIR API: by type, by GET and POST, page by page, and everything of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Response

from adapters.fhir.search import ID, PARAMETERS, Search, instant, page_size, parse
from cds.domain.resource import ResourcePage
from cds.errors import Forbidden, InvalidResource, NotFound
from cds.web import fhir_access
from cds.web.fhir_access import Access
from cds.web.fhir_answers import Api, fhir, given, given_once, is_lenient, refuse_other_bodies

_NOTHING = ResourcePage((), 0, None)
#: What $everything is asked with here; care dates (start, end) are no element of what is made here.
_OPERATION = ("_type", "_since", "_count")


def check_type(resource_type: str) -> None:
    """Raise NotFound for a type that nothing here has."""
    if resource_type not in PARAMETERS:
        raise NotFound(f"this server has {', '.join(PARAMETERS)}, and no other resource type")


@dataclass(frozen=True, slots=True)
class Searches:
    """The views of searches."""

    api: Api

    def search(self, resource_type: str) -> Response:
        """R4 http.html#search: what matches, what comes along, and links that tell what was understood."""
        check_type(resource_type)
        access = fhir_access.required(resource_type, "s")
        begun = self.api.begun(resource_type, given())
        context = self.api.context(begun)
        search = parse(
            resource_type,
            begun.pairs if begun else given(),
            context,
            lenient=is_lenient(),
            after=begun.after if begun else None,
        )
        for chained in search.chained:
            fhir_access.required(chained, "s")
        page = self._page(search, access)
        following = self.api.next_query(resource_type, search.understood, page.next, context.now)
        body = self.api.services.searchset(
            self.api.base_url,
            resource_type,
            page,
            urlencode(search.linked),
            following,
            shape=search.shape,
            hints=_hints(search),
        )
        return fhir(body)

    def search_by_post(self, resource_type: str) -> Response:
        """The same with the parameters in a form, so that no address has them."""
        refuse_other_bodies()
        return self.search(resource_type)

    def everything(self, resource_id: str) -> Response:
        """Patient/$everything (R4 patient-operation-everything.html): the Patient and all that is hers."""
        access = fhir_access.required("Patient", "r")
        if not ID.fullmatch(resource_id) or access.patient not in (None, resource_id):
            raise NotFound("no such resource")
        path = f"Patient/{resource_id}/$everything"
        begun = self.api.begun(path, given())
        context = self.api.context(begun)
        asked = given_once(begun.pairs if begun else given(), _OPERATION, "$everything")
        page = self.api.services.resources.everything(
            resource_id,
            types=_types(asked.get("_type"), access),
            since=instant("_since", asked["_since"], context) if "_since" in asked else None,
            count=page_size(asked.get("_count")),
            after=begun.after if begun else None,
        )
        following = self.api.next_query(path, tuple(asked.items()), page.next, context.now)
        return fhir(self.api.services.searchset(self.api.base_url, path, page, urlencode(asked), following))

    def _page(self, search: Search, access: Access) -> ResourcePage:
        query = fhir_access.limited(search.query, access)
        if query is None:
            return _NOTHING
        return fhir_access.readable(self.api.services.resources.search(query), access)


def _types(text: str | None, access: Access) -> tuple[str, ...]:
    """What is asked for, or all that a token grants; () is everything. Forbidden for more than it grants."""
    asked = text.split(",") if text is not None else list(PARAMETERS)
    if not set(asked) <= PARAMETERS.keys():
        raise InvalidResource(f"_type wants some of {', '.join(PARAMETERS)}, with commas between them")
    granted = tuple(one for one in asked if access.allows(one, "r"))
    if text is not None and len(granted) < len(asked):
        raise Forbidden("want scopes for all of _type")
    return () if text is None and len(granted) == len(asked) else granted


def _hints(search: Search) -> tuple[str, ...]:
    """What a lenient search ignored is told (R4 search.html#errors)."""
    if not search.left_out:
        return ()
    known = ", ".join(PARAMETERS[search.query.type])
    return (f"{search.left_out} parameters are not known and were left out: {search.query.type} has {known}",)
