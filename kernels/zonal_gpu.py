"""Zonal sums where the fields are on a GPU: what :mod:`.zonal` does, bit for bit, by ``zonal.cu``."""

from collections.abc import Sequence

import numpy as np

from astrohpc.kernels.cuda import launch
from astrohpc.kernels.sources import STORED
from astrohpc.kernels.tensors import Tensor

_THREADS, _LANES = 256, 16
DEEP = 8  # layers that one block goes through: few enough for many blocks, and pressure is read 1/8


def zonal_gpu(
    x: Tensor, pressure: Tensor | None, levels: int, channel: int, sums: Tensor, bad: Tensor
) -> None:
    """Sum one variable into the channels of ``sums`` [6, S, n, J] and ``bad`` [S, n, J] from one on.

    ``x`` is [S, L, J, I], or [S, J, I] with one level; ``pressure`` [S, J, I]. On the stream of ``x``.
    """
    samples, channels, rows = bad.shape
    columns = x.shape[-1]
    layered = x.shape[1:-2] or (1,)
    wanted: dict[str, tuple[int, ...]] = {
        "x": (samples, levels, rows, columns),
        "sums": (6, samples, channels, rows),
    }
    got: dict[str, tuple[int, ...]] = {
        "x": (x.shape[0], *layered, *x.shape[-2:]),
        "sums": sums.shape,
    }
    if pressure is not None:
        wanted["pressure"], got["pressure"] = (samples, rows, columns), pressure.shape
    if got != wanted or channel + levels > channels:
        raise ValueError(f"{x.name}: shapes {got} do not belong together; give {wanted}.")
    for each in (x, *([pressure] if pressure else [])):
        if each.dtype not in STORED:
            raise ValueError(f"{each.name}: holds {each.dtype}; give one of {', '.join(STORED)}.")
    if (sums.dtype, bad.dtype) != ("float64", "int32"):
        raise ValueError(f"sums, bad: hold {sums.dtype}, {bad.dtype}; give float64 and int32.")
    variant = {"X": STORED[x.dtype], "P": STORED[pressure.dtype if pressure else "float32"]}
    launch(
        "zonal",
        "zonal",
        variant,
        x.stream,
        grid(samples, rows, levels, _THREADS),
        _THREADS,
        (
            x.argument,
            np.int64(x.distance),
            pressure.argument if pressure else np.uint64(0),
            np.int64(pressure.distance if pressure else 0),
            *map(np.int32, (samples, levels, rows, columns, channel, channels, DEEP)),
            sums.argument,
            bad.argument,
        ),
    )


def grid(samples: int, rows: int, levels: int, threads: int) -> Sequence[int]:
    """Blocks: samples times groups of neighbouring rows, by groups of layers."""
    abreast = threads // _LANES
    return samples * -(-rows // abreast), -(-levels // DEEP)
