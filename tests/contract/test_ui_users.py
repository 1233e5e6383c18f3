"""The page of local users, and `cds users`: two doors to the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from typer.testing import CliRunner

from cds.cli import app as cli
from cds.domain.staff import Role
from cds.errors import SightlineError
from tests.contract.ui_site import UiSite, serving, sign_in
from tests.ui_doors import parsed, post

_PASSWORD = "another long password"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[UiSite]:
    with serving(tmp_path) as found:
        found.user("ada", Role.ADMINISTRATOR)
        found.user("rita", Role.RADIOLOGIST)
        yield found


@pytest.fixture
def ada(site: UiSite) -> FlaskClient:
    return site.signed_in("ada")


def roles(site: UiSite, name: str) -> list[str]:
    user = site.users.find(name)
    return sorted(user.roles) if user else []


class TestThePage:
    def test_an_administrator_comes_to_it_and_sees_everybody(self, ada: FlaskClient) -> None:
        assert ada.get("/").location == "/users"
        text = parsed(ada.get("/users")).text
        assert "ada administrator" in text
        assert "rita radiologist" in text

    def test_a_user_is_added_and_may_sign_in(self, site: UiSite, ada: FlaskClient) -> None:
        form = {"name": " Olaf ", "password": _PASSWORD, "role": "engineer"}
        response = post(ada, "/users", form)
        assert (response.status_code, response.location) == (303, "/users")
        assert "olaf may sign in." in parsed(ada.get("/users")).text
        assert sign_in(site.app.test_client(), "olaf", _PASSWORD).status_code == 303
        [told] = [one for one in site.events() if one.detail[:1] == ("olaf",)]
        assert (told.actor, told.action, told.detail) == ("ada", "user added", ("olaf", "engineer"))

    @pytest.mark.parametrize(
        ("form", "status"),
        [
            ({"name": "olaf", "password": _PASSWORD}, 400),
            ({"name": "olaf", "password": "too short", "role": "engineer"}, 400),
            ({"name": "olaf", "password": _PASSWORD, "role": "king"}, 400),
            ({"name": "o l a f", "password": _PASSWORD, "role": "engineer"}, 400),
            ({"name": "", "password": _PASSWORD, "role": "engineer"}, 400),
            ({"name": "RITA", "password": _PASSWORD, "role": "engineer"}, 409),
        ],
        ids=str,
    )
    def test_what_cannot_be_added_is_told_and_not_kept(
        self, site: UiSite, ada: FlaskClient, form: dict[str, str], status: int
    ) -> None:
        assert post(ada, "/users", form).status_code == status
        assert [one.name for one in site.users.all()] == ["ada", "rita"]
        assert roles(site, "rita") == ["radiologist"]

    def test_roles_are_replaced(self, site: UiSite, ada: FlaskClient) -> None:
        assert post(ada, "/users/rita/roles", {"role": "auditor"}).status_code == 303
        assert roles(site, "rita") == ["auditor"]

    def test_another_password_opens_and_the_old_one_does_not(self, site: UiSite, ada: FlaskClient) -> None:
        assert post(ada, "/users/rita/password", {"password": _PASSWORD}).status_code == 303
        assert sign_in(site.app.test_client(), "rita").status_code == 401
        assert sign_in(site.app.test_client(), "rita", _PASSWORD).status_code == 303

    def test_a_user_is_removed(self, site: UiSite, ada: FlaskClient) -> None:
        assert post(ada, "/users/rita/remove").status_code == 303
        assert site.users.find("rita") is None
        assert post(ada, "/users/rita/remove").status_code == 404

    @pytest.mark.parametrize("what", ["roles", "password", "remove"])
    @pytest.mark.parametrize("name", ["ada", "ADA"])
    def test_an_administrator_cannot_lock_herself_out(
        self, site: UiSite, ada: FlaskClient, what: str, name: str
    ) -> None:
        form = {"role": "auditor", "password": _PASSWORD}
        assert post(ada, f"/users/{name}/{what}", form).status_code == 409
        assert roles(site, "ada") == ["administrator"]
        assert sign_in(site.app.test_client(), "ada").status_code == 303


class TestTheCommand:
    """Over the same tables; the password never stands in the arguments."""

    @pytest.fixture(autouse=True)
    def _here(self, site: UiSite, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CDS_DATA_DIR", str(site.settings.data_dir))

    def test_add_list_roles_password_remove(self, site: UiSite, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_text(f"{_PASSWORD}\nsecond line\n")
        told = self.run("add", "Olaf", "--role", "engineer", "--role", "auditor", "--password-file", str(file))
        assert told == "olaf may sign in at http://127.0.0.1:8081: auditor, engineer\n"
        assert "olaf: auditor, engineer, since " in self.run("list")
        assert sign_in(site.app.test_client(), "olaf", _PASSWORD).status_code == 303
        self.run("roles", "olaf", "--role", "coordinator", "--by", "boss")
        assert roles(site, "olaf") == ["coordinator"]
        self.run("password", "olaf", typed="yet another password\n")
        assert sign_in(site.app.test_client(), "olaf", "yet another password").status_code == 303
        self.run("remove", "olaf")
        assert site.users.find("olaf") is None
        assert ("boss", "user roles changed") in {(one.actor, one.action) for one in site.events()}

    def test_a_password_may_be_piped_in(self, site: UiSite) -> None:
        self.run("add", "olaf", "--role", "engineer", typed=f"{_PASSWORD}\n")
        assert sign_in(site.app.test_client(), "olaf", _PASSWORD).status_code == 303

    @pytest.mark.parametrize("typed", ["", "\n", "short\n"])
    def test_without_a_proper_password_nobody_is_added(self, site: UiSite, typed: str) -> None:
        result = CliRunner().invoke(cli, ["users", "add", "olaf", "--role", "engineer"], input=typed)
        assert isinstance(result.exception, SightlineError)
        assert site.users.find("olaf") is None

    def test_a_file_that_is_not_there_is_told(self, site: UiSite, tmp_path: Path) -> None:
        arguments = ["users", "add", "olaf", "--role", "engineer", "--password-file", str(tmp_path / "nothing")]
        result = CliRunner().invoke(cli, arguments)
        assert "want a text file" in str(result.exception)

    def run(self, *arguments: str, typed: str = "") -> str:
        result = CliRunner().invoke(cli, ["users", *arguments], input=typed)
        assert result.exit_code == 0, result.output
        return result.output
