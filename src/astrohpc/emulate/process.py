"""Gaussian processes: one number as a smooth function of a few, with its uncertainty.

A linear trend, a stationary part with a length of its own for each input, and noise; their sizes maximise
the marginal likelihood under weak priors. For the scores of principal components there is one process each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

from astrohpc.emulate.base import Array

Kernel = Literal["matern", "gauss"]

_JITTER = 1e-9
_STEPS = 80
# Priors of logarithms: mean and spread. Data have variance one and inputs go from 0 to 1. The lengths'
# mean grows with the root of the number of inputs, as distances do.
_LENGTH = (0.0, 1.0)
_SIZE = (0.0, 2.0)
_TREND = (-1.0, 1.5)
_NOISE = (-3.0, 2.0)
# Where the search begins, from the priors' means: from long lengths it can end in a trend with noise.
_BEGIN_LENGTH, _BEGIN_NOISE = -1.0, 1.0
_LOW, _HIGH = -4.0, 5.0
_LEAST_NOISE = -14.0


def _matern(squares: Array) -> tuple[Array, Array]:
    """Matérn 5/2 of squared scaled distances, and minus twice its derivative by them."""
    root = np.sqrt(5 * squares)
    fall = np.exp(-root)
    slope = (5 / 3) * (1 + root) * fall
    return (1 + root + (5 / 3) * squares) * fall, slope


def _gauss(squares: Array) -> tuple[Array, Array]:
    """The Gaussian of squared scaled distances, and minus twice its derivative by them."""
    fall = np.exp(-0.5 * squares)
    return fall, fall


KERNELS: Mapping[Kernel, Callable[[Array], tuple[Array, Array]]] = {
    "matern": _matern,
    "gauss": _gauss,
}


@dataclass(frozen=True, eq=False)
class Process:
    """A process that has seen data. ``sizes``: logarithms of lengths, and variances of part, trend, noise."""

    kernel: Kernel
    sizes: Array  # [input + 3]
    inputs: Array  # [planet, input]
    factor: Array  # [planet, planet], lower Cholesky factor of the data's covariance
    alpha: Array  # [planet]

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Mean and variance, noise included, at other inputs."""
        part, trend, noise = np.exp(self.sizes[-3:])
        cross, _ = KERNELS[self.kernel](_squares(self.sizes, inputs, self.inputs))
        cross *= part
        cross += trend * _trend(inputs, self.inputs)
        solved = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        own = part + noise + trend * _own_trend(inputs)
        variance = own - np.sum(np.square(solved), axis=0)
        return cross @ self.alpha, np.maximum(variance, noise)


def learned(inputs: Array, data: Array, kernel: Kernel) -> Array:
    """The sizes of the process that most likely made data of mean nought and variance one."""
    count = inputs.shape[1]
    middle, spread = _priors(count)
    bounds = [(_LOW, _HIGH)] * (count + 2) + [(_LEAST_NOISE, 1.0)]
    begin = middle + np.array([_BEGIN_LENGTH] * count + [0.0, 0.0, _BEGIN_NOISE])

    def objective(sizes: Array) -> tuple[float, Array]:
        value, slope = _negative_likelihood(sizes, inputs, data, kernel)
        away = (sizes - middle) / spread
        return value + 0.5 * float(away @ away), slope + away / spread

    found = minimize(
        objective,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _STEPS, "ftol": 1e-6, "gtol": 1e-3},
    )
    best: Array = found.x
    return best


def conditioned(sizes: Array, inputs: Array, data: Array, kernel: Kernel) -> Process:
    """A process of known sizes that has seen data."""
    part, trend, noise = np.exp(sizes[-3:])
    whole, _ = KERNELS[kernel](_squares(sizes, inputs, inputs))
    whole = part * whole + trend * _trend(inputs, inputs)
    whole[np.diag_indices_from(whole)] += noise + _JITTER
    factor = np.linalg.cholesky(whole)
    alpha = cho_solve((factor, True), data, check_finite=False)
    return Process(kernel, sizes, inputs, factor, alpha)


def _priors(count: int) -> tuple[Array, Array]:
    length = (_LENGTH[0] + 0.5 * np.log(count), _LENGTH[1])
    both = np.array([length] * count + [_SIZE, _TREND, _NOISE])
    return both[:, 0], both[:, 1]


def _squares(sizes: Array, a: Array, b: Array) -> Array:
    """Squared distances in lengths, [a, b]."""
    count = a.shape[1]
    scale = np.exp(-sizes[:count])
    first, second = a * scale, b * scale
    found: Array = -2 * first @ second.T
    found += np.sum(np.square(first), axis=1)[:, None]
    found += np.sum(np.square(second), axis=1)
    return np.maximum(found, 0, out=found)


def _trend(a: Array, b: Array) -> Array:
    """Covariance of a linear function, of size one at the middle of a domain from -1 to 1."""
    found: Array = 1 + (2 * a - 1) @ (2 * b - 1).T
    return found


def _own_trend(a: Array) -> Array:
    found: Array = 1 + np.sum(np.square(2 * a - 1), axis=1)
    return found


def _negative_likelihood(
    sizes: Array, inputs: Array, data: Array, kernel: Kernel
) -> tuple[float, Array]:
    """Minus the logarithm of the marginal likelihood, and its derivatives by the sizes."""
    part, trend, noise = np.exp(sizes[-3:])
    shape, slope = KERNELS[kernel](_squares(sizes, inputs, inputs))
    line = _trend(inputs, inputs)
    whole = part * shape + trend * line
    whole[np.diag_indices_from(whole)] += noise + _JITTER
    factor, failed = lapack.dpotrf(whole, lower=1)
    if failed:
        return 1e20, np.zeros_like(sizes)
    inverse, _ = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    alpha = inverse @ data
    value = 0.5 * float(data @ alpha) + float(np.sum(np.log(np.diag(factor))))
    pull = inverse - np.outer(alpha, alpha)
    # The sum of pull x slope x (difference of inputs)², by products of matrices.
    bent = pull * slope
    rows = bent.sum(axis=1)
    scaled = inputs * np.exp(-sizes[: inputs.shape[1]])
    lengths = 2 * (rows @ np.square(scaled)) - 2 * np.einsum("np,np->p", scaled, bent @ scaled)
    variances = [
        part * float(np.vdot(pull, shape)),
        trend * float(np.vdot(pull, line)),
        noise * float(np.trace(pull)),
    ]
    return value, 0.5 * np.concatenate([part * lengths, variances])
