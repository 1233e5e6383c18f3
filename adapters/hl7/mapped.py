"""The content of a file: read where it is small, mapped into memory where it is large."""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from adapters.hl7.layout import Data

#: The most that a file of messages may have.
MOST_BYTES = 1024 * 1024 * 1024
_SMALL = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


@contextmanager
def contents(file: BinaryIO, size: int, scratch: Path | None = None) -> Iterator[Data]:
    """The bytes of an open file of this size.

    A large one is copied to a file without a name in `scratch` and mapped from there: reading a mapped file that
    somebody else cuts short would end the process.
    """
    if size <= _SMALL:
        yield file.read(_SMALL)
        return
    with tempfile.TemporaryFile(dir=scratch) as copy:
        shutil.copyfileobj(file, copy, _CHUNK)
        copy.flush()
        with mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
