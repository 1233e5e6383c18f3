"""`cds users`: who may sign in to the pages with a password, where the organisation has no sign-in of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cds.commands.common import By, actor, settings
from cds.domain.staff import Role
from cds.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="People who sign in to the pages with a password: add, list, remove.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="the name that the person signs in with")]
Roles = Annotated[list[Role], typer.Option("--role", help="what the person is here for; may be given several times")]
File = Annotated[
    Path | None,
    typer.Option("--password-file", help="its first line is the password; without it, it is asked for or read"),
]


@app.command()
def add(name: Name, role: Roles, password_file: File = None, by: By = "") -> None:
    """Add a user with a password and roles."""
    from cds.bootstrap.users import users_of

    site = settings()
    kept = users_of(site).add(name, _password(password_file), role, actor(by))
    typer.echo(f"{kept} may sign in at {site.ui_address}: {', '.join(sorted(set(role)))}")


@app.command("list")
def show() -> None:
    """List the users with their roles."""
    from cds.bootstrap.users import users_of

    for user in users_of(settings()).all():
        typer.echo(f"{user.name}: {', '.join(sorted(user.roles)) or 'no role'}, since {user.since:%Y-%m-%d}")


@app.command()
def roles(name: Name, role: Roles, by: By = "") -> None:
    """Give a user these roles and no others, from their next page on."""
    from cds.bootstrap.users import users_of

    users_of(settings()).set_roles(name, role, actor(by))
    typer.echo(f"{name}: {', '.join(sorted(set(role)))}")


@app.command()
def password(name: Name, password_file: File = None, by: By = "") -> None:
    """Give a user another password, and end their sessions."""
    from cds.bootstrap.users import users_of

    users_of(settings()).set_password(name, _password(password_file), actor(by))
    typer.echo(f"{name}: the password is changed, and every session is over")


@app.command()
def remove(name: Name, by: By = "") -> None:
    """Remove a user, and end their sessions. What they did stays in the audit log."""
    from cds.bootstrap.users import users_of

    users_of(settings()).remove(name, actor(by))
    typer.echo(f"{name}: removed")


def _password(file: Path | None) -> str:
    """From a file, from a person at a terminal, or the first line of what is piped in; never from the arguments."""
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InvalidInput(f"want a text file with the password in its first line: {file}") from None
    elif sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        text = sys.stdin.readline()
    return text.splitlines()[0] if text else ""
