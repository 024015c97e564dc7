"""Spectra made into others: shifted, stretched, broadened, through an instrument, with noise and gaps.

    made = augment(flux, wavelengths, SpectraPolicy(), seed=1, samples=ids)

``flux`` is [B, N], float32 or bfloat16, numpy or a torch tensor on the CPU or a GPU, which is not copied and
gives the same bits on both. All that a policy asks for is one pass: every spectrum is read once, written
once, and its total is restored while it is in the cache. What each step keeps:

- *shift, stretch*: light (value times width) of a density, values of a ratio; in both cases what
  comes from beyond the spectrum, or from a gap in it, is NaN and never guessed.
- *resolution*: light, and a flat spectrum. A Gaussian in ln λ whose full width at half maximum is 1/R.
  Its middle lies σ²/2 = 0.09/R² of a wavelength higher than the line's, or one of the two would be lost.
- *response*: light and sign. A cubic B-spline through random knots; the flux-weighted mean is one.
- *noise*: light, with ``keep_total``; sign only with ``positive``. ``snr`` is that of one bin with the
  spectrum's mean value. Photon noise is sqrt(value · mean)/snr, even noise mean/snr.
- *gaps*: every value outside of them, to the bit.

Light is kept to 1e-6 of itself in float32; in bfloat16 so before values are rounded to its 8 bits.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from os import sched_getaffinity
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.augment import memory
from astrohpc.augment.spectra_blur import Nodes, nodes_of, weights_of
from astrohpc.augment.spectra_policy import Draws, SpectraPolicy, amplitude, draw
from astrohpc.errors import ConfigError
from astrohpc.kernels import random
from astrohpc.kernels import spectra as kernel
from astrohpc.kernels import spectra_desk as desk
from astrohpc.kernels.tensors import on_gpu, tensors
from astrohpc.physics.wavelengths import Wavelengths

Doubles = NDArray[np.float64]

_AT_ONCE = 16  # spectra whose weights are held at once
_AT_ONCE_ON_GPU = 2048  # whose weights are made while the GPU does those before
_NOISE = {"photon": desk.PHOTON, "even": desk.EVEN}


@dataclass(frozen=True, eq=False)
class Augmented:
    """Spectra like those that came, ``sigma`` of the noise where asked for, and what became of totals.

    ``totals`` [B, 4] are value times width in µm: of all that came; what is wanted of the bins that are left
    after shift and resolution; what they hold; and what gaps took of that. ``sigma`` lies
    where ``flux`` does.
    """

    values: Any
    sigma: Any
    totals: Doubles
    draws: Draws

    @cached_property
    def residual(self) -> Doubles:
        """By which part of it each total missed what was wanted; 0 where there is nothing left."""
        wanted, held = self.totals[:, desk.WANTED], self.totals[:, desk.RETURNED]
        return np.where(wanted != 0.0, held / np.where(wanted != 0.0, wanted, 1.0) - 1.0, held)


def augment(
    flux: Any,
    wavelengths: Wavelengths,
    policy: SpectraPolicy,
    *,
    seed: int,
    samples: Any = None,
    draws: Draws | None = None,
    sigma: Any = None,
    with_sigma: bool = False,
    out: Any = None,
    threads: int = 0,
) -> Augmented:
    """All of a policy in one pass.

    ``samples`` are the spectra's own numbers, by which random numbers are drawn; 0 to B - 1 without them.
    ``draws`` replace what the policy would draw. ``sigma`` [B, N] is noise that is known and takes the
    place of the policy's model: an array of numpy, or a tensor on ``flux``'s GPU. ``out`` may be ``flux``
    itself. ``threads`` 0 is one for each core.
    """
    words, half = _words(flux, "flux")
    b, n = words.shape
    if n != wavelengths.count:
        raise ConfigError(f"flux: {n} bins do not go with {wavelengths.count} wavelengths.")
    target = memory.like(flux) if out is None else out
    memory.check_writable(target)
    out_words, out_half = _words(target, "out")
    there = on_gpu(words)
    if out_words.shape != words.shape or out_half != half or on_gpu(out_words) != there:
        raise ConfigError(
            "out: it must be of flux's shape and precision, and lie where it does; leave it out to have it "
            "made."
        )
    ids, _, _ = random.checked(seed, desk.NOISE, np.arange(b) if samples is None else samples, (n,))
    if ids.shape != (b,):
        raise ConfigError(f"samples: shape {ids.shape} is not one number for each of {b} spectra.")
    drawn = draw(policy, seed, ids, n) if draws is None else draws
    if len(drawn.shift) != b:
        raise ConfigError(
            f"draws: {len(drawn.shift)} do not go with {b} spectra; give one for each."
        )
    noise = _noise(policy, drawn, sigma, (b, n), there)
    if noise != desk.NO_NOISE and policy.keep_total and n == 1:
        raise ConfigError("keep_total: of one bin nothing would be left to noise; set it to false.")
    _check_gaps(drawn, n)
    nodes = nodes_of(wavelengths, drawn.resolution, policy.native_resolution)
    grid = grid_of(wavelengths, drawn.knots.shape[1], nodes)
    manner = desk.Manner(
        seed,
        int(half),
        amplitude(policy.response, drawn.knots.shape[1]),
        noise,
        policy.keep_total,
        policy.positive,
    )
    batch = _Batch(words, out_words, grid, manner, sigma, with_sigma)

    def planned(some: slice) -> desk.Plan:
        return plan_of(policy, wavelengths, drawn.part(some), nodes, ids[some])

    if there:
        used, totals, state = _run_on_gpu(batch, planned)
    else:
        used, totals, state = _run(batch, planned, threads or len(sched_getaffinity(0)))
    _refuse(state, policy)
    return Augmented(target, used, totals, drawn)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Bits of spectra, or tensors of a GPU, what is the same for all of them, and which sigma goes along."""

    words: Any
    out: Any
    grid: desk.Grid
    manner: desk.Manner
    sigma: Any
    with_sigma: bool


_Found = tuple[Any, Doubles, NDArray[np.int64]]  # sigma, totals, state


def _run(batch: _Batch, planned: Callable[[slice], desk.Plan], threads: int) -> _Found:
    """On the processor."""
    b, n = batch.words.shape
    given = np.zeros((0, n), np.float32) if batch.sigma is None else np.asarray(batch.sigma)
    used = np.empty((b if batch.with_sigma else 0, n), np.float32)
    totals, state = np.empty((b, 4)), np.empty((b, 2), np.int64)

    def work(part: slice) -> None:
        room = desk.room(n, len(batch.grid.edge), len(batch.grid.node))
        for some in _pieces(part, _AT_ONCE):
            kernel.augment(
                *(batch.words[some], batch.grid, planned(some), batch.manner, given[some], room),
                *(batch.out[some], used[some], totals[some], state[some]),
            )

    _each(work, b, threads)
    return used if batch.with_sigma else None, totals, state


def _run_on_gpu(batch: _Batch, planned: Callable[[slice], desk.Plan]) -> _Found:
    """On the GPU where the spectra lie."""
    import torch  # noqa: PLC0415 - it is loaded where there is a tensor

    from astrohpc.kernels.spectra_gpu import SpectraOnGpu  # noqa: PLC0415 - asks for a GPU

    flux, sigma, used = batch.words, batch.sigma, None
    if sigma is not None:
        sigma = torch.as_tensor(sigma, device=flux.device)
    if batch.with_sigma:
        used = torch.empty(tuple(flux.shape), dtype=torch.float32, device=flux.device)
    arrays = {"flux": flux, "out": batch.out, "sigma": sigma, "the noise's sigma": used}
    try:
        held = tensors({name: array for name, array in arrays.items() if array is not None})
        spectra = SpectraOnGpu(
            *(held["flux"], held["out"], batch.grid, batch.manner),
            *(held.get("sigma"), held.get("the noise's sigma")),
        )
        for some in _pieces(slice(0, len(flux)), _AT_ONCE_ON_GPU):
            spectra.augment(some.start, planned(some))
        return used, *spectra.found()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _pieces(part: slice, size: int) -> Iterator[slice]:
    for first in range(part.start, part.stop, size):
        yield slice(first, min(first + size, part.stop))


def _each(work: Callable[[slice], None], count: int, threads: int) -> None:
    """Do pieces of the batch side by side; no result depends on how many."""
    if min(threads, count) == 1:
        work(slice(0, count))
        return
    edges = np.linspace(0, count, min(threads, count) + 1).astype(int)
    parts = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    with ThreadPoolExecutor(len(parts)) as crew:
        list(crew.map(work, parts))


def _refuse(state: NDArray[np.int64], policy: SpectraPolicy) -> None:
    """One sentence for the first spectrum that could not be had right."""
    if not state[:, 0].any():
        return
    k = int(np.argmax(state[:, 0] != desk.FINE))
    why, at = state[k]
    if why == desk.NOT_FINITE:
        raise ConfigError(
            f"flux: sample {k} has no finite number at index {at}; leave such bins out of the grid."
        )
    if why == desk.NOT_POSITIVE:
        raise ConfigError(
            f"flux: sample {k} has a mean that is not above 0, so photons make no noise; write noise: even."
        )
    raise ConfigError(
        f"flux: sample {k} has so little above zero, or so much noise, that no factor restores its total; "
        + ("raise snr, or set keep_total to false." if policy.snr else "set response to 0.")
    )


# ----------------------------------------------------------------------------- arrays in and out
def _words(array: Any, name: str) -> tuple[Any, bool]:
    """The bits of float32, or of bfloat16 and True, where they lie; a tensor on a GPU as it is."""
    memory.check_kind(array, name)
    shape = tuple(int(n) for n in array.shape)
    if len(shape) != 2:
        raise ConfigError(f"{name}: shape {shape} is not [spectra, bins]; reshape it.")
    if 0 in shape:
        raise ConfigError(f"{name}: shape {shape} holds no spectrum; leave empty batches out.")
    if on_gpu(array):
        memory.check_tensor(array, name)
        return array, array.element_size() == 2
    plain = memory.stored(array, name)
    half = plain.dtype == np.uint16
    return (plain if half else plain.view(np.uint32)), half


def _noise(
    policy: SpectraPolicy, drawn: Draws, sigma: Any, shape: tuple[int, int], there: bool
) -> int:
    """Which noise."""
    if sigma is not None:
        if on_gpu(sigma) and not there:
            raise ConfigError("sigma: lies on a GPU, and flux does not; bring both to one place.")
        close = sigma.is_contiguous() if hasattr(sigma, "data_ptr") else sigma.flags.c_contiguous
        if tuple(sigma.shape) != shape or not str(sigma.dtype).endswith("float32") or not close:
            raise ConfigError(f"sigma: it must be contiguous float32 {shape}; convert it.")
        if not bool(((sigma >= 0.0) & (sigma < np.inf)).all()):
            raise ConfigError("sigma: it has values that are below 0 or no number; mend them.")
        return desk.GIVEN
    silent = np.isnan(drawn.snr)
    if silent.all():
        return desk.NO_NOISE
    if silent.any():
        raise ConfigError(
            f"snr: sample {int(np.argmax(silent))} has none and others do; give all one, or none."
        )
    return _NOISE[policy.noise]


# ----------------------------------------------------------------------------- what the kernel needs
def grid_of(wavelengths: Wavelengths, knots: int, nodes: Nodes) -> desk.Grid:
    """The grid as the kernel has it."""
    edge, at = wavelengths.rising
    of = np.full(len(edge) - 1, -1, np.int64)
    of[at] = np.arange(wavelengths.count)
    middle = np.log(0.5 * (edge[at] + edge[at + 1]))
    span = middle[-1] - middle[0]
    part = (middle - middle[0]) / span if span else np.zeros_like(middle)
    stretches = np.float32(max(knots - 3, 1))
    below = np.nextafter(stretches, np.float32(0.0))  # the last knots are met, not passed
    place = np.minimum((part * stretches).astype(np.float32), below)
    first, step = (wavelengths.count - 1, -1) if wavelengths.falls else (0, 1)
    inverse_width = 1.0 / np.diff(nodes.node_um)
    lean = 1.0 / (1.0 + float(np.exp(-nodes.step)))
    hole = np.flatnonzero(of < 0)
    stretch_low, stretch_high = edge[np.r_[0, hole + 1]], edge[np.r_[hole, len(edge) - 1]]
    return desk.Grid(
        edge,
        at,
        of,
        edge[at + 1] - edge[at],
        stretch_low,
        stretch_high,
        nodes.node_um,
        inverse_width,
        nodes.under,
        lean,
        first,
        step,
        place,
    )


def plan_of(
    policy: SpectraPolicy,
    wavelengths: Wavelengths,
    drawn: Draws,
    nodes: Nodes,
    samples: NDArray[np.int64],
) -> desk.Plan:
    """Each sample's own numbers as the kernel has them.

    Wavelengths are stretched about the middle of the grid: λ' = (1 + shift + stretch) λ - stretch · middle.
    """
    edge, _ = wavelengths.rising
    middle = 0.5 * (edge[0] + edge[-1])
    scale = 1.0 + drawn.shift + drawn.stretch
    blur = weights_of(nodes, drawn.resolution)
    reach = np.exp(np.where(blur.half > 0, nodes.step * (blur.half + desk.STENCIL), 0.0))
    moved = (drawn.shift != 0.0) | (drawn.stretch != 0.0) | (blur.half > 0)
    return desk.Plan(
        resampled=moved.astype(np.int32),
        offset_um=-drawn.stretch * middle,
        inverse=1.0 / scale,
        gain=scale if policy.quantity == "ratio" else np.ones_like(scale),
        factor=blur.factor,
        half=blur.half,
        weight=blur.weight,
        low=blur.factor / reach,
        high=blur.factor * reach,
        knots=drawn.knots if policy.response else drawn.knots[:, :0],
        snr=drawn.snr.astype(np.float32),
        sample=samples,
        gaps=drawn.gaps,
    )


def _check_gaps(drawn: Draws, bins: int) -> None:
    if ((drawn.gaps[..., 0] < 0) | (drawn.gaps[..., 1] > bins)).any():
        raise ConfigError(
            f"gaps: one of them leaves the {bins} bins; write first and last + 1 within."
        )
