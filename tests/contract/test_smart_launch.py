"""The launch of the study page over real sockets: an EHR that checks, a browser, and everything that is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cds.domain.identity import Identifier, IdentityChange, IdentityEvent
from cds.domain.matching import MatchState
from cds.domain.message import LoggedMessage, MessageContent
from tests.contract.smart_peer import LaunchingEhr
from tests.contract.smart_site import BERTA, BORN, TINA, SmartSite, serving
from tests.contract.store_contract import NOW, raw


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SmartSite]:
    with serving(tmp_path) as found:
        yield found


def shown_nothing(site: SmartSite) -> bool:
    """Nobody got a session, and the audit log has no view."""
    return site.get("/studies").status_code == 401 and not site.views()


def said(response: httpx.Response) -> str:
    """What a page says, without the tokens of its forms."""
    return response.text.partition("<main")[2].partition("</main>")[0]


class TestTheWayIn:
    """A click on the card's link, to the page of the study that it is about."""

    def test_the_link_opens_the_study_it_is_about(self, site: SmartSite) -> None:
        page = site.launch()
        assert page.status_code == 200
        assert re.fullmatch(r"/studies/[0-9a-f-]{36}", page.url.path)
        assert [seen.status_code for seen in page.history] == [302, 302, 303]
        assert "18.2 %" in page.text
        assert "Test, Tina" in page.text

    def test_no_address_on_the_way_names_the_patient(self, site: SmartSite) -> None:
        page = site.launch()
        own = [one.url for one in (*page.history, page) if str(one.url).startswith(site.url)]
        said = [part for url in own for part in (*url.path.split("/"), *url.params.values())]
        assert len(own) == 3
        assert not {"P1", "p1", "Tina", "Test", BORN, "A1", "1.2"} & set(said)

    def test_a_card_s_context_as_an_object_is_understood_too(self, site: SmartSite) -> None:
        study = site.launch().url.path.rpartition("/")[2]
        site.ehr.app_context = {"study": study}
        assert site.launch().url.path == f"/studies/{study}"

    @pytest.mark.parametrize("context", [None, "", "plain words", "[1]", '{"study": 7}', '{"study": "../metrics"}'])
    def test_without_a_study_in_the_context_the_list_is_shown(self, site: SmartSite, context: object) -> None:
        site.ehr.app_context = context
        page = site.launch()
        assert (page.status_code, page.url.path) == (200, "/studies")
        assert page.text.count('<a href="/studies/') == 1

    def test_a_link_of_the_list_leads_to_the_study_and_back(self, site: SmartSite) -> None:
        site.ehr.app_context = None
        listed = site.launch()
        [link] = re.findall(r'<a href="(/studies/[^"]+)"', listed.text)
        assert site.browser.get(listed.url.join(link)).status_code == 200

    def test_the_ehr_is_asked_with_pkce_and_for_its_own_fhir_server(self, site: SmartSite) -> None:
        begun = site.browser.get(f"{site.url}/smart/launch", params={"iss": site.iss, "launch": "launch-1"})
        asked = {name: value[0] for name, value in parse_qs(urlsplit(begun.headers["Location"]).query).items()}
        assert asked["aud"] == site.iss
        assert asked["code_challenge_method"] == "S256"
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", asked["code_challenge"])
        assert asked["redirect_uri"] == f"{site.url}/smart/callback"

    def test_an_iss_with_a_slash_at_its_end_is_the_same_and_goes_back_as_it_came(self, site: SmartSite) -> None:
        begun = site.browser.get(f"{site.url}/smart/launch", params={"iss": f"{site.iss}/", "launch": "launch-1"})
        assert parse_qs(urlsplit(begun.headers["Location"]).query)["aud"] == [f"{site.iss}/"]

    def test_the_access_token_reads_one_patient_and_goes_nowhere_else(self, site: SmartSite) -> None:
        site.launch()
        with_token = [one.path for one in site.wire.asked if one.token in site.ehr.tokens]
        assert with_token == ["/fhir/Patient/p1"]
        assert not any(token in str(site.browser.cookies.jar) for token in site.ehr.tokens)

    def test_a_confidential_client_proves_itself(self, tmp_path: Path) -> None:
        with serving(tmp_path, LaunchingEhr(TINA, confidential=True)) as site:
            assert site.launch().status_code == 200
            assert site.ehr.refusals == []

    def test_an_ehr_without_openid_names_the_user_in_the_token_response(self, tmp_path: Path) -> None:
        with serving(tmp_path, LaunchingEhr(TINA, openid=False)) as site:
            assert site.launch().status_code == 200
            assert {one.actor for one in site.views()} == {"Practitioner/7"}

    def test_two_charts_may_be_opened_at_once(self, site: SmartSite) -> None:
        first, second = site.callback(), site.callback()
        assert site.browser.get(first).status_code == 303
        assert site.browser.get(second).status_code == 303


class TestWhatIsRefused:
    """No session comes of any of these, and no page says why beyond what the clinician can do."""

    @pytest.mark.parametrize("iss", ["", "https://evil.example/fhir", "{iss}/x", "{iss}@evil.example"])
    def test_an_ehr_that_is_not_configured(self, site: SmartSite, iss: str) -> None:
        refused = site.launch(iss=iss.replace("{iss}", site.iss))
        assert refused.status_code == 400
        assert "not registered" in refused.text
        assert site.wire.asked == []

    @pytest.mark.parametrize("user", ["", "Person/7", "Practitioner/", "Device/Practitioner/7/x"])
    def test_a_user_of_whom_nobody_says_that_it_is_a_practitioner(self, tmp_path: Path, user: str) -> None:
        with serving(tmp_path, LaunchingEhr(TINA, openid=False, user=user)) as site:
            refused = site.launch()
            assert refused.status_code == 403
            assert "does not say that a practitioner" in refused.text
            assert site.views() == []

    def test_a_launch_without_the_ehrs_word_for_it(self, site: SmartSite) -> None:
        assert site.launch(launch="").status_code == 400
        assert shown_nothing(site)

    @pytest.mark.parametrize("state", ["", "x", "x" * 43, "é" * 43])
    def test_another_state(self, site: SmartSite, state: str) -> None:
        back = httpx.URL(site.callback()).copy_set_param("state", state)
        assert site.browser.get(back).status_code == 400
        assert shown_nothing(site)
        assert not any(one.path == "/token" for one in site.wire.asked)

    def test_a_state_that_only_begins_like_the_one_that_was_kept(self, site: SmartSite) -> None:
        back = httpx.URL(site.callback())
        state = back.params["state"]
        other = state[:-1] + ("B" if state[-1] == "A" else "A")
        assert site.browser.get(back.copy_set_param("state", other)).status_code == 400
        assert site.ehr.tokens == []

    def test_a_state_that_another_browser_began(self, site: SmartSite) -> None:
        back = site.callback()
        with httpx.Client() as stranger:
            assert stranger.get(back).status_code == 400
            assert "set-cookie" not in stranger.get(back).headers
        assert site.ehr.tokens == []

    def test_the_same_answer_again(self, site: SmartSite) -> None:
        back = site.callback()
        assert site.browser.get(back).status_code == 303
        assert site.browser.get(back).status_code == 400

    def test_a_code_that_was_used_even_where_the_browser_kept_its_cookie(self, site: SmartSite) -> None:
        back = site.callback()
        kept = dict(site.browser.cookies)
        assert site.browser.get(back).status_code == 303
        with httpx.Client(cookies=kept) as again:
            refused = again.get(back)
            assert (refused.status_code, again.cookies.get("sightline_session")) == (400, None)
        assert site.ehr.refusals == ["code"]

    def test_the_code_of_another_launch(self, site: SmartSite) -> None:
        """A code that somebody slips in fails at the EHR: the verifier is not that of its challenge (RFC 7636)."""
        mine, other = (httpx.URL(site.callback()) for _ in range(2))
        refused = site.browser.get(mine.copy_set_param("code", other.params["code"]))
        assert refused.status_code == 400
        assert site.ehr.refusals == ["code_verifier"]
        assert shown_nothing(site)

    def test_a_launch_that_took_too_long(self, site: SmartSite) -> None:
        back = site.callback()
        site.clock.forward(minutes=10, seconds=1)
        assert site.browser.get(back).status_code == 400
        assert site.ehr.tokens == []

    def test_a_session_ends_after_half_an_hour(self, site: SmartSite) -> None:
        page = site.launch()
        site.clock.forward(minutes=29, seconds=59)
        assert site.browser.get(page.url).status_code == 200
        site.clock.forward(seconds=2)
        assert site.browser.get(page.url).status_code == 401

    def test_a_launch_cookie_is_no_session(self, site: SmartSite) -> None:
        site.callback()
        [kept] = [value for name, value in site.browser.cookies.items() if name.startswith("sightline_launch_")]
        site.browser.cookies.set("sightline_session", kept)
        assert site.get("/studies").status_code == 401

    def test_a_session_that_was_changed(self, site: SmartSite) -> None:
        site.launch()
        mine = site.browser.cookies["sightline_session"]
        other = "B" if mine[40] == "A" else "A"
        site.browser.cookies.clear()
        site.browser.cookies.set("sightline_session", mine[:40] + other + mine[41:])
        assert site.get("/studies").status_code == 401

    @pytest.mark.parametrize(
        ("said", "told"), [("access_denied", "access_denied"), ("Quentina<script>", "an unknown error")]
    )
    def test_a_no_of_the_ehr_is_told_and_nothing_else_that_it_says(self, site: SmartSite, said: str, told: str) -> None:
        site.ehr.error = said
        refused = site.launch()
        assert refused.status_code == 403
        assert told in refused.text
        assert "Quentina" not in refused.text
        assert site.ehr.tokens == []

    def test_an_answer_of_another_server(self, site: SmartSite) -> None:
        back = httpx.URL(site.callback()).copy_set_param("iss", "https://evil.example")
        assert site.browser.get(back).status_code == 400
        assert site.ehr.tokens == []

    def test_a_wrong_client_id_is_told_without_what_the_ehr_says_of_it(self, tmp_path: Path) -> None:
        with serving(tmp_path, LaunchingEhr(TINA)) as site:
            site.ehr.confidential = True  # the EHR wants a secret that the site has not configured
            refused = site.launch()
            assert refused.status_code == 503
            assert "401 (invalid_client)" in refused.text
            assert "Quentina" not in refused.text

    @pytest.mark.parametrize("forged", ["key", "audience"])
    def test_an_id_token_that_does_not_hold(self, tmp_path: Path, forged: str) -> None:
        other: dict[str, Any] = {"key": {"publishes": ec.generate_private_key(ec.SECP256R1())},
                                 "audience": {"audience": "another-app"}}[forged]  # fmt: skip
        with serving(tmp_path, LaunchingEhr(TINA, **other)) as site:
            refused = site.launch()
            assert refused.status_code == 403
            assert "did not prove who" in refused.text
            assert shown_nothing(site)

    @pytest.mark.parametrize("user", ["Patient/p1", "RelatedPerson/9"])
    def test_a_patient_who_launches(self, tmp_path: Path, user: str) -> None:
        with serving(tmp_path, LaunchingEhr(TINA, user=user)) as site:
            assert site.launch().status_code == 403
            assert shown_nothing(site)

    @pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint"])
    @pytest.mark.parametrize("url", ["", "http://192.0.2.7/token", "javascript:alert(1)"])
    def test_an_endpoint_that_may_not_be_told_a_secret(self, tmp_path: Path, endpoint: str, url: str) -> None:
        with serving(tmp_path, LaunchingEhr(TINA, configuration={endpoint: url})) as site:
            refused = site.launch()
            assert (refused.status_code, "Location" in refused.headers) == (503, False)

    def test_more_launches_than_a_clinic_begins(self, site: SmartSite) -> None:
        """Two processes share 300 a minute; of 301 within two minutes 151 are in one of them."""
        launches = (site.launch(iss="https://evil.example") for _ in range(301))
        answers = itertools.groupby(launches, key=lambda one: one.status_code)
        begun = [(status, list(group)) for status, group in itertools.islice(answers, 2)]
        assert [status for status, _ in begun] == [400, 429]
        assert len(begun[0][1]) >= 150
        assert 1 <= int(begun[1][1][0].headers["Retry-After"]) <= 60

    def test_an_ehr_that_does_not_answer(self, site: SmartSite) -> None:
        site.ehr.configuration = {"authorization_endpoint": 7}
        assert site.launch().status_code == 503


class TestWhosePageItIs:
    """A session is for one patient, and what is hers is asked at every view."""

    def test_an_identifier_that_nobody_maps(self, tmp_path: Path) -> None:
        stranger = {**TINA, "identifier": [{"system": "urn:other", "value": "P1"}]}
        with serving(tmp_path, LaunchingEhr(stranger)) as site:
            refused = site.launch()
            assert refused.status_code == 403
            assert "does not mean that there is no" in refused.text

    def test_a_patient_of_whom_nothing_is_known(self, tmp_path: Path) -> None:
        nobody = {**TINA, "identifier": [{**TINA["identifier"][0], "value": "P9"}]}
        with serving(tmp_path, LaunchingEhr(nobody)) as site:
            refused = site.launch()
            assert refused.status_code == 404
            assert "not a negative result" in refused.text

    @pytest.mark.parametrize("other", [{"birthDate": "1999-01-01"}, {"gender": "male"}])
    def test_a_patient_whose_birth_date_or_sex_contradicts(self, tmp_path: Path, other: dict[str, str]) -> None:
        with serving(tmp_path, LaunchingEhr({**TINA, **other})) as site:
            assert site.launch().status_code == 403
            assert shown_nothing(site)

    def test_another_patients_study_is_not_there(self, site: SmartSite) -> None:
        study = site.launch().url.path
        site.ehr.patient = BERTA
        page = site.launch()
        assert (page.status_code, page.url.path) == (404, study)
        assert '<a href="/studies/' not in site.get("/studies").text

    def test_what_is_not_hers_withdrawn_or_not_released_is_one_and_the_same_answer(self, site: SmartSite) -> None:
        page = site.launch()
        never = site.get("/studies/00000000-0000-4000-8000-000000000000")
        site.report(None, MatchState.HELD)
        withdrawn = site.browser.get(page.url)
        assert (never.status_code, withdrawn.status_code) == (404, 404)
        assert said(never) == said(withdrawn)

    def test_a_study_that_belongs_to_another_patient_now_is_gone(self, site: SmartSite) -> None:
        page = site.launch()
        site.report("P2")
        assert site.browser.get(page.url).status_code == 404

    def test_a_merge_takes_the_page_along(self, site: SmartSite) -> None:
        page = site.launch()
        change = IdentityChange(IdentityEvent.MERGE, "A40", (Identifier("P2", "HOSP"),), (Identifier("P1", "HOSP"),))
        content = MessageContent(replace(site.patient("P2"), id=None), identity=(change,))
        site.held.record.apply([(LoggedMessage(3, raw("3")), content)], NOW)
        assert site.browser.get(page.url).status_code == 200
        assert site.views()[-1].patient_id == site.patient("P2").id

    def test_a_finding_that_waits_for_a_radiologist_is_not_on_the_page(self, tmp_path: Path) -> None:
        with serving(tmp_path, release={"ehr": "immediate", "referral": "verified"}) as site:
            assert site.launch().status_code == 404
            assert '<a href="/studies/' not in site.get("/studies").text

    def test_without_a_session_there_is_no_page_and_no_list(self, site: SmartSite) -> None:
        page = site.launch()
        answers = [httpx.get(page.url), httpx.get(f"{site.url}/studies"), httpx.get(f"{site.url}/studies/x")]
        assert {one.status_code for one in answers} == {401}
        assert len({said(one) for one in answers}) == 1

    def test_who_logs_out_is_out(self, site: SmartSite) -> None:
        page = site.launch()
        [token] = re.findall(r'name="csrf" content="([^"]+)"', page.text)
        assert site.browser.post(f"{site.url}/sign-out", data={"csrf_token": token}).status_code == 200
        assert site.browser.get(page.url).status_code == 401

    def test_a_session_opens_nothing_but_the_page(self, site: SmartSite) -> None:
        site.launch()
        assert {site.get(path).status_code for path in ("/worklist", "/operations", "/quality")} == {403}
        assert {site.get(path).status_code for path in ("/metrics", "/fhir/Patient", "/nowhere")} == {404}


class TestWhatIsKept:
    """Who looked at what is in the audit log before it is shown; cookies are for this browser alone."""

    def test_every_view_is_in_the_audit_log_with_user_patient_and_version(self, site: SmartSite) -> None:
        page = site.launch()
        site.browser.get(page.url)
        views = [(one.actor, one.action, one.study_instance_uid, one.patient_id, one.detail) for one in site.views()]
        assert views == [("Practitioner/7", "study page viewed", "1.2", site.patient().id, ("version 1",))] * 2

    def test_whoever_saw_the_page_is_among_those_who_saw_the_study(self, site: SmartSite) -> None:
        site.launch()
        assert [one.actor for one in site.held.audit.seen_by("1.2")] == ["Practitioner/7"]

    def test_whoever_saw_the_page_is_told_that_the_study_was_another_patients(self, site: SmartSite) -> None:
        site.launch()
        site.report("P2")
        [told] = site.held.reports.withdrawn_of_patient(Identifier("P1", "HOSP"), NOW)
        assert told.study_instance_uid == "1.2"

    def test_cookies_are_for_http_alone_and_for_no_other_site(self, site: SmartSite) -> None:
        begun = site.browser.get(f"{site.url}/smart/launch", params={"iss": site.iss, "launch": "launch-1"})
        back = httpx.get(begun.headers["Location"]).headers["Location"]
        for one in (begun, site.browser.get(back)):
            given = [cookie for cookie in one.headers.get_list("set-cookie") if "Max-Age=0" not in cookie]
            assert len(given) == 1
            assert "HttpOnly" in given[0]
            assert "SameSite=Lax" in given[0]
            assert "Secure" not in given[0]

    def test_behind_https_cookies_never_travel_without_it(self, tmp_path: Path) -> None:
        with serving(tmp_path, ui_url="https://sightline.example") as site:
            site.ehr.redirect_uri = "https://sightline.example/smart/callback"
            begun = site.browser.get(f"{site.url}/smart/launch", params={"iss": site.iss, "launch": "launch-1"})
            assert "; Secure" in begun.headers["set-cookie"]

    def test_no_cookie_can_be_read(self, site: SmartSite) -> None:
        site.launch()
        mine = site.browser.cookies["sightline_session"]
        assert "Practitioner" not in mine
        assert site.patient().id not in mine

    def test_a_page_loads_nothing_from_elsewhere(self, site: SmartSite) -> None:
        policy = site.launch().headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy

    def test_nothing_of_the_patient_or_the_token_is_logged(
        self, site: SmartSite, capfd: pytest.CaptureFixture[str]
    ) -> None:
        site.launch()
        site.ehr.user = "Patient/p1"
        site.launch()
        logged = capfd.readouterr()
        assert not any(word in logged.out + logged.err for word in ("Tina", BORN, "access-", "code-", "launch-1"))


def test_a_site_without_such_an_ehr_has_no_page(tmp_path: Path) -> None:
    with serving(tmp_path, smart_apps={}) as site:
        assert {site.get(path).status_code for path in ("/smart/launch", "/smart/callback")} == {404}
        assert {site.get(path).status_code for path in ("/studies", "/studies/x")} == {401}
