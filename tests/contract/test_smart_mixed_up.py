"""Launches in bad company: answers and cookies of somebody else, and an EHR that keeps everybody waiting."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from adapters.fhir.exchange import NotNow
from adapters.fhir.launch import EhrLaunch
from cds.hook_peers import SmartApp
from tests.contract.fhir_wire import Asked, Reply
from tests.contract.fhir_wire import serving as ehr
from tests.contract.smart_peer import LaunchingEhr
from tests.contract.smart_site import TINA, serving


def test_an_answer_that_names_nobody_from_a_server_that_always_names_itself(tmp_path: Path) -> None:
    says = {"authorization_response_iss_parameter_supported": True}
    with serving(tmp_path, LaunchingEhr(TINA, configuration=says)) as site:
        back = httpx.URL(site.callback())
        assert site.browser.get(back).status_code == 400
        assert site.ehr.tokens == []
        named = back.copy_set_param("iss", site.wire.url.removesuffix("/fhir"))
        assert site.browser.get(named).status_code == 303


def test_behind_https_no_other_host_of_the_domain_can_put_a_cookie_in_the_place_of_ours(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, ui_url="https://sightline.example") as site:
        site.ehr.redirect_uri = "https://sightline.example/smart/callback"
        begun = site.browser.get(f"{site.url}/smart/launch", params={"iss": site.iss, "launch": "launch-1"})
        name, _, value = begun.headers["set-cookie"].partition(";")[0].partition("=")
        assert name.startswith("__Host-sightline_launch_")
        assert "Domain" not in begun.headers["set-cookie"]
        assert "Path=/" in begun.headers["set-cookie"].split("; ")
        back = httpx.get(begun.headers["Location"]).headers["Location"].replace("https://sightline.example", site.url)
        planted = httpx.get(back, headers={"Cookie": f"{name.removeprefix('__Host-')}={value}"})
        assert planted.status_code == 400
        came = httpx.get(back, headers={"Cookie": f"{name}={value}"})
        session = came.headers.get_list("set-cookie")[0].partition(";")[0]
        assert session.startswith("__Host-sightline_session=")
        assert httpx.get(f"{site.url}/studies", headers={"Cookie": session}).status_code == 200
        tossed = session.removeprefix("__Host-")
        assert httpx.get(f"{site.url}/studies", headers={"Cookie": tossed}).status_code == 401


def test_an_ehr_that_keeps_everybody_waiting_takes_two_threads_and_no_more() -> None:
    wanted, may_answer = threading.Semaphore(0), threading.Event()

    def slow(asked: Asked) -> Reply:
        wanted.release()
        may_answer.wait(20)
        addresses = {"authorization_endpoint": "https://ehr.example/a", "token_endpoint": "https://ehr.example/t"}
        return Reply(body=addresses)

    with ehr(slow) as wire, ThreadPoolExecutor(2) as pool:
        launch = EhrLaunch(wire.url, SmartApp(client_id="page"), "https://sightline.example/smart/callback")
        waiting = [pool.submit(launch.authorize_url, wire.url, "launch-1", "state", "verifier") for _ in range(2)]
        assert all(wanted.acquire(timeout=10) for _ in waiting)
        with pytest.raises(NotNow):
            launch.authorize_url(wire.url, "launch-1", "state", "verifier")
        with pytest.raises(NotNow):
            launch.finish({"code": "code-1"}, "verifier")
        may_answer.set()
        assert all(one.result().startswith("https://ehr.example/a?") for one in waiting)
        assert launch.authorize_url(wire.url, "launch-2", "state", "verifier").startswith("https://ehr.example/a?")
