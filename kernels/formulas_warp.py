"""What happens to one cell when fields are warped, mixed and mended: the formulas, no loops.

Geometry is in float64, values are in float32. Places on the grid are rounded to 1/4096 of a cell, so that
a turn by whole columns moves values without touching them, and so that all machines gather from the same
cells with the same weights. There is no sine and no exponential here: a turn is written with the tangent
of half its angle, and the kernels of the control points are polynomials.
"""

from astrohpc.kernels.statement import f32, f64, fabs, floor, sqrt, statement

PLACES, PLACE = 4096.0, 2.0**-12
TURNS, TURN = 2.0**30, 2.0**-30
PI = 3.141592653589793
_THIRD, _NINTH, _SEVENTH = 0.3333333333333333, 0.1111111111111111, 0.14285714285714285
_ELEVENTH, _THIRTEENTH = 0.09090909090909091, 0.07692307692307693


@statement
def control_weight(dot: f64, edge: f64, scale: f64) -> f64:
    """How much a control point says at a cosine from it: ((dot - edge) scale)^4 inside its reach."""
    part = (dot - edge) * scale
    part = part if part > 0.0 else 0.0
    square = part * part
    return square * square


@statement
def turned(gx: f64, gy: f64, gz: f64, x: f64, y: f64, z: f64) -> tuple[f64, f64, f64]:
    """The vector (x, y, z) turned about g by twice the angle whose tangent is g's length."""
    factor = 2.0 / (1.0 + (gx * gx + gy * gy + gz * gz))
    cx = gy * z - gz * y
    cy = gz * x - gx * z
    cz = gx * y - gy * x
    dx = gy * cz - gz * cy
    dy = gz * cx - gx * cz
    dz = gx * cy - gy * cx
    return x + factor * (cx + dx), y + factor * (cy + dy), z + factor * (cz + dz)


@statement
def angle(y: f64, x: f64) -> f64:
    """The angle of (x, y) from the x axis, to 1e-10: halved three times, then an odd polynomial."""
    upper = fabs(y)
    long = sqrt(x * x + y * y)
    base = long + fabs(x)
    t = upper / base if base > 0.0 else 0.0
    t = t / (1.0 + sqrt(1.0 + t * t))
    t = t / (1.0 + sqrt(1.0 + t * t))
    s = t * t
    p = _ELEVENTH - s * _THIRTEENTH
    p = _NINTH - s * p
    p = _SEVENTH - s * p
    p = 0.2 - s * p
    p = _THIRD - s * p
    half = 8.0 * (t - t * (s * p))
    whole = half if x >= 0.0 else PI - half
    return whole if y >= 0.0 else -whole


@statement
def place(where: f64) -> f64:
    """A place in cells, rounded to 1/4096 of a cell."""
    return floor(where * PLACES + 0.5) * PLACE


@statement
def carried(sx: f64, sy: f64, sz: f64, ex: f64, ey: f64, ez: f64) -> tuple[f32, f32]:
    """Cosine and sine by which a wind's parts turn on the way from s to the cell.

    e is the cell's east, turned as the cell was to become s. With u, v at s, the cell's wind is
    (cosine u + sine v, cosine v - sine u).
    """
    level = sqrt(sx * sx + sy * sy)
    away = level if level > 0.0 else 1.0
    east_x = -sy / away
    east_y = sx / away if level > 0.0 else 1.0
    cosine = ex * east_x + ey * east_y
    sine = sz * (ey * east_x - ex * east_y) + ez * level
    return f32(floor(cosine * TURNS + 0.5) * TURN), f32(floor(sine * TURNS + 0.5) * TURN)


@statement
def cap(dot: f64, inner: f64, outer: f64) -> f32:
    """Share of the partner at the cosine ``dot`` from the centre of a cap: 1 inside, 0 outside, smooth."""
    part = (dot - outer) / (inner - outer)
    part = part if part > 0.0 else 0.0
    part = part if part < 1.0 else 1.0
    return f32(part * part * (3.0 - 2.0 * part))


@statement
def fabs_of(value: f32) -> f32:
    """The size of a value."""
    return fabs(value)


@statement
def onward(cosine: f32, sine: f32, along: f32, across: f32) -> f32:
    """One part of a wind after its turn; the other takes -sine."""
    return cosine * along + sine * across


@statement
def both(share: f32, inside: f32) -> f32:
    """The partner's share of a cell where a mixture and a cap meet."""
    return share + inside * (1.0 - share)


@statement
def mass_share(share: f32, da: f32, db: f32, own_ps: f32, other_ps: f32) -> f32:
    """The other's part of a layer's air where its column has ``share`` of the mixture."""
    other = share * (da + db * other_ps)
    own = (1.0 - share) * (da + db * own_ps)
    return other / (own + other)


@statement
def mixed(part: f32, own: f32, other: f32) -> f32:
    """Both exactly at 0 and 1, which own + part (other - own) is not."""
    return (1.0 - part) * own + part * other


@statement
def between(first: f32, second: f32, fx: f32, fy: f32, sw: f32, se: f32, nw: f32, ne: f32) -> f32:
    """Of four neighbours, two in a row: ``first``, ``second`` weigh the rows, fx and fy go east in them."""
    return first * mixed(fx, sw, se) + second * mixed(fy, nw, ne)


@statement
def bounded(value: f32, low: f32, high: f32) -> f32:
    """The value between two bounds."""
    raised = value if value > low else low
    return raised if raised < high else high


@statement
def mended(value: f32, gain: f32, shift: f32) -> f32:
    """The value with a total restored; itself where there is nothing to restore."""
    return value + (gain * value + shift)


@statement
def lane_term(value: f32, da: f64, db: f64, ps: f32) -> f64:
    """What a cell adds to its row's sum: the value times the pressure thickness of its layer."""
    return f64(value) * (da + db * f64(ps))


@statement
def noisy(value: f32, sigma: f32, normal: f32) -> f32:
    """The value with noise."""
    return value + sigma * normal
