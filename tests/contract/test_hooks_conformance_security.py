"""CDS Hooks 2.0, Security: who may call, over the whole application and its store."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cds.bootstrap import stores
from cds.settings import Settings
from tests.contract import hook_ehr
from tests.contract.hook_site import FINDINGS, HOOKS, ORIGIN, HookSite, app, serving
from tests.contract.web_peer import running
from tests.databases import fresh

Json = dict[str, Any]

_POSTED = tuple(("POST", f"/cds-services/{one}{end}") for one in HOOKS for end in ("", "/feedback"))
DOORS = (("GET", "/cds-services"), *_POSTED)
NOTHING_SAID = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "login"}]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HookSite]:
    with serving(tmp_path_factory.mktemp("hooks"), signed=True) as found:
        yield found


def ask(site: HookSite, method: str, path: str, token: str | None) -> httpx.Response:
    """A call with a token, or none."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return site.http.request(method, site.url + path, headers=headers, json={} if method == "POST" else None)


def signed(site: HookSite, path: str, **changes: Any) -> str:
    """A token for a path of the site as an EHR makes it, changed."""
    return hook_ehr.token(f"{site.settings.public_url}{path}", **{"now": datetime.now(UTC), **changes})


@pytest.mark.requirement(14, 176, 177)
@pytest.mark.parametrize(("method", "path"), DOORS)
def test_every_door_wants_a_signed_token_and_says_nothing_without_one(site: HookSite, method: str, path: str) -> None:
    for token in (None, "not-a-token"):
        refused = ask(site, method, path, token)
        assert (refused.status_code, refused.json()) == (401, NOTHING_SAID)
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert ask(site, method, path, signed(site, path)).status_code in (200, 400)


@pytest.mark.requirement(176)
def test_a_signed_call_is_answered_with_its_cards_and_takes_feedback(site: HookSite) -> None:
    (card, *_) = site.answer(FINDINGS, site.body(FINDINGS))["cards"]
    said = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-11-22T09:31:00Z"}
    answer = site.feedback(FINDINGS, said)
    assert (answer.status_code, answer.json()["issue"][0]["details"]["text"]) == (200, "1 recorded, 0 known already")


@pytest.mark.requirement(176)
def test_a_token_opens_one_address_once(site: HookSite) -> None:
    path = "/cds-services"
    token = signed(site, path, jti=str(uuid.uuid4()))
    assert ask(site, "GET", path, token).status_code == 200
    assert ask(site, "GET", path, token).status_code == 401
    elsewhere = signed(site, f"{path}/{FINDINGS}")
    assert ask(site, "GET", path, elsewhere).status_code == 401


@pytest.mark.requirement(176)
def test_a_token_of_another_key_and_one_that_was_changed_are_refused(site: HookSite) -> None:
    """The signature is what proves who calls: everything else in a token anybody can write."""
    path = "/cds-services"
    claims = hook_ehr.claims(f"{site.settings.public_url}{path}", datetime.now(UTC))
    stranger = ec.generate_private_key(ec.SECP384R1())
    forged = jwt.encode(claims, stranger, "ES384", headers={"kid": "p384"})
    head, _, mark = signed(site, f"{path}/{FINDINGS}").split(".")
    for token in (forged, f"{head}.{hook_ehr.part(claims)}.{mark}", f"{head}.{hook_ehr.part(claims)}."):
        assert ask(site, "GET", path, token).status_code == 401


@pytest.mark.requirement(200, 205, 207)
@pytest.mark.parametrize("algorithm", ["ES384", "RS384", "ES256", "RS256"])
def test_asymmetric_algorithms_of_rfc_7518_are_understood(site: HookSite, algorithm: str) -> None:
    assert ask(site, "GET", "/cds-services", signed(site, "/cds-services", algorithm=algorithm)).status_code == 200


@pytest.mark.requirement(201)
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
def test_a_token_without_signature_is_refused(site: HookSite, algorithm: str) -> None:
    claims = hook_ehr.claims(f"{site.settings.public_url}/cds-services", datetime.now(UTC))
    for kid in ({}, {"kid": "p384"}):
        token = f"{hook_ehr.part({'alg': algorithm, 'typ': 'JWT', **kid})}.{hook_ehr.part(claims)}."
        assert ask(site, "GET", "/cds-services", token).status_code == 401


@pytest.mark.requirement(203)
def test_a_token_that_is_signed_with_a_shared_secret_is_refused(site: HookSite) -> None:
    """With the public key as the secret too, which everybody has."""
    pem = hook_ehr.P384.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = hook_ehr.claims(f"{site.settings.public_url}/cds-services", datetime.now(UTC))
    for secret in (pem, json.dumps(hook_ehr.ALL["keys"][0]).encode(), b"secret"):
        for algorithm, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
            body = f"{hook_ehr.part({'alg': algorithm, 'typ': 'JWT', 'kid': 'p384'})}.{hook_ehr.part(claims)}"
            mark = base64.urlsafe_b64encode(hmac.new(secret, body.encode(), digest).digest()).rstrip(b"=").decode()
            assert ask(site, "GET", "/cds-services", f"{body}.{mark}").status_code == 401


@pytest.mark.requirement(195)
@pytest.mark.parametrize(
    "changed", [{"iss": "https://stranger.example"}, {"head": {"jku": "https://stranger.example/k"}}]
)
def test_issuers_and_key_addresses_that_are_not_listed_are_refused(site: HookSite, changed: Json) -> None:
    assert ask(site, "GET", "/cds-services", signed(site, "/cds-services", **changed)).status_code == 401


@pytest.mark.requirement(199)
def test_keys_that_were_handed_over_in_a_file_prove_a_client_whose_token_names_no_address(site: HookSite) -> None:
    (client,) = site.settings.hook_clients.values()
    assert client.jwks_file is not None
    assert client.jwks_url is None
    assert ask(site, "GET", "/cds-services", signed(site, "/cds-services")).status_code == 200


@pytest.mark.requirement(177)
def test_without_any_ehr_configured_nobody_is_answered_until_the_site_says_that_it_develops(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("closed")
    settings = Settings(data_dir=folder)
    with fresh(folder), running(app(settings, stores(settings))) as url:
        for method, path in DOORS:
            answer = httpx.request(method, url + path, json={} if method == "POST" else None)
            assert answer.status_code == 401
            assert "CDS_HOOK_CLIENTS" in answer.json()["issue"][0]["details"]["text"]


@pytest.mark.requirement(208)
def test_a_browser_of_a_listed_origin_may_call_and_one_of_another_may_not(site: HookSite) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
    asked, path = {"Origin": ORIGIN, **asks}, f"/cds-services/{FINDINGS}"
    preflight = site.http.options(site.url + path, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"GET", "POST"} <= set(preflight.headers["Access-Control-Allow-Methods"].split(", "))
    assert {"Authorization", "Content-Type"} <= set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    called = site.http.post(site.url + path, json=site.body(FINDINGS), headers=site.headers(path) | {"Origin": ORIGIN})
    assert (called.status_code, called.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    stranger = {**asked, "Origin": "https://stranger.example"}
    assert "Access-Control-Allow-Origin" not in site.http.options(site.url + path, headers=stranger).headers
