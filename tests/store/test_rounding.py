import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from astrohpc.errors import ConfigError
from astrohpc.store.rounding import (
    CONTAINER,
    Error,
    Kept,
    attributes,
    bits_for_digits,
    container_attributes,
    float32_attributes,
    keep_bits,
    keep_digits,
    to_float32,
)

TINY32 = float(np.finfo(np.float32).tiny)


def some(low: int, high: int) -> st.SearchStrategy[np.ndarray]:
    """Doubles, subnormal ones too, with exponents from the whole of float32's range and below."""
    number = st.one_of(
        st.floats(-3.4e38, 3.4e38, allow_nan=False),
        st.floats(-1e-30, 1e-30, allow_nan=False),
        st.floats(-1e-44, 1e-44, allow_nan=False),
    )
    return hnp.arrays(np.float64, st.integers(low, high), elements=number)


@given(some(1, 30))
def test_single_precision_errs_by_half_a_unit_and_says_so(values: np.ndarray) -> None:
    rounded, error = to_float32(values)
    assert rounded.dtype == np.float32
    off = np.abs(values - rounded.astype(np.float64))
    full = np.abs(rounded.astype(np.float64)) >= TINY32
    assert error.absolute == off.max()
    assert (off[full] <= 2.0**-24 * np.abs(values[full])).all()
    assert (off[~full] <= 2.0**-150).all()  # half the smallest subnormal
    assert error.relative <= 2.0**-24
    assert error.relative == max((off[full] / np.abs(values[full])).tolist(), default=0.0)
    assert error.underflow == ((values != 0) & ~full).sum()


def test_underflow_is_counted_apart() -> None:
    rounded, error = to_float32(np.array([1.0, 0.0, 1e-50, -1e-40]))
    assert rounded[2] == 0.0
    assert error.underflow == 2
    assert error.relative == 0.0
    assert 1e-50 < error.absolute < 1e-45


def test_gaps_and_infinities_are_kept() -> None:
    values = np.array([math.nan, 1e20, 0.1, math.inf, -math.inf])
    rounded, error = to_float32(values, fill=1e20, where="a.nc: tas")
    assert np.isnan(rounded[0])
    assert rounded[1] == np.float32(1e20)
    assert rounded[3:].tolist() == [math.inf, -math.inf]
    assert error == Error(abs(0.1 - float(np.float32(0.1))), error.relative, 0)
    assert to_float32(np.array([math.nan, 1e20]), fill=1e20)[1] == Error()


@pytest.mark.parametrize(
    ("values", "fill", "word"),
    [
        ([1.0, 4e38, -1e40], None, "2 values, the first 4e"),
        ([1.0], -1e300, "fill -1e"),
        ([1.0, 1e20 * (1 + 1e-12)], 1e20, "become it"),
        (["a"], None, "no numbers"),
    ],
)
def test_what_single_precision_cannot_hold_is_refused(
    values: list[object], fill: float | None, word: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^a\.nc: tas: .*{word}"):
        to_float32(np.array(values), fill, where="a.nc: tas")


def test_integers_and_other_byte_orders_are_taken() -> None:
    rounded, error = to_float32(np.array([1, 2**24 + 1], dtype="i4"))
    assert rounded.tolist() == [1.0, 2.0**24]
    assert error.absolute == 1.0
    assert to_float32(np.array([0.5, 3.0], dtype=">f8"))[0].tolist() == [0.5, 3.0]


def test_errors_join() -> None:
    assert Error(1.0, 0.1, 2).joined(Error(0.5, 0.2, 3)) == Error(1.0, 0.2, 5)


@pytest.mark.parametrize(
    ("kind", "most", "tiny"), [(np.float32, 23, TINY32), (np.float64, 52, np.finfo(float).tiny)]
)
@given(st.data())
def test_kept_bits_bound_the_error_and_clear_the_rest(
    kind: type, most: int, tiny: float, data: st.DataObject
) -> None:
    width = np.dtype(kind).itemsize * 8
    values = data.draw(
        hnp.arrays(
            kind,
            st.integers(1, 20),
            elements=st.floats(allow_nan=True, allow_infinity=True, width=width),
        )
    )
    bits = data.draw(st.integers(1, most - 1))
    before = values.copy()
    rounded, error = keep_bits(values, bits)
    assert np.array_equal(values, before, equal_nan=True)
    finite = np.isfinite(values)
    assert np.array_equal(rounded[~finite], values[~finite], equal_nan=True)
    assert np.isfinite(rounded[finite]).all()
    exact, result = values[finite].astype(np.longdouble), rounded[finite].astype(np.longdouble)
    off, normal = np.abs(exact - result), np.abs(result) >= tiny
    assert (off[normal] <= 2.0 ** -(bits + 1) * np.abs(exact[normal])).all()
    assert (off[~normal] <= np.longdouble(tiny) * 2.0 ** -(bits + 1)).all()
    assert error.relative <= 2.0 ** -(bits + 1)
    assert error.absolute == pytest.approx(float(max(off, default=0)), rel=1e-12, abs=1e-323)
    word = rounded.view(f"u{width // 8}")
    cleared = (word & type(word[0])((1 << (most - bits)) - 1)) == 0
    near_infinity = np.abs(values) >= np.finfo(kind).max * (1 - 2.0 ** -(bits + 1))
    assert (cleared | near_infinity | ~finite).all()


def test_ties_go_to_even() -> None:
    values = np.array([1.0 + 2**-3, 1.0 + 3 * 2**-3, -1.0 - 2**-3], dtype="f4")
    assert keep_bits(values, 2)[0].tolist() == [1.0, 1.5, -1.0]


def test_rounding_again_changes_nothing() -> None:
    values = np.random.default_rng(1).normal(size=1000)
    once = keep_bits(values, 9)[0]
    again, error = keep_bits(once, 9)
    assert np.array_equal(once, again)
    assert error == Error()


def test_the_fill_stays_and_nothing_becomes_it() -> None:
    fill = -1024.0
    values = np.array([fill, -1023.9, 3.3, math.nan], dtype="f4")
    rounded = keep_bits(values, 5, fill=fill)[0]
    assert rounded[:2].tolist() == values[:2].tolist()
    assert rounded[2] == 3.3125
    odd = np.array([1e20, 7.7])
    assert keep_bits(odd, 4, fill=1e20)[0][0] == 1e20
    assert keep_bits(odd, 4)[0][0] != 1e20


def test_all_bits_kept_is_a_copy() -> None:
    values = np.array([0.1, 0.2], dtype="f4")
    rounded, error = keep_bits(values, 23)
    assert rounded is not values
    assert np.array_equal(rounded, values)
    assert error == Error()


@given(st.integers(1, 6), st.floats(1e-3, 9.99e5))
def test_digits_are_right_to_half_a_unit_of_the_last(digits: int, value: float) -> None:
    values = np.array([value], dtype="f4")
    rounded = keep_digits(values, digits)[0]
    unit = 10.0 ** (math.floor(math.log10(float(values[0]))) + 1 - digits)
    assert abs(float(rounded[0]) - float(values[0])) <= 0.5 * unit


def test_digits_become_bits() -> None:
    assert [bits_for_digits(n, "f4") for n in range(1, 7)] == [4, 7, 10, 14, 17, 20]
    assert bits_for_digits(15, "f8") == 50


@pytest.mark.parametrize(
    ("kind", "bits", "digits"), [("f4", 0, 0), ("f4", 24, 7), ("f8", 53, 16), ("i4", 5, 3)]
)
def test_more_than_there_is_is_refused(kind: str, bits: int, digits: int) -> None:
    with pytest.raises(ConfigError, match=r"^a\.nc: tas: "):
        keep_bits(np.ones(3, dtype=kind), bits, where="a.nc: tas")
    with pytest.raises(ConfigError, match=r"^a\.nc: tas: "):
        keep_digits(np.ones(3, dtype=kind), digits, where="a.nc: tas")


def test_attributes_say_what_was_done_and_how_far_off_it_is() -> None:
    error = Error(0.25, 1e-4, 3)
    said = attributes(Kept(10, digits=3), error)
    assert said["quantization"] == CONTAINER
    assert said["quantization_nsb"] == 10
    assert said["quantization_maximum_relative_error"] == 1e-4
    assert "3 significant digits" in str(said["quantization_comment"])
    assert "digits" not in str(attributes(Kept(10), error)["quantization_comment"])
    assert container_attributes()["algorithm"] == "bitround"
    assert float32_attributes(error)["float32_maximum_absolute_error"] == 0.25
    assert float32_attributes(error)["float32_underflow_count"] == 3
