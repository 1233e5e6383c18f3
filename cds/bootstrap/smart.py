"""The launch of the study page from an EHR, wired: who may come in, for which patient, and until when."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cds.bootstrap import Stores
from cds.bootstrap.study_pages import Shelf, shelf
from cds.errors import Forbidden, InvalidInput, InvalidResource, NotFound, Unauthorized
from cds.hooks import asked
from cds.hooks.request import HookRequest
from cds.ports import Clock
from cds.settings import Settings
from cds.store.own_keys import own_key
from cds.study_pages import Arrived, Begun, StudyServices, Visitor

if TYPE_CHECKING:
    from adapters.fhir.launch import EhrLaunch, Launched

_LAUNCH_LASTS = timedelta(minutes=10)
_SESSION_LASTS = timedelta(minutes=30)
_PUBLIC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Who may see a result on a page; everybody else is told it by a person (SAFETY section 4).
_STAFF = re.compile(r"(?:.*/)?Practitioner(?:Role)?/[A-Za-z0-9.-]{1,64}")
_LAY = ("Patient/", "RelatedPerson/")
_UNNAMED = (
    "The EHR does not say that a practitioner opens this page. "
    "Its administrator can let it: the scopes openid and fhirUser, and a user who is linked to a Practitioner."
)
_AGAIN = "The launch took too long, or began in another browser. Open Sightline again from the patient's chart."


@dataclass(frozen=True, slots=True)
class _Launches:
    """Implements the launch of `cds.study_pages.StudyServices`."""

    ehrs: Mapping[str, EhrLaunch]
    shelf: Shelf
    key: Callable[[], bytes]
    clock: Clock

    def begin(self, iss: str, launch: str) -> Begun:
        ehr = self._ehr(iss.rstrip("/"))
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        url = ehr.authorize_url(iss, launch, state, verifier)
        kept = {"iss": iss.rstrip("/"), "state": state, "verifier": verifier}
        return Begun(url, state, self._seal("launch", kept, _LAUNCH_LASTS))

    def finish(self, kept: str, returned: Mapping[str, str]) -> Arrived:
        begun = self._unseal("launch", kept)
        if begun is None or not secrets.compare_digest(begun["state"].encode(), returned.get("state", "").encode()):
            raise InvalidInput(_AGAIN)
        launched = self._ehr(begun["iss"]).finish(returned, begun["verifier"])
        if any(kind in launched.user for kind in _LAY):
            raise Forbidden("Results are released to the care team, who tell what they mean.")
        if not _STAFF.fullmatch(launched.user):
            raise Forbidden(_UNNAMED)
        session = {"user": launched.user, "patient": self._patient(launched)}
        return Arrived(self._seal("session", session, _SESSION_LASTS), _study(launched.context))

    def visitor(self, session: str) -> Visitor:
        told = self._unseal("session", session)
        if told is None:
            raise Unauthorized("Sightline shows a study to whom the EHR lets in, for half an hour.")
        return Visitor(told["user"], told["patient"], datetime.fromtimestamp(int(told["until"]), UTC))

    def _ehr(self, iss: str) -> EhrLaunch:
        if iss not in self.ehrs:
            raise InvalidInput("Sightline is not registered for the EHR that this launch names.")
        return self.ehrs[iss]

    def _patient(self, launched: Launched) -> str:
        """Our random id of the patient in context; the same doubts keep everything back as with a hook."""
        context = self.shelf.context
        call = HookRequest(
            "patient-view", "", launched.user, launched.patient_id, prefetch={"patient": launched.patient}
        )
        about = asked.ask(call, context, ())
        if about.doubt:
            raise Forbidden(f"{about.doubt} So Sightline shows nothing. That does not mean that there is no result.")
        owners = context.reports.owners(about.patient.identifiers)
        if not owners:
            raise NotFound("Sightline knows no images of this patient. That is not a negative result.")
        return next(iter(owners))

    def _seal(self, what: str, value: Mapping[str, str], lasts: timedelta) -> str:
        from adapters.fhir.sealing import seal

        now = self.clock.now()
        return seal({**value, "what": what, "until": str(int((now + lasts).timestamp()))}, self.key(), now)

    def _unseal(self, what: str, sealed: str) -> dict[str, str] | None:
        """None for what is none of ours, is meant for something else, or is over."""
        from adapters.fhir.sealing import unseal

        now = self.clock.now()
        try:
            found = {name: str(value) for name, value in unseal(sealed, self.key(), now).items()}
        except InvalidResource:
            return None
        return found if found["what"] == what and now.timestamp() < int(found["until"]) else None


def studies(settings: Settings, held: Stores, acting: Stores, clock: Clock) -> StudyServices | None:
    """The study page and its launch; None where no EHR can launch it."""
    if not settings.smart_apps:
        return None
    pages = shelf(settings, held, acting.audit, clock)
    launches = _Launches(_ehrs(settings), pages, lambda: own_key(held.database, "sessions"), clock)
    return StudyServices(
        begin=launches.begin,
        finish=launches.finish,
        visitor=launches.visitor,
        studies=pages.studies,
        page=pages.page,
    )


def _ehrs(settings: Settings) -> dict[str, EhrLaunch]:
    """By `iss`; whom we believe there is as with the FHIR server of the same address."""
    from adapters.fhir.caller import address
    from adapters.fhir.launch import EhrLaunch

    servers = [*settings.fhir_sources.values(), *settings.fhir_destinations.values()]
    trust = {address(server.url): server.tls for server in servers}
    back = f"{settings.public_url}/smart/callback"
    return {iss: EhrLaunch(iss, app, back, trust.get(address(iss))) for iss, app in settings.smart_apps.items()}


def _study(context: object) -> str:
    """The study that a card's link is about (CDS Hooks 2.0, appContext): JSON as text, or as some EHRs unpack it."""
    try:
        found = json.loads(context) if isinstance(context, str) else context
    except ValueError:
        return ""
    named = found.get("study") if isinstance(found, Mapping) else None
    return named if isinstance(named, str) and _PUBLIC_ID.fullmatch(named) else ""
