"""Settings: one typed place, every mistake at once, closed doors by default."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cds.domain.report import Audience, Gate, Mode
from cds.errors import ConfigurationError
from cds.settings import is_loopback, load, unknown_variables


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CDS_")]:
        monkeypatch.delenv(name)


def mistakes() -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load()
    return refused.value.mistakes


def test_without_any_variable_everything_listens_on_loopback_alone() -> None:
    settings = load()
    assert all(is_loopback(host) for host in (settings.http_host, settings.hl7_host, settings.dicom_host))
    assert (settings.http_port, settings.hl7_port, settings.dicom_port) == (8080, 2575, 11112)
    assert settings.public_url == "http://127.0.0.1:8080"


def test_every_mistake_is_reported_at_once_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_HTTP_PORT", "99999")
    monkeypatch.setenv("CDS_TIME_ZONE", "Mars/Olympus")
    monkeypatch.setenv("CDS_DICOM_AE_TITLE", "MUCH_TOO_LONG_A_TITLE")
    found = mistakes()
    assert [line.split(":")[0] for line in found] == ["CDS_HTTP_PORT", "CDS_DICOM_AE_TITLE", "CDS_TIME_ZONE"]
    assert "want an IANA time zone" in found[2]


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [("HTTP", "CDS_HTTP_TOKEN_FILE"), ("HL7", "CDS_HL7_TLS"), ("DICOM", "CDS_DICOM_TLS")],
)
def test_another_address_than_loopback_wants_authentication_first(
    monkeypatch: pytest.MonkeyPatch, variable: str, wanted: str
) -> None:
    monkeypatch.setenv(f"CDS_{variable}_HOST", "0.0.0.0")
    assert any(f"CDS_{variable}_HOST" in line and wanted in line for line in mistakes())


def test_with_a_token_the_web_may_listen_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    monkeypatch.setenv("CDS_HTTP_HOST", "0.0.0.0")
    monkeypatch.setenv("CDS_HTTP_TOKEN_FILE", str(token))
    assert load().http_host == "0.0.0.0"


def test_a_secrets_file_that_is_absent_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CDS_HTTP_TOKEN_FILE", str(tmp_path / "absent"))
    assert any("absent does not exist" in line for line in mistakes())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_the_whole_loopback_network_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_two_listeners_cannot_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_HL7_PORT", "8080")
    assert any("must differ" in line for line in mistakes())


def test_only_postgresql_is_accepted_as_another_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATABASE_URL", "mysql://localhost/x")
    assert any("CDS_DATABASE_URL wants postgresql" in line for line in mistakes())


@pytest.mark.parametrize("title", ["", "   ", "A\\B", "ABCDEFGHIJKLMNOPQ", "ÄTITEL"])
def test_an_ae_title_follows_ps3_5(monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    monkeypatch.setenv("CDS_DICOM_AE_TITLE", title)
    assert any("PS3.5" in line for line in mistakes())


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "sightline.toml"
    file.write_text('http_port = 9001\nsite_name = "From the file"\n[oru_destinations.EHR]\nhost = "h"\nport = 2576\n')
    monkeypatch.setenv("CDS_CONFIG_FILE", str(file))
    monkeypatch.setenv("CDS_HTTP_PORT", "9002")
    settings = load()
    assert (settings.http_port, settings.site_name) == (9002, "From the file")
    assert settings.oru_destinations["EHR"].port == 2576


def test_a_file_that_is_absent_or_has_an_unknown_word_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "sightline.toml"
    monkeypatch.setenv("CDS_CONFIG_FILE", str(file))
    assert "does not exist" in mistakes()[0]
    file.write_text("htpp_port = 1\n")
    assert any("HTPP_PORT" in line for line in mistakes())


def test_nested_settings_come_as_json_or_with_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_ORU_DESTINATIONS", '{"EHR": {"host": "127.0.0.1", "port": 2576}}')
    monkeypatch.setenv("CDS_HL7_LIMITS__MAX_CONNECTIONS", "7")
    settings = load()
    assert settings.oru_destinations["EHR"].host == "127.0.0.1"
    assert settings.hl7_limits.max_connections == 7
    assert unknown_variables() == []


def test_a_misspelled_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_HTPP_PORT", "8080")
    assert unknown_variables() == ["CDS_HTPP_PORT"]


def test_what_nobody_switched_runs_in_shadow_and_waits_for_a_radiologist() -> None:
    settings = load(model_modes={"seen": Mode.ADVISORY})
    assert settings.model_mode("seen") is Mode.ADVISORY
    assert settings.model_mode("unseen") is settings.pathway_mode("unseen") is Mode.SHADOW
    assert settings.release.gate(Audience.RADIOLOGIST) is Gate.IMMEDIATE
    assert settings.release.gate(Audience.EHR) is settings.release.gate(Audience.REFERRAL) is Gate.VERIFIED


def test_a_text_of_a_mistake_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATABASE_URL", "mysql://user:hunter2@host/x")
    assert "hunter2" not in "\n".join(mistakes())


class TestWhoMayCallCdsHooks:
    """Deny by default, and development never beside proof."""

    @pytest.fixture
    def jwks(self, tmp_path: Path) -> Path:
        (tmp_path / "jwks.json").write_text("{}")
        return tmp_path / "jwks.json"

    def test_nobody_may_without_a_setting(self) -> None:
        settings = load()
        assert (settings.hook_clients, settings.hook_origins, settings.insecure) == ({}, (), False)

    def test_development_is_for_loopback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CDS_INSECURE", "1")
        assert load().insecure
        monkeypatch.setenv("CDS_HTTP_HOST", "0.0.0.0")
        assert any("CDS_INSECURE is for development" in line for line in mistakes())

    def test_development_stands_beside_no_proof_of_who_calls(
        self, monkeypatch: pytest.MonkeyPatch, jwks: Path, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CDS_INSECURE", "1")
        monkeypatch.setenv("CDS_HOOK_CLIENTS", json.dumps({"a": {"issuer": "https://a", "jwks_file": str(jwks)}}))
        assert any("CDS_INSECURE opens CDS Hooks" in line for line in mistakes())
        monkeypatch.delenv("CDS_HOOK_CLIENTS")
        (tmp_path / "token").write_text("secret")
        monkeypatch.setenv("CDS_HTTP_TOKEN_FILE", str(tmp_path / "token"))
        assert any("CDS_INSECURE opens CDS Hooks" in line for line in mistakes())

    @pytest.mark.parametrize(
        ("client", "wanted"),
        [
            ({"issuer": "https://a"}, "want jwks_url or jwks_file"),
            ({"issuer": "https://a", "jwks_url": "https://a/k", "jwks_file": "x"}, "want jwks_url or jwks_file"),
            ({"issuer": "", "jwks_url": "https://a/k"}, "issuer"),
            ({"issuer": "https://a", "jwks_url": "https://a/k", "algorithms": ["HS256"]}, "algorithms"),
            ({"issuer": "https://a", "jwks_url": "https://a/k", "algorithms": ["none"]}, "algorithms"),
            ({"issuer": "https://a", "jwks_url": "https://a/k", "algorithms": []}, "algorithms"),
            ({"issuer": "https://a", "jwks_url": "ftp://a/k"}, "http"),
            ({"issuer": "https://a", "jwks_url": "https://a/k", "audiences": [""]}, "audiences"),
            ({"issuer": "https://a", "jwks_url": "https://a/k", "rate_per_minute": 0}, "rate_per_minute"),
            ({"issuer": "https://a", "jwks_file": "absent"}, ".jwks_file: absent does not exist"),
        ],
    )
    def test_an_ehr_wants_an_issuer_keys_and_an_algorithm_that_cannot_be_forged(
        self, monkeypatch: pytest.MonkeyPatch, client: dict[str, object], wanted: str
    ) -> None:
        monkeypatch.setenv("CDS_HOOK_CLIENTS", json.dumps({"a": client}))
        assert any(wanted.lower() in line.lower() for line in mistakes())

    def test_two_ehrs_have_two_issuers(self, monkeypatch: pytest.MonkeyPatch, jwks: Path) -> None:
        one = {"issuer": "https://a", "jwks_file": str(jwks)}
        monkeypatch.setenv("CDS_HOOK_CLIENTS", json.dumps({"a": one, "b": one}))
        assert any("two have the issuer https://a" in line for line in mistakes())

    def test_an_origin_is_as_a_browser_sends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CDS_HOOK_ORIGINS", '["https://Sandbox.example/", "http://127.0.0.1:9000"]')
        assert load().hook_origins == ("https://sandbox.example", "http://127.0.0.1:9000")
        for wrong in ("*", "https://sandbox.example/app", "null", "https://x.example?y"):
            monkeypatch.setenv("CDS_HOOK_ORIGINS", json.dumps([wrong]))
            assert any("CDS_HOOK_ORIGINS" in line for line in mistakes())
