"""Addresses: the path that a proxy may have the pages below, and those that a browser asks to be sent to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}")


def inside(path: str) -> str:
    """The path where it leads to a page of ours; "/" for everything else, so that nobody is sent to a stranger."""
    return path if _PATH.fullmatch(path) else "/"


def below(address: str, environ: WSGIEnvironment) -> WSGIEnvironment:
    """A request where browsers know it: links begin with the path of the address, also where a proxy takes it off."""
    prefix = urlsplit(address).path.rstrip("/")
    path = str(environ.get("PATH_INFO", ""))
    if prefix:
        environ["PATH_INFO"] = path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path
        environ["SCRIPT_NAME"] = prefix
    return environ
