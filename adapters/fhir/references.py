"""What the literal references of a resource mean: what it contains, what its Bundle or its server has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from adapters.fhir.plain import refuse_what_cannot_be_kept
from adapters.fhir.tolerant import items, text

Resource = Mapping[str, object]
#: A literal reference → the resource, {} where it cannot be had.
Follow = Callable[[str], Resource]


def within(resources: Iterable[Resource], follow: Follow) -> Follow:
    """What a reference means within resources that contain others (R4 references.html#contained), the last one first.

    What is referred to twice is asked for once. What is read raises InvalidResource where it could not be kept.
    """
    inside = {f"#{text(one.get('id'))}": one for resource in resources for one in items(resource.get("contained"))}
    known: dict[str, Resource] = {}

    def reach(reference: str) -> Resource:
        if not reference or reference.startswith("#"):
            return inside.get(reference, {})
        if reference not in known:
            found = follow(reference)
            refuse_what_cannot_be_kept(found)
            known[reference] = found
        return known[reference]

    return reach
