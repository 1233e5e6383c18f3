"""`cds check` looks whether the keys of EHRs that call CDS Hooks can be had, from files and over a real socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cds.bootstrap.hook_check import hook_checks
from cds.checks import Check
from cds.settings import Settings
from tests.contract.fhir_wire import Reply, serving
from tests.contract.hook_ehr import ALL, ISSUER
from tests.e2e.site import free_port


def found(**place: object) -> Check:
    """The one check of an installation that one EHR calls."""
    client = {"issuer": ISSUER, **place}
    (check,) = hook_checks(Settings(hook_clients={"ehr": client}))
    return check()


def test_keys_in_a_file_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(ALL))
    told = found(jwks_file=file)
    assert (told.ok, told.name) == (True, "CDS Hooks client ehr")
    assert "3 keys" in told.detail


@pytest.mark.parametrize(
    "text", ["-----BEGIN PUBLIC KEY-----", "{}", "[]", '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}']
)
def test_a_file_without_a_key_that_tokens_may_be_signed_with_is_a_failure(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key.pem"
    file.write_text(text)
    told = found(jwks_file=file)
    assert not told.ok
    assert str(file) in told.detail
    assert "JWK Set" in told.how_to_fix


def test_keys_at_an_address_are_fetched() -> None:
    with serving(lambda _: Reply(body=ALL)) as wire:
        assert found(jwks_url=f"{wire.url}/jwks").ok


def test_an_address_where_nobody_answers_is_a_failure() -> None:
    told = found(jwks_url=f"http://127.0.0.1:{free_port()}/jwks")
    assert not told.ok
    assert "cannot be read" in told.detail


def test_without_an_ehr_there_is_nothing_to_look_at() -> None:
    assert hook_checks(Settings()) == []
