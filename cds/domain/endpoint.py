"""DICOMweb addresses in one spelling, so that what a wire names and what is configured can be compared."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_PORTS = {"http": 80, "https": 443}


def dicomweb_base(address: str) -> str:
    """The base URL of an http(s) address, which `/studies` follows; "" for anything else.

    Some name a study or the services themselves: the base stands before them.
    """
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not parts.hostname or parts.username:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    at = f":{port}" if port and port != _PORTS[parts.scheme] else ""
    path = re.sub(r"/studies(/.*)?$", "", parts.path.rstrip("/"))
    return urlunsplit((parts.scheme, f"{host}{at}", path, "", ""))
