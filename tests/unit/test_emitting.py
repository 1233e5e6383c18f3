"""What the program gives to reports in FHIR: documents in the site's name and zone, and the cards of its models."""

from __future__ import annotations

from pathlib import Path

from cds.bootstrap.emitting import forms, model_cards
from cds.settings import Settings
from models.fingerprint import sha256
from models.registry import load
from tests.unit import site_models
from tests.unit.fhir_samples import report, samples


def test_documents_are_drawn_in_the_name_and_zone_of_the_site(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, site_name="Hospital of Elsewhere", time_zone="Asia/Tokyo")
    html, pdf = forms(settings)(samples()["two models"])
    assert "Hospital of Elsewhere" in html.data.decode()
    assert "2026-03-04 18:30+09:00" in html.data.decode()
    assert (html.content_type, pdf.content_type) == ("text/html", "application/pdf")
    assert forms(settings)(report()) == forms(settings)(report())


def test_every_installed_model_has_its_card() -> None:
    cards = model_cards()
    assert set(cards) == {f"{one.id}:{one.version}" for one in load().values()}
    card = cards["ct_lung_density:1.0.0"]
    assert card.sha256 == sha256("ct_lung_density")
    assert "not a diagnosis of emphysema" in card.intended_use
    assert card.limits
    assert card.performance
    assert card.sources


def test_a_sites_own_model_has_its_card_with_the_digest_of_its_own_files(tmp_path: Path) -> None:
    path = tmp_path / "sides" / "sides.toml"
    path.parent.mkdir()
    path.write_text(site_models.manifest(b"x"))
    card = model_cards(tmp_path)["sides:1.0.0"]
    assert card.title == "A model of the tests"
    assert card.sha256 == sha256("sides", path.parent)
