"""What all commands share: the settings, who acts, and exit codes."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from cds.errors import ConfigurationError
from cds.settings import Settings, load

EXIT_FAILED, EXIT_MISCONFIGURED = 1, 2

#: Who acts: a person's name or number, recorded with what they did.
By = Annotated[str, typer.Option("--by", help="who acts; the name of the account where it is left out")]


def settings() -> Settings:
    """The settings of this installation; raise ConfigurationError where its packages come from two places."""
    from cds.checks import packages

    one_place = packages()
    if not one_place.ok:
        raise ConfigurationError([f"{one_place.detail} {one_place.how_to_fix}".strip()])
    return load()


def actor(by: str) -> str:
    """The name that is recorded."""
    return by.strip() or getpass.getuser()
