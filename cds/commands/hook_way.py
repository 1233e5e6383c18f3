"""The options of `cds hooks` that say which server is called, and what proves who calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[str, typer.Option("--url", help="base URL of the server; this installation where it is left out")]
Key = Annotated[
    Path | None,
    typer.Option("--key", metavar="PEM", exists=True, dir_okay=False, help="sign calls: RSA by RS384, P-384 by ES384"),
]
Issuer = Annotated[str, typer.Option("--issuer", help="iss of the tokens")]
Audience = Annotated[
    str, typer.Option("--audience", help="base URL that tokens are made out to, where it is not --url: behind a proxy")
]
Kid = Annotated[str, typer.Option("--kid", help="name of the key; its RFC 7638 thumbprint where it is left out")]
Jku = Annotated[str, typer.Option("--jku", help="where the tokens say that the key is published")]
Tenant = Annotated[str, typer.Option("--tenant", help="tenant of the tokens")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", exists=True, dir_okay=False, help="a bearer token, in place of a key")
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", exists=True, dir_okay=False, help="who signed the server's certificate")
]
