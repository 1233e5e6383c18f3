"""Files of weights: found in the model's folders, and used only if they have the digest that the manifest states.

A file is read once; the bytes that were compared are the bytes that are parsed. Parsing executes nothing: safetensors,
or a state dict with `weights_only`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cds.errors import ConfigurationError, NotEvaluable
from models.manifest import Manifest, Weights
from models.registry import found, missing

if TYPE_CHECKING:
    from torch import Tensor

_PART = 1024 * 1024
#: Keys under which training programs keep the state dict beside other things.
_WRAPPED = ("state_dict", "model_state_dict", "model", "net")


class NotInstalled(NotEvaluable):
    """The model's weights are not here: its studies are not evaluated, which is no negative."""

    def __init__(self, manifest: Manifest, why: str = "") -> None:
        lacks = why or f"{', '.join(missing(manifest)) or 'a file of weights'} is missing"
        super().__init__(f"the model {manifest.id} is not installed: {lacks}", gate="weights")


def declared(manifest: Manifest, file: str) -> Weights:
    """What the manifest says of that file; ConfigurationError where it says nothing."""
    for weights in manifest.weights:
        if weights.file == file:
            return weights
    raise ConfigurationError([f"{manifest.id}.toml: weights has no entry with file {file}"])


def path(manifest: Manifest, file: str) -> Path:
    """Where the file lies, its digest compared; raise NotInstalled, or ConfigurationError with both digests."""
    wanted, where = declared(manifest, file), _where(manifest, file)
    try:
        got = digest(where)
    except OSError as error:
        raise _unreadable(manifest, file, error) from None
    _agree(manifest, wanted, got)
    return where


def content(manifest: Manifest, file: str) -> bytes:
    """The whole file, read once, its digest compared; raise as `path` does."""
    wanted, where = declared(manifest, file), _where(manifest, file)
    try:
        read = where.read_bytes()
    except OSError as error:
        raise _unreadable(manifest, file, error) from None
    _agree(manifest, wanted, hashlib.sha256(read).hexdigest())
    return read


def load(manifest: Manifest, file: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file or a state dict, on the CPU; raise as `path` does.

    ConfigurationError too where the file is of another format or holds anything but tensors by name.
    """
    wanted, raw = declared(manifest, file), content(manifest, file)
    parse = {"safetensors": _safetensors, "state-dict": _state_dict}.get(wanted.format)
    if parse is None:
        raise ConfigurationError([f"{manifest.id}.toml: {file} is a {wanted.format}, want safetensors or state-dict"])
    return parse(manifest, file, raw)


def digest(where: Path) -> str:
    """SHA-256 of a file, in hexadecimal; OSError where it cannot be read."""
    taken = hashlib.sha256()
    with where.open("rb") as opened:
        while part := opened.read(_PART):
            taken.update(part)
    return taken.hexdigest()


def _where(manifest: Manifest, file: str) -> Path:
    where = found(manifest, file)
    if where is None:
        raise NotInstalled(manifest)
    return where


def _agree(manifest: Manifest, wanted: Weights, got: str) -> None:
    if got != wanted.sha256:
        raise ConfigurationError([f"{manifest.id}: {wanted.file} has the SHA-256 {got}, want {wanted.sha256}"])


def _unreadable(manifest: Manifest, file: str, error: OSError) -> ConfigurationError:
    return ConfigurationError([f"{manifest.id}: {file} cannot be read: {error.strerror}"])


def _safetensors(manifest: Manifest, file: str, raw: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    try:
        return parse(raw)
    except SafetensorError as error:
        raise ConfigurationError([f"{manifest.id}: {file} is no safetensors file: {error}"]) from None


def _state_dict(manifest: Manifest, file: str, raw: bytes) -> dict[str, Tensor]:
    import torch

    if _is_torchscript(raw):
        raise ConfigurationError([f"{manifest.id}: {file} is TorchScript and no state dict of tensors alone"])
    try:
        with warnings.catch_warnings():
            # Other protocols of pickle than 2 may hold what weights_only does not know; then it refuses, below.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            parsed = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        # The texts of torch advise to load without weights_only, which executes what the file says.
        raise ConfigurationError([f"{manifest.id}: {file} is no state dict of tensors alone"]) from None
    return _tensors(manifest, file, _unwrapped(parsed))


def _is_torchscript(raw: bytes) -> bool:
    """True for what `torch.load` would hand on to `torch.jit.load`, which executes code."""
    if not zipfile.is_zipfile(io.BytesIO(raw)):
        return False
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())


def _unwrapped(parsed: object) -> object:
    """The state dict itself where a training program wrapped it with its optimizer and counters."""
    if isinstance(parsed, Mapping):
        for key in _WRAPPED:
            if isinstance(parsed.get(key), Mapping):
                return parsed[key]
    return parsed


def _tensors(manifest: Manifest, file: str, parsed: object) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(parsed, Mapping) or not all(isinstance(value, Tensor) for value in parsed.values()):
        raise ConfigurationError([f"{manifest.id}: {file} holds other things than tensors by name"])
    return {str(name): tensor for name, tensor in parsed.items()}
