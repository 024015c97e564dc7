"""A Gaussian process that is a sum of parts, of one shape for many numbers of the same planets.

Each part is a smooth function of a few features: of each group alone, and of all together. A few dozen
planets cannot tell the lengths and sizes of these for every number by itself; all numbers together can,
and to have them in common was worth more than any choice of kernel (docs/scalar.md). So the sizes
maximise the likelihood of all numbers, which counts as of as many as are independent.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

from astrohpc.emulate.base import Array
from astrohpc.emulate.process import KERNELS

Parts = tuple[tuple[int, ...], ...]

_JITTER = 1e-9
_STEPS = 80
_CONSTANT = 4.0  # variance of the mean, in data of variance one
# Priors of logarithms, mean and spread: lengths, standard deviations of parts, trend and noise. Data
# have variance one and features go from 0 to 1; a part's lengths grow with the root of its features.
_LENGTH = (-0.35, 1.0)
_SIZE = (0.0, 1.0)
_TREND = (0.0, 1.0)
_NOISE = (-1.9, 1.0)
_LOW, _HIGH = -6.0, 5.0


def parts_of(groups: Parts) -> Parts:
    """Every group alone, and all together."""
    together = tuple(i for group in groups for i in group)
    return groups if len(groups) == 1 else (*groups, together)


@dataclass(frozen=True, eq=False)
class Additive:
    """A process that has seen data. ``sizes``: logarithms of each part's lengths and size, trend, noise."""

    parts: Parts
    sizes: Array
    features: Array  # [planet, feature]
    shift: Array  # [number]
    scale: Array  # [number]
    factor: Array  # [planet, planet], lower Cholesky factor of the data's covariance
    alpha: Array  # [planet, number]

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Means and standard deviations, noise included, [planet, number]."""
        cross = _covariance(self.parts, self.sizes, features, self.features)
        solved = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        noise = np.exp(2 * self.sizes[-1])
        own = _CONSTANT + noise + np.exp(2 * self.sizes[-2]) * np.sum(_centred(features) ** 2, 1)
        own += sum(np.exp(2 * self.sizes[end]) for _, end in _places(self.parts))
        variance = np.maximum(own - np.sum(np.square(solved), axis=0), noise)
        mean = self.shift + (cross @ self.alpha) * self.scale
        return mean, np.sqrt(variance)[:, None] * self.scale


def learned(parts: Parts, features: Array, data: Array, start: Array | None = None) -> Array:
    """The sizes under which the data are most likely; ``start`` is where to look first."""
    middle, spread = priors(parts)
    _, _, whitened = _whitened(data)
    apart = np.stack(
        [np.subtract.outer(column, column) ** 2 for column in features.T]
    )  # [feature, planet, planet]
    line = _centred(features) @ _centred(features).T
    weight = _independent(whitened) / whitened.shape[1]

    def objective(sizes: Array) -> tuple[float, Array]:
        value, slope = _negative_likelihood(parts, sizes, apart, line, whitened)
        away = (sizes - middle) / spread
        return weight * value + 0.5 * float(away @ away), weight * slope + away / spread

    found = minimize(
        objective,
        middle if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(_LOW, _HIGH)] * len(middle),
        options={"maxiter": _STEPS, "ftol": 1e-7, "gtol": 1e-3},
    )
    best: Array = found.x
    return best


def conditioned(parts: Parts, sizes: Array, features: Array, data: Array) -> Additive:
    """A process of known sizes that has seen data, [planet, number]."""
    shift, scale, whitened = _whitened(data)
    whole = _covariance(parts, sizes, features, features)
    whole[np.diag_indices_from(whole)] += np.exp(2 * sizes[-1]) + _JITTER
    factor = np.asarray(np.linalg.cholesky(whole), np.float64)
    alpha = cho_solve((factor, True), whitened, check_finite=False)
    return Additive(parts, sizes, features, shift, scale, factor, alpha)


def _whitened(data: Array) -> tuple[Array, Array, Array]:
    shift, scale = data.mean(axis=0), data.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return shift, scale, (data - shift) / scale


def _independent(whitened: Array) -> float:
    """How many independent numbers so many correlated ones are worth."""
    both = whitened.T @ whitened / len(whitened)
    return float(np.trace(both) ** 2 / np.sum(np.square(both)))


# ----------------------------------------------------------------------------- covariance
def _places(parts: Parts) -> list[tuple[slice, int]]:
    """Where a part's lengths stand among the sizes, and its size."""
    found, end = [], 0
    for part in parts:
        found.append((slice(end, end + len(part)), end + len(part)))
        end += len(part) + 1
    return found


def priors(parts: Parts) -> tuple[Array, Array]:
    """Means and spreads of the sizes before anything was seen."""
    rows: list[tuple[float, float]] = []
    for part in parts:
        length = (_LENGTH[0] + 0.5 * float(np.log(len(part))), _LENGTH[1])
        rows += [length] * len(part) + [_SIZE]
    both = np.array([*rows, _TREND, _NOISE])
    return both[:, 0], both[:, 1]


def _centred(features: Array) -> Array:
    return features - 0.5


def _covariance(parts: Parts, sizes: Array, a: Array, b: Array) -> Array:
    found: Array = np.exp(2 * sizes[-2]) * (_centred(a) @ _centred(b).T) + _CONSTANT
    for part, (lengths, size) in zip(parts, _places(parts), strict=True):
        scale = np.exp(-sizes[lengths])
        squares = sum(
            np.subtract.outer(a[:, i] * one, b[:, i] * one) ** 2
            for i, one in zip(part, scale, strict=True)
        )
        found += np.exp(2 * sizes[size]) * KERNELS["matern"](np.asarray(squares))[0]
    return found


def _negative_likelihood(
    parts: Parts, sizes: Array, apart: Array, line: Array, whitened: Array
) -> tuple[float, Array]:
    """Minus the logarithm of the marginal likelihood of all numbers, and its derivatives by the sizes."""
    trend, noise = np.exp(2 * sizes[-2:])
    whole = trend * line + _CONSTANT
    shapes, slopes = [], []
    for part, (lengths, size) in zip(parts, _places(parts), strict=True):
        squares = np.tensordot(np.exp(-2 * sizes[lengths]), apart[list(part)], axes=1)
        shape, slope = KERNELS["matern"](squares)
        variance = np.exp(2 * sizes[size])
        whole += variance * shape
        shapes.append(variance * shape)
        slopes.append(variance * slope)
    whole[np.diag_indices_from(whole)] += noise + _JITTER
    factor, failed = lapack.dpotrf(whole, lower=1)
    if failed:
        return 1e20, np.zeros_like(sizes)
    inverse, _ = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    alpha = inverse @ whitened
    count = whitened.shape[1]
    value = 0.5 * float(np.vdot(whitened, alpha))
    value += count * float(np.sum(np.log(np.diag(factor))))
    pull = count * inverse - alpha @ alpha.T
    gradient = np.empty_like(sizes)
    for k, (part, (lengths, size)) in enumerate(zip(parts, _places(parts), strict=True)):
        bent = pull * slopes[k]
        by_length = np.tensordot(apart[list(part)], bent, axes=2)
        gradient[lengths] = 0.5 * np.exp(-2 * sizes[lengths]) * by_length
        gradient[size] = np.vdot(pull, shapes[k])
    gradient[-2] = trend * np.vdot(pull, line)
    gradient[-1] = noise * np.trace(pull)
    return value, gradient
