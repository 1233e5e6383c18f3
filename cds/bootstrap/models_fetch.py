"""Fetches a model that somebody names by an address: over https alone, within bounds; nothing is read or run here."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from cds.errors import InvalidInput, OutOfResources, PeerRefused, Unavailable
from cds.settings import is_loopback

MAX_BYTES = 4 * 1024**3
_TIMEOUT_S = 60.0
_REDIRECTS = 5
_LEADING = (301, 302, 303, 307, 308)
_PART = 1024 * 1024


def is_address(source: str) -> bool:
    """True for what is fetched, and not a path."""
    return "://" in source


def fetch(address: str, into: Path, max_bytes: int = MAX_BYTES) -> Path:
    """The file, below `into` under the last part of its address.

    Raise InvalidInput for an address that is not taken or a file that is too large, Unavailable where the server cannot
    be reached or breaks off, PeerRefused where it has no such file, OutOfResources where it cannot be written.
    """
    _check(address)
    target, where = into / _name(address), address
    for _ in range(_REDIRECTS + 1):
        try:
            with _opener().open(where, timeout=_TIMEOUT_S) as answer:
                _write(answer, target, max_bytes)
                return target
        except urllib.error.HTTPError as error:
            where = _next(error, where)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise Unavailable(f"the model cannot be fetched: {_why(error)}") from None
    raise PeerRefused(f"the server leads to another address more than {_REDIRECTS} times")


def _next(answer: urllib.error.HTTPError, where: str) -> str:
    """The address that the server leads to: one that would be taken itself, and never from https to http."""
    answer.close()
    location = answer.headers.get("Location")
    if answer.code not in _LEADING or not location:
        raise PeerRefused(f"the server answers {answer.code} to the address of the model")
    there = urljoin(where, location)
    _check(there)
    if urlsplit(there).scheme != urlsplit(where).scheme:
        raise InvalidInput("the server leads to another kind of address than the one that was given")
    return there


def _opener() -> urllib.request.OpenerDirector:
    """No files, no FTP, no data addresses, and no redirects by itself; proxies of the environment are used."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _check(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise InvalidInput("a model is fetched over https alone")
    if not parts.hostname or parts.username or parts.password:
        raise InvalidInput("the address of a model wants a host, and no name or password")


def _name(address: str) -> str:
    name = Path(unquote(urlsplit(address).path)).name
    if not name or name.startswith("."):
        raise InvalidInput("the address of a model ends in the name of a file")
    return name


def _write(answer: http.client.HTTPResponse, target: Path, max_bytes: int) -> None:
    try:
        with target.open("xb") as out:
            while part := answer.read(_PART):
                if out.tell() + len(part) > max_bytes:
                    raise InvalidInput(f"the model is larger than {max_bytes} bytes")
                out.write(part)
    except http.client.IncompleteRead:
        raise Unavailable("the model cannot be fetched: the server broke off") from None
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        raise OutOfResources(f"the model cannot be kept: {error.strerror}") from None
    if answer.length:
        raise Unavailable("the model cannot be fetched: the server broke off")


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason or type(error).__name__)
