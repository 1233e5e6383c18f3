"""Loads a model in a process of its own and lets it answer once, so that what is wrong with it is known beforehand."""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cds.errors import ConfigurationError, SightlineError
from models.manifest import Manifest

#: How long loading and one forward may take, seconds.
LIMIT_S = 600.0
#: The most items of the forward: enough to see that the network takes more than one.
_ITEMS = 2


@dataclass(frozen=True, slots=True)
class _Done:
    """What the process says at its end: mistakes, or none."""

    mistakes: tuple[str, ...]


def run(manifest: Manifest, folder: Path | None = None, limit_s: float = LIMIT_S) -> None:
    """Raise ConfigurationError with every reason why the model does not load, or does not answer as it declares."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, manifest, folder), name="sightline-model-trial", daemon=True)
    process.start()
    theirs.close()
    done: object = None
    try:
        if ours.poll(limit_s):
            with suppress(EOFError):
                done = ours.recv()
        elif process.is_alive():
            raise ConfigurationError([f"{manifest.id}: it did not answer within {limit_s:.0f} s"])
    finally:
        process.kill()
        process.join()
    if not isinstance(done, _Done):
        raise ConfigurationError([f"{manifest.id}: the process that tried it ended (status {process.exitcode})"])
    if done.mistakes:
        raise ConfigurationError(list(done.mistakes))


def _serve(answers: Connection[Any, Any], manifest: Manifest, folder: Path | None) -> None:
    sys.stdout = sys.stderr
    try:
        _try(manifest, folder)
    except ConfigurationError as error:
        answers.send(_Done(tuple(error.mistakes)))
    except SightlineError as error:
        answers.send(_Done((f"{manifest.id}: {error}",)))
    except Exception as error:  # noqa: BLE001 - the process's outermost level: what went wrong is told in words
        answers.send(_Done((f"{manifest.id}: it cannot be run: {type(error).__name__}: {error}",)))
    else:
        answers.send(_Done(()))


def _try(manifest: Manifest, folder: Path | None) -> None:
    """Build on the CPU; run the example input, alone and twice, where the model gives one."""
    import torch

    from models import declared
    from models.registry import module

    torch.set_num_threads(1)
    code = module(manifest, folder)
    network = code.build(manifest, torch.device("cpu"))
    example = getattr(code, "warm", None)
    if example is None:
        return
    for items in range(1, min(manifest.runtime.max_batch, _ITEMS) + 1):
        given = tuple(torch.cat([tensor] * items) for tensor in example(manifest))
        with torch.inference_mode():
            answered = network(*given)
        if manifest.declared is not None:
            first = answered[0] if isinstance(answered, tuple | list) else answered
            declared.check_answer(first, given[0], manifest.declared)
