"""The page of local users: who may sign in with a password, and as what."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from cds.errors import Conflict, InvalidInput
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.ui.users import UserServices
from cds.web.ui.guard import allow, person
from cds.web.ui.shown import page, redirect_to, say

_YOURSELF = "Nobody changes or removes their own account here: ask another administrator, or use cds users."


def blueprint(services: UiServices) -> Blueprint:
    """`/users`; nothing where this installation gives it no services."""
    found = Blueprint("users", __name__, url_prefix="/users")
    if services.users is None:
        return found
    views = _Views(services.users)
    found.add_url_rule("", view_func=views.listed)
    found.add_url_rule("", "add", views.add, methods=["POST"])
    for name, view in (("roles", views.roles), ("password", views.password), ("remove", views.remove)):
        found.add_url_rule(f"/<name>/{name}", name, view, methods=["POST"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    users: UserServices

    @allow(Role.ADMINISTRATOR)
    def listed(self) -> Response:
        return page("users.html", users=self.users.all(), roles=tuple(Role))

    @allow(Role.ADMINISTRATOR)
    def add(self) -> AnyResponse:
        name = request.form.get("name", "")
        kept = self.users.add(name, request.form.get("password", ""), _roles(), person().user)
        return _done(f"{kept} may sign in.")

    @allow(Role.ADMINISTRATOR)
    def roles(self, name: str) -> AnyResponse:
        self.users.set_roles(_other(name), _roles(), person().user)
        return _done(f"{name} has other roles from the next page on.")

    @allow(Role.ADMINISTRATOR)
    def password(self, name: str) -> AnyResponse:
        self.users.set_password(_other(name), request.form.get("password", ""), person().user)
        return _done(f"{name} has another password, and every session is over.")

    @allow(Role.ADMINISTRATOR)
    def remove(self, name: str) -> AnyResponse:
        self.users.remove(_other(name), person().user)
        return _done(f"{name} is removed.")


def _roles() -> list[Role]:
    given = request.form.getlist("role")
    if unknown := set(given) - set(Role):
        raise InvalidInput(f"want roles of {', '.join(Role)}: {len(unknown)} of those are none")
    return [Role(one) for one in given]


def _other(name: str) -> str:
    """An administrator who takes their own role away could lock everybody out."""
    if name.strip().casefold() == person().user:
        raise Conflict(_YOURSELF)
    return name


def _done(text: str) -> AnyResponse:
    say(text)
    return redirect_to("users.listed")
