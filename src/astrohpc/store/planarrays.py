"""Which arrays a store has: for each variable what its files agree on, and where its values come from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.store.agree import PACKING, Signature, packing, usual
from astrohpc.store.described import member_arrays, quantization
from astrohpc.store.draft import Draft
from astrohpc.store.layout import Axes, choose_chunk, choose_shard
from astrohpc.store.missing import foreign_marks, needed_fill, one_fill, remarked
from astrohpc.store.naming import name_of, names, renamed, unfit_for_store, wanted
from astrohpc.store.plan import MEMBER, Piece, PlannedArray
from astrohpc.store.rounding import CONTAINER
from astrohpc.store.schema import ArraySpec
from astrohpc.store.source import BadSource, Chunks, Rows, Variable
from astrohpc.store.times import rebased
from astrohpc.store.unpack import unpack, unpacked_dtype

_OF_PACKED = ("valid_min", "valid_max", "valid_range", "missing_value")

Places = list[tuple[int, tuple[int, ...]]]  # run and its files


def plan_arrays(draft: Draft) -> list[PlannedArray]:
    """All arrays, in the order in which the files have their variables."""
    paths: dict[str, None] = {}
    for run in draft.runs:
        for i in run.looks:
            paths |= dict.fromkeys(v.path for v in draft.looks[i].source.variables)
    arrays: dict[str, PlannedArray] = {}
    for path in wanted(draft, list(paths)):
        array = _plan_one(draft, path)
        if array is None:
            continue
        if array.spec.path in arrays:
            given = next(k for k, new in draft.settings.rename.items() if new in array.spec.path)
            raise ConfigError(
                f"rename.{given}: {array.spec.path!r} is the name of another variable; choose another name."
            )
        arrays[array.spec.path] = array
    for i, look in enumerate(draft.looks):
        for path, reason in look.source.unstorable.items():
            draft.refuse(i, path, reason)
    if any(array.digits is not None for array in arrays.values()):
        arrays[CONTAINER] = quantization(draft)
    return [*arrays.values(), *member_arrays(draft, set(arrays))]


def _plan_one(draft: Draft, path: str) -> PlannedArray | None:
    places = _places(draft, path)
    if not places:
        return None
    first = _variable(draft, places[0][1][0], path)
    unfit = unfit_for_store(draft, first)
    if unfit:
        draft.refuse(places[0][1][0], path, unfit)
        return None
    if draft.settings.packing == "keep":
        places = _of_one_packing(draft, path, places)
        if not places:
            return None
    try:
        return _planned(draft, path, places)
    except BadSource as error:  # what it was to be brought to is not to be had from this file
        look = places[0][1][0]
        reason = str(error).removeprefix(f"{draft.looks[look].source.path}: ")
        draft.refuse(look, path, reason.removeprefix(f"{path}: ").rstrip("."))
        return None


def _planned(draft: Draft, path: str, places: Places) -> PlannedArray | None:
    first = _variable(draft, places[0][1][0], path)
    timed = draft.time_dim is not None and draft.time_dim in first.dims
    if all(path in draft.looks[i].known for _, looks in places for i in looks):
        return _known_array(draft, path, places, timed)
    if timed and first.dims[0] != draft.time_dim:
        shapes = {_variable(draft, i, path).shape for _, looks in places for i in looks}
        if len(shapes) > 1 or any(len(looks) > 1 for _, looks in places):
            draft.refuse(
                places[0][1][0],
                path,
                f"its first axis is not {draft.time_dim}, so that files cannot be joined along it; "
                "convert them apart",
            )
            return None
        timed = False
    return _piece_array(draft, path, places, timed)


def _places(draft: Draft, path: str) -> Places:
    """Runs that have the variable as most files have it; the others are refused."""
    found: list[tuple[int, tuple[int, ...], list[Signature]]] = []
    for number, run in enumerate(draft.runs):
        there = [i for i in run.looks if _has(draft, i, path)]
        if not there:
            if not any(path in draft.looks[i].source.unstorable for i in run.looks):
                draft.refuse(
                    run.looks[0],
                    path,
                    "is missing in this file, though others have it; its values are marked missing",
                )
            continue
        if len(there) < len(run.looks):
            gone = next(i for i in run.looks if i not in there)
            draft.refuse(
                gone, path, "is missing in this file of the run; leave it out, or complete the run"
            )
            continue
        found.append((number, tuple(there), [_signature(draft, i, path) for i in there]))
    if not found:
        return []
    most = usual([one for _, _, signatures in found for one in signatures])
    kept = []
    for number, looks, signatures in found:
        wrong = next((k for k, one in enumerate(signatures) if one != most), None)
        if wrong is None:
            kept.append((number, looks))
        else:
            draft.refuse(looks[wrong], path, signatures[wrong].difference(most))
    return kept


def _has(draft: Draft, look: int, path: str) -> bool:
    return any(v.path == path for v in draft.looks[look].source.variables)


def _variable(draft: Draft, look: int, path: str) -> Variable:
    return draft.looks[look].source.variable(path)


def _signature(draft: Draft, look: int, path: str) -> Signature:
    free = draft.treatments.free(draft.looks[look])
    return Signature.of(_variable(draft, look, path), draft.time_dim, free)


# ------------------------------------------------------------------------- values known already
def _known_array(draft: Draft, path: str, places: Places, timed: bool) -> PlannedArray | None:
    unpacks = _unpacks(draft, path, places)
    all_of_them = [_variable(draft, i, path) for _, looks in places for i in looks]
    variable = all_of_them[0]
    attrs = renamed(draft, draft.canonical.attributes(path, variable.attrs))
    if unpacks:
        attrs, fill = _unpacked_attrs(attrs), np.nan
    else:
        fill, attrs = one_fill(all_of_them, attrs, variable.dtype)
    whole: dict[int, NDArray[Any]] = {}
    for number, looks in places:
        parts = [draft.looks[i].known[path] for i in looks]
        joined = draft.times[number]
        if path == draft.time_dim and joined is not None:
            whole[number] = joined
            continue
        if unpacks:
            parts = [
                unpack(part, _variable(draft, i, path))
                for i, part in zip(looks, parts, strict=True)
            ]
        else:
            parts = [
                remarked(part, foreign_marks(_variable(draft, i, path), attrs, fill), fill)
                for i, part in zip(looks, parts, strict=True)
            ]
        if path in draft.time_bounds and draft.time_units:
            parts = [
                rebased(draft.looks[i], part, draft.time_dim or "", draft.time_units)
                for i, part in zip(looks, parts, strict=True)
            ]
        first = _variable(draft, looks[0], path)
        if len(parts) > 1 and timed and first.dims[0] == draft.time_dim:
            whole[number] = np.concatenate(parts)
        elif all(_same(part, parts[0]) for part in parts[1:]):
            whole[number] = parts[0]
        else:
            draft.refuse(
                looks[0],
                path,
                "differs between the run's files and has no time; rename it, or leave it out",
            )
    if not whole:
        return None
    for number, looks in places:
        if number in whole:
            whole[number] = _treated_value(draft, looks[0], path, whole[number])
    values = next(iter(whole.values()))
    dims = names(draft, variable.dims[: values.ndim])
    axis = variable.dims == (path,)
    # An axis that a member does not have is that of the others: they are on one grid.
    all_have = axis or len(whole) == len(draft.runs)
    once = all_have and all(_same(values, one) for one in whole.values())
    if path == draft.time_dim or (path in draft.time_bounds and "units" in attrs):
        attrs |= {"units": draft.time_units} if draft.time_units else {}
    name = name_of(draft, path)
    if draft.stacked and not once:
        fill, attrs = needed_fill(values.dtype, fill, attrs)
        if axis:
            name += "_of_member"
            draft.notes.append(f"{path} differs between members; it is {name} in the store")
        values = _stack(draft, whole, fill)
        dims = (MEMBER, *dims)
    values = np.ascontiguousarray(values) if values.ndim else values
    spec = ArraySpec(
        path=name,
        dims=dims,
        shape=values.shape,
        dtype=values.dtype,
        chunk=tuple(max(1, size) for size in values.shape),
        shard=None,
        codec=draft.settings.coding(),
        fill=fill,
        attrs=attrs,
    )
    return PlannedArray(spec, values=values, usual=variable)


def _treated_value(draft: Draft, look: int, path: str, values: NDArray[Any]) -> NDArray[Any]:
    """A known value on the store's own grid and layers."""
    variable = _variable(draft, look, path)
    seen = draft.looks[look]
    axis = draft.treatments.axis(seen, variable, values)
    if axis is not values:
        return axis
    treatment = draft.treatments.of(seen, variable)
    if treatment is None or treatment.regrid is None or values.dtype.kind not in "iuf":
        return values
    kind = values.dtype if values.dtype.kind == "f" else np.dtype("f8")
    return treatment.regrid.apply(values.astype(kind), variable.fill)


def _stack(draft: Draft, whole: dict[int, NDArray[Any]], fill: Any) -> NDArray[Any]:
    """Put members one beside the other; those that are shorter end in missing values."""
    some = next(iter(whole.values()))
    shape = tuple(max(one.shape[axis] for one in whole.values()) for axis in range(some.ndim))
    dtype = np.result_type(*whole.values()) if some.dtype.kind != "O" else some.dtype
    stacked = np.full((len(draft.runs), *shape), "" if dtype.kind == "O" else fill, dtype)
    for number, values in whole.items():
        stacked[number][tuple(slice(0, size) for size in values.shape)] = values
    return stacked


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind == "O":
        return bool(np.all(one == other))
    return one.tobytes() == other.tobytes()


# ------------------------------------------------------------------------- values still in files
def _piece_array(draft: Draft, path: str, places: Places, timed: bool) -> PlannedArray | None:
    once = not timed and _is_once(draft, path, places)
    if once is None:
        return None
    stacked = draft.stacked and not once
    pieces = []
    for number, looks in places[:1] if once else places:
        begin = 0
        for i in looks if timed else looks[:1]:
            variable = _variable(draft, i, path)
            times = variable.shape[0] if timed else None
            treatment = draft.treatments.of(draft.looks[i], variable)
            pieces.append(Piece(i, variable, number if stacked else None, begin, times, treatment))
            begin += times or 0
    first = pieces[0].variable
    unpacks = _unpacks(draft, path, places)
    dtypes = {piece.variable.dtype.newbyteorder("=") for piece in pieces}
    dtype = (
        np.result_type(*(unpacked_dtype(p.variable) for p in pieces))
        if unpacks
        else np.result_type(*dtypes)
    )
    if dtype.kind == "f" and dtype.itemsize > 4 and draft.settings.float32:
        dtype = np.dtype("f4")
    if len(dtypes) > 1:
        draft.notes.append(f"{path} has several types; the store has {dtype}")
    attrs = renamed(draft, draft.canonical.attributes(path, first.attrs))
    if unpacks:
        attrs, fill = _unpacked_attrs(attrs), np.nan
        draft.notes.append(
            f"{path} is packed with a scale of its own in each file; it is unpacked to {dtype}"
        )
    else:
        fill, attrs = one_fill([piece.variable for piece in pieces], attrs, dtype)
    shape = list(first.shape)
    digits = _digits(draft, path) if dtype.kind == "f" else None
    if pieces[0].treatment is not None:
        shape = list(draft.treatments.shape(pieces[0].treatment, first.shape))
        dtype = dtype if dtype.kind == "f" else np.dtype("f8")
        fill, attrs = needed_fill(dtype, fill, attrs)
    counts = [draft.count(run) for run in draft.runs]
    if timed:
        shape[0] = max(counts)
    if stacked:
        shape.insert(0, len(draft.runs))
        if len(places) < len(draft.runs) or min(counts) < max(counts):
            fill, attrs = needed_fill(dtype, fill, attrs)
    offset = int(stacked)
    axes = Axes(
        0 if stacked else None,
        offset if timed else None,
        tuple(range(offset + int(timed), len(shape))),
    )
    treated = unpacks or pieces[0].treatment is not None
    own = None if pieces[0].treatment else _own_chunk(first, timed)
    chunk = choose_chunk(shape, dtype.itemsize, axes, draft.settings.read, own)
    most = draft.shard_bytes // (3 if treated else 1)  # room for what comes between
    shard = choose_shard(shape, dtype.itemsize, axes, chunk, most)
    spec = ArraySpec(
        path=name_of(draft, path),
        dims=((MEMBER,) if stacked else ()) + names(draft, first.dims),
        shape=tuple(shape),
        dtype=dtype,
        chunk=chunk,
        shard=shard,
        codec=draft.settings.coding(shuffle=_shuffled(first)),
        fill=fill,
        attrs=attrs,
    )
    return PlannedArray(
        spec,
        pieces=tuple(pieces),
        member_axis=axes.member,
        time_axis=axes.time,
        unpack=unpacks,
        usual=first,
        digits=digits,
    )


def _shuffled(variable: Variable) -> bool:
    """Whether the file shuffles bytes, which a codec that passes chunks through must say too."""
    return variable.layout.shuffle if isinstance(variable.layout, Chunks) else True


def _digits(draft: Draft, path: str) -> int | None:
    """How many significant digits of a variable are kept, where not all are."""
    wanted = draft.settings.digits
    return wanted.get(path, wanted.get(name_of(draft, path), wanted.get("*")))


def _is_once(draft: Draft, path: str, places: Places) -> bool | None:
    """Whether all files have the same values; None where one run's own files differ."""
    digests = {}
    for number, looks in places:
        own = {draft.looks[i].digests.get(path, f"file {i}") for i in looks}
        if len(own) > 1:
            draft.refuse(
                looks[0],
                path,
                "differs between the run's files and has no time; rename it, or leave it out",
            )
            return None
        digests[number] = own.pop()
    return len(set(digests.values())) == 1 and (len(places) == len(draft.runs))


def _own_chunk(variable: Variable, timed: bool) -> tuple[int, ...] | None:
    if isinstance(variable.layout, Chunks):
        return variable.layout.shape
    if isinstance(variable.layout, Rows) and timed:
        return (1, *variable.shape[1:])
    return None


# ------------------------------------------------------------------------- attributes and names
def _unpacks(draft: Draft, path: str, places: Places) -> bool:
    """Whether packed numbers become what they mean: where files pack them differently, or on request."""
    variables = [_variable(draft, i, path) for _, looks in places for i in looks]
    if not any(name in v.attrs for v in variables for name in PACKING[:2]):
        return False
    if draft.settings.packing != "auto":
        return draft.settings.packing == "unpack"
    return len({packing(v) for v in variables}) > 1


def _of_one_packing(draft: Draft, path: str, places: Places) -> Places:
    """Runs that are packed as the first file is; the others are refused."""
    like = packing(_variable(draft, places[0][1][0], path))
    kept = []
    for number, looks in places:
        other = next((i for i in looks if packing(_variable(draft, i, path)) != like), None)
        if other is None:
            kept.append((number, looks))
        else:
            draft.refuse(
                other,
                path,
                "has a scale_factor or add_offset of its own, and packing=keep allows one only; set "
                "packing=auto to store what the numbers mean",
            )
    return kept


def _unpacked_attrs(attrs: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in attrs.items() if k not in (*PACKING, *_OF_PACKED)}
    return {**kept, "_FillValue": np.nan}
