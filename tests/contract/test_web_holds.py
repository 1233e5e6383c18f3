"""/holds, served on loopback: a plain page, JSON where it is preferred, and a closed door."""

from __future__ import annotations

import httpx
import pytest

from tests.contract.web_peer import services, serving


@pytest.mark.parametrize("accept", [None, "*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "text/plain"])
def test_a_browser_gets_the_page(accept: str | None) -> None:
    with serving(services()) as url:
        response = httpx.get(f"{url}/holds", headers={"Accept": accept} if accept else {})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<td>0badcafe</td>" in response.text
    assert "LAB|HOSP is silent" in response.text
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_program_gets_json() -> None:
    with serving(services()) as url:
        body = httpx.get(f"{url}/holds", headers={"Accept": "application/json"}).json()
    [hold] = body["holds"]
    assert (hold["id"], hold["kind"], hold["age_s"]) == ("0badcafe", "match-in-doubt", 86400)
    assert hold["actions"][1] == {"name": "attach", "command": "cds holds resolve 0badcafe attach --to ORDER"}
    assert body["banner"] == ["LAB|HOSP is silent"]


def test_nobody_sees_what_waits_without_the_token() -> None:
    with serving(services(token="secret")) as url:
        refused = httpx.get(f"{url}/holds")
        let_in = httpx.get(f"{url}/holds", headers={"Authorization": "Bearer secret"})
    assert (refused.status_code, let_in.status_code) == (401, 200)
    assert "0badcafe" not in refused.text
