"""A store's metadata on disk: groups, arrays, small values, and the root that says whether it is whole."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.files import write_atomic
from astrohpc.store import rounding
from astrohpc.store.missing import needed_fill
from astrohpc.store.plan import Plan, PlannedArray
from astrohpc.store.rounding import Losses
from astrohpc.store.schema import (
    ArraySpec,
    array_metadata,
    consolidated,
    group_metadata,
    read_metadata,
    write_metadata,
)
from astrohpc.store.shard_index import crc32c
from astrohpc.version import VERSION


def write_before(store: Path, plan: Plan, about: Mapping[str, Any], *, anew: bool) -> None:
    """All metadata but the consolidated ones, and what is known already; the root says ``partial``.

    Where no shard is to be made the root is left as it is, for who reads the store just now.
    """
    if anew or read_metadata(store) is None:
        write_metadata(store, group_metadata(_root(plan, {**about, "astrohpc_state": "partial"})))
    for path, attrs in _groups(plan).items():
        write_metadata(store / path, group_metadata(attrs))
    for array in plan.arrays:
        folder = store / array.spec.path
        write_metadata(folder, array_metadata(array.spec))
        if array.values is not None and array.values.size:
            write_small(folder, array.spec, array.values)


def write_after(
    store: Path,
    plan: Plan,
    about: Mapping[str, Any],
    *,
    complete: bool,
    gaps: Iterable[str],
    losses: Mapping[str, Losses],
) -> None:
    """The last act: arrays say what they lack and lost, and the root holds all metadata."""
    nodes = nodes_of(plan, gaps=gaps, losses=losses)
    for array in plan.arrays:
        write_metadata(store / array.spec.path, nodes[array.spec.path])
    state = "complete" if complete else "partial"
    root = group_metadata(_root(plan, {**about, "astrohpc_state": state}))
    write_metadata(store, consolidated(root, nodes))


def nodes_of(
    plan: Plan, *, gaps: Iterable[str], losses: Mapping[str, Losses]
) -> dict[str, dict[str, Any]]:
    """The metadata of all groups and arrays, by path, as they are at the end."""
    holes = set(gaps)
    nodes = {path: group_metadata(attrs) for path, attrs in _groups(plan).items()}
    for array in plan.arrays:
        spec = _with_fill(array.spec) if array.spec.path in holes else array.spec
        lost = losses.get(spec.path)
        if lost is not None:
            spec = replace(spec, attrs={**spec.attrs, **_of_losses(array, lost)})
        nodes[spec.path] = array_metadata(spec)
    return nodes


def _of_losses(array: PlannedArray, lost: Losses) -> dict[str, Any]:
    """What the array says of digits that its source had."""
    found: dict[str, Any] = {}
    if lost.float32 is not None:
        found |= rounding.float32_attributes(lost.float32)
    if lost.digits is not None and array.digits is not None:
        bits = rounding.bits_for_digits(array.digits, array.spec.dtype)
        found |= rounding.attributes(rounding.Kept(bits, array.digits), lost.digits)
    return found


def _with_fill(spec: ArraySpec) -> ArraySpec:
    fill, attrs = needed_fill(spec.dtype, spec.fill, dict(spec.attrs))
    return replace(spec, fill=fill, attrs=attrs)


def _root(plan: Plan, about: Mapping[str, Any]) -> dict[str, Any]:
    root = {**plan.attrs, **about, "astrohpc_version": VERSION}
    if "title" in plan.attrs and "astrohpc_sweep" not in about:
        # What files say of themselves tells more than what their folder is called.
        root["title"] = plan.attrs["title"]
    helpers = [a.spec.path for a in plan.arrays if _is_helper(a)]
    if helpers:
        root["coordinates"] = " ".join(helpers)
    return root


def _is_helper(array: PlannedArray) -> bool:
    """What stands beside the members and describes them, without being an axis itself."""
    return array.usual is None and bool(array.spec.dims) and array.spec.path not in array.spec.dims


def _groups(plan: Plan) -> dict[str, Mapping[str, Any]]:
    """Every group that an array lies in, or that the files have, with its parents."""
    found: dict[str, Mapping[str, Any]] = {}
    paths = [array.spec.path.rpartition("/")[0] for array in plan.arrays]
    for path in [*plan.groups, *paths]:
        parts = path.split("/") if path else []
        for k in range(1, len(parts) + 1):
            group = "/".join(parts[:k])
            found[group] = plan.groups.get(group, {})
    return found


def write_small(folder: Path, spec: ArraySpec, values: NDArray[Any]) -> None:
    """The one chunk of a small array, unless it stands there already."""
    data = small_chunk(values)
    path = folder / spec.key((0,) * len(spec.shape)).rpartition("/")[2]
    if not (path.is_file() and path.read_bytes() == data):
        write_atomic(path, data)


def small_chunk(values: NDArray[Any]) -> bytes:
    """All values as one chunk with a checksum, or as Zarr's text."""
    if values.dtype.kind == "O":
        return _vlen_utf8(values)
    raw = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    return raw + crc32c(raw).to_bytes(4, "little")


def _vlen_utf8(values: NDArray[Any]) -> bytes:
    """Zarr's vlen-utf8: how many, then length and bytes of each."""
    texts = [str(one).encode("utf-8", "surrogateescape") for one in values.ravel()]
    parts = [len(texts).to_bytes(4, "little")]
    for text in texts:
        parts += [len(text).to_bytes(4, "little"), text]
    return b"".join(parts)
