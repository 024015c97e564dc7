import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrohpc.kernels import formulas
from astrohpc.kernels.statement import twin, u32

WORD = st.integers(0, 2**32 - 1)


def words(n: int) -> np.ndarray:
    """Random words, and those at the ends."""
    drawn = np.random.default_rng(5).integers(0, 2**32, n, np.uint32)
    ends = [0, 1, 2, 2**29, 2**30, 2**31, 2**31 + 2**29, 2**32 - 1, 2**29 - 1, 2**32 - 2**29]
    return np.concatenate([np.array(ends, np.uint32), drawn])


def ulps(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.abs(found - true) / np.spacing(np.abs(true).astype(np.float32))


@twin
def logs(x, out):
    for i in range(len(x)):
        out[i] = formulas_log(x[i])


@twin
def turns(word, sine, cosine):
    for i in range(len(word)):
        sine[i], cosine[i] = formulas_sincos(word[i])


@twin
def pairs(word0, word1, n0, n1):
    for i in range(len(word0)):
        n0[i], n1[i] = formulas_pair(word0[i], word1[i])


@twin
def there_and_back(bits, number, back):
    for i in range(len(bits)):
        number[i] = formulas_from(u32(bits[i]))
        back[i] = formulas_to(number[i])


formulas_log, formulas_sincos = formulas.log_of, formulas.sincos_of
formulas_pair = formulas.normal_pair
formulas_from, formulas_to = formulas.from_bfloat16, formulas.to_bfloat16


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ("00000000" * 4, "00000000" * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff" * 4, "ffffffff" * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            "243f6a8885a308d313198a2e03707344",
            "a4093822299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers(counter: str, key: str, answer: str) -> None:
    arguments = np.frombuffer(bytes.fromhex(counter + key), ">u4").astype(np.uint32)
    assert [f"{word:08x}" for word in formulas.philox(*arguments)] == answer.split()


@given(WORD, WORD)
def test_mulhi_is_the_upper_half_of_the_exact_product(a: int, b: int) -> None:
    assert formulas.mulhi(np.uint32(a), np.uint32(b)) == a * b >> 32


def test_the_logarithm_is_within_a_stated_error_of_float64() -> None:
    steps = np.arange(2**23, dtype=np.uint32)[::7]
    for exponent in (-33, -20, -2, -1, 0, 5):
        x = (steps | np.uint32((exponent + 127) << 23)).view(np.float32)
        found = np.empty_like(x)
        logs(x, found)
        true = np.log(x.astype(np.float64))
        away = true != 0
        assert ulps(found[away], true[away]).max() < 1.5
        assert (found[~away] == 0).all()


def test_sine_and_cosine_are_within_a_stated_error_of_float64() -> None:
    word = words(1_000_000)
    sine, cosine = np.empty((2, len(word)), np.float32)
    turns(word, sine, cosine)
    # Of the angle within its quarter: near a multiple of pi float64 has no accurate sine of the whole.
    turned = word.astype(np.int64) + 2**29
    y = np.pi * ((turned % 2**30) - 2**29) / 2**31
    quarter = turned // 2**30 % 4
    s, c = np.sin(y), np.cos(y)
    assert ulps(sine, np.choose(quarter, [s, c, -s, -c])).max() < 2.5
    assert ulps(cosine, np.choose(quarter, [c, -s, -c, s])).max() < 2.5


def test_normal_numbers_are_within_four_ulp_of_float64() -> None:
    word0, word1 = words(1_000_000), words(1_000_000)[::-1].copy()
    found = np.empty((2, len(word0)), np.float32)
    pairs(word0, word1, *found)
    u = ((word0.astype(np.float32) + np.float32(0.5)) * np.float32(2**-32)).astype(np.float64)
    r = np.sqrt(-2 * np.log(u))
    turned = word1.astype(np.int64) + 2**29
    y = np.pi * ((turned % 2**30) - 2**29) / 2**31
    quarter, s, c = turned // 2**30 % 4, np.sin(y), np.cos(y)
    for n, true in zip(
        found,
        (r * np.choose(quarter, [c, -s, -c, s]), r * np.choose(quarter, [s, c, -s, -c])),
        strict=True,
    ):
        assert np.isfinite(n).all()
        large = true != 0
        assert ulps(n[large], true[large]).max() < 4
        assert (n[~large] == 0).all()


@pytest.mark.parametrize("word", [0, 511, 512, 2**31, 2**32 - 1])
def test_uniform_numbers_never_reach_the_ends(word: int) -> None:
    found = formulas.uniform(np.uint32(word))
    assert found == ((word >> 9) + 0.5) / 2**23
    assert 0 < found < 1


def test_every_bfloat16_survives_and_what_is_not_a_number_stays_so() -> None:
    bits = np.arange(2**16, dtype=np.uint32)
    number, back = np.empty(2**16, np.float32), np.empty(2**16, np.uint32)
    there_and_back(bits, number, back)
    nan = np.isnan(number)
    np.testing.assert_array_equal(back[~nan], bits[~nan])
    np.testing.assert_array_equal(back[nan], bits[nan] | 0x40)


@given(st.floats(width=32))
def test_bfloat16_is_the_nearest_one_and_of_two_the_even_one(x: float) -> None:
    torch = pytest.importorskip("torch")
    found = formulas.to_bfloat16(np.float32(x))
    theirs = torch.tensor(x, dtype=torch.float32).bfloat16().view(torch.int16).item() & 0xFFFF
    if np.isnan(x):
        assert np.isnan(formulas.from_bfloat16(np.uint32(found)))
    else:
        assert found == theirs
