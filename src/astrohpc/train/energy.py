"""Energy, where something here measures it: a GPU by NVML, a processor by RAPL. Else it is not measured.

CPU seconds times a stated power would be a guess with the look of a measurement.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

NOT_MEASURED = "not measured"
_RAPL = Path("/sys/class/powercap")


@dataclass
class Energy:
    """Joules since the start, and how they were measured."""

    method: str
    _read: Callable[[], float] | None = None
    _start: float = 0.0

    def __post_init__(self) -> None:
        if self._read is not None:
            self._start = self._read()

    def joules(self) -> float:
        """Since the start; 0 where nothing measures."""
        return self._read() - self._start if self._read is not None else 0.0


def energy_of(device: torch.device, local_rank: int) -> Energy:
    """What measures here. A node's processors are counted by its first rank only."""
    if device.type == "cuda":
        read = _nvml(device)
        return Energy("NVML, this GPU", read) if read else Energy(NOT_MEASURED)
    zones = [_Zone(path) for path in sorted(_RAPL.glob("intel-rapl:[0-9]")) if _readable(path)]
    if not zones or local_rank:
        return Energy("RAPL, by the first rank of the node" if zones else NOT_MEASURED)
    return Energy("RAPL, processors of the node", lambda: sum(zone.joules() for zone in zones))


def _readable(zone: Path) -> bool:
    try:
        int((zone / "energy_uj").read_text())
    except (OSError, ValueError):
        return False
    return True


class _Zone:
    """A counter of microjoules that begins again when it is full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.full = int((path / "max_energy_range_uj").read_text())
        except (OSError, ValueError):
            self.full = 2**32
        self.last = int((path / "energy_uj").read_text())
        self.total = 0

    def joules(self) -> float:
        now = int((self.path / "energy_uj").read_text())
        self.total += (now - self.last) % self.full
        self.last = now
        return self.total * 1e-6


def _nvml(device: torch.device) -> Callable[[], float] | None:
    """Millijoules of a GPU since its driver was loaded, without another package."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        handle = ctypes.c_void_p()
        name = str(torch.cuda.get_device_properties(device).uuid)
        name = name if name.startswith(("GPU-", "MIG-")) else f"GPU-{name}"
        if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(
            name.encode(), ctypes.byref(handle)
        ):
            return None
    except (OSError, AttributeError):
        return None
    value = ctypes.c_ulonglong()
    if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value)):
        return None  # a GPU before Volta

    def read() -> float:
        library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value))
        return value.value * 1e-3

    return read
