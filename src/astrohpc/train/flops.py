"""How much of a GPU's arithmetic a training uses: counted operations over the peak that its maker states."""

from collections.abc import Callable

import torch

# Dense peaks per second by what products are computed in; fp32 with TF32 switched off, as we have it.
_PEAKS = {
    "A100": {"bf16": 312e12, "fp16": 312e12, "fp32": 19.5e12, "fp64": 19.5e12},
    "H100": {"bf16": 989e12, "fp16": 989e12, "fp32": 67e12, "fp64": 67e12},
    "H200": {"bf16": 989e12, "fp16": 989e12, "fp32": 67e12, "fp64": 67e12},
    "V100": {"fp16": 125e12, "fp32": 15.7e12, "fp64": 7.8e12},
}


def peak(device: torch.device, precision: str) -> float:
    """Operations a second that the device could do; 0 where we know of none."""
    if device.type != "cuda":
        return 0.0
    name = torch.cuda.get_device_name(device)
    found = next((peaks for word, peaks in _PEAKS.items() if word in name), {})
    return found.get(precision, 0.0)


def count(work: Callable[[], None]) -> float:
    """Operations of matrix products and convolutions in ``work``, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())
