"""What decoding a series takes of memory: run on its own, because a test's process is large already."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from threading import Event, Thread


def used(process: int) -> int:
    """Proportional set size (proc(5), smaps_rollup), bytes; 0 where the process is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def family(process: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    return [process, *(int(child) for file in children for child in file.read_text().split())]


def main(folder: str, scratch: str) -> None:
    """Print what this process took idle, before it had a pool, and at most with it, and the bytes of the volume."""
    from adapters.dicom.pool import DecodePool
    from adapters.dicom.volume import LocalImages
    from cds.domain.imaging import SeriesSummary
    from cds.limits import DicomLimits

    paths = tuple(str(path) for path in sorted(Path(folder).iterdir()))
    series = SeriesSummary("1.2.3.4", "1.2.3", "CT", "", "", (), (), paths)
    idle, peak, over = used(os.getpid()), [0], Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], sum(used(one) for one in family(os.getpid())))

    watching = Thread(target=watch)
    watching.start()
    with DecodePool(DicomLimits()) as pool:
        volume = LocalImages(Path("/"), DicomLimits(), pool).volume(series, Path(scratch))
        over.set()
        watching.join()
    print(json.dumps({"idle": idle, "peak": peak[0], "volume": Path(volume.path).stat().st_size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
