"""Whether a store holds what the files hold, bit for bit, as zarr-python reads it."""

import random
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert_parts.corpus import SURFACE, UPPER, files


@dataclass(frozen=True)
class Check:
    """How many fields of one record were compared, and the first that differ."""

    compared: int
    differ: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether something was compared and nothing differs."""
        return self.compared > 0 and not self.differ


def compare(store: Path, variant: Path, at_most: int | None, seed: int = 1) -> Check:
    """Compare a random choice of fields of one record, or all (None), with the files.

    Packed fields have to agree with ``scale * integer + offset`` to float32's rounding, or, if they were
    packed anew, to half a step; a missing value may be told by NaN or by the store's own fill value.
    """
    import netCDF4
    import zarr

    with warnings.catch_warnings():
        # The codecs of a pass-through are no part of Zarr's specification, and it says so each time.
        warnings.simplefilter("ignore")
        group = zarr.open_group(str(store), mode="r")
        arrays: dict[str, Any] = {name: group[name] for name in UPPER + SURFACE if name in group}
    differ = [f"{name}: there is no such array" for name in UPPER + SURFACE if name not in arrays]
    chosen = _choose(arrays, variant, at_most, seed)
    for (path, name), (member, first, records) in sorted(chosen.items()):
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            # One call for all that is wanted of a file: a call costs more than what it reads.
            low, high = min(records), max(records) + 1
            stored = np.asarray(arrays[name][member, first + low : first + high])
            raw = file[name][low:high]
            for record in sorted(records):
                place = record - low
                problem = _differs(stored[place], arrays[name], file[name], raw[place])
                if problem:
                    differ.append(f"{name}[{member}, {first + record}]: {problem}")
    return Check(sum(len(records) for _, _, records in chosen.values()), tuple(differ))


def _choose(
    arrays: dict[str, Any], variant: Path, at_most: int | None, seed: int
) -> dict[tuple[Path, str], tuple[int, int, list[int]]]:
    """File and field → member, the file's first record in the store, and records of the file."""
    every = []
    for member, paths in enumerate(files(variant)):
        for place, path in enumerate(paths):
            for name, array in arrays.items():
                records = array.shape[1] // len(paths)
                every += [
                    (path, name, member, place * records, record) for record in range(records)
                ]
    if at_most is not None:
        every = random.Random(seed).sample(every, min(at_most, len(every)))
    chosen: dict[tuple[Path, str], tuple[int, int, list[int]]] = {}
    for path, name, member, first, record in every:
        chosen.setdefault((path, name), (member, first, []))[2].append(record)
    return chosen


def _differs(stored: NDArray[Any], array: Any, variable: Any, raw: NDArray[Any]) -> str:
    """Why one field isn't what the file has; empty if it is."""
    if stored.shape != raw.shape:
        return f"shape {stored.shape} instead of {raw.shape}"
    if raw.dtype.kind == "f":
        if stored.dtype.newbyteorder("=") != raw.dtype.newbyteorder("="):
            return f"{stored.dtype} instead of {raw.dtype}"
        same = stored.astype("=f4").view("u4") == raw.astype("=f4").view("u4")
        return "" if same.all() else f"{(~same).sum()} of {same.size} values"
    expected = raw.astype("f8") * float(variable.scale_factor) + float(variable.add_offset)
    missing = raw == variable._FillValue
    attributes = dict(array.attrs)
    fill = np.asarray(array.fill_value, stored.dtype)
    gone = np.isnan(stored.astype("f8")) | (stored == fill)
    tolerance = 3e-7 * np.abs(expected).max()
    value = stored.astype("f8")
    if stored.dtype.kind == "i":
        step = float(attributes["scale_factor"])
        value = value * step + float(attributes["add_offset"])
        tolerance += 0.5001 * step
    if (gone != missing).any():
        return f"{(gone != missing).sum()} values are missing that should not be, or the reverse"
    worst = np.abs(value - expected)[~missing].max()
    return "" if worst <= tolerance else f"off by {worst:.3g}, allowed {tolerance:.3g}"
