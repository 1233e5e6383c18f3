"""The GPUs of this machine as NVIDIA's driver tells them (NVML), without loading torch or starting a program."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

from cds.ui.operations_values import Gpu

_LIBRARY = "libnvidia-ml.so.1"
_SUCCESS = 0
_NAME_BYTES = 96
#: nvmlTemperatureSensors_t: the die of the GPU.
_DIE = 0
_MIB = 1024 * 1024


class _Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Utilization(ctypes.Structure):
    """nvmlUtilization_t, in percent of the last sample."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


def gpus(load: Callable[[str], Any] = ctypes.CDLL) -> tuple[Gpu, ...] | None:
    """Every GPU; None where there is no driver that could be asked."""
    try:
        driver = load(_LIBRARY)
    except OSError:
        return None
    if driver.nvmlInit_v2() != _SUCCESS:
        return None
    try:
        return tuple(_gpus(driver))
    finally:
        driver.nvmlShutdown()


def _gpus(driver: Any) -> Iterator[Gpu]:
    count = ctypes.c_uint()
    if driver.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _SUCCESS:
        return
    for index in range(count.value):
        handle = ctypes.c_void_p()
        if driver.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) == _SUCCESS:
            yield _gpu(driver, index, handle)


def _gpu(driver: Any, index: int, handle: ctypes.c_void_p) -> Gpu:
    name, memory, busy, die = ctypes.create_string_buffer(_NAME_BYTES), _Memory(), _Utilization(), ctypes.c_uint()
    named = driver.nvmlDeviceGetName(handle, name, _NAME_BYTES) == _SUCCESS
    has_memory = driver.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == _SUCCESS
    is_busy = driver.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(busy)) == _SUCCESS
    has_die = driver.nvmlDeviceGetTemperature(handle, _DIE, ctypes.byref(die)) == _SUCCESS
    return Gpu(
        index=str(index),
        name=name.value.decode(errors="replace") if named else "a GPU without a name",
        memory_mib=memory.total // _MIB if has_memory else None,
        used_mib=memory.used // _MIB if has_memory else None,
        busy_percent=int(busy.gpu) if is_busy else None,
        celsius=int(die.value) if has_die else None,
    )
