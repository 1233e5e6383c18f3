"""A service's prefetch templates, filled from a chart as an EHR does (CDS Hooks 2.0, "Prefetch Template").

A template that asks for more than the recommended subset is left out, and said to be: the standard lets a client honour
some templates, and a service has to live with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from cds.errors import InvalidResource, NotFound
from cds.sandbox.chart import Chart, Json

_TOKEN = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_READ = re.compile(r"([A-Z][A-Za-z]{0,63})/([A-Za-z0-9\-.]{1,64})")
_CONTEXT = re.compile(r"context\.([A-Za-z][A-Za-z0-9]*)")
#: CDS Hooks 2.0, "Prefetch tokens containing simpler FHIR resource identifiers", by the type of context.userId.
_USERS = {
    "userPractitionerId": "Practitioner",
    "userPractitionerRoleId": "PractitionerRole",
    "userPatientId": "Patient",
    "userRelatedPersonId": "RelatedPerson",
}


@dataclass(frozen=True, slots=True)
class Prefetched:
    """The prefetch of a call, and why a template is not in it, by key."""

    found: Json = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def fill(
    templates: Mapping[str, object],
    context: Mapping[str, object],
    chart: Chart,
    *,
    base_url: str,
    wanted: Collection[str] | None = None,
) -> Prefetched:
    """The prefetch for a context; `wanted` are the keys that this EHR honours, all where it is unsaid."""
    found: Json = {}
    left_out: dict[str, str] = {}
    for key, template in templates.items():
        if wanted is not None and key not in wanted:
            left_out[key] = "not asked of this EHR"
            continue
        try:
            found[key] = _answer(query(str(template), context), chart, base_url)
        except InvalidResource as error:
            left_out[key] = str(error)
    return Prefetched(found, left_out)


def query(template: str, context: Mapping[str, object]) -> str:
    """A template with its tokens replaced; raise InvalidResource for one that cannot be."""
    return _TOKEN.sub(lambda token: _value(token[1], context), template)


def _value(token: str, context: Mapping[str, object]) -> str:
    if token in _USERS:
        kind, _, name = str(context.get("userId", "")).partition("/")
        if kind != _USERS[token]:
            raise InvalidResource(f"the user is no {_USERS[token]}")
        return name
    named = _CONTEXT.fullmatch(token)
    if named is None:
        raise InvalidResource("a token that is neither context.member nor a user id is not supported")
    value = context.get(named[1])
    if isinstance(value, str | int | float) and value != "":
        return str(value)
    raise InvalidResource(f"the context has no simple member {named[1]!r}")


def _answer(asked: str, chart: Chart, base_url: str) -> object:
    """A resource, null where there is none, or a searchset (CDS Hooks 2.0, "Prefetch query restrictions")."""
    single = _READ.fullmatch(asked)
    if single is None:
        return chart.search(asked, base_url)
    try:
        return chart.read(single[1], single[2])
    except NotFound:
        return None
