"""What the driver says of its GPUs; a driver in miniature stands for the library."""

from __future__ import annotations

import ctypes
from typing import Any

from cds.bootstrap.ui_operations_gpus import gpus
from cds.ui.operations_values import Gpu

_NOT_SUPPORTED = 3
_MIB = 1024 * 1024


class Driver:
    """NVML with one GPU; `silent` are the questions that it does not answer, as a MIG slice does not."""

    def __init__(self, *, starts: bool = True, silent: frozenset[str] = frozenset()) -> None:
        self.starts, self.silent, self.ended = starts, silent, False

    def nvmlInit_v2(self) -> int:
        return 0 if self.starts else 9

    def nvmlShutdown(self) -> int:
        self.ended = True
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, handle: Any) -> int:
        handle._obj.value = 0xBEEF + index
        return 0

    def nvmlDeviceGetName(self, handle: ctypes.c_void_p, name: Any, length: int) -> int:
        name.value = b"NVIDIA H200"[: length - 1]
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p, memory: Any) -> int:
        memory._obj.total, memory._obj.used = 143_771 * _MIB, 1_024 * _MIB
        return self._answer("memory")

    def nvmlDeviceGetUtilizationRates(self, handle: ctypes.c_void_p, busy: Any) -> int:
        busy._obj.gpu = 37
        return self._answer("busy")

    def nvmlDeviceGetTemperature(self, handle: ctypes.c_void_p, sensor: int, die: Any) -> int:
        die._obj.value = 41
        return self._answer("die")

    def _answer(self, what: str) -> int:
        return _NOT_SUPPORTED if what in self.silent else 0


def test_a_gpu_is_told_with_its_memory_and_work() -> None:
    driver = Driver()
    assert gpus(lambda name: driver) == (Gpu("0", "NVIDIA H200", 143_771, 1_024, 37, 41),)
    assert driver.ended


def test_what_the_driver_does_not_say_is_not_known() -> None:
    driver = Driver(silent=frozenset({"memory", "busy", "die"}))
    assert gpus(lambda name: driver) == (Gpu("0", "NVIDIA H200", None, None, None, None),)


def test_without_a_driver_nothing_is_known() -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    assert gpus(missing) is None
    assert gpus(lambda name: Driver(starts=False)) is None
