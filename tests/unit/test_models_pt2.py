"""A .pt2 package gives its graph and its numbers, and nothing else of it is believed, imported or executed."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from cds.errors import ConfigurationError
from models.pt2 import network
from tests.unit import site_models

CPU = torch.device("cpu")
MODEL, TABLE = "archive/models/model.json", "archive/data/weights/model_weights_config.json"
CONSTANTS = "archive/data/constants/model_constants_config.json"


class Small(torch.nn.Module):
    """A convolution, a normalisation with its counters, and a mean: parameters, buffers and sizes that vary."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.last = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = torch.relu(self.norm(self.first(x))).reshape(x.shape[0], 4, -1)
        logits: torch.Tensor = self.last(seen.mean(dim=2))
        return logits


@pytest.fixture(scope="module")
def small() -> Small:
    torch.manual_seed(7)
    return Small().eval()


@pytest.fixture(scope="module")
def package(small: Small) -> bytes:
    return site_models.exported(small, 1, 16, 16)


def changed(package: bytes, entries: dict[str, Any]) -> bytes:
    """The package with these entries in the place of its own, or beside them; a function changes the parsed JSON."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(out, "w") as new:
        for name in dict.fromkeys((*old.namelist(), *entries)):
            content = old.read(name) if name in old.namelist() else b""
            wanted = entries.get(name, content)
            if callable(wanted):
                parsed = json.loads(content)
                wanted(parsed)
                wanted = json.dumps(parsed).encode()
            new.writestr(name, wanted)
    return out.getvalue()


def refusal(content: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        network(content, "m.pt2", CPU)
    [mistake] = caught.value.mistakes
    return mistake


class Executed:
    """A pickle that makes a file when it is read."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.touched,))


def test_it_answers_as_the_network_that_was_saved(small: Small, package: bytes) -> None:
    loaded = network(package, "m.pt2", CPU)
    items = torch.randn(5, 1, 16, 16)
    assert torch.equal(loaded(items), small(items))
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in small.parameters())


def test_it_evaluates_and_cannot_be_trained(package: bytes) -> None:
    loaded = network(package, "m.pt2", CPU).eval()
    assert not loaded.training
    with pytest.raises(ValueError, match="cannot be trained"):
        loaded.train()


def test_a_package_that_was_cut_or_is_none_is_refused(package: bytes) -> None:
    assert refusal(b"no archive") == "m.pt2: is no torch.export package: no readable archive"
    assert "no readable archive" in refusal(package[: len(package) // 2])
    assert "of one model" in refusal(changed(package, {}).replace(b"models/model.json", b"models/other.json"))


def test_compiled_code_of_aotinductor_is_refused(package: bytes) -> None:
    compiled = changed(package, {"archive/data/aotinductor/model/model.so": b"\x7fELF"})
    assert "is an AOTInductor package, which is executable code" in refusal(compiled)


def test_torchscript_is_no_package() -> None:
    assert "is no torch.export package of one model" in refusal(site_models.scripted(site_models.Dense()))


def test_pickled_sample_inputs_are_never_read(small: Small, package: bytes, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    hostile = changed(package, {"archive/data/sample_inputs/model.pt": pickle.dumps(Executed(touched))})
    items = torch.ones(1, 1, 16, 16)
    assert torch.equal(network(hostile, "m.pt2", CPU)(items), small(items))
    assert not touched.exists()


def test_pickled_weights_and_objects_are_refused_unread(package: bytes, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    evil = pickle.dumps(Executed(touched))

    def pickled(table: dict[str, Any]) -> None:
        next(iter(table["config"].values()))["use_pickle"] = True

    def opaque(table: dict[str, Any]) -> None:
        table["config"]["x"] = {
            "path_name": "opaque_obj_0",
            "is_param": False,
            "use_pickle": False,
            "tensor_meta": None,
        }

    weights = {TABLE: pickled, "archive/data/weights/weight_0": evil}
    assert "holds pickled tensors" in refusal(changed(package, weights))
    assert "objects that are no tensors" in refusal(changed(package, {CONSTANTS: opaque}))
    assert "neither a graph nor tensors" in refusal(changed(package, {"archive/data/constants/opaque_obj_0": evil}))
    assert "neither a graph nor tensors" in refusal(changed(package, {"archive/data/weights/model.pt": evil}))
    assert not touched.exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.load",
        "torch.hub.load",
        "torch.os.system",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.higher_order.cond",
        "torch.ops.mine.evil.default",
        "_operator.methodcaller",
        "_operator.attrgetter",
        "math.nan.__class__",
        "#extension.run",
        "os.system",
    ],
)
def test_a_graph_calls_operators_on_tensors_and_nothing_else(package: bytes, target: str) -> None:
    def call(graph: dict[str, Any]) -> None:
        graph["graph_module"]["graph"]["nodes"][0]["target"] = target

    assert refusal(changed(package, {MODEL: call})) == "m.pt2: has a target that a network's graph does not need"


def nodes(graph: dict[str, Any]) -> dict[str, Any]:
    inside: dict[str, Any] = graph["graph_module"]["graph"]
    return inside


def sizes(graph: dict[str, Any], expression: str) -> None:
    varying = [size for value in nodes(graph)["tensor_values"].values() for size in value["sizes"] if "as_expr" in size]
    varying[0]["as_expr"]["expr_str"] = expression


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('touch {touched}')",
        "Symbol.__class__",
        "[c for c in ().__class__.__base__.__subclasses__()]",
        "exec('1')",
        "open('{touched}', 'w')",
        "lambdify(1, 2)",
    ],
)
def test_sizes_are_arithmetic_and_never_python(package: bytes, expression: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    hostile = changed(package, {MODEL: lambda graph: sizes(graph, expression.format(touched=touched))})
    assert refusal(hostile) == "m.pt2: has a expr_str that a network's graph does not need"
    assert not touched.exists()


def test_names_that_would_become_code_are_refused(package: bytes) -> None:
    def argument(graph: dict[str, Any]) -> None:
        nodes(graph)["inputs"][-1]["as_tensor"]["name"] = "x): import os; ("

    assert "has a name" in refusal(changed(package, {MODEL: argument}))


def test_guards_and_metadata_are_left_out_and_not_executed(small: Small, package: bytes, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    code = f"__import__('pathlib').Path({str(touched)!r}).touch() or True"

    def guarded(graph: dict[str, Any]) -> None:
        graph["guards_code"] = [code]
        for node in nodes(graph)["nodes"]:
            node["metadata"] = {"stack_trace": code, "source_fn_stack": f"x,torch.hub.load;{code}", "custom": "{}"}

    items = torch.ones(2, 1, 16, 16)
    assert torch.equal(network(changed(package, {MODEL: guarded}), "m.pt2", CPU)(items), small(items))
    assert not touched.exists()


def test_structures_of_other_types_than_tuples_lists_and_tables_are_refused(package: bytes) -> None:
    def structure(graph: dict[str, Any]) -> None:
        signature = graph["graph_module"]["module_call_graph"][0]["signature"]
        signature["in_spec"] = signature["in_spec"].replace("builtins.dict", "os.environ")

    assert "has a in_spec" in refusal(changed(package, {MODEL: structure}))


def test_an_entry_that_is_there_twice_or_compressed_is_refused(package: bytes) -> None:
    twice, packed = io.BytesIO(package), io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(twice, "a") as archive:
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr(MODEL, b"{}")
    assert "names an entry twice" in refusal(twice.getvalue())
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert "has compressed entries" in refusal(packed.getvalue())


def test_a_graph_that_torch_cannot_use_is_refused_without_its_text(package: bytes) -> None:
    def emptied(graph: dict[str, Any]) -> None:
        nodes(graph)["nodes"] = []

    assert "cannot be loaded as a torch.export package" in refusal(changed(package, {MODEL: emptied}))
    assert "no JSON" in refusal(changed(package, {MODEL: b"["}))
