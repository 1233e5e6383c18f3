"""The launch of the pages from an EHR, wired: who may come in, and for which patient."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cds.bootstrap import Stores
from cds.bootstrap.sealed import Sealer
from cds.bootstrap.study_pages import Shelf
from cds.bootstrap.ui_people import LAUNCH, door_keeper
from cds.errors import Forbidden, InvalidInput, NotFound
from cds.hooks import asked
from cds.hooks.request import HookRequest
from cds.ports import Clock
from cds.settings import Settings
from cds.store.own_keys import own_key
from cds.store.sessions import SessionStore, Whose
from cds.ui.people import LetIn, Outward, WayIn

if TYPE_CHECKING:
    from adapters.fhir.launch import EhrLaunch, Launched

_LAUNCH_LASTS = timedelta(minutes=10)
#: An EHR lets somebody in for so long.
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
    """Implements the two halves of a launch."""

    ehrs: Mapping[str, EhrLaunch]
    shelf: Shelf
    sessions: SessionStore
    sealer: Sealer

    def begin(self, asked_for: Mapping[str, str]) -> Outward:
        iss, launch = asked_for.get("iss", ""), asked_for.get("launch", "")
        ehr = self._ehr(iss.rstrip("/"))
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        url = ehr.authorize_url(iss, launch, state, verifier)
        kept = {"iss": iss.rstrip("/"), "state": state, "verifier": verifier}
        return Outward(url, state, self.sealer.seal(LAUNCH, kept, _LAUNCH_LASTS))

    def finish(self, kept: str, returned: Mapping[str, str]) -> LetIn:
        begun = self.sealer.unseal(LAUNCH, kept)
        if begun is None or not secrets.compare_digest(begun["state"].encode(), returned.get("state", "").encode()):
            raise InvalidInput(_AGAIN)
        launched = self._ehr(begun["iss"]).finish(returned, begun["verifier"])
        if any(kind in launched.user for kind in _LAY):
            raise Forbidden("Results are released to the care team, who tell what they mean.")
        if not _STAFF.fullmatch(launched.user):
            raise Forbidden(_UNNAMED)
        whose = Whose(launched.user, launched.user, LAUNCH, patient_id=self._patient(launched))
        study = _study(launched.context)
        to = f"/studies/{study}" if study else "/studies"
        return LetIn(self.sessions.begin(whose, lasts=_SESSION_LASTS), to)

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


def launch_of(settings: Settings, held: Stores, pages: Shelf, clock: Clock) -> WayIn | None:
    """The launch from the EHRs of the settings; None where there is none."""
    if not settings.smart_apps:
        return None
    sealer = Sealer(lambda: own_key(held.database, "sessions"), clock)
    launches = _Launches(_ehrs(settings), pages, door_keeper(settings, held, clock).sessions, sealer)
    return WayIn(launches.begin, launches.finish)


def _ehrs(settings: Settings) -> dict[str, EhrLaunch]:
    """By `iss`; whom we believe there is as with the FHIR server of the same address."""
    from adapters.fhir.caller import address
    from adapters.fhir.launch import EhrLaunch

    servers = [*settings.fhir_sources.values(), *settings.fhir_destinations.values()]
    trust = {address(server.url): server.tls for server in servers}
    back = f"{settings.ui_address}/smart/callback"
    return {iss: EhrLaunch(iss, app, back, trust.get(address(iss))) for iss, app in settings.smart_apps.items()}


def _study(context: object) -> str:
    """The study that a card's link is about (CDS Hooks 2.0, appContext): JSON as text, or as some EHRs unpack it."""
    try:
        found = json.loads(context) if isinstance(context, str) else context
    except ValueError:
        return ""
    named = found.get("study") if isinstance(found, Mapping) else None
    return named if isinstance(named, str) and _PUBLIC_ID.fullmatch(named) else ""
