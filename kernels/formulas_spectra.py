"""What happens to one bin of a spectrum: each formula once, for processors and graphics cards.

Places and running sums of light are double precision: a bin of a fine grid is 1e-5 of its wavelength, and
a sum over all bins is what the correction is made of. What is done to one value is single precision.
"""

from astrohpc.kernels.formulas import from_bfloat16, to_bfloat16
from astrohpc.kernels.statement import (
    bits_float,
    f32,
    f64,
    fabs,
    float_bits,
    i32,
    sqrt,
    statement,
    u32,
)


@statement
def from_word(word: u32, half: i32) -> f32:
    """The number of stored bits: of a bfloat16 where ``half`` is not 0, else of a float32."""
    return from_bfloat16(word) if half != 0 else bits_float(word)


@statement
def to_word(x: f32, half: i32) -> u32:
    """A number as it is stored; what is none has one pattern of bits, for machines differ in theirs."""
    bits = to_bfloat16(x) if half != 0 else float_bits(x)
    none = u32(0x7FC0) if half != 0 else u32(0x7FC00000)
    return none if (float_bits(x) & 0x7FFFFFFF) > 0x7F800000 else bits


@statement
def seen_at(edge_um: f64, factor: f64, offset_um: f64, inverse: f64) -> f64:
    """Where the light that now falls on an edge lay before broadening and stretching."""
    return (edge_um * factor - offset_um) * inverse


@statement
def slope_within(
    before: f64, here: f64, after: f64, to_before_um: f64, to_after_um: f64, half_um: f64
) -> f64:
    """Slope of a bin's straight line, such that its ends lie between the neighbours' values.

    So nothing becomes negative that was not, and a flat spectrum has none. An extreme value has no slope.
    """
    fall = here - before
    rise = after - here
    slope = (after - before) / (to_before_um + to_after_um)
    most = fabs(fall) if fabs(fall) < fabs(rise) else fabs(rise)
    size = fabs(slope) * half_um
    limited = slope * (most / size) if size > most else slope
    return limited if fall * rise > 0.0 else 0.0


@statement
def light_below(sum_low: f64, value: f64, slope: f64, low_um: f64, high_um: f64, at_um: f64) -> f64:
    """The running sum of light at a place within a bin, ``sum_low`` being that at its lower edge."""
    return sum_low + (at_um - low_um) * (value + 0.5 * slope * (at_um - high_um))


@statement
def blurred(sum_: f64, weight: f64, before: f64, after: f64) -> f64:
    """A running sum with two more places beside it, as far before as after."""
    return sum_ + weight * (before + after)


@statement
def steepness(before: f64, after: f64, lean: f64) -> f64:
    """Slope at a node of a cubic that rises or falls wherever the slopes beside it do (Steffen 1990).

    ``lean`` is how much the slope before it says in their mean, as nodes are farther apart after it.
    """
    mean = before * lean + after * (1.0 - lean)
    least = fabs(before) if fabs(before) < fabs(after) else fabs(after)
    size = fabs(mean) if fabs(mean) < least + least else least + least
    signed = size if mean > 0.0 else -size
    return signed if before * after > 0.0 else 0.0


@statement
def curve_between(
    b: f64, left: f64, slope: f64, right: f64, lean: f64, inverse_width: f64, beyond_um: f64
) -> f64:
    """A running sum ``beyond_um`` after a node where it is ``b``, of the slopes around.

    A cubic that rises wherever its nodes do, and is straight where they are.
    """
    first = steepness(left, slope, lean)
    last = steepness(slope, right, lean)
    t = beyond_um * inverse_width
    bend = first + last - 2.0 * slope
    return b + beyond_um * (first + t * (3.0 * slope - 2.0 * first - last + t * bend))


@statement
def mean_between(sum_low: f64, sum_high: f64, width_um: f64) -> f32:
    """The mean of a bin, of the running sums at its edges."""
    return f32((sum_high - sum_low) / width_um)


@statement
def smooth_curve(part: f32, a: f32, b: f32, c: f32, d: f32) -> f32:
    """A cubic B-spline between its second and third knot, 0 ≤ part ≤ 1: a mean of four, never beyond them."""
    rest = 1.0 - part
    square = part * part
    first = rest * rest * rest
    last = square * part
    second = 3.0 * last - 6.0 * square + 4.0
    third = 3.0 * (square + part - last) + 1.0
    return (first * a + second * b + third * c + last * d) * 0.16666667


@statement
def answered(value: f32, amplitude: f32, curve: f32) -> f32:
    """A value as an instrument shows it whose response differs from one by ``amplitude * curve``."""
    return value * (1.0 + amplitude * curve)


@statement
def photon_noise(value: f32, mean: f32, snr: f32) -> f32:
    """Standard deviation of a bin: of photons, so that it grows as a root, and mean / snr at the mean."""
    light = value if value > 0.0 else 0.0
    return sqrt(light / mean) * (mean / snr)


@statement
def even_noise(mean: f32, snr: f32) -> f32:
    """Standard deviation of a bin: the same in all."""
    return fabs(mean) / snr


@statement
def disturbed(value: f32, sigma: f32, normal: f32) -> f32:
    """A value with noise."""
    return value + sigma * normal
