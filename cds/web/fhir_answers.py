"""What FHIR answers have in common: JSON alone, its formatting, versions, and links to further pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol
from urllib.parse import urlencode

import orjson
from flask import Response, abort, request
from werkzeug.http import http_date, parse_options_header

from adapters.fhir import bundle
from adapters.fhir.search import Context, Continuation, Pair, Shape
from cds.domain.resource import StoredResource
from cds.errors import InvalidResource
from cds.ports import Clock, ResourceStore
from cds.services import Json
from cds.settings import Settings
from cds.web.answers import FHIR_JSON, JSON, answer

PAGE = "_page"
#: What is of the answer's bytes, and stands beside everything.
OF_THE_BYTES = ("_format", "_pretty")

#: What _format and Accept may say: JSON by its names (R4 http.html#mime-type), and whatever there is.
_FORMATS = frozenset({"json", JSON, FHIR_JSON, "text/json"})
_ANYTHING = frozenset({"*/*", "application/*", "text/*"})
#: R4 http.html#version-parameter.
_VERSIONS = ("", "4.0")
_FORM = "application/x-www-form-urlencoded"
_ANOTHER_VERSION = 412


class FhirServices(Protocol):
    """What the FHIR API needs of `cds.services.Services`."""

    @property
    def settings(self) -> Settings:
        """For its address and the site's zone."""
        ...

    @property
    def clock(self) -> Clock:
        """For how old a link is."""
        ...

    @property
    def resources(self) -> ResourceStore:
        """What is read."""
        ...

    @property
    def capability(self) -> Callable[[str], Json]:
        """The CapabilityStatement for a base URL."""
        ...

    @property
    def searchset(self) -> Callable[..., Json]:
        """See `adapters.fhir.bundle.searchset`."""
        ...

    @property
    def seal_key(self) -> Callable[[], bytes]:
        """32 bytes that all web processes share."""
        ...


@dataclass(frozen=True, slots=True)
class Api:
    """The FHIR API at its base URL: how it reads values, and its links to further pages.

    Nothing that was asked for can be read in such a link (SAFETY section 8), and every web process can follow it.
    """

    services: FhirServices
    base_url: str
    zone: tzinfo

    def context(self, begun: Continuation | None = None) -> Context:
        """What the values of a search are read by; of a further page as on the first."""
        return Context(self.base_url, self.zone, begun.begun if begun else self.services.clock.now())

    def next_query(self, path: str, pairs: Sequence[Pair], after: str | None, begun: datetime) -> str | None:
        """The query of the next page; None where there is none."""
        if after is None:
            return None
        token = Continuation(path, tuple(pairs), after, begun).seal(self.services.seal_key(), self.services.clock.now())
        return urlencode({PAGE: token})

    def begun(self, path: str, pairs: Sequence[Pair]) -> Continuation | None:
        """Where a request goes on that follows such a link; None for one that begins. Raise InvalidResource."""
        tokens = [text for name, text in pairs if name == PAGE]
        if not tokens:
            return None
        if len(tokens) > 1 or any(name not in (PAGE, *OF_THE_BYTES) for name, _ in pairs):
            raise InvalidResource(f"{PAGE} stands alone: the link has everything that was asked for")
        return Continuation.unseal(tokens[0], path, self.services.seal_key(), self.services.clock.now())


def refuse_other_formats() -> None:
    """406 for who wants something else than JSON of FHIR 4.0; _format counts more than Accept (R4 http.html)."""
    asked = [text for name, text in given() if name == "_format"]
    stated = [(text, 1.0) for text in asked] or list(request.accept_mimetypes)
    known = _FORMATS if asked else _FORMATS | _ANYTHING
    if stated and not any(quality > 0 and _speaks(one, known) for one, quality in stated):
        abort(406)


def given() -> tuple[Pair, ...]:
    """The parameters of the address, and of the form where there is one: both count alike (R4 http.html#search)."""
    form = request.form.items(multi=True) if request.mimetype == _FORM else ()
    return (*request.args.items(multi=True), *form)


def given_once(pairs: Sequence[Pair], names: Sequence[str], asked: str) -> dict[str, str]:
    """Parameters of these names, each once; raise InvalidResource for others. `asked` is what they are of, in words."""
    stated = [(name, text) for name, text in pairs if name not in OF_THE_BYTES]
    if any(name not in names for name, _ in stated):
        raise InvalidResource(f"{asked} takes {', '.join(names)} and {PAGE}, and nothing else")
    found = dict(stated)
    if len(found) < len(stated):
        raise InvalidResource(f"{', '.join(names)} may be given once")
    return found


def refuse_other_bodies() -> None:
    """415 for a body that is no form."""
    if request.mimetype != _FORM:
        abort(415)


def is_lenient() -> bool:
    """`Prefer: handling=lenient` (R4 search.html#errors)."""
    said = ",".join(request.headers.getlist("Prefer")).replace(";", ",").split(",")
    return "handling=lenient" in {one.strip().lower() for one in said}


def fhir(body: Mapping[str, object] | bytes) -> Response:
    """JSON, in lines where _pretty=true."""
    if dict(given()).get("_pretty") == "true":
        body = orjson.dumps(orjson.loads(body) if isinstance(body, bytes) else body, option=orjson.OPT_INDENT_2)
    return answer(body, content_type=FHIR_JSON)


def versioned(resource: StoredResource, shape: Shape) -> Response:
    """A resource with its ETag; 304 where the caller has this version, 412 where it wants another (R4 http.html)."""
    response = fhir(bundle.read(resource, shape))
    response.headers["ETag"] = bundle.etag(resource)
    response.headers["Last-Modified"] = http_date(resource.last_updated)
    response.make_conditional(request)
    if response.status_code == _ANOTHER_VERSION:
        abort(_ANOTHER_VERSION)
    return response


def _speaks(wanted: str, known: frozenset[str]) -> bool:
    kind, options = parse_options_header(wanted)
    return kind.lower() in known and options.get("fhirversion", "") in _VERSIONS
