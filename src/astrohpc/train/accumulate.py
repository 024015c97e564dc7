"""From a batch to the parts that fit into memory, so that the mathematics stays what it is.

Each part's loss is divided by the count of the whole batch of all ranks, and gradients are added up:
whatever the parts, the sum is the gradient of the whole batch's mean, to rounding.
"""

import contextlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from astrohpc.errors import ConfigError

MIB = 2**20


def parts(count: int, most: int) -> list[slice]:
    """Cut ``count`` samples into the fewest parts of at most ``most``, as equal as can be.

    >>> parts(10, 4)
    [slice(0, 4, None), slice(4, 7, None), slice(7, 10, None)]
    """
    pieces = -(-count // most)
    short, longer = divmod(count, pieces)
    edges = [i * short + min(i, longer) for i in range(pieces + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


class Meter(Protocol):
    """Measures the most memory that a step took, as a share of what there is."""

    def reset(self) -> None:
        """Forget the peak."""

    def share(self) -> float:
        """The peak since then."""


class GpuMeter:
    """The peak of a GPU's memory, with what lies outside of torch's own heap (NCCL, other programs)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def reset(self) -> None:
        """Forget the peak."""
        torch.cuda.reset_peak_memory_stats(self.device)

    def share(self) -> float:
        """The peak since then."""
        free, total = torch.cuda.mem_get_info(self.device)
        outside = total - free - torch.cuda.memory_reserved(self.device)
        return float(torch.cuda.max_memory_reserved(self.device) + outside) / total


class ProcessMeter:
    """The peak of this process, as a share of a budget that the settings give."""

    def __init__(self, budget_mib: int) -> None:
        self.budget = budget_mib * MIB

    def reset(self) -> None:
        """Forget the peak; some containers forbid it, and then it is the peak since the start."""
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def share(self) -> float:
        """The peak since then."""
        return _peak_bytes() / self.budget


def meter_for(device: torch.device, budget_mib: int) -> Meter | None:
    """What measures memory on this device; None where there is no limit to measure by."""
    if device.type == "cuda":
        return GpuMeter(device)
    return ProcessMeter(budget_mib) if budget_mib else None


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass
class MicroBatch:
    """How many samples a rank computes at once; it only ever shrinks, and a checkpoint keeps it.

    What is not ``proven`` has not yet been seen to fit.
    """

    most: int
    proven: bool = False

    def halve(self, why: str) -> str:
        """Take half as many from now on; a sentence for the log, ConfigError where it is one already."""
        if self.most <= 1:
            raise ConfigError(
                f"micro_batch: {why}, though one sample at a time is computed; set recompute=all, "
                "engine=fsdp, or take a smaller model."
            )
        before, self.most, self.proven = self.most, (self.most + 1) // 2, False
        return f"{why}: {self.most} instead of {before} samples are computed at once; the result is the same"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the GPU or here."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU's allocator, cuBLAS and cuDNN say it in words only.
    words = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
