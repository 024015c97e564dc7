"""A Gaussian in ln λ as weights of nodes that lie evenly there, such that light and flat spectra are kept.

Nodes lie as dense as the finest bins, or a line would come out as a comb. The weights of a node and its
neighbours add up to one, which keeps light; one factor for all wavelengths makes weights times places add
up to one as well, which keeps a flat spectrum. Their variance is that of the resolution.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.kernels import spectra_desk as desk
from astrohpc.physics.wavelengths import Wavelengths

Doubles = NDArray[np.float64]

FWHM = float(np.sqrt(8.0 * np.log(2.0)))  # of a Gaussian, in standard deviations
_WINGS = 4.0  # standard deviations to which a Gaussian reaches
_MOST = 4096  # nodes to which one may reach


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes for all spectra of a batch: ``step`` in ln λ, ``pad`` of them before the first edge.

    ``native`` is the variance that spectra have already; without any broadening there are no nodes.
    """

    step: float
    pad: int
    native: float
    node_um: Doubles
    under: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Weights:
    """Of B spectra: how many nodes on either side, their weights from the middle on, and the factor."""

    half: NDArray[np.int32]
    weight: Doubles
    factor: Doubles


def nodes_of(
    wavelengths: Wavelengths, resolution: Doubles, native_resolution: float | None
) -> Nodes:
    """Nodes that serve the coarsest resolution of a batch; their places do not depend on it."""
    edge, at = wavelengths.rising
    step = float(np.log(edge[at + 1] / edge[at]).min())
    native = 0.0 if native_resolution is None else (FWHM * native_resolution) ** -2
    if np.isnan(resolution).all():
        return Nodes(step, 0, native, np.zeros(0), np.zeros(len(edge), np.int64))
    coarsest = float(np.nanmin(resolution))
    pad = _half(_variance(coarsest, native), step) + desk.STENCIL + 1
    if pad > _MOST:
        raise ConfigError(
            f"resolution: {coarsest:g} is {pad / _WINGS:.0f} of the finest bins wide; rebin the spectrum "
            "first, or raise it."
        )
    first = np.log(edge[0])
    count = int(np.ceil((np.log(edge[-1]) - first) / step)) + 1
    node = np.exp(first + step * np.arange(-pad, count + pad))
    under = np.searchsorted(node, edge * (1.0 + 1e-12), side="right") - 1
    return Nodes(step, pad, native, node, under.astype(np.int64))


def weights_of(nodes: Nodes, resolution: Doubles) -> Weights:
    """The weights of each spectrum, made by itself: they are the same in any batch."""
    found = [_weights(nodes, float(one)) for one in resolution]
    out = np.zeros((len(found), max(len(one) for one in found)))
    factor = np.ones(len(found))
    for k, one in enumerate(found):
        out[k, : len(one)] = one
        if len(one) > 1:
            u = nodes.step * np.arange(1, len(one))
            factor[k] = 1.0 / (one[0] + 2.0 * (one[1:] * np.cosh(u)).sum())
    return Weights(np.array([len(one) - 1 for one in found], np.int32), out, factor)


def _variance(resolution: float, native: float) -> float:
    """What is to be added, in ln λ."""
    added = (FWHM * resolution) ** -2 - native
    if added < 0.0:
        raise ConfigError(
            f"resolution: {resolution:g} is finer than native_resolution; no spectrum becomes sharper."
        )
    return added


def _half(variance: float, step: float) -> int:
    return max(2, int(np.ceil(_WINGS * np.sqrt(variance) / step)))


def _weights(nodes: Nodes, resolution: float) -> Doubles:
    """From the middle on; a single one where nothing is to be done."""
    variance = 0.0 if np.isnan(resolution) else _variance(resolution, nodes.native)
    if variance == 0.0:
        return np.ones(1)
    wanted = variance / nodes.step**2
    if wanted < 1.0:
        # Narrower than its nodes are apart: what three nodes and again three make has any variance.
        side = 0.25 * wanted
        rest = 1.0 - 2.0 * side
        return np.array([rest**2 + 2.0 * side**2, 2.0 * side * rest, side**2])
    square = np.arange(_half(variance, nodes.step) + 1, dtype=np.float64) ** 2
    sigma2 = wanted
    for _ in range(2):  # the wings that are cut are made good
        weight = np.exp(-0.5 * square / sigma2)
        weight /= weight[0] + 2.0 * weight[1:].sum()
        sigma2 *= wanted / (2.0 * (weight * square).sum())
    return weight
