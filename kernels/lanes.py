"""The sums of one row in sixteen lanes that stay in registers: what :mod:`.zonal` does to each row.

Column i belongs to lane i mod 16. A lane starts from nought and adds its columns in their order; then
lanes are added as a tree, the upper half to the lower half, four times. Nothing is contracted or put in
another order, so that the bits are the same with registers of any width. Written as vectors by hand:
left to itself, the compiler must suppose that what is written could be what is read, and takes
columns one by one, twenty times slower.
"""

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
# Processors fetch ahead within a page of 4 KiB only; asking 8 KiB ahead doubled the rate from memory.
_AHEAD_BYTES = 8192
_LINE_BYTES = 64

_DOUBLE = ir.DoubleType()
_WIDE = ir.VectorType(_DOUBLE, LANES)
_INDEX = ir.IntType(32)


def _row_sums(
    _typing: Any, x: Any, x_at: Any, p: Any, p_at: Any, columns: Any, out: Any
) -> tuple[Any, Any]:
    """Write the sums of x, x·p, x², x²·p, the lowest and the highest x of one row to ``out`` (6).

    ``x`` and ``p`` (float32 or float64) are flat and close; the row begins at ``x_at`` and ``p_at``.
    A value that is not a number is never the lowest or the highest.
    """
    del x_at, p_at, columns

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x_type, _, p_type, _, _, out_type = signature.args
        kinds = [context.get_value_type(kind.dtype) for kind in (x_type, p_type)]
        pointers = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in ((x_type, values[0]), (p_type, values[2]), (out_type, values[5]))
        ]
        row = builder.gep(pointers[0], [values[1]])
        weight = builder.gep(pointers[1], [values[3]])
        _reduce(builder, kinds, row, weight, values[4], pointers[2])
        return context.get_dummy_value()

    position = types.intp
    return types.void(x, position, p, position, position, out), generate


row_sums: Any = intrinsic(_row_sums)


def _reduce(builder: Any, kinds: Any, row: Any, weight: Any, columns: Any, out: Any) -> None:
    """The row's whole blocks of lanes, then what is left of it, then the tree."""
    narrow, of_weight = (ir.VectorType(kind, LANES) for kind in kinds)
    nought = ir.Constant(_WIDE, [0.0] * LANES)
    ends = [ir.Constant(narrow, [end] * LANES) for end in (math.inf, -math.inf)]
    state = [cgutils.alloca_once_value(builder, nought) for _ in range(4)]
    state += [cgutils.alloca_once_value(builder, end) for end in ends]
    size = columns.type
    whole = builder.and_(columns, ir.Constant(size, -LANES))
    with cgutils.for_range_slice(
        builder, ir.Constant(size, 0), whole, ir.Constant(size, LANES), size
    ) as (i, _):
        _fetch_ahead(builder, row, i, _bytes(narrow))
        value = _load(builder, row, i, narrow)
        _add(builder, state, value, _load(builder, weight, i, of_weight), value, value)
    with builder.if_then(builder.icmp_signed("<", whole, columns)):
        left = builder.trunc(builder.sub(columns, whole), _INDEX)
        number = ir.Constant(ir.VectorType(_INDEX, LANES), list(range(LANES)))
        mask = builder.icmp_signed("<", number, _splat(builder, left))
        value = _load_some(builder, row, whole, narrow, mask)
        _add(
            builder,
            state,
            value,
            _load_some(builder, weight, whole, of_weight, mask),
            *(builder.select(mask, value, end) for end in ends),
        )
    sums = _tree(builder, [builder.load(slot) for slot in state[:4]], builder.fadd)
    low, high = builder.load(state[4]), builder.fneg(builder.load(state[5]))
    ends = _tree(builder, [low, high], lambda one, other: _further(builder, other, one, "<"))
    for place, found in ((0, sums), (4, ends)):
        wide = ir.VectorType(_DOUBLE, found.type.count)
        start = builder.bitcast(builder.gep(out, [ir.Constant(size, place)]), wide.as_pointer())
        doubles = found if found.type == wide else builder.fpext(found, wide)
        builder.store(doubles, start).align = 8
    highest = builder.gep(out, [ir.Constant(size, 5)])
    builder.store(builder.fneg(builder.load(highest)), highest)


def _add(builder: Any, state: Any, value: Any, p: Any, low: Any, high: Any) -> None:
    """One block of lanes, added to the state."""
    wide, wide_p = (one if one.type == _WIDE else builder.fpext(one, _WIDE) for one in (value, p))
    with_p = builder.fmul(wide, wide_p)
    terms = (wide, with_p, builder.fmul(wide, wide), builder.fmul(wide, with_p))
    for slot, term in zip(state[:4], terms, strict=True):
        builder.store(builder.fadd(builder.load(slot), term), slot)
    for slot, end, order in ((state[4], low, "<"), (state[5], high, ">")):
        builder.store(_further(builder, end, builder.load(slot), order), slot)


def _further(builder: Any, new: Any, old: Any, order: str) -> Any:
    return builder.select(builder.fcmp_ordered(order, new, old), new, old)


def _tree(builder: Any, vectors: list[Any], join: Any) -> Any:
    """Each vector's lanes to one, upper half to lower half; two vectors share a register where they fit."""
    width = LANES
    while width > 1:
        width //= 2
        pairs = list(zip(vectors[::2], vectors[1::2], strict=False))
        if width == LANES // 2 and len(pairs) > 1:  # still too wide to share
            vectors = [join(*_halves(builder, [one], 2 * width)) for one in vectors]
        elif pairs:
            vectors = [join(*_halves(builder, [*pair], 2 * width)) for pair in pairs]
        else:
            vectors = [join(*_halves(builder, vectors, 2 * width))]
    return vectors[0]


def _halves(builder: Any, vectors: list[Any], width: int) -> tuple[Any, Any]:
    """The lower and the upper half of every group of ``width`` lanes, of one vector or two together."""
    lanes = len(vectors) * vectors[0].type.count
    lower = [i for i in range(lanes) if i % width < width // 2]
    picks = (lower, [i + width // 2 for i in lower])
    kind = ir.VectorType(_INDEX, len(lower))
    one, other = (
        builder.shuffle_vector(vectors[0], vectors[-1], ir.Constant(kind, picks[0])),
        builder.shuffle_vector(vectors[0], vectors[-1], ir.Constant(kind, picks[1])),
    )
    return one, other


def _bytes(vector: Any) -> int:
    return 4 if isinstance(vector.element, ir.FloatType) else 8


def _load(builder: Any, start: Any, at: Any, vector: Any) -> Any:
    place = builder.bitcast(builder.gep(start, [at]), vector.as_pointer())
    loaded = builder.load(place)
    loaded.align = _bytes(vector)
    return loaded


def _load_some(builder: Any, start: Any, at: Any, vector: Any, mask: Any) -> Any:
    """The lanes that the mask names, nought in the others, whose memory is not touched."""
    place = builder.bitcast(builder.gep(start, [at]), vector.as_pointer())
    letter = "f32" if _bytes(vector) == 4 else "f64"
    kind = ir.FunctionType(vector, [place.type, _INDEX, mask.type, vector])
    load = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.masked.load.v{LANES}{letter}.p0"
    )
    nought = ir.Constant(vector, [0.0] * LANES)
    return builder.call(load, [place, ir.Constant(_INDEX, _bytes(vector)), mask, nought])


def _fetch_ahead(builder: Any, start: Any, at: Any, bytes_each: int) -> None:
    """Ask for the lines that will be read soon; to ask for what is not there does no harm."""
    text = ir.IntType(8).as_pointer()
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [text, number, number, number])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    place = builder.bitcast(builder.gep(start, [at]), text)
    for line in range(0, LANES * bytes_each, _LINE_BYTES):
        ahead = ir.Constant(at.type, _AHEAD_BYTES + line)
        how = [ir.Constant(number, value) for value in (0, 3, 1)]  # to read, keep, data
        builder.call(fetch, [builder.gep(place, [ahead]), *how])


def _splat(builder: Any, number: Any) -> Any:
    vector = ir.VectorType(number.type, LANES)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))
