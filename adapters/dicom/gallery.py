"""Pictures of stored images for whoever looks on: decoded once in bounded processes, kept while there is room."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from adapters.dicom import grey, rendering, rendering_headers, rendering_masks
from adapters.dicom.grey import Grey
from adapters.dicom.rendering import Decoded
from cds.errors import NotEvaluable
from cds.limits import DicomLimits
from cds.remembered import Remembered
from cds.ui.images import Drawn, Raw
from cds.ui.pictures import FrameSaid, Look, Rendered, Window

T = TypeVar("T")

#: Files whose headers one task reads.
_HEADERS_PER_TASK = 20
_MASKS, _SERIES = 32, 64


class Caller(Protocol):
    """Runs a function on what strangers sent, elsewhere: `DecodePool` is one."""

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)`; raise what it raises of `cds.errors`."""
        ...


class _File(NamedTuple):
    """A frame of a stored file: its path below the data folder, its digest, and the frame from 0."""

    path: str
    sha256: str
    frame: int


class Gallery:
    """Thread-safe. `cache_bytes` bound the decoded frames and, by half as much again, what was packed of them."""

    def __init__(self, data_dir: Path, limits: DicomLimits, caller: Caller, *, cache_bytes: int) -> None:
        self._data_dir = data_dir
        self._max_bytes = limits.max_instance_bytes
        self._caller = caller
        self._decoded: Remembered[_File, Decoded] = Remembered(cache_bytes, lambda one: one.size)
        self._packed: Remembered[tuple[_File, str], Rendered] = Remembered(cache_bytes // 4, lambda one: len(one.body))
        self._raw: Remembered[_File, Raw] = Remembered(cache_bytes // 4, lambda one: len(one.body))
        self._said: Remembered[tuple[str, str], tuple[FrameSaid, ...] | str] = Remembered(_SERIES * 512)
        self._masks: Remembered[tuple[str, ...], dict[tuple[str, int], Drawn] | NotEvaluable] = Remembered(_MASKS)
        self._turns: dict[_File, threading.Lock] = {}
        self._lock = threading.Lock()

    def described(self, files: Sequence[tuple[str, str]]) -> list[tuple[FrameSaid, ...] | str]:
        """The frames of files, each (path, digest), or in words why one has none."""
        unknown = [one for one in files if self._said.find(one) is None]
        for at in range(0, len(unknown), _HEADERS_PER_TASK):
            some = unknown[at : at + _HEADERS_PER_TASK]
            paths = tuple(self._data_dir / path for path, _ in some)
            for one, said in zip(some, self._headers(paths), strict=True):
                self._said.keep(one, said)
        return [found if (found := self._said.find(one)) is not None else "it was forgotten" for one in files]

    def picture(self, path: str, sha256: str, index: int, look: Look, default: Window | None = None) -> Rendered:
        """A frame as a look wants it; raise NotEvaluable where it cannot be decoded, Unavailable."""
        file = _File(path, sha256, index)
        key = file, f"{look.key}:{default}"
        return self._packed.get(key, lambda: rendering.rendered(self._frame(file), look, default))

    def raw(self, path: str, sha256: str, index: int) -> Raw:
        """The stored values of a grey frame; raise NotEvaluable where it is in colour or cannot be decoded."""
        file = _File(path, sha256, index)

        def made() -> Raw:
            frame = self._frame(file)
            if frame.grey is None:
                raise NotEvaluable("it is in colour: it has no window", gate="colour")
            return rendering.raw(frame)

        return self._raw.get(file, made)

    def mask(self, mask: str, files: Sequence[tuple[str, str]], stack: str) -> dict[tuple[str, int], Drawn]:
        """A mask by SOP Instance UID and frame; raise NotEvaluable where it is gone or fits no more."""
        key = (mask, stack, *(sha256 for _, sha256 in files))

        def made() -> dict[tuple[str, int], Drawn] | NotEvaluable:
            paths = tuple(self._data_dir / path for path, _ in files)
            try:
                return self._caller.call(rendering_masks.mask_pictures, Path(mask), paths, stack, self._max_bytes)
            except NotEvaluable as error:
                return error

        return _or_raised(self._masks.get(key, made))

    def heat_map(self, file: str) -> Drawn:
        """A heat map over the whole of its image; raise NotEvaluable where it is gone."""

        def made() -> dict[tuple[str, int], Drawn] | NotEvaluable:
            try:
                return {("", 0): self._caller.call(rendering_masks.heat_map, Path(file))}
            except NotEvaluable as error:
                return error

        return _or_raised(self._masks.get((file,), made))["", 0]

    def _headers(self, paths: tuple[Path, ...]) -> Sequence[tuple[FrameSaid, ...] | str]:
        """Of each file; one that the process trips over does not take the others with it."""
        try:
            return self._caller.call(rendering_headers.described, paths, self._max_bytes)
        except NotEvaluable as error:
            if len(paths) == 1:
                return [str(error)]
            return [said for path in paths for said in self._headers((path,))]

    def _frame(self, file: _File) -> Decoded:
        """Two who want the same frame at the same time decode it once."""
        known = self._decoded.find(file)
        if known is not None:
            return known
        with self._lock:
            turn = self._turns.setdefault(file, threading.Lock())
        try:
            with turn:
                return self._decoded.get(file, lambda: self._decode(file))
        finally:
            with self._lock:
                self._turns.pop(file, None)

    def _decode(self, file: _File) -> Decoded:
        found = self._caller.call(grey.decoded, self._data_dir / file.path, file.frame, self._max_bytes)
        return Decoded(found, None) if isinstance(found, Grey) else Decoded(None, found)


def _or_raised(found: dict[tuple[str, int], Drawn] | NotEvaluable) -> dict[tuple[str, int], Drawn]:
    if isinstance(found, NotEvaluable):
        raise found
    return found
