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
from astrohpc.kernels.spectra_weights import weigh
from astrohpc.physics.wavelengths import Wavelengths

Doubles = NDArray[np.float64]

FWHM = float(np.sqrt(8.0 * np.log(2.0)))  # of a Gaussian, in standard deviations
_WINGS = 4.0  # standard deviations to which a Gaussian reaches
_LEAST = 2  # nodes on either side
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
    pad = int(_half(_variance(np.array([coarsest]), native), step)[0]) + desk.STENCIL + 1
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
    variance = np.where(np.isnan(resolution), 0.0, _variance(resolution, nodes.native))
    wanted = variance / nodes.step**2
    reach = np.where(wanted < 1.0, _LEAST, _half(variance, nodes.step))
    half = np.where(wanted > 0.0, reach, 0).astype(np.int32)
    out, factor = np.empty((len(half), 1 + int(half.max()))), np.empty(len(half))
    weigh(wanted, half, nodes.step, out, factor)
    return Weights(half, out, factor)


def _variance(resolution: Doubles, native: float) -> Doubles:
    """What is to be added, in ln λ."""
    added = (FWHM * resolution) ** -2 - native
    if (added < 0.0).any():
        finest = float(resolution[np.argmax(added < 0.0)])
        raise ConfigError(
            f"resolution: {finest:g} is finer than native_resolution; no spectrum becomes sharper."
        )
    return added


def _half(variance: Doubles, step: float) -> NDArray[np.int64]:
    return np.maximum(_LEAST, np.ceil(_WINGS * np.sqrt(variance) / step)).astype(np.int64)
