"""A torch.export package (.pt2) as a network, without running what its file says beside the graph.

`torch.export.load` trusts its file: sample inputs and constants may be pickles, sizes go through sympify, guards
through exec, and the target of a node may be any function of torch. So the file is read here first, held to a short
list of what a network needs, and written again from nothing but that; torch is given the copy. AOTInductor packages
hold compiled code and are refused. Format: torch.export.pt2_archive of PyTorch 2.13.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cds.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

_MODEL = "models/model.json"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_TENSOR_FILE = re.compile(r"data/weights/weight_\d+|data/constants/tensor_\d+")
_PLAIN = frozenset({"archive_format", "archive_version", ".data/version", "byteorder", ".data/serialization_id"})
_INPUTS = "data/sample_inputs/model.pt"
_OBJECTS = frozenset({"as_graph", "as_custom_obj", "custom_obj"})

#: Functions that a graph may call: operators on tensors, arithmetic on sizes. from_file reads any file.
_TARGET = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!from_file)[a-z_0-9]+\.[A-Za-z_0-9]+"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pos|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)"
    r"|math\.(floor|ceil|trunc|sqrt)|torch\.sym_(max|min|float|int|ite|not|sum|sqrt)",
    re.IGNORECASE,
)
#: What sizes are written with; everything else between the words is a number or punctuation.
_SIZE_WORD = re.compile(
    r"Symbol|positive|nonnegative|integer|real|zero|True|False|Integer|Rational|Float|Add|Mul|Pow|Mod|Max|Min|Abs"
    r"|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan"
    r"|FloorDiv|ModularIndexing|CleanDiv|CeilToInt|FloorToInt|TruncToInt|ToFloat|IntTrueDiv|FloatTrueDiv|PythonMod|Where"
    r"|[suz][a-z]{0,2}\d+"
)
_SIZE = re.compile(r"[A-Za-z0-9_'(),=+\-*/<>&|~ .]{0,2000}")
_WORD = re.compile(r"[A-Za-z_]\w*")
_NAME = re.compile(r"[A-Za-z0-9_.<>=+\-:/ ]{0,500}")
_TEXT = re.compile(r"[A-Za-z0-9_.,>\- ]{0,200}")
_TREE = re.compile(r"[A-Za-z0-9_.,:\[\]{}\" ]{0,5000}")
_TREE_TYPES = frozenset({"builtins.tuple", "builtins.list", "builtins.dict"})


def network(raw: bytes, name: str, device: torch.device) -> torch.nn.Module:
    """The network of a package, on the device; ConfigurationError naming what it has that a network does not need.

    `name` is how messages call the file.
    """
    import torch
    from torch.export.passes import move_to_device_pass

    copy = _written(_checked(_entries(raw, name), name))
    try:
        program = torch.export.load(io.BytesIO(copy))
        return sealed(move_to_device_pass(program, device).module(check_guards=False))
    except (RuntimeError, ValueError, AssertionError, TypeError, LookupError, AttributeError) as error:
        # torch's texts quote the file.
        raise _wrong(name, f"cannot be loaded as a torch.export package: {type(error).__name__}") from None


def sealed(module: torch.nn.Module) -> torch.nn.Module:
    """The module within one that may be asked what an exported or scripted one refuses: to evaluate, no gradients."""
    import torch

    class Sealed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module
            self.training = False

        def forward(self, *items: torch.Tensor) -> Any:
            return self.inner(*items)

        def train(self, mode: bool = True) -> Sealed:
            if mode:
                raise ValueError("this network cannot be trained")
            return self

    return Sealed()


def _entries(raw: bytes, name: str) -> dict[str, bytes]:
    """What the archive holds, by the path below its one folder; each entry once and stored as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            _check_names(archive.infolist(), name)
            return {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError):
        raise _wrong(name, "is no torch.export package: no readable archive") from None


def _check_names(infos: list[zipfile.ZipInfo], name: str) -> None:
    paths = [info.filename.partition("/")[2] for info in infos]
    if any(path.startswith("data/aotinductor/") for path in paths):
        raise _wrong(name, "is an AOTInductor package, which is executable code: save it with torch.export.save")
    if _MODEL not in paths or any(path not in paths for path in _CONFIGS):
        raise _wrong(name, "is no torch.export package of one model: save it with torch.export.save")
    if len(set(paths)) < len(paths) or len({info.filename.partition("/")[0] for info in infos}) != 1:
        raise _wrong(name, "names an entry twice or has several folders")
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise _wrong(name, "has compressed entries, which torch does not write")


def _checked(entries: Mapping[str, bytes], name: str) -> dict[str, bytes]:
    """The entries that a network needs, each looked through; the sample inputs are left out."""
    kept: dict[str, bytes] = {}
    for path, content in entries.items():
        if path == _MODEL:
            kept[path] = _graph(content, name)
        elif path in _CONFIGS:
            kept[path] = _config(content, name)
        elif path in _PLAIN or _TENSOR_FILE.fullmatch(path):
            kept[path] = content
        elif path != _INPUTS:
            raise _wrong(name, "has entries that are neither a graph nor tensors: extra files, objects or code")
    return kept


def _written(entries: Mapping[str, bytes]) -> bytes:
    """An archive of nothing but these, with empty sample inputs of our own."""
    import torch

    samples, archive = io.BytesIO(), io.BytesIO()
    torch.save(((), {}), samples)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writing:
        for path, content in {**entries, _INPUTS: samples.getvalue()}.items():
            writing.writestr(f"archive/{path}", content)
    return archive.getvalue()


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        raise _wrong(name, "has a part that is no JSON") from None
    if not isinstance(parsed, dict):
        raise _wrong(name, "has a part that is no JSON object")
    return parsed


def _graph(content: bytes, name: str) -> bytes:
    """The graph without guards and metadata, which torch would execute or import; every text of it looked at."""
    graph = _parsed(content, name)
    graph["guards_code"] = []
    _without_metadata(graph)
    for key, text in _texts(graph, ""):
        if not _is_harmless(key, text):
            raise _wrong(name, f"has a {key} that a network's graph does not need")
    if any(key in _OBJECTS and value is not None for key, value in _pairs(graph)):
        raise _wrong(name, "has control flow or objects: export it without them, after run_decompositions()")
    return json.dumps(graph).encode()


def _config(content: bytes, name: str) -> bytes:
    """The table of tensors: stored as numbers and never as pickles."""
    config = _parsed(content, name)
    for row in (config.get("config") or {}).values():
        if not isinstance(row, dict) or row.get("use_pickle") is not False:
            raise _wrong(name, "holds pickled tensors, which execute code: save it with the newest torch.export.save")
        if not re.fullmatch(r"(weight|tensor)_\d+", str(row.get("path_name"))):
            raise _wrong(name, "holds objects that are no tensors")
    for key, text in _texts(config, ""):
        if not _is_harmless(key, text):
            raise _wrong(name, f"has a {key} in its table of tensors that is none")
    return json.dumps(config).encode()


def _is_harmless(key: str, text: str) -> bool:
    if key in ("target", "as_operator"):
        return _TARGET.fullmatch(text) is not None
    if key == "expr_str":
        return _SIZE.fullmatch(text) is not None and all(map(_SIZE_WORD.fullmatch, _WORD.findall(text)))
    if key in ("in_spec", "out_spec"):
        types = set(re.findall(r'"type": "([^"]*)"', text))
        return _TREE.fullmatch(text) is not None and types <= _TREE_TYPES
    if key in ("as_string", "as_strings"):
        return _TEXT.fullmatch(text) is not None
    return _NAME.fullmatch(text) is not None


def _pairs(part: object) -> Iterator[tuple[str, object]]:
    """Every key of every object, with its value."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield key, value
            yield from _pairs(value)
    elif isinstance(part, list):
        for value in part:
            yield from _pairs(value)


def _texts(part: object, key: str) -> Iterator[tuple[str, str]]:
    """Every text, with the key that it stands under; keys are texts too."""
    if isinstance(part, str):
        yield key, part
    elif isinstance(part, dict):
        for inner, value in part.items():
            yield "name", inner
            yield from _texts(value, inner)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value, key)


def _without_metadata(part: object) -> None:
    for key, value in list(_pairs(part)):
        if key == "nodes" and isinstance(value, list):
            for node in value:
                if isinstance(node, dict):
                    node["metadata"] = {}


def _wrong(name: str, what: str) -> ConfigurationError:
    return ConfigurationError([f"{name}: {what}"])
