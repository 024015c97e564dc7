"""What is lost when values get fewer digits: float64 to float32, and mantissa bits that are noise.

Gaps stay gaps: what is not a number and what equals the fill comes out as it went in, and no value
becomes the fill. Every function returns the largest error it made, to be written beside the values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.version import VERSION

Array = NDArray[Any]

# Bits of the mantissa that are stored, and unsigned integers of the same width.
_BITS = {np.dtype(np.float32): 23, np.dtype(np.float64): 52}
_WORD: dict[np.dtype[Any], Any] = {
    np.dtype(np.float32): np.uint32,
    np.dtype(np.float64): np.uint64,
}
CONTAINER = "quantization_info"


@dataclass(frozen=True)
class Error:
    """The largest errors of some values, gaps left out.

    ``relative`` is over the values that the format holds in full precision. Below its smallest normal
    number digits run out: ``underflow`` counts the values, not zero before, that ended there or
    became zero, and only ``absolute`` speaks for them.
    """

    absolute: float = 0.0
    relative: float = 0.0
    underflow: int = 0

    def joined(self, other: "Error") -> "Error":
        """Of both sets of values together."""
        return Error(
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
            self.underflow + other.underflow,
        )


@dataclass(frozen=True)
class Losses:
    """What values lost on their way: as float64 became float32, and as digits were rounded away."""

    float32: Error | None = None
    digits: Error | None = None

    def joined(self, other: "Losses") -> "Losses":
        """Of both."""
        return Losses(_joined(self.float32, other.float32), _joined(self.digits, other.digits))

    def record(self) -> dict[str, list[float] | None]:
        """As JSON."""
        return {
            name: None if one is None else list(astuple(one)) for name, one in vars(self).items()
        }

    @classmethod
    def parse(cls, record: Mapping[str, Sequence[float] | None]) -> "Losses":
        """From JSON."""
        return cls(
            *(
                None if one is None else Error(float(one[0]), float(one[1]), int(one[2]))
                for one in (record.get("float32"), record.get("digits"))
            )
        )


def _joined(one: Error | None, other: Error | None) -> Error | None:
    return other if one is None else one if other is None else one.joined(other)


@dataclass(frozen=True)
class Kept:
    """How many mantissa bits are kept, and the decimal digits that asked for it, if any did."""

    bits: int
    digits: int | None = None


def to_float32(
    values: Array, fill: float | None = None, where: str = "values"
) -> tuple[NDArray[np.float32], Error]:
    """Values in single precision, rounded to nearest even, and the error of that.

    Cells with the fill hold ``numpy.float32(fill)``. Infinite values are kept. ``where`` is the file
    and variable, for errors: a value beyond float32 is refused, and one that would become the fill.
    """
    given = np.asarray(values)
    if given.dtype.kind not in "fiu":
        raise ConfigError(f"{where}: {given.dtype} are no numbers; leave them as they are.")
    given = given.astype(given.dtype.newbyteorder("="), copy=False)
    gap = _gaps(given, fill)
    with np.errstate(over="ignore", under="ignore"):
        rounded = given.astype(np.float32)
        fill32 = None if fill is None else np.float32(fill)
    if fill32 is not None and np.isinf(fill32) and not math.isinf(float(fill or 0)):
        raise ConfigError(
            f"{where}: its fill {fill} is beyond float32; keep float64 for this variable or give it "
            "another fill."
        )
    beyond = np.isinf(rounded) & np.isfinite(given) & ~gap
    if beyond.any():
        raise ConfigError(
            f"{where}: {int(beyond.sum())} values, the first {given[beyond][0]:g}, are beyond float32 "
            "(3.4e38); keep float64 for this variable."
        )
    if fill32 is not None and ((rounded == fill32) & ~gap).any():
        raise ConfigError(
            f"{where}: values so near to the fill {fill} would become it in float32; keep float64 for "
            "this variable or give it another fill."
        )
    return rounded, _error(given, rounded, gap)


def bits_for_digits(digits: int, kind: Any, where: str = "values") -> int:
    """Mantissa bits that keep so many significant decimal digits right to half a unit of the last.

    A number of n digits errs by at most 10**-n / 2 of itself, rounding to b bits by 2**-b / 2.
    """
    bits = math.ceil(digits * math.log2(10.0))
    most = _BITS[_kind(kind, where)]
    if digits < 1 or bits > most:
        raise ConfigError(
            f"{where}: keep_digits {digits} is not what {np.dtype(kind).name} can keep; "
            f"write 1 to {math.floor(most * math.log10(2.0))}."
        )
    return bits


def keep_digits(
    values: Array, digits: int, fill: float | None = None, where: str = "values"
) -> tuple[Array, Error]:
    """:func:`keep_bits` with the bits that so many significant decimal digits need."""
    return keep_bits(values, bits_for_digits(digits, values.dtype, where), fill, where)


def keep_bits(
    values: Array, bits: int, fill: float | None = None, where: str = "values"
) -> tuple[Array, Error]:
    """Values with all but the first ``bits`` of the mantissa zero, rounded to nearest even.

    Half of the last bit kept is the error: 2**-(bits + 1) of a normal number, at most. Left as they
    are: gaps, infinities, and the few values that would round up to infinity or to the fill.
    """
    kind = _kind(values.dtype, where)
    if not 1 <= bits <= _BITS[kind]:
        raise ConfigError(
            f"{where}: keep_bits {bits} is not a part of the mantissa of {kind.name}; "
            f"write 1 to {_BITS[kind]}."
        )
    given = np.ascontiguousarray(values, dtype=kind)
    if bits == _BITS[kind]:
        return given.copy(), Error()
    word = _WORD[kind]
    drop = word(_BITS[kind] - bits)
    one = word(1)
    pattern = given.view(word)
    # Half of the last bit kept, less the smallest step where that bit is even: ties go to even. A
    # carry goes on into the exponent, which is right.
    last = (pattern >> drop) & one
    rounded = pattern + (((one << (drop - one)) - one) + last)
    rounded &= ~((one << drop) - one)
    result = rounded.view(kind)
    gap = _gaps(given, fill)
    keep = gap | ~np.isfinite(given) | np.isinf(result)
    if fill is not None:
        keep |= result == kind.type(fill)
    np.copyto(result, given, where=keep)
    return result, _error(given, result, gap)


def attributes(kept: Kept, error: Error) -> dict[str, str | int | float]:
    """What a rounded variable says of itself; CF 1.12, section 8.4, and our measured error.

    CF wants bits for this algorithm, so digits stand in the comment. The container that
    ``quantization`` names has :func:`container_attributes`.
    """
    asked = f", for {kept.digits} significant digits" if kept.digits is not None else ""
    return {
        "quantization": CONTAINER,
        "quantization_nsb": kept.bits,
        "quantization_comment": f"mantissa rounded to {kept.bits} bits, ties to even{asked}",
        **_measured("quantization", error),
    }


def container_attributes() -> dict[str, str]:
    """Of the scalar variable :data:`CONTAINER`, one in a store."""
    return {"algorithm": "bitround", "implementation": f"astrohpc version {VERSION}"}


def float32_attributes(error: Error) -> dict[str, str | int | float]:
    """What a variable says that was float64 in its source."""
    return {"float32_comment": "float64 in the source", **_measured("float32", error)}


def _measured(prefix: str, error: Error) -> dict[str, str | int | float]:
    return {
        f"{prefix}_maximum_absolute_error": error.absolute,
        f"{prefix}_maximum_relative_error": error.relative,
        f"{prefix}_underflow_count": error.underflow,
    }


def _kind(dtype: Any, where: str) -> np.dtype[Any]:
    kind: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    if kind not in _BITS:
        raise ConfigError(
            f"{where}: {kind.name} has no mantissa of float32 or float64 to round; leave rounding out."
        )
    return kind


def _gaps(values: Array, fill: float | None) -> NDArray[np.bool_]:
    gap: NDArray[np.bool_] = np.isnan(values)
    if fill is not None:
        with np.errstate(over="ignore"):
            gap |= values == float(fill)
    return gap


def _error(given: Array, rounded: Array, gap: NDArray[np.bool_]) -> Error:
    """Errors in double precision; of integers of 64 bits too, whose own digits float64 has not all."""
    known = np.isfinite(given) & ~gap
    exact, result = given[known].astype(np.float64), rounded[known].astype(np.float64)
    if not exact.size:
        return Error()
    off = np.abs(exact - result)
    tiny = np.finfo(rounded.dtype).tiny
    full = np.abs(result) >= tiny
    short = ~full & (exact != 0.0)
    relative = off[full] / np.abs(exact[full])
    return Error(
        absolute=float(off.max()),
        relative=float(relative.max()) if relative.size else 0.0,
        underflow=int(short.sum()),
    )
