"""A call of a CDS Hooks service from who calls to the answer: the same for Flask's way in and for the quick one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from cds import metrics
from cds.errors import InvalidResource, SightlineError, Unauthorized
from cds.services import Json, Services
from cds.web.limits import DEEPEST, Shares, too_deep

_NO_OBJECT = "the body wants to be one JSON object"


def always() -> bool:
    """Of a caller who has no token that could be used twice."""
    return True


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the name of an EHR, empty where none is configured, and where from."""

    client: str = ""
    address: str = ""
    #: See `cds.services.HookProof`.
    fresh: Callable[[], bool] = always


class HookCalls:
    """The services that may be called, each caller as often as the settings say."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        rates = {name: one.rate_per_minute for name, one in settings.hook_clients.items()}
        self._shares = Shares(rates, settings.hook_rate_per_minute, settings.http_workers)
        self._hooks = services.hooks
        listed = services.hooks.discovery().get("services")
        ids = (one.get("id") for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()
        #: The services by their ids.
        self.ids = frozenset(map(str, ids))

    def take_a_share(self, caller: Caller) -> None:
        """Raise TooManyRequests where the caller has come too often."""
        self._shares.take(caller.client, caller.address)

    def answered(self, service_id: str, caller: Caller, body: Callable[[], bytes]) -> Json:
        """The answer of a service of `ids`, counted and timed; neither it nor an error gets out to a token used before.

        Raise Unauthorized, TooManyRequests, InvalidResource, and what the service raises.
        """
        begun, outcome = time.perf_counter(), "failed"
        try:
            try:
                self.take_a_share(caller)
                found = self._hooks.call(service_id, read(body()), caller.client)
            finally:
                used_once(caller)
                metrics.HOOK_SECONDS.observe(time.perf_counter() - begun, service=service_id)
            outcome = "answered"
        except SightlineError as error:
            outcome = error.issue_code
            raise
        finally:
            metrics.HOOKS.inc(service=service_id, client=caller.client, outcome=outcome)
        return found


def used_once(caller: Caller) -> None:
    """Raise Unauthorized where the caller's token was used before."""
    if not caller.fresh():
        raise Unauthorized


def read(raw: bytes) -> Json:
    """A body as a JSON object; raise InvalidResource."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidResource(_NO_OBJECT) from None
    if not isinstance(body, dict):
        raise InvalidResource(_NO_OBJECT)
    if too_deep(raw):
        raise InvalidResource(f"the body nests deeper than {DEEPEST} levels")
    return body
