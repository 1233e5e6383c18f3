"""`cds hooks`: CDS Hooks as a client sees it: list, discover, call, feedback, sandbox; and what became of the cards."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NoReturn

import typer

from cds.commands import hook_stats, hooks_shown
from cds.commands.common import EXIT_FAILED, settings
from cds.commands.hook_way import Audience, CaFile, Issuer, Jku, Key, Kid, Tenant, TokenFile, Url
from cds.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from adapters.fhir.hook_call import HookReply, HookServer
    from cds.bootstrap.hook_client import Way

app = typer.Typer(no_args_is_help=True, help="CDS Hooks: list, discover, call, feedback, jwks, sandbox, stats.")
app.command("stats")(hook_stats.stats)

#: As for bad usage: nothing was said of the request itself.
EXIT_NOBODY = 2
_PORT = 8070
#: What a service does not tell whoever it refuses.
_UNSAID = {401: "the token was refused; the log of the server says why"}

Json = dict[str, object]

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="its id, as cds hooks list names it")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]


@app.command("list")
def show_all(
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = None,
    issuer: Issuer = "",
    audience: Audience = "",
    kid: Kid = "",
    jku: Jku = "",
    tenant: Tenant = "",
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """List the services of a server; those of this installation, running or not, where no --url is given."""
    from cds.bootstrap.hook_client import Way, offered

    way = Way(url, key, issuer, audience, kid, jku, tenant, token_file, ca_file)
    document = _answer(_asked(way, _discover)) if url else offered(settings())
    if as_json:
        _print(document)
        return
    typer.echo(hooks_shown.services(document))


@app.command()
def discover(
    *,
    url: Url = "",
    key: Key = None,
    issuer: Issuer = "",
    audience: Audience = "",
    kid: Kid = "",
    jku: Jku = "",
    tenant: Tenant = "",
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Fetch the discovery document of a running server; exit code 1 for an error, 2 where nobody answers."""
    from cds.bootstrap.hook_client import Way

    _print(_answer(_asked(Way(url, key, issuer, audience, kid, jku, tenant, token_file, ca_file), _discover)))


@app.command()
def call(
    service: Service,
    *,
    request: Annotated[typer.FileBinaryRead, typer.Option("--request", help="a request as JSON; - for stdin")],
    as_json: AsJson = False,
    url: Url = "",
    key: Key = None,
    issuer: Issuer = "",
    audience: Audience = "",
    kid: Kid = "",
    jku: Jku = "",
    tenant: Tenant = "",
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Send a request to a service and show its cards; exit code 1 for an error, 2 where nobody answers."""
    from cds.bootstrap.hook_client import Way

    body = _object(request)
    way = Way(url, key, issuer, audience, kid, jku, tenant, token_file, ca_file)
    reply = _asked(way, lambda server: server.call(service, body))
    if as_json:
        _print(_answer(reply))
        return
    _status(reply)
    hooks_shown.show(_answer(reply))


@app.command()
def feedback(
    service: Service,
    *,
    card: Annotated[str, typer.Option("--card", metavar="UUID", help="the card's uuid")],
    accept: Annotated[list[str] | None, typer.Option("--accept", metavar="UUID", help="a suggestion's uuid")] = None,
    override: Annotated[
        str | None, typer.Option("--override", metavar="CODE", help='a reason\'s code or system|code; "" for none')
    ] = None,
    comment: Annotated[str, typer.Option("--comment", help="the user's words to an override")] = "",
    url: Url = "",
    key: Key = None,
    issuer: Issuer = "",
    audience: Audience = "",
    kid: Kid = "",
    jku: Jku = "",
    tenant: Tenant = "",
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Tell a service what became of a card: suggestions were accepted, or it was overridden."""
    from cds.bootstrap.hook_client import Way, accepted, overridden

    if (override is None) == (not accept):
        raise typer.BadParameter("want --accept or --override, and not both")
    with _told():
        body = overridden(card, override, comment) if override is not None else accepted(card, accept or [])
    way = Way(url, key, issuer, audience, kid, jku, tenant, token_file, ca_file)
    reply = _asked(way, lambda server: server.feedback(service, body))
    _status(reply)
    if not reply.is_success:
        _fail(reply)
    if reply.said:
        typer.echo(hooks_shown.plain(reply.said))


@app.command()
def jwks(
    key: Annotated[Path, typer.Argument(metavar="PEM", exists=True, dir_okay=False, help="a private key")],
) -> None:
    """Print the public half of a key as a JWK Set, for a server that is told it out of band."""
    from cds.bootstrap import hook_client

    with _told():
        _print(hook_client.jwks(key))


@app.command()
def sandbox(
    *,
    patient: Annotated[
        list[Path],
        typer.Option(exists=True, dir_okay=False, help="a FHIR R4 Bundle with one Patient; cds demo writes one"),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the page, on loopback; 0: a free one")] = _PORT,
    url: Url = "",
    key: Key = None,
    issuer: Issuer = "",
    audience: Audience = "",
    kid: Kid = "",
    jku: Jku = "",
    tenant: Tenant = "",
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Play an EHR for patients on a page, for tests alone: no login, loopback alone, invented patients alone."""
    from cds.bootstrap import hook_client

    way = hook_client.Way(url, key, issuer, audience, kid, jku, tenant, token_file, ca_file)
    with _told(), hook_client.sandbox(way, patient, port) as page:
        typer.echo(f"The sandbox is at {page.url} and calls {page.calls}. INSECURE: for tests alone. Ctrl-C ends it.")
        if key:
            typer.echo(f"It signs as {issuer}; its keys are at {page.url}/.well-known/jwks.json")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever manages it ends it as Ctrl-C does
        with suppress(KeyboardInterrupt):
            page.serve()


def _discover(server: HookServer) -> HookReply:
    return server.discover()


def _asked(way: Way, ask: Callable[[HookServer], HookReply]) -> HookReply:
    from cds.bootstrap import hook_client

    with _told():
        return ask(hook_client.server(way))


@contextmanager
def _told() -> Iterator[None]:
    """Bad usage and a server that does not answer, in words."""
    try:
        yield
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from None
    except Unavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_NOBODY) from None


def _answer(reply: HookReply) -> Json:
    """The object of a 200; ends with what the error says."""
    if not reply.is_answer or reply.body is None:
        _fail(reply)
    return reply.body


def _fail(reply: HookReply) -> NoReturn:
    words = hooks_shown.plain(reply.said) or _UNSAID.get(reply.status, "it came without words that CDS Hooks knows")
    typer.echo(f"HTTP {reply.status}: {words}", err=True)
    raise typer.Exit(EXIT_FAILED)


def _object(file: BinaryIO) -> Json:
    try:
        found = json.load(file)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise typer.BadParameter("--request: want one JSON object")
    return found


def _status(reply: HookReply) -> None:
    typer.echo(f"HTTP {reply.status} in {reply.took_ms:.0f} ms")


def _print(document: Mapping[str, object]) -> None:
    typer.echo(json.dumps(document, indent=2))
