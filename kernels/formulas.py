"""Formulas that processors and GPUs share to the bit: Philox, uniform and normal numbers, bfloat16.

Polynomials are our own, fitted to the smallest largest relative error with coefficients rounded one after
the other. All is float32 arithmetic without a branch, so that a loop over neighbouring cells fills the
vectors of any processor.
"""

from astrohpc.kernels.statement import (
    bits_float,
    f32,
    float_bits,
    i32,
    sqrt,
    statement,
    u32,
    u64,
)

# Salmon et al. 2011: the multipliers, and what is added to the key after each round.
_MULTIPLIER_0, _MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85

_SQRT_HALF_BITS = 0x3F3504F3
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.428606765330187e-06  # the first has 15 bits
_TWO_TO_MINUS_23, _TWO_TO_MINUS_31, _TWO_TO_MINUS_32 = 2.0**-23, 2.0**-31, 2.0**-32


@statement
def mulhi(a: u32, b: u32) -> u32:
    """The upper 32 bits of a product."""
    return u32((u64(a) * u64(b)) >> 32)


@statement
def philox_round(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32) -> tuple[u32, u32, u32, u32]:
    """One round of Philox4x32."""
    high0 = mulhi(_MULTIPLIER_0, c0)
    high1 = mulhi(_MULTIPLIER_1, c2)
    return high1 ^ c1 ^ k0, _MULTIPLIER_1 * c2, high0 ^ c3 ^ k1, _MULTIPLIER_0 * c0


@statement
def philox(c0: u32, c1: u32, c2: u32, c3: u32, k0: u32, k1: u32) -> tuple[u32, u32, u32, u32]:
    """Four random words of a counter and a key: Philox4x32-10."""
    for _ in range(9):
        c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
        k0 += _WEYL_0
        k1 += _WEYL_1
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


@statement
def uniform(word: u32) -> f32:
    """A number of 2^23 equally likely ones, from 2^-24 to 1 - 2^-24, of a random word."""
    return (f32(word >> 9) + 0.5) * _TWO_TO_MINUS_23


@statement
def log_of(x: f32) -> f32:
    """The natural logarithm of a positive, normal number, within 1.5 ulp."""
    shifted = float_bits(x) - _SQRT_HALF_BITS
    exponent = f32(i32(shifted) >> 23)
    f = (
        bits_float((shifted & 0x007FFFFF) + _SQRT_HALF_BITS) - 1.0
    )  # from sqrt(1/2) - 1 to sqrt(2) - 1
    p = f * -0.07636439055204391 + 0.12762217223644257
    p = p * f - 0.13159610331058502
    p = p * f + 0.14201579988002777
    p = p * f - 0.166234090924263
    p = p * f + 0.2000124156475067
    p = p * f - 0.2500081956386566
    p = p * f + 0.3333333134651184
    square = f * f
    small = square * (f * p - 0.5) + exponent * _LN2_LOW
    return exponent * _LN2_HIGH + (f + small)


@statement
def sincos_of(word: u32) -> tuple[f32, f32]:
    """Sine and cosine of an angle of a random word, 2^32 being a full turn, each within 2.5 ulp.

    The turn is cut into quarters around the axes while it is still a whole number, which is exact.
    """
    turned = word + 0x20000000
    y = f32(i32(turned & 0x3FFFFFFF) - 0x20000000) * _TWO_TO_MINUS_31  # of pi, from -1/4 to 1/4
    z = y * y
    s = z * -0.5998044013977051 + 2.5508008003234863
    s = s * z - 5.167733192443848
    s = y * (s * z + 3.1415927410125732)
    c = z * 0.22898851335048676 - 1.3347581624984741
    c = c * z + 4.058696746826172
    c = c * z - 4.934802055358887
    c = c * z + 1.0
    odd = (turned & 0x40000000) != 0
    sine_bits = float_bits(c if odd else s) ^ (turned & 0x80000000)
    cosine_bits = float_bits(s if odd else c) ^ ((turned + 0x40000000) & 0x80000000)
    return bits_float(sine_bits), bits_float(cosine_bits)


@statement
def normal_pair(word0: u32, word1: u32) -> tuple[f32, f32]:
    """Two independent normal numbers of two random words (Box and Muller 1958), up to 6.7 sigma."""
    u = (f32(word0) + 0.5) * _TWO_TO_MINUS_32  # small ones keep all their bits: they are the tails
    r = sqrt(log_of(u) * -2.0)
    s, c = sincos_of(word1)
    return r * c, r * s


@statement
def normals4(
    cell: u32, block: u32, sample_low: u32, sample_high: u32, seed: u32, operation: u32
) -> tuple[f32, f32, f32, f32]:
    """Normal numbers of the four channels of a block, at a cell of a sample."""
    w0, w1, w2, w3 = philox(cell, block, sample_low, sample_high, seed, operation)
    n0, n1 = normal_pair(w0, w1)
    n2, n3 = normal_pair(w2, w3)
    return n0, n1, n2, n3


@statement
def uniforms4(
    cell: u32, block: u32, sample_low: u32, sample_high: u32, seed: u32, operation: u32
) -> tuple[f32, f32, f32, f32]:
    """Uniform numbers of the four channels of a block, at a cell of a sample."""
    w0, w1, w2, w3 = philox(cell, block, sample_low, sample_high, seed, operation)
    return uniform(w0), uniform(w1), uniform(w2), uniform(w3)


@statement
def from_bfloat16(bits: u32) -> f32:
    """The number of the 16 bits of a bfloat16."""
    return bits_float(bits << 16)


@statement
def to_bfloat16(x: f32) -> u32:
    """The 16 bits of the nearest bfloat16, of two the even one; what is not a number stays so."""
    bits = float_bits(x)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return ((bits >> 16) | 0x40) if (bits & 0x7FFFFFFF) > 0x7F800000 else rounded
