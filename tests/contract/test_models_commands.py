"""`cds models`: a site's own model comes in by its manifest alone, is tried, recorded, and runs in the real process."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from typer.testing import CliRunner

from cds.bootstrap import models_install
from cds.bootstrap.models_fetch import fetch
from cds.commands.models import app
from cds.domain.finding import Findings, Presence
from cds.domain.report import Mode
from cds.errors import ConfigurationError, Conflict, InvalidInput, PeerRefused, SightlineError, Unavailable
from cds.settings import Settings
from cds.store.audit import AuditStore
from models.registry import load
from models.runtime import Runtime
from models.training.brainchop import convert
from tests.databases import Databases, fresh
from tests.unit import site_models

AXIAL = np.array([[0, 0, 1.5, 0], [0, 1.5, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class Place:
    """A site with its tables, and the folder of its models."""

    settings: Settings
    databases: Databases
    folder: Path
    touched: Path

    @property
    def models(self) -> Path:
        return self.settings.models_folder

    def install(self, source: Path | str, **options: bool | str) -> models_install.Done:
        return models_install.install(self.settings, str(source), by="Dr Roe", **options)

    def actions(self) -> list[tuple[str, str, tuple[str, ...]]]:
        return [(e.actor, e.action, e.detail) for e in AuditStore(self.databases.app).search()]

    def cds(self, *arguments: str) -> tuple[int, str]:
        environment = {"CDS_DATA_DIR": str(self.settings.data_dir)}
        result = CliRunner().invoke(app, list(arguments), env=environment)
        told = isinstance(result.exception, SightlineError)
        return result.exit_code, str(result.exception) if told else result.output


@contextmanager
def place(folder: Path, **settings: object) -> Iterator[Place]:
    data = folder / "data"
    data.mkdir()
    with fresh(data) as databases:
        yield Place(Settings(data_dir=data, **settings), databases, folder, folder / "touched")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A site that brought three models: a folder, a zip whose files lie in a folder, and a bundle of MONAI as tar."""
    folder = tmp_path_factory.mktemp("site")
    torch.manual_seed(3)
    with place(folder, model_modes={"dense": Mode.ADVISORY}) as made:
        made.install(site_models.classifier(folder / "sides"))
        site_models.segmenter(folder / "zipped" / "dense")
        packed = shutil.make_archive(str(folder / "dense"), "zip", folder / "zipped")
        with pytest.raises(Conflict, match="would be advisory at once at this installation: set its mode to shadow"):
            made.install(packed)
        assert made.install(packed, yes=True).modes == {"": "advisory"}
        unet = site_models.saved(UNet(**site_models.UNET))
        bundle = site_models.bundle(folder / "bundle", unet, made.touched)
        made.install(shutil.make_archive(str(folder / "bundle-1"), "gztar", bundle))
        yield made


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as made:
        yield made


def test_only_the_manifest_and_its_weights_are_installed(site: Place) -> None:
    installed = sorted(path.relative_to(site.models).as_posix() for path in site.models.rglob("*") if path.is_file())
    assert installed == [
        "dense/dense.pt2", "dense/dense.toml", "sides/sides.pt2", "sides/sides.toml",
        "small_unet/model.pt", "small_unet/small_unet.toml",
    ]  # fmt: skip
    assert not list(site.models.glob(".*"))


def test_a_bundles_configuration_and_scripts_are_never_run(site: Place) -> None:
    assert (site.folder / "bundle" / "configs" / "inference.json").read_text().count("os.system") == 2
    assert not site.touched.exists()


def test_every_model_runs_in_the_inference_process_by_its_manifest_alone(site: Place, tmp_path: Path) -> None:
    image = np.zeros((64, 64), np.uint16)
    image[:, :32] = 500
    hu = np.full((20, 30, 40), -900, np.int16)
    hu[4:14, 10:20, 4:12] = 900
    volume = site_models.volume(tmp_path, hu, (3.0, 1.5, 1.5), AXIAL)
    with Runtime("cpu", threads=1, models_dir=site.models, memory_mb=1) as runtime:
        sides = runtime.run("sides", site_models.projections(tmp_path, image), tmp_path)
        dense = runtime.run("dense", volume, tmp_path)
        unet = runtime.run("small_unet", volume, tmp_path)
    assert isinstance(sides, Findings)
    assert [finding.presence for finding in sides.findings] == [Presence.PRESENT, Presence.NOT_DETECTED]
    assert isinstance(dense, Findings)
    assert dense.findings[0].value is not None
    assert dense.findings[0].value.value == pytest.approx(5.4)
    assert np.array_equal(np.load(dense.masks[0].path), (hu > 0).astype(np.uint8))
    assert isinstance(unet, Findings)
    assert unet.findings[0].presence is Presence.MEASURED
    assert not site.touched.exists()


def test_who_installed_what_stands_in_the_audit_log(site: Place) -> None:
    sha256 = load(models_dir=site.models)["dense"].weights[0].sha256
    assert ("Dr Roe", "model installed", ("dense 1.0.0", f"dense.pt2 {sha256}")) in site.actions()


def test_a_new_model_starts_in_shadow(site: Place) -> None:
    code, output = site.cds("list")
    assert code == 0
    assert "sides 1.0.0  shadow  installed  A model of the tests" in output
    assert site.settings.model_mode("sides") is Mode.SHADOW


def test_the_list_says_what_is_missing_and_where_it_comes_from(site: Place) -> None:
    _, output = site.cds("list")
    _, as_json = site.cds("list", "--json")
    rows = {row["id"]: row for row in json.loads(as_json)}
    lacking = [row for row in rows.values() if not row["installed"]]
    assert lacking, "a shipped model whose weights are of others"
    for row in lacking:
        assert f"{row['id']} {row['version']}  shadow  not installed" in output
        assert f"missing: {', '.join(row['missing'])}" in output
    assert rows["ct_lung_density"]["installed"]


def test_a_model_is_shown_with_its_card_and_as_json(site: Place) -> None:
    _, text = site.cds("show", "sides")
    _, card = site.cds("card", "sides")
    assert text.startswith("mode: shadow\ninstalled\nfingerprint of its files: ")
    assert text.endswith(card)
    told = json.loads(site.cds("show", "sides", "--json")[1])
    assert told["declared"]["way"] == "projection-classification"
    assert (told["installed"], told["own"], told["modes"]) == (True, True, {"": "shadow"})
    assert site.cds("show", "nothing") == (
        1,
        f"there is no model nothing; there are: {', '.join(sorted(load(models_dir=site.models)))}",
    )


def test_verify_compares_digests_and_lets_the_model_answer(site: Place, tmp_path: Path) -> None:
    assert site.cds("verify", "sides")[0] == 0
    copy = tmp_path / "data"
    shutil.copytree(site.settings.data_dir, copy)
    (copy / "models" / "sides" / "sides.pt2").write_bytes(b"another one")
    changed = Place(Settings(data_dir=copy), site.databases, tmp_path, tmp_path)
    code, output = changed.cds("verify", "sides", "--json")
    [row] = json.loads(output)
    assert code == 1
    assert "sides: sides.pt2 has the SHA-256" in row["mistakes"][0]


def test_another_version_takes_the_place_of_the_first_only_where_that_is_wanted(site: Place, tmp_path: Path) -> None:
    newer = site_models.classifier(tmp_path / "sides", version="1.1.0")
    same = site_models.classifier(tmp_path / "same", version="1.0.0", task="detection")
    with pytest.raises(Conflict, match=r"sides 1\.0\.0 is installed; --replace puts 1\.1\.0 in its place"):
        site.install(newer)
    with pytest.raises(Conflict, match="a changed model has a new version"):
        site.install(same, replacing=True)
    done = site.install(newer, replacing=True)
    assert (done.version, done.before) == ("1.1.0", "1.0.0")
    assert load(models_dir=site.models)["sides"].version == "1.1.0"
    assert ("Dr Roe", "model replaced") in [(actor, action) for actor, action, _ in site.actions()]
    with pytest.raises(Conflict, match=r"sides 1\.1\.0 is installed already"):
        site.install(newer, replacing=True)


def test_a_model_that_would_speak_at_once_wants_a_persons_word(site: Place) -> None:
    installed = [detail[0] for _, action, detail in site.actions() if action == "model installed"]
    assert sorted(installed) == ["dense 1.0.0", "sides 1.0.0", "small_unet 1.0.0"]


class NotANumber(torch.nn.Module):
    """Answers NaN."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean((1, 2, 3))
        return torch.stack([mean, mean / (mean - mean)], dim=1)


def test_a_model_that_fails_its_trial_is_not_installed(empty: Place) -> None:
    with pytest.raises(ConfigurationError, match="sides: the network answered with values that are no numbers"):
        empty.install(site_models.classifier(empty.folder / "sides", NotANumber()))
    assert list(empty.models.iterdir()) == []
    assert empty.actions() == []


def refused(site: Place, source: Path | str, **options: str) -> str:
    with pytest.raises(SightlineError) as caught:
        site.install(source, **options)
    assert not site.models.exists() or list(site.models.iterdir()) == []
    assert site.actions() == []
    return str(caught.value)


def test_what_is_no_model_is_refused_and_nothing_is_left(empty: Place) -> None:
    source = site_models.classifier(empty.folder / "sides")
    assert "neither a folder nor a file" in refused(empty, empty.folder / "absent")
    assert "has the SHA-256" in refused(empty, source / "sides.pt2", sha256="0" * 64)
    assert "no file has the digest of a shipped model's weights" in refused(empty, source / "sides.pt2")
    (source / "sides.pt2").write_bytes(b"changed")
    assert "weights: sides.pt2 has the SHA-256" in refused(empty, source)
    (source / "sides.pt2").unlink()
    assert "weights: no file has the SHA-256 of sides.pt2" in refused(empty, source)
    (source / "more.toml").touch()
    assert "there are 2 manifests, want one: more.toml, sides.toml" in refused(empty, source)


def test_a_manifest_with_mistakes_is_refused_with_all_of_them(empty: Place) -> None:
    source = site_models.classifier(empty.folder / "sides")
    path = source / "sides.toml"
    text = path.read_text()
    path.write_text(text.replace("answers = 2", "answers = 1").replace('by = "minmax"', 'by = "window"'))
    assert len(refused(empty, source).splitlines()) == 2
    path.write_text(text.replace('id = "sides"', 'id = "ct_lung_density"'))
    assert "is the id of a shipped model" in refused(empty, source)
    path.write_text((Path(models_install.__file__).parents[2] / "models" / "ct_lung_density.toml").read_text())
    assert "a site's own model has none" in refused(empty, source)


@pytest.fixture(scope="session")
def brainchop(reference_dir: Path) -> Path:
    folder = reference_dir / "weights" / "brainchop_meshnet" / "public" / "models" / "model30chan18cls"
    if not folder.is_dir():
        pytest.skip("the published weights of brainchop are not in the reference folder")
    return folder


def test_weights_in_their_published_form_are_told_how_they_are_converted(empty: Place, brainchop: Path) -> None:
    text = refused(empty, brainchop)
    assert "brain_volumetry needs these files in another form" in text
    assert "python -m models.training.brainchop" in text


def test_weights_of_a_shipped_model_are_found_by_their_digest(empty: Place, brainchop: Path) -> None:
    from safetensors.numpy import save_file

    tensors, _ = convert(brainchop)
    save_file(tensors, empty.folder / "any-name")
    wanted = load()["brain_volumetry"].weights[0]
    done = empty.install(empty.folder)
    assert (done.model, done.files, done.missing) == ("brain_volumetry", (wanted.file,), ())
    assert (empty.models / "brain_volumetry" / wanted.file).is_file()
    assert empty.actions()[0][1] == "model weights installed"


def test_some_of_a_shipped_models_weights_leave_it_incomplete(empty: Place, reference_dir: Path) -> None:
    folder = reference_dir / "weights" / "blast_ct_v1"
    if "head_ct_hemorrhage" not in load() or not folder.is_dir():
        pytest.skip("the published weights of BLAST-CT are not in the reference folder")
    done = empty.install(folder / "model_1.pt")
    assert done.model == "head_ct_hemorrhage"
    assert len(done.missing) == len(load()["head_ct_hemorrhage"].weights) - 1
    assert "head_ct_hemorrhage" in empty.cds("list")[1]


class Answers(BaseHTTPRequestHandler):
    """Serves what the test put under a path: bytes, or an address to go to."""

    served: dict[str, bytes | str]

    def do_GET(self) -> None:
        found = self.served.get(self.path.partition("?")[0])
        self.send_response(404 if found is None else 302 if isinstance(found, str) else 200)
        if isinstance(found, str):
            self.send_header("Location", found)
        if isinstance(found, bytes):
            broken = self.path.startswith("/broken")
            self.send_header("Content-Length", str(len(found) + (10 if broken else 0)))
        self.end_headers()
        if isinstance(found, bytes):
            self.wfile.write(found)

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes | str]]]:
    """An address on loopback and what is served there."""
    served: dict[str, bytes | str] = {}
    handler = type("Handler", (Answers,), {"served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", served
        running.shutdown()
        thread.join()


def test_a_file_is_fetched_also_where_the_server_leads_elsewhere(
    server: tuple[str, dict[str, bytes | str]], tmp_path: Path
) -> None:
    address, served = server
    served.update({"/a.zip": "/b.zip", "/b.zip": b"content"})
    assert fetch(f"{address}/a.zip?version=1", tmp_path).read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("absent.zip", PeerRefused, "the server answers 404"),
        ("round.zip", PeerRefused, "more than 5 times"),
        ("file.zip", InvalidInput, "over https alone"),
        ("away.zip", InvalidInput, "over https alone"),
        ("secure.zip", InvalidInput, "another kind of address"),
        ("broken.zip", Unavailable, "the server broke off"),
        ("large.zip", InvalidInput, "larger than 100 bytes"),
        ("", InvalidInput, "ends in the name of a file"),
    ],
)
def test_what_a_server_answers_otherwise_is_told_in_words(
    server: tuple[str, dict[str, bytes | str]], tmp_path: Path, name: str, error: type[SightlineError], text: str
) -> None:
    address, served = server
    served.update(
        {
            "/round.zip": "/round.zip",
            "/file.zip": "file:///etc/hostname",
            "/away.zip": "http://192.0.2.1/x.zip",
            "/secure.zip": "https://127.0.0.1:1/x.zip",
            "/broken.zip": b"half",
            "/large.zip": bytes(101),
        }
    )
    with pytest.raises(error, match=text):
        fetch(f"{address}/{name}", tmp_path, max_bytes=100)


@pytest.mark.parametrize(
    "address",
    [
        "http://models.example/m.zip",
        "ftp://models.example/m.zip",
        "file:///m.zip",
        "https://me:secret@models.example/m.zip",
    ],
)
def test_an_address_that_is_not_https_or_holds_a_password_is_refused_without_a_word_of_it(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        fetch(address, tmp_path)
    assert "models.example" not in str(caught.value)


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be fetched"):
        fetch("http://127.0.0.1:9/m.zip", tmp_path)


def test_what_an_address_gives_is_checked_like_a_file(empty: Place, server: tuple[str, dict[str, bytes | str]]) -> None:
    address, served = server
    site_models.segmenter(empty.folder / "given" / "dense", version="one")
    archive = shutil.make_archive(str(empty.folder / "dense"), "zip", empty.folder / "given")
    served["/dense.zip"] = Path(archive).read_bytes()
    assert "dense.toml: version: " in refused(empty, f"{address}/dense.zip")
    assert "has the SHA-256" in refused(empty, f"{address}/dense.zip", sha256="0" * 64)
