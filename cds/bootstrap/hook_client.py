"""What `cds hooks` does as a client of CDS Hooks: find the server, prove who calls, and play an EHR."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cds.clock import SystemClock
from cds.errors import InvalidInput
from cds.hooks import parts
from cds.sandbox import outcomes
from cds.sandbox.outcomes import Override
from cds.settings import Settings, load

if TYPE_CHECKING:
    from adapters.fhir.hook_call import HookServer

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Way:
    """How a CDS Hooks server is reached: this installation where no URL is said; and what proves who calls."""

    url: str = ""
    key: Path | None = None
    issuer: str = ""
    audience: str = ""
    kid: str = ""
    jku: str = ""
    tenant: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None


def server(way: Way) -> HookServer:
    """The server, ready to be called; raise InvalidInput for a key, a token or a URL that cannot be used."""
    from adapters.fhir.hook_call import HookServer, signer

    url = way.url or load().public_url
    if way.key is None:
        token = _token(way.token_file) if way.token_file else ""
        return HookServer(url, (lambda _: token) if token else None, ca_file=way.ca_file)
    if not way.issuer or way.token_file:
        raise InvalidInput("a key wants --issuer and no --token-file: an EHR signs a token of its own for each call")
    signs = signer(way.key, issuer=way.issuer, kid=way.kid, jku=way.jku, tenant=way.tenant)
    return HookServer(url, signs.token, ca_file=way.ca_file, known_as=way.audience)


def jwks(key: Path) -> Json:
    """The public half of a key as a JWK Set; raise InvalidInput for a file that holds no usable key."""
    from adapters.fhir.hook_call import jwks as public

    return public(key)


def offered(settings: Settings) -> Json:
    """The discovery document of this installation, whether it runs or not."""
    from cds import hooks
    from cds.bootstrap.ehr import asked_by

    return hooks.discovery(hooks.services(asked_by(settings)))


def accepted(card: str, suggestions: Sequence[str]) -> Json:
    """The feedback of suggestions that were accepted now."""
    return outcomes.accepted(card, suggestions, SystemClock().now())


def overridden(card: str, reason: str, comment: str = "") -> Json:
    """The feedback of a card that is overridden now; `reason` is "system|code", a code of ours, or empty."""
    coding = _reason(reason) if reason else None
    return outcomes.overridden(card, Override(coding, comment), SystemClock().now())


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A played EHR that listens: its own address, and that of the server that it calls.

    `serve` answers until it is interrupted, or `end` is called in another thread.
    """

    url: str
    calls: str
    serve: Callable[[], None]
    end: Callable[[], None]


@contextmanager
def sandbox(way: Way, patients: Sequence[Path], port: int) -> Iterator[Sandbox]:
    """The sandbox for these charts, on loopback; raise InvalidInput for a file that is no chart and a port in use."""
    from cds.sandbox import chart
    from cds.sandbox.desk import Desk
    from cds.web.sandbox import LOOPBACK, create_sandbox, listen

    charts, called = [chart.load(file) for file in patients], server(way)
    try:
        door = socket.create_server((LOOPBACK, port))
    except OSError:
        raise InvalidInput(f"port {port} is in use: choose another with --port") from None
    with door:
        url = f"http://{LOOPBACK}:{door.getsockname()[1]}"
        keys = partial(jwks, way.key) if way.key else None
        app = create_sandbox(Desk(charts, called, url, SystemClock().now), jwks=keys)
        listening = listen(app, door)
        try:
            yield Sandbox(url, called.base_url, listening.serve_forever, listening.shutdown)
        finally:
            listening.server_close()


def _reason(written: str) -> Json:
    system, bar, code = written.rpartition("|")
    if bar:
        return {"system": system, "code": code}
    known = {one.code: parts.coding(one) for one in (*parts.FINDING_REASONS, *parts.ORDER_REASONS)}
    if code not in known:
        raise InvalidInput(f"want system|code, or a code of {', '.join(sorted(known))}")
    return known[code]


def _token(file: Path) -> str:
    try:
        token = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the token file cannot be read: {type(error).__name__}") from None
    if not token.isprintable() or not token:
        raise InvalidInput("the token file wants one line with the token")
    return token
