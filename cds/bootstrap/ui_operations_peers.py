"""Whether the peers can be reached: the checks of `cds check`, beside the page that shows their answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from cds.bootstrap import dicom_check, fhir_check, hook_check
from cds.bootstrap.ui_check import ui_checks
from cds.checks import Check, peer
from cds.errors import NotFound, SightlineError
from cds.logs import get_logger
from cds.ports import Clock
from cds.settings import Settings
from cds.store import operations as store
from cds.store.engine import Database
from cds.ui.operations import PeerDesk
from cds.ui.operations_values import PeerAnswer

log = get_logger(__name__)

#: Peers that are asked at once by one process.
_AT_ONCE = 8

PeerChecks = Mapping[str, Callable[[], Check]]


def peer_checks(settings: Settings) -> dict[str, Callable[[], Check]]:
    """Every peer that `cds check` asks, by what it is and its name in the settings."""
    return {
        **{f"HL7 destination {name}": partial(peer, name, one) for name, one in settings.oru_destinations.items()},
        **{f"PACS {name}": partial(dicom_check.source_check, settings, name) for name in settings.pacs_sources},
        **{
            f"PACS destination {name}": partial(dicom_check.destination_check, settings, name)
            for name in settings.pacs_destinations
        },
        **{
            f"worklist {name}": partial(dicom_check.priority_check, settings, name)
            for name in settings.priority_destinations
        },
        **_fhir(settings),
        **({"OpenID Connect provider": ui_checks(settings)[-1]} if settings.ui_oidc else {}),
        **{f"EHR {name}": partial(hook_check.client_check, settings, name) for name in settings.hook_clients},
    }


def _fhir(settings: Settings) -> dict[str, Callable[[], Check]]:
    """The checks of FHIR servers by name, in the order in which they are given; none is left out for want of one."""
    checks = fhir_check.fhir_checks(settings)
    names = [f"FHIR source {name}" for name in settings.fhir_sources]
    names += [f"FHIR destination {name}" for name in settings.fhir_destinations]
    names += [f"critical route {name}" for name, route in settings.critical_routes.items() if route.fhir is not None]
    names += [f"FHIR server {number}" for number in range(len(names) + 1, len(checks) + 1)]
    return dict(zip(names, checks, strict=True))


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks peers in threads of their own. Every check has bounds of its own, and the page waits for none of them."""

    database: Database
    clock: Clock
    checks: PeerChecks
    _turns: threading.Semaphore

    def answers(self) -> tuple[PeerAnswer, ...]:
        """Every configured peer with what it answered last, whichever process asked."""
        known = store.peer_answers(self.database)
        return tuple(known.get(name, PeerAnswer(name)) for name in self.checks)

    def ask(self, name: str, by: str) -> int:
        """Begin to ask one peer, or all; how many are asked now."""
        if name and name not in self.checks:
            raise NotFound("there is no peer of this name in the settings")
        begun = [one for one in ([name] if name else self.checks) if self._begin(one, by)]
        return len(begun)

    def _begin(self, name: str, by: str) -> bool:
        now = self.clock.now()
        if not store.ask_peer(self.database, name, by, now):
            return False
        asked = PeerAnswer(name, asked_at=now, asked_by=by)
        threading.Thread(target=self._look, args=(asked,), name="peer check", daemon=True).start()
        return True

    def _look(self, asked: PeerAnswer) -> None:
        with self._turns:
            found = _answered(self.checks[asked.name])
        answer = PeerAnswer(
            asked.name,
            asked_at=asked.asked_at,
            asked_by=asked.asked_by,
            answered_at=self.clock.now(),
            ok=found.ok,
            warns=found.warns,
            detail=found.detail,
            how_to_fix="" if found.ok and not found.warns else found.how_to_fix,
        )
        try:
            store.keep_answer(self.database, answer)
        except SightlineError as error:
            log.warning("what a peer answered cannot be kept", error=type(error).__name__)


def _answered(check: Callable[[], Check]) -> Check:
    """What the check says; this is the outermost loop of its thread, so what nobody expected is an answer too."""
    try:
        return check()
    except (SightlineError, OSError, ValueError) as error:
        return Check("", False, f"the check itself failed: {type(error).__name__}", "run cds check for more")


def peer_desk(settings: Settings, database: Database, clock: Clock, checks: PeerChecks | None = None) -> PeerDesk:
    """The peers of the page of operations."""
    asker = Asker(database, clock, peer_checks(settings) if checks is None else checks, threading.Semaphore(_AT_ONCE))
    return PeerDesk(asker.answers, asker.ask)
