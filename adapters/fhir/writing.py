"""A Bundle of ours into another FHIR server: as one transaction where it takes one, else entry by entry.

Both ways come to the same: what stands there already is found by our identifiers and compared first, so that a repeat
writes nothing, and what an attempt left undone is all that the next one writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from adapters.fhir import entries, standing
from adapters.fhir.client import Answer, FhirClient, FhirRefused, NotNow
from adapters.fhir.elements import Element
from adapters.fhir.exchange import NotSupported, judge
from adapters.fhir.plan import Plan, Planner, Write
from adapters.fhir.tolerant import items, obj, text
from cds.errors import PeerFailed, Unavailable

#: So often it is looked what stands there: after no answer, and where somebody else changes it at the same moment. No
#: write is repeated unseen, for even an update that changes nothing makes a version.
_TRIES = 3
#: Conflict, precondition failed; an update of what was deleted meanwhile.
_MEANWHILE = frozenset({404, 409, 410, 412})
#: A transaction that is refused as one: there are none, or it has too many entries or bytes.
_NOT_AS_ONE = frozenset({404, 405, 413})
_TOO_MUCH = frozenset({"not-supported", "too-costly", "too-long"})
_BAD_REQUEST, _UNSPECIFIC = 400, frozenset({"invalid"})
_LOCATION = re.compile(r"(?:.*/)?([A-Za-z]+)/([A-Za-z0-9\-.]{1,128})(?:/_history/[^/]*)?")


class BundleWriter:
    """Writes Bundles to one server. `main` is the type without which nothing of a Bundle is written.

    `own_ids`: under our own ids, whatever the server says of conditions. `held_in_doubt`: see `Directory.literal`.
    """

    def __init__(self, client: FhirClient, *, main: str, own_ids: bool = False, held_in_doubt: bool = True) -> None:
        self._client = client
        self._planner = Planner(client, main=main, own_ids=own_ids, held_in_doubt=held_in_doubt)

    def write(self, bundle: Mapping[str, object], before: Callable[[Plan], None] | None = None) -> str:
        """Write what does not stand there yet and say what was done; `before` is told each plan.

        NotTaken; PeerRefused where it will be said again (a copy of ours is not the only one, the server refuses a
        resource); Unavailable: send the same again, whatever was written by then.
        """
        last: Unavailable = PeerFailed("nothing was tried")
        for _ in range(_TRIES):
            plan = self._planner.plan(bundle)
            if before is not None:
                before(plan)
            try:
                return "; ".join([self._carry_out(plan, bundle), *plan.notes])
            except NotNow as error:  # it may have been written all the same: what stands there tells
                if not plan.repeatable:
                    raise
                last = error
            except FhirRefused as error:
                if error.status not in _MEANWHILE:
                    raise
                last = PeerFailed(f"what is written changes there at the same moment: {error}")
        raise last

    def _carry_out(self, plan: Plan, bundle: Mapping[str, object]) -> str:
        stood = plan.total - len(plan.writes)
        if not plan.writes:
            return f"all {plan.total} entries stood there already"
        said = self._as_one(plan, bundle) or self._one_by_one(plan)
        return f"{said}, {stood} stood there already" if stood else said

    def _as_one(self, plan: Plan, bundle: Mapping[str, object]) -> str:
        """One transaction, all or nothing (R4 http.html#transaction); "" where the server takes none, or not this."""
        if not self._client.capability().transaction:
            return ""
        sent = [self._entry(write, plan.names) for write in plan.writes]
        number = {"identifier": bundle["identifier"]} if "identifier" in bundle else {}
        whole: Element = {"resourceType": "Bundle", **number, "type": "transaction", "entry": sent}
        try:
            answer = self._client.send("POST", "", whole, repeatable=False)
        except NotSupported:
            return ""
        except FhirRefused as error:
            if not _is_of_the_transaction(error):
                raise
            return ""
        return f"{answer.status} for {_judge_entries(answer, len(sent), self._client.name)} entries"

    def _entry(self, write: Write, names: Mapping[str, Element]) -> Element:
        request, resource = write.request(entries.rewritten(write.entry.body, names))
        # A resource with an id is named by its address (R4 bundle.html#bundle-unique), so that both say the same.
        full_url = f"{self._client.base_url}/{write.reference}" if write.reference else write.entry.full_url
        return {"fullUrl": full_url, "resource": resource, "request": request}

    def _one_by_one(self, plan: Plan) -> str:
        """Entry by entry in their order, each reference by the id that the server gave to what was written before."""
        names = dict(plan.names)
        waiting = {write.entry.full_url: write.entry.logical for write in plan.writes if not write.there}
        for done, write in enumerate(plan.writes):
            waiting.pop(write.entry.full_url, None)
            body = entries.rewritten(write.entry.body, names | waiting)
            try:
                names[write.entry.full_url] = {"reference": self._single(write, body)}
            except FhirRefused as error:
                words = f"{error}, at {write.entry.type} after {done} of {len(plan.writes)} entries"
                raise FhirRefused(words, status=error.status, issues=error.issues) from None
        return f"{len(plan.writes)} entries one by one"

    def _single(self, write: Write, body: Element) -> str:
        """One request; answers what the resource is called there."""
        request, resource = write.request(body)
        answer = self._client.send(
            "PUT" if request["method"] == "PUT" else "POST",
            text(request["url"]),
            resource,
            if_match=text(request.get("ifMatch")),
            if_none_exist=text(request.get("ifNoneExist")),
            repeatable=False,
        )
        return write.reference or _called(answer, write.entry.type) or self._looked_up(write)

    def _looked_up(self, write: Write) -> str:
        found = standing.find(self._client, {write.entry.type: write.way}, [write.entry]).get(write.entry.full_url)
        if found is None:
            raise PeerFailed(f"the FHIR server does not say under which id it has the {write.entry.type}")
        return f"{found.type}/{found.id}"


def _is_of_the_transaction(error: FhirRefused) -> bool:
    """True where the server refuses the transaction, not what is in it.

    We check our resources ourselves, so that a 400 that names nothing in them is a limit (R4 http.html#transaction).
    """
    if error.status in _NOT_AS_ONE or _TOO_MUCH & set(error.issues):
        return True
    return error.status == _BAD_REQUEST and _UNSPECIFIC.issuperset(error.issues)


def _called(answer: Answer, resource_type: str) -> str:
    number = text(answer.body.get("id")) if answer.body.get("resourceType") == resource_type else ""
    if number:
        return f"{resource_type}/{number}"
    match = _LOCATION.fullmatch(answer.location)
    return f"{resource_type}/{match[2]}" if match and match[1] == resource_type else ""


def _judge_entries(answer: Answer, wanted: int, name: str) -> int:
    """A transaction is all or nothing; a server that takes parts of it is not believed."""
    found = items(answer.body.get("entry"))
    if answer.body.get("type") != "transaction-response" or len(found) != wanted:
        raise PeerFailed(f"the FHIR server {name} answers with no transaction-response to what was sent")
    for entry in found:
        response = obj(entry.get("response"))
        status = text(response.get("status"))[:3]
        if not status.isdecimal():
            raise PeerFailed(f"the FHIR server {name} answers without a status for an entry")
        judge(int(status), response.get("outcome"), who=f"the FHIR server {name}")
    return wanted
