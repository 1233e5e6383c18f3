"""Sign-in by OpenID Connect against a provider on a socket: the way in, and everything that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from adapters.oidc import Provider as Reader
from cds.bootstrap.ui import ui_services
from cds.errors import ConfigurationError, PeerRefused, Unavailable
from cds.settings import Settings, load
from cds.ui_door import UiOidc
from cds.web.ui.app import create_ui
from tests.contract.oidc_peer import CLIENT_ID, SECRET, Provider, providing
from tests.contract.ui_site import UiSite, serving
from tests.ui_doors import NOW, StandingClock, parsed

_PAGES = "http://127.0.0.1:8081"
_ROLES = {"hospital-radiology": ["radiologist"], "it": ["engineer", "auditor"]}


class Way:
    """A site, its provider, and a browser that goes from one to the other."""

    def __init__(self, site: UiSite, provider: Provider) -> None:
        self.site, self.provider = site, provider
        self.browser: FlaskClient = site.app.test_client()

    def out(self, to: str = "/") -> httpx.URL:
        """The first half: where the browser is sent."""
        response = self.browser.get("/sign-in/oidc", query_string={"next": to})
        assert response.status_code == 302
        return httpx.URL(response.location)

    def back(self, out: httpx.URL) -> httpx.URL:
        """The provider's page, and where it sends the browser."""
        return httpx.URL(httpx.get(out).headers["Location"])

    def arrive(self, back: httpx.URL, browser: FlaskClient | None = None) -> TestResponse:
        """The second half."""
        return (browser or self.browser).get(back.path, query_string=dict(back.params))

    def sign_in(self, to: str = "/") -> TestResponse:
        """The whole way."""
        return self.arrive(self.back(self.out(to)))

    def is_in(self) -> bool:
        return self.browser.get("/").status_code != 401

    def roles(self) -> str:
        """The roles that the page says the person has."""
        spans = parsed(self.browser.get("/sign-in")).all("span")
        return next((one["title"] for one in spans if "title" in one), "")


@contextmanager
def way(folder: Path, *, secret: bool = False, table: dict[str, Any] | None = None, **provided: Any) -> Iterator[Way]:
    clock = StandingClock()
    provider = Provider(clock.now, confidential=secret, redirect_uri=f"{_PAGES}/sign-in/oidc/callback", **provided)
    with providing(provider):
        given: dict[str, Any] = {"issuer": provider.issuer, "client_id": CLIENT_ID, "roles": _ROLES} | (table or {})
        if secret:
            file = folder / "secret"
            file.write_text(f"{SECRET}\n", encoding="utf-8")
            given["client_secret_file"] = file
        with serving(folder, ui_oidc=given) as site:
            provider.now = site.clock.now
            yield Way(site, provider)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Way]:
    with way(tmp_path) as found:
        yield found


class TestTheWayIn:
    def test_who_the_provider_vouches_for_is_in_with_the_roles_of_their_groups(self, one: Way) -> None:
        arrived = one.sign_in("/quality")
        assert (arrived.status_code, arrived.location) == (303, "/quality")
        assert one.is_in()
        assert one.roles() == "radiologist"
        assert one.site.told() == [("oidc:8f3c", "sign-in", ("oidc",))]

    def test_the_request_has_pkce_state_and_nonce_anew_each_time(self, one: Way) -> None:
        first, second = one.out(), one.out()
        for name in ("state", "nonce", "code_challenge"):
            assert len(first.params[name]) >= 43
            assert first.params[name] != second.params[name]
        assert first.params["code_challenge_method"] == "S256"

    def test_a_confidential_client_proves_itself(self, tmp_path: Path) -> None:
        with way(tmp_path, secret=True) as found:
            assert found.sign_in().status_code == 303
            assert found.provider.refusals == []

    def test_the_sign_in_page_offers_it(self, one: Way) -> None:
        page = parsed(one.browser.get("/sign-in?next=/quality"))
        assert "Sign in with your organisation" in page.text
        assert "/sign-in/oidc?next=/quality" in [link.get("href") for link in page.all("a")]
        assert not [field for field in page.all("input") if field.get("type") == "password"]

    def test_a_claim_within_a_claim_gives_the_roles(self, tmp_path: Path) -> None:
        table = {"role_claim": "realm_access.roles"}
        with way(tmp_path, table=table, claims={"realm_access": {"roles": ["it"]}}) as found:
            found.sign_in()
            assert found.roles() == "auditor, engineer"

    def test_one_group_as_a_text_counts_too(self, tmp_path: Path) -> None:
        with way(tmp_path, groups="it") as found:
            assert found.sign_in().status_code == 303

    def test_another_claim_may_name_the_person(self, tmp_path: Path) -> None:
        with way(tmp_path, table={"user_claim": "employee"}, claims={"employee": "E-7"}) as found:
            found.sign_in()
            assert found.site.told() == [("oidc:E-7", "sign-in", ("oidc",))]

    def test_several_audiences_with_us_as_the_authorized_party_are_fine(self, tmp_path: Path) -> None:
        with way(tmp_path, claims={"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}) as found:
            assert found.sign_in().status_code == 303


class TestWhatIsRefused:
    @pytest.mark.parametrize("groups", [[], ["cardiology"], None, 7, [7], {"it": True}])
    def test_who_has_no_role_is_told_so_and_it_is_written(self, tmp_path: Path, groups: object) -> None:
        with way(tmp_path, groups=groups) as found:
            refused = found.sign_in()
            assert refused.status_code == 403
            assert "your account has no role in Sightline" in parsed(refused).text
            assert not found.is_in()
            assert found.site.told() == [("oidc:8f3c", "sign-in refused", ("oidc",))]

    @pytest.mark.parametrize(
        "claims",
        [
            {"iss": "https://evil.example"},
            {"aud": "another-app"},
            {"aud": [CLIENT_ID, "other"], "azp": "other"},
            {"exp": int((NOW - timedelta(minutes=2)).timestamp())},
            {"nonce": "another"},
            {"nonce": None},
            {"sub": None},
            {"exp": None},
            {"aud": None},
            {"iss": None},
            {"iat": "soon"},
            {"at_hash": "AAAA"},
        ],
        ids=str,
    )
    def test_an_id_token_with_a_wrong_claim(self, tmp_path: Path, claims: dict[str, Any]) -> None:
        with way(tmp_path, claims=claims) as found:
            assert found.sign_in().status_code == 403
            assert not found.is_in()

    def test_an_id_token_that_somebody_else_signed(self, tmp_path: Path) -> None:
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        with way(tmp_path, signs_with=other) as found:
            assert found.sign_in().status_code == 403

    @pytest.mark.parametrize(("algorithm", "key"), [("HS256", "k" * 64), ("none", "")])
    def test_an_id_token_that_whoever_reads_it_could_have_made(self, tmp_path: Path, algorithm: str, key: str) -> None:
        with way(tmp_path, algorithm=algorithm, signs_with=key) as found:
            assert found.sign_in().status_code == 403
            assert not found.is_in()

    def test_an_answer_without_an_id_token(self, tmp_path: Path) -> None:
        with way(tmp_path, without_id_token=True) as found:
            assert found.sign_in().status_code == 502

    @pytest.mark.parametrize("state", ["", "x", "A" * 43])
    def test_another_state(self, one: Way, state: str) -> None:
        back = one.back(one.out()).copy_set_param("state", state)
        assert one.arrive(back).status_code == 400
        assert not one.is_in()

    def test_a_sign_in_that_another_browser_began(self, one: Way) -> None:
        back = one.back(one.out())
        assert one.arrive(back, one.site.app.test_client()).status_code == 400

    def test_the_code_of_another_sign_in(self, one: Way) -> None:
        mine, other = one.back(one.out()), one.back(one.out())
        assert one.arrive(mine.copy_set_param("code", other.params["code"])).status_code == 400
        assert one.provider.refusals == ["code_verifier"]

    def test_the_same_answer_again(self, one: Way) -> None:
        back = one.back(one.out())
        assert one.arrive(back).status_code == 303
        assert one.arrive(back).status_code == 400

    def test_a_sign_in_that_took_too_long(self, one: Way) -> None:
        back = one.back(one.out())
        one.site.clock.at += timedelta(minutes=10, seconds=1)
        assert one.arrive(back).status_code == 400

    def test_a_no_of_the_provider_is_told_without_what_it_says_of_it(self, tmp_path: Path) -> None:
        with way(tmp_path, error="Quentina<script>") as found:
            refused = found.sign_in()
            assert refused.status_code == 403
            assert b"Quentina" not in refused.data

    def test_an_answer_of_another_server(self, tmp_path: Path) -> None:
        says = {"authorization_response_iss_parameter_supported": True}
        with way(tmp_path, configuration=says) as found:
            back = found.back(found.out())
            assert found.arrive(back).status_code == 400
            assert found.arrive(back.copy_set_param("iss", "https://evil.example")).status_code == 400
            assert found.arrive(back.copy_set_param("iss", found.provider.issuer)).status_code == 303

    def test_nobody_is_sent_to_a_stranger_afterwards(self, one: Way) -> None:
        assert one.sign_in("//evil.example").location == "/"

    def test_a_wrong_secret_is_told_without_what_the_provider_says_of_it(self, one: Way) -> None:
        one.provider.confidential = True
        refused = one.sign_in()
        assert refused.status_code == 502
        assert b"Quentina" not in refused.data

    def test_without_a_provider_there_is_no_such_way(self, tmp_path: Path) -> None:
        with serving(tmp_path) as site:
            browser = site.app.test_client()
            assert browser.get("/sign-in/oidc").status_code == 404
            assert browser.get("/sign-in/oidc/callback?state=" + "A" * 43).status_code == 404


class TestLater:
    def test_roles_follow_the_settings_of_now(self, tmp_path: Path) -> None:
        with way(tmp_path) as found:
            found.sign_in()
            kept = found.browser.get_cookie("sightline_session")
            assert kept is not None
            table = found.site.settings.ui_oidc
            assert table is not None
            changed = table.model_copy(update={"roles": {"hospital-radiology": frozenset({"auditor"})}})
            with_other = found.site.settings.model_copy(update={"ui_oidc": changed})
            assert _seen(found.site, with_other, kept.value) == "auditor"
            nobody = found.site.settings.model_copy(update={"ui_oidc": None})
            assert _seen(found.site, nobody, kept.value) == ""


class TestTheProvider:
    """What is wrong with it is found by `cds check`, and told without secrets."""

    @pytest.mark.parametrize(
        ("configuration", "error"),
        [
            ({"issuer": "https://evil.example"}, PeerRefused),
            ({"token_endpoint": "http://192.0.2.7/token"}, PeerRefused),
            ({"jwks_uri": ""}, PeerRefused),
            ({"authorization_endpoint": "javascript:alert(1)"}, PeerRefused),
        ],
        ids=str,
    )
    def test_a_discovery_document_that_cannot_be_believed(
        self, tmp_path: Path, configuration: dict[str, Any], error: type[Exception]
    ) -> None:
        with way(tmp_path, configuration=configuration) as found:
            table = found.site.settings.ui_oidc
            assert table is not None
            with pytest.raises(error):
                Reader(table, "", StandingClock()).check()
            assert found.browser.get("/sign-in/oidc").status_code == 502

    def test_one_that_is_away_can_be_tried_again(self) -> None:
        table = {"issuer": "http://127.0.0.1:9", "client_id": CLIENT_ID, "roles": _ROLES}
        with pytest.raises(Unavailable):
            Reader(UiOidc.model_validate(table), "", StandingClock()).check()

    @pytest.mark.parametrize(
        ("changes", "named"),
        [({"roles": {}}, "roles"), ({"roles": {"it": ["king"]}}, "roles"), ({"scopes": ["profile"]}, "openid")],
    )
    def test_settings_that_could_let_nobody_in_are_mistakes(self, changes: dict[str, Any], named: str) -> None:
        table = {"issuer": "https://id.example", "client_id": CLIENT_ID, "roles": _ROLES} | changes
        with pytest.raises(ConfigurationError, match=f"(?i){named}"):
            load(ui_oidc=table)


def _seen(site: UiSite, settings: Settings, token: str) -> str:
    """The roles that a page over other settings gives the session."""
    browser = create_ui(ui_services(settings, site.held, site.clock)).test_client()
    browser.set_cookie("sightline_session", token)
    spans = parsed(browser.get("/sign-in")).all("span")
    return next((one["title"] for one in spans if "title" in one), "")
