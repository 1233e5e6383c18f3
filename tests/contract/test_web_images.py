"""The viewer's routes: who may look at what, pictures and how long they are kept, marks of models, the audit log."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cds.domain.imaging import Study
from cds.ui.dicomweb import StudySearch
from cds.ui.people import Person, Role
from tests.contract.images_site import CLINICIAN, RADIOLOGIST, ImagesSite, images_site, reported
from tests.lifecycle.arrivals import second_series
from tests.lifecycle.bleed import ID, NAME
from tests.lifecycle.stage import ANNA, BERTA
from tests.ui_doors import parsed, staff

VIEWER = "https://pacs.example/view?study={study_uid}&order={accession}"
#: Pixels of the mask on each of the two slices with blood (tests.lifecycle.bleed).
BLOOD = 36


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ImagesSite, Study]]:
    """Anna's head CT, reported and released; the year before there was another."""
    with images_site(tmp_path_factory.mktemp("site"), viewer={"url": VIEWER}) as site:
        site.stage.scan(ANNA, seed="before", accession_number="ACC-0", study_date=date(2025, 11, 1))
        yield site, reported(site)


@pytest.fixture
def at(read: tuple[ImagesSite, Study]) -> str:
    return f"/studies/{read[1].public_id}"


def get(site: ImagesSite, path: str, who: Person | None = RADIOLOGIST, **headers: str) -> Any:
    return site.browser(who).get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


ROUTES = (
    "/images",
    "/images.json",
    "/series/1/pictures.json",
    "/series/1/frames/2.png",
    "/series/1/frames/2.raw",
    "/series/1/frames/2/overlays/1.raw",
    "/series/1/overlays/1.json",
)


@pytest.mark.parametrize("route", ROUTES)
def test_radiologists_and_the_care_team_of_a_released_study_may_look(
    read: tuple[ImagesSite, Study], at: str, route: str
) -> None:
    site, study = read
    for who in (RADIOLOGIST, CLINICIAN, site.launched(study)):
        assert get(site, at + route, who).status_code == 200, who.name


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_else_may(read: tuple[ImagesSite, Study], at: str, route: str) -> None:
    site, study = read
    assert get(site, at + route, None).status_code == 401
    for role in (Role.COORDINATOR, Role.ENGINEER, Role.AUDITOR, Role.ADMINISTRATOR):
        assert get(site, at + route, staff(role)).status_code == 403, role
    assert get(site, at + route, site.launched(study, "another patient")).status_code == 404


@pytest.mark.parametrize(
    "route",
    [
        "/series/0/pictures.json", "/series/2/pictures.json", "/series/x/pictures.json", "/series/1/frames/0.png",
        "/series/1/frames/5.png", "/series/1/frames/5.raw", "/series/1/frames/1/overlays/9.raw",
        "/series/1/overlays/0.json", "/images?series=7",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(read: tuple[ImagesSite, Study], at: str, route: str) -> None:
    assert get(read[0], at + route).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "window=1", "window=a,b", "window=1,0", "window=1,-5", "window=nan,1", "window=1e300,1", "window=1,2,CUBIC",
        "size=-1", "size=99999", "size=ten",
    ],
)  # fmt: skip
def test_a_window_that_is_none_is_refused(read: tuple[ImagesSite, Study], at: str, query: str) -> None:
    assert get(read[0], f"{at}/series/1/frames/1.png?{query}").status_code == 400


def test_a_study_that_nobody_knows_is_not_found(read: tuple[ImagesSite, Study]) -> None:
    assert get(read[0], "/studies/0badcafe-0000-4000-8000-000000000009/images.json").status_code == 404


def test_a_series_is_told_with_its_places_windows_and_marks(read: tuple[ImagesSite, Study], at: str) -> None:
    told = get(read[0], f"{at}/series/1/pictures.json").json
    assert [one["mm"] for one in told["pictures"]] == [0, 5, 10, 15]
    assert told["inSpace"] is True
    assert told["pictures"][0]["letters"] == ["R", "L", "A", "P"]
    assert told["windows"][0] == {"name": "Brain", "center": 40, "width": 80, "function": "LINEAR"}
    (overlay,) = told["overlays"]
    assert (overlay["kind"], [label["name"] for label in overlay["labels"]]) == ("mask", ["blood"])


def test_a_study_names_its_series_the_earlier_one_and_the_site_own_viewer(
    read: tuple[ImagesSite, Study], at: str
) -> None:
    site, study = read
    told = get(site, f"{at}/images.json").json
    assert [(one["modality"], one["images"]) for one in told["series"]] == [("CT", 4)]
    assert [(one["date"], one["day"]) for one in told["priors"]] == [("2025-11-01", "1 Nov 2025")]
    assert told["viewerUrl"] == f"https://pacs.example/view?study={study.study_instance_uid}&order=ACC-1"
    assert get(site, told["priors"][0]["series"][0]["pictures"]).status_code == 200


def test_the_care_team_is_not_offered_an_earlier_study_that_nothing_is_released_of(
    read: tuple[ImagesSite, Study], at: str
) -> None:
    assert get(read[0], f"{at}/images.json", CLINICIAN).json["priors"] == []


def test_a_picture_shows_the_window_that_is_asked_for(read: tuple[ImagesSite, Study], at: str) -> None:
    """Blood is 75 HU, brain 35: with centre 40 and width 80 (75 - 39.5) / 79 + 0.5 = 0.949 → 242, and 113."""
    answer = get(read[0], f"{at}/series/1/frames/2.png?window=40,80")
    shown = np.asarray(Image.open(io.BytesIO(answer.data)))
    assert (answer.content_type, shown.shape) == ("image/png", (16, 16))
    assert (int(shown[5, 5]), int(shown[0, 0])) == (242, 113)


def test_stored_values_come_packed_with_what_they_mean(read: tuple[ImagesSite, Study], at: str) -> None:
    answer = get(read[0], f"{at}/series/1/frames/2.raw", Accept_Encoding="gzip")
    kind, rows, columns = answer.headers["Sightline-Pixels"].split()
    slope, intercept = map(float, answer.headers["Sightline-Rescale"].split())
    values = np.frombuffer(gzip.decompress(answer.data), kind).reshape(int(rows), int(columns)) * slope + intercept
    assert (answer.headers["Content-Encoding"], values[5, 5], values[0, 0]) == ("gzip", 75, 35)
    plain = get(read[0], f"{at}/series/1/frames/2.raw", Accept_Encoding="identity")
    assert "Content-Encoding" not in plain.headers
    assert plain.data == gzip.decompress(answer.data)


def test_a_picture_is_kept_by_one_browser_and_asked_for_again_by_its_tag(
    read: tuple[ImagesSite, Study], at: str
) -> None:
    site, _ = read
    version = get(site, f"{at}/series/1/pictures.json").json["version"]
    for form in ("png", "raw"):
        asked = f"{at}/series/1/frames/2.{form}"
        first = get(site, asked)
        assert first.headers["Cache-Control"] == "private, no-cache"
        assert get(site, f"{asked}?v={version}").headers["Cache-Control"] == "private, max-age=3600, immutable"
        again = get(site, asked, If_None_Match=first.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")
    other = get(site, f"{at}/series/1/frames/2.png?window=1,2")
    assert other.headers["ETag"] != get(site, f"{at}/series/1/frames/2.png").headers["ETag"]


def test_what_is_said_of_a_patient_is_kept_by_nobody(read: tuple[ImagesSite, Study], at: str) -> None:
    for route in ("/images", "/images.json", "/series/1/pictures.json"):
        assert get(read[0], at + route).headers["Cache-Control"] == "no-store"


def test_a_picture_of_images_that_have_changed_is_refused(read: tuple[ImagesSite, Study], at: str) -> None:
    """Its number may mean another slice now: a mark on the wrong one is worse than none."""
    answer = get(read[0], f"{at}/series/1/frames/2.raw?v=0123456789abcdef")
    assert answer.status_code == 409


def test_a_mask_comes_for_the_pictures_that_it_marks(read: tuple[ImagesSite, Study], at: str) -> None:
    site, _ = read
    answer = get(site, f"{at}/series/1/frames/2/overlays/1.raw", Accept_Encoding="gzip")
    labels = np.frombuffer(gzip.decompress(answer.data), np.uint8).reshape(16, 16)
    assert answer.headers["Sightline-Pixels"] == "uint8 16 16"
    assert {int(one) for one in np.unique(labels[4:10, 4:10])} == {1}
    assert int(labels.sum()) == BLOOD
    assert get(site, f"{at}/series/1/frames/1/overlays/1.raw").status_code == 204
    marked = get(site, f"{at}/series/1/overlays/1.json").json["pictures"]
    assert marked == [{"k": 2, "marked": BLOOD}, {"k": 3, "marked": BLOOD}]


def test_without_its_script_the_page_shows_pictures_and_links(read: tuple[ImagesSite, Study], at: str) -> None:
    page = parsed(get(read[0], f"{at}/images?series=1&picture=3"))
    pictures = [one["src"].partition("?")[0] for one in page.all("img")]
    assert f"{at}/series/1/frames/3.png" in pictures
    assert all(one["alt"] for one in page.all("img"))
    links = [one.get("href", "") for one in page.all("a")]
    assert f"{at}/images?series=1&picture=2" in links
    assert f"{at}/images?series=1&picture=4" in links
    assert "Not for primary diagnosis" in page.text
    assert not [one for one in page.elements if "style" in one[1] or any(name.startswith("on") for name in one[1])]


def test_no_address_and_no_title_names_a_patient(read: tuple[ImagesSite, Study], at: str) -> None:
    page = parsed(get(read[0], f"{at}/images"))
    said = " ".join(value for _, attributes in page.elements for value in attributes.values())
    assert ANNA.family.split("^")[0] not in said
    assert ANNA.family.split("^")[0] not in page.text


def test_one_look_at_a_study_is_one_line_of_the_audit_log(tmp_path: Path) -> None:
    with images_site(tmp_path) as site:
        study = reported(site)
        browser = site.browser()
        for k in (1, 2, 3):
            browser.get(f"/studies/{study.public_id}/series/1/frames/{k}.raw")
        uid = study.study_instance_uid
        assert site.seen == [("radiologist", "images viewed", uid)]
        site.stage.clock.move(seconds=1200)
        browser.get(f"/studies/{study.public_id}/series/1/frames/1.png")
        site.browser(CLINICIAN).get(f"/studies/{study.public_id}/series/1/frames/1.png")
        assert site.seen[1:] == [("radiologist", "images viewed", uid), ("clinician", "images viewed", uid)]


def test_a_model_that_is_hidden_draws_nothing_and_only_what_is_critical_is_told(tmp_path: Path) -> None:
    """Until somebody has read the study themselves (SAFETY section 3: a critical finding is never suppressed)."""
    with images_site(tmp_path, hidden=lambda who, _study: who == RADIOLOGIST) as site:
        at = f"/studies/{reported(site).public_id}"
        told = get(site, f"{at}/series/1/pictures.json").json
        assert ([one["finding"] for one in told["marks"]], told["overlays"]) == ([NAME], [])
        assert get(site, f"{at}/series/1/overlays/1.json").status_code == 404
        assert get(site, f"{at}/series/1/frames/2/overlays/1.raw").status_code == 404
        assert get(site, f"{at}/series/1/pictures.json", CLINICIAN).json["overlays"]


def test_a_model_in_shadow_marks_nothing_for_anybody(tmp_path: Path) -> None:
    with images_site(tmp_path, model_modes={ID: "shadow"}) as site:
        at = f"/studies/{reported(site).public_id}"
        told = get(site, f"{at}/series/1/pictures.json").json
        assert (told["marks"], told["overlays"]) == ([], [])
        assert get(site, f"{at}/images.json", CLINICIAN).status_code == 404


def test_images_that_no_model_has_read_are_shown_to_radiologists_alone(tmp_path: Path) -> None:
    with images_site(tmp_path) as site:
        site.stage.scan(BERTA)
        at = f"/studies/{site.stage.study(BERTA).public_id}"
        assert get(site, f"{at}/series/1/frames/1.png").status_code == 200
        assert get(site, f"{at}/series/1/frames/1.png", CLINICIAN).status_code == 404


def test_marks_of_images_that_changed_since_are_not_drawn(tmp_path: Path) -> None:
    """Until the models have read the newer images, what they said of the older ones stands in the report alone."""
    with images_site(tmp_path) as site:
        site.stage.order(ANNA)
        paths = site.stage.scan(ANNA)
        site.stage.settle()
        at = f"/studies/{site.stage.study(ANNA).public_id}"
        assert get(site, f"{at}/series/1/pictures.json").json["overlays"]
        site.stage.store(second_series(site.stage, paths))
        assert not get(site, f"{at}/series/1/pictures.json").json["overlays"]
        site.stage.settle()
        series = [get(site, one["pictures"]).json for one in get(site, f"{at}/images.json").json["series"]]
        assert any(one["overlays"] for one in series)


def test_an_image_that_cannot_be_decoded_is_a_tile_that_says_so(tmp_path: Path) -> None:
    with images_site(tmp_path) as site:
        study = reported(site)
        (first, *_) = site.stage.held.studies.files(study.study_instance_uid)
        file = site.stage.settings.data_dir / first
        told = get(site, f"/studies/{study.public_id}/series/1/pictures.json").json
        assert len(told["pictures"]) == 4
        file.write_bytes(file.read_bytes()[:-200])
        broken = [get(site, f"/studies/{study.public_id}/series/1/frames/{k}.png") for k in (1, 2, 3, 4)]
        assert sorted(one.status_code for one in broken) == [200, 200, 200, 422]
        (tile,) = [one for one in broken if one.status_code == 422]
        assert (tile.content_type, tile.headers["Cache-Control"]) == ("image/png", "no-store")
        assert Image.open(io.BytesIO(tile.data)).size == (256, 256)
        values = [get(site, f"/studies/{study.public_id}/series/1/frames/{k}.raw") for k in (1, 2, 3, 4)]
        (said,) = [one for one in values if one.status_code == 422]
        assert "cannot be" in said.json["why"]


def test_an_image_that_is_gone_is_a_tile_too(tmp_path: Path) -> None:
    with images_site(tmp_path) as site:
        study = reported(site)
        assert get(site, f"/studies/{study.public_id}/series/1/pictures.json").status_code == 200
        for path in site.stage.held.studies.files(study.study_instance_uid):
            (site.stage.settings.data_dir / path).unlink()
        answer = get(site, f"/studies/{study.public_id}/series/1/frames/1.png")
        assert (answer.status_code, answer.content_type) == (503, "image/png")


def test_no_address_of_the_site_own_viewer_is_made_up(tmp_path: Path) -> None:
    """It wants an accession number, and the images have none."""
    with images_site(tmp_path, viewer={"url": VIEWER}) as site:
        site.stage.scan(ANNA, accession_number="")
        assert site.services.images is not None
        [(_, study)] = site.services.images.dicomweb.studies(RADIOLOGIST, StudySearch())
        assert get(site, f"/studies/{study.public_id}/images.json").json["viewerUrl"] == ""
