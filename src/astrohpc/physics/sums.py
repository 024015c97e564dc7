"""Zonal sums: what one read of the fields leaves of them, and all that budgets are made of.

Layers are ``da + db · ps`` thick, so every mass-weighted integral is linear in the sums of x and of
x · ps; energy and its kind need x² and x² · ps. Sums are double precision in one fixed order
(:mod:`astrohpc.kernels.zonal`), the same bits for any number of threads.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.kernels.tensors import on_gpu
from astrohpc.kernels.zonal import zonal
from astrohpc.physics.layout import Block, Layout

Array = NDArray[np.float64]
Missing = Literal["error", "skip"]

_PARTS_A_THREAD = 4  # so that threads end together
_MOST_VALUES = 1 << 31


@dataclass(frozen=True, eq=False)
class ZonalSums:
    """Sums along each row of latitude, ``[S, n, J]`` each, n counting the channels of a layout.

    ``bad`` is the first column of a row that is missing (NaN), or -1; such a row's sums are of what is
    there. Arrays are numpy's, or torch's where :func:`zonal_sums_torch` made them.
    """

    x: Any
    xp: Any
    xx: Any
    xxp: Any
    low: Any
    high: Any
    bad: Any

    @property
    def samples(self) -> int:
        """How many samples were summed."""
        return int(self.x.shape[0])

    @classmethod
    def joined(cls, parts: Sequence["ZonalSums"]) -> "ZonalSums":
        """The sums of batches that were read one after the other."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def zonal_sums(
    fields: Mapping[str, Any],
    layout: Layout,
    *,
    threads: int | None = None,
    missing: Missing = "error",
) -> ZonalSums:
    """Sum the layout's variables in one read, as many threads at once as the processor has cores.

    Fields are arrays or tensors of float32, float64 or (tensors) bfloat16, read where they lie: also as
    views of a stack, and on a GPU, which gives the same bits. A value that is not finite is an error that
    says where it is; with ``missing="skip"`` NaN is a missing value, which counts for nothing and is
    marked in ``bad``, so that budgets of that variable do not judge that sample. Infinity is an error in
    any case.
    """
    if any(on_gpu(fields[block.name]) for block in layout if block.name in fields):
        from astrohpc.physics.sums_gpu import row_sums  # noqa: PLC0415 - asks for a GPU

        made, found = row_sums(fields, layout)
        _check_finite(fields, layout, found, missing)
        return ZonalSums(made[0], made[1], made[2], made[3], made[4], made[5], found)
    rows, columns = layout.grid.shape
    flats = {block.name: _flat(block, fields, layout) for block in layout}
    samples = {name: flat.samples for name, flat in flats.items()}
    count = next(iter(samples.values()))
    if len(set(samples.values())) != 1 or count == 0:
        raise ConfigError(
            f"fields: have {samples} samples; give the same number of each variable, at least one."
        )
    sums = np.empty((6, count, layout.channels, rows))
    bad = np.empty((count, layout.channels, rows), dtype=np.int32)
    weight = _widened(flats["ps"]) if "ps" in flats else _nothing(rows * columns)

    def part(flat: _Flat, channel: int, first: int, last: int) -> int:
        return zonal(
            flat.values,
            flat.distance,
            weight.values,
            weight.distance,
            (first, last),
            (flat.size // (rows * columns), rows, columns),
            channel,
            sums,
            bad,
        )

    threads = threads or len(os.sched_getaffinity(0))
    cuts = np.linspace(0, count, min(count, _PARTS_A_THREAD * threads) + 1).astype(int).tolist()
    tasks = [
        (flat, channel, first, last)
        for first, last in itertools.pairwise(cuts)
        for flat, channel in _runs([(flats[b.name], layout.slice(b.name).start) for b in layout])
    ]
    if missing not in ("error", "skip"):
        raise ConfigError(f"missing: {missing!r} is neither 'error' nor 'skip'; write one of them.")
    if _share_out(part, tasks, threads):
        _check_finite(fields, layout, bad, missing)
    return ZonalSums(sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], bad)


def _share_out(part: Callable[..., int], tasks: Sequence[tuple[Any, ...]], threads: int) -> int:
    """Do all parts; how many rows are bad."""
    if threads == 1:
        return sum(part(*task) for task in tasks)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda task: part(*task), tasks))


# ----------------------------------------------------------------------------- fields as they lie
@dataclass(frozen=True)
class _Flat:
    """Memory in which each sample has ``size`` close values, and begins ``distance`` after the last."""

    values: NDArray[Any]
    distance: int
    size: int
    samples: int
    bfloat16: bool

    @property
    def address(self) -> int:
        """Where the first value lies."""
        return int(self.values.__array_interface__["data"][0])


def _runs(flats: Sequence[tuple[_Flat, int]]) -> list[tuple[_Flat, int]]:
    """Variables that are neighbours in memory, as they are in a stack, put together as one.

    Each comes with the channel that it begins with. Memory is read faster from one end to the other.
    """
    runs = [flats[0]]
    for flat, channel in flats[1:]:
        last, first_channel = runs[-1]
        end = last.address + last.size * last.values.itemsize
        size = last.size + flat.size
        alike = (last.values.dtype, last.distance) == (flat.values.dtype, flat.distance)
        if alike and end == flat.address and size <= last.distance:
            span = (last.samples - 1) * last.distance + size
            runs[-1] = (replace(last, values=_strided(last.values, span), size=size), first_channel)
        else:
            runs.append((flat, channel))
    return runs


def _strided(values: NDArray[Any], span: int) -> NDArray[Any]:
    """So many values from the first on, as they follow each other in memory."""
    return np.lib.stride_tricks.as_strided(values, (span,), (values.itemsize,), writeable=False)


def _nothing(cells: int) -> _Flat:
    """No pressure, so that sums with it are not a number."""
    values = np.full(cells, np.nan, np.float32)
    return _Flat(_strided(values, cells), 0, cells, 1, False)


def _flat(block: Block, fields: Mapping[str, Any], layout: Layout) -> _Flat:
    """The memory of a field without a copy, as long as each sample lies closely."""
    if block.name not in fields:
        raise ConfigError(f"{block.name}: the layout has it, the fields have not; give it.")
    values, bfloat16 = _as_numpy(block.name, fields[block.name])
    levels = (block.levels,) if block.levels else ()
    wanted = (*levels, *layout.grid.shape)
    if values.shape[1:] != wanted or values.ndim != len(wanted) + 1:
        raise ConfigError(
            f"{block.name}: has shape {values.shape} where (sample, {'level, ' if levels else ''}lat, "
            f"lon) must end in {wanted}; give it on the layout's grid and layers."
        )
    if values.size >= _MOST_VALUES:
        raise ConfigError(
            f"{block.name}: {values.size} values are more than one call sums; "
            "give fewer samples at a time."
        )
    size = int(np.prod(wanted))
    if values.shape[0] == 0:
        return _Flat(values.reshape(-1), size, size, 0, bfloat16)
    close = values[:1].flags.c_contiguous
    step, rest = divmod(values.strides[0], values.itemsize)
    if not close or rest or step < size:
        values = np.ascontiguousarray(values)
        step = size
    span = (values.shape[0] - 1) * step + size
    return _Flat(_strided(values, span), step, size, values.shape[0], bfloat16)


def _as_numpy(name: str, values: Any) -> tuple[NDArray[Any], bool]:
    """An array, or a tensor's memory as one; whether it holds the bits of bfloat16."""
    bfloat16 = False
    if not isinstance(values, np.ndarray):
        import torch  # noqa: PLC0415 - only who has tensors has torch

        if not isinstance(values, torch.Tensor):
            raise ConfigError(f"{name}: is a {type(values).__name__}; give an array or a tensor.")
        if values.device.type != "cpu":
            raise ConfigError(
                f"{name}: lies on {values.device}; sum it there with zonal_sums_torch, or bring it "
                "to the CPU."
            )
        values = values.detach()
        bfloat16 = values.dtype == torch.bfloat16
        values = (values.view(torch.uint16) if bfloat16 else values).numpy()
    if not bfloat16 and (values.dtype not in (np.float32, np.float64) or not values.dtype.isnative):
        raise ConfigError(
            f"{name}: holds {values.dtype}; give float32, float64 or, in tensors, bfloat16."
        )
    return values, bfloat16


def _widened(pressure: _Flat) -> _Flat:
    """Surface pressure as the kernel reads it next to each variable."""
    if not pressure.bfloat16:
        return pressure
    wide = (pressure.values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return replace(pressure, values=_strided(wide, len(wide)), bfloat16=False)


# ----------------------------------------------------------------------------- what is not finite
def _check_finite(
    fields: Mapping[str, Any], layout: Layout, bad: NDArray[np.int32], missing: Missing
) -> None:
    """Name the first value that may not be there."""
    for block in layout:
        found = bad[:, layout.slice(block.name)]
        for s, level, j in np.argwhere(found >= 0).tolist():
            place = (s, level, j) if block.levels else (s, j)
            row = np.asarray(_as_float(fields[block.name][place]))
            i = int(found[s, level, j])
            if missing == "skip":
                infinite = np.flatnonzero(np.isinf(row))
                if not len(infinite):
                    continue
                i = int(infinite[0])
            at = f"sample {s}, {f'level {level}, ' if block.levels else ''}latitude {j}, longitude {i}"
            remedy = (
                "mend the field"
                if np.isinf(row[i])
                else "mend the field, or ask for missing='skip' if it is a missing value"
            )
            raise ConfigError(f"{block.name}: is {row[i]:g} at {at} (from 0); {remedy}.")


def _as_float(row: Any) -> Any:
    if hasattr(row, "detach"):
        return row.detach().double().cpu().numpy()
    return row if isinstance(row, np.ndarray) else row.get()  # CuPy's


# ----------------------------------------------------------------------------- differentiable
def zonal_sums_torch(fields: Mapping[str, Any], layout: Layout) -> ZonalSums:
    """The same sums as :func:`zonal_sums`, in torch operations that have a gradient, on any device.

    Float64 sums; values that are not finite are not looked for, but make the sums so.
    """
    import torch  # noqa: PLC0415 - only who trains has torch

    parts: list[list[Any]] = [[] for _ in range(6)]
    pressure = fields["ps"].double() if "ps" in layout else None
    for block in layout:
        values = fields[block.name].double()
        values = values if block.levels else values[:, None]
        p = torch.full_like(values, torch.nan) if pressure is None else pressure[:, None]
        with_p = values * p
        ends = values.detach()
        made = (
            values.sum(-1),
            with_p.sum(-1),
            (values * values).sum(-1),
            (values * with_p).sum(-1),
            ends.amin(-1),
            ends.amax(-1),
        )
        for part, one in zip(parts, made, strict=True):
            part.append(one)
    x, xp, xx, xxp, low, high = (torch.cat(part, dim=1) for part in parts)
    return ZonalSums(x, xp, xx, xxp, low, high, torch.full_like(low, -1, dtype=torch.int32))
