"""Each transformation of spectra on one spectrum, then all of them in one pass.

Beside the spectrum a probe goes through the same pass: a Gaussian line on the same grid, whose place and
width afterwards are known in closed form.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from astrohpc.augment.spectra import Augmented, augment
from astrohpc.augment.spectra_blur import FWHM
from astrohpc.augment.spectra_policy import Draws, SpectraPolicy, draw
from astrohpc.gallery.exhibit import Exhibit, Kept, Room
from astrohpc.gallery.pictures import draw_spectrum
from astrohpc.gallery.spectrum_files import Spectrum
from astrohpc.kernels import spectra_desk as desk
from astrohpc.physics.wavelengths import Wavelengths

Array = NDArray[np.float64]

PLACE_LIMIT = 1e-4  # of a wavelength
_PROBE_BINS = 4.0  # standard deviation of the probe's line
_REACH = 5.0  # standard deviations in which all of a line is that counts here


def spectrum_room(spectrum: Spectrum, policy: SpectraPolicy, seed: int) -> Room:
    """All exhibits of a spectrum."""
    policy = replace(policy, quantity=spectrum.quantity)
    drawn = draw(policy, seed, np.arange(1), spectrum.wavelengths.count)
    exhibits = tuple(_exhibit(spectrum, one, drawn, seed, key) for key, one in _steps(policy))
    source = ". ".join((spectrum.source, *spectrum.notes))
    return Room("spectrum", f"Spectrum: {spectrum.title}", source, spectrum.mark, exhibits)


def _steps(policy: SpectraPolicy) -> Iterator[tuple[str, SpectraPolicy]]:
    """Policies with one step each, then the whole."""
    nothing = replace(
        policy,
        shift=0.0,
        stretch=0.0,
        resolution=(),
        native_resolution=None,
        snr=(),
        response=0.0,
        gaps=0,
    )
    native = policy.native_resolution
    if policy.shift or policy.stretch:
        yield "shift", replace(nothing, shift=policy.shift, stretch=policy.stretch)
    if policy.resolution:
        yield "resolution", replace(nothing, resolution=policy.resolution, native_resolution=native)
    if policy.response:
        yield "response", replace(nothing, response=policy.response)
    if policy.snr:
        yield "noise", replace(nothing, snr=policy.snr)
    if policy.gaps:
        yield "gaps", replace(nothing, gaps=policy.gaps)
    yield "chain", policy


_TITLES = {
    "shift": (
        "Wavelength shift",
        "light of a density, values of a ratio; what is not known is a gap",
    ),
    "resolution": ("Resolution", "light, and flat spectra; 4 σ at the ends are gaps"),
    "response": ("Instrument response", "light and sign"),
    "noise": ("Noise", "light"),
    "gaps": ("Gaps", "every value outside of them, to the bit"),
    "chain": ("All in one pass", "light"),
}


def _exhibit(
    spectrum: Spectrum, policy: SpectraPolicy, drawn: Draws, seed: int, key: str
) -> Exhibit:
    grid = spectrum.wavelengths
    draws = Draws.of(
        2,
        shift=drawn.shift[0] if policy.shift else 0.0,
        stretch=drawn.stretch[0] if policy.stretch else 0.0,
        resolution=drawn.resolution[0] if policy.resolution else np.nan,
        snr=drawn.snr[0] if policy.snr else np.nan,
        knots=drawn.knots[:1] if policy.response else None,
        gaps=drawn.gaps[0] if policy.gaps else None,
    )
    probe, at_um = _probe(grid)
    both = np.stack([spectrum.values, probe])
    made = augment(both, grid, policy, seed=seed, draws=draws, with_sigma=True, threads=1)
    title, keeps = _TITLES[key]
    after = np.asarray(made.values[0])
    kept = tuple(_kept(spectrum, policy, draws, made, both, at_um, key))
    png = draw_spectrum(
        spectrum, after, made.sigma[0] if policy.snr and made.sigma is not None else None
    )
    return Exhibit(f"spectrum-{key}", title, _done(policy, draws, grid), keeps, kept, png)


def _done(policy: SpectraPolicy, draws: Draws, grid: Wavelengths) -> str:
    """What was drawn, in words."""
    parts = []
    if policy.shift:
        parts.append(f"{100 * draws.shift[0]:+.3f} % in wavelength")
    if policy.stretch:
        parts.append(f"{100 * draws.stretch[0]:+.3f} % about the middle")
    if policy.resolution:
        parts.append(f"R = {draws.resolution[0]:.1f}")
    if policy.response:
        parts.append(f"{100 * policy.response:g} % of response")
    if policy.snr:
        parts.append(f"{policy.noise} noise of SNR {draws.snr[0]:.1f} a bin")
    if policy.gaps:
        there = [(int(a), int(b)) for a, b in draws.gaps[0] if b > a]
        count = sum(b - a for a, b in there)
        parts.append(f"{len(there)} gaps of {count} of {grid.count} bins")
    return ", ".join(parts) or "nothing"


def _kept(
    spectrum: Spectrum,
    policy: SpectraPolicy,
    draws: Draws,
    made: Augmented,
    both: NDArray[np.float32],
    at_um: float,
    key: str,
) -> Iterator[Kept]:
    grid = spectrum.wavelengths
    total = made.totals[0]
    unit = f"{spectrum.unit} µm".strip()
    # Counted again from what came back, in numpy: the kernel's own sums are not their own witness.
    after = float(grid.total(made.values[0])) + float(total[desk.GONE])
    wanted = float(total[desk.WANTED])
    yield Kept(
        "light of what is left", unit, float(grid.total(both[0])), wanted, after, abs(wanted)
    )
    low = float(np.nanmin(made.values[0]))
    if both[0].min() >= 0.0 and not policy.snr:
        yield Kept("least value below zero", spectrum.unit, 0.0, 0.0, min(0.0, low), 1.0, 0.0)
    if key == "gaps":
        there = ~np.isnan(made.values[0])
        changed = int((made.values[0][there] != both[0][there]).sum())
        yield Kept("values that changed", "", 0.0, 0.0, float(changed), 1.0, 0.0)
    if key in ("shift", "resolution"):
        yield from _of_probe(grid, draws, both[1], np.asarray(made.values[1]), at_um)
    if key == "noise" and made.sigma is not None:
        sigma = made.sigma[0]
        some = sigma > 0.0
        miss = (made.values[0][some] - both[0][some]) / sigma[some]
        spread = float(np.sqrt((miss.astype(np.float64) ** 2).mean()))
        yield Kept("noise over what was asked", "", 0.0, 1.0, spread, 1.0, None)


def _probe(grid: Wavelengths) -> tuple[NDArray[np.float32], float]:
    """A Gaussian line amid the longest stretch without a gap."""
    edge, at = grid.rising
    hole = np.flatnonzero(np.diff(at) > 1)
    bounds = [0, *(hole + 1), grid.count]
    first, last = max(pairwise(bounds), key=lambda ends: ends[1] - ends[0])
    middle = (first + last) // 2
    bins = np.log(edge[at + 1] / edge[at])
    order = slice(None, None, -1) if grid.falls else slice(None)
    centre = float(grid.centre_um[order][middle])
    sigma = _PROBE_BINS * float(bins[max(first, middle - 20) : middle + 20].max())
    line = np.exp(-0.5 * (np.log(grid.centre_um / centre) / sigma) ** 2)
    return line.astype(np.float32), centre


def _of_probe(
    grid: Wavelengths,
    draws: Draws,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    at_um: float,
) -> Iterator[Kept]:
    """The line's place, and its width where it was broadened; nothing where the line does not fit."""
    place, width = _moments(grid, before)
    found, broad = _moments(grid, after)
    edge, _ = grid.rising
    middle = 0.5 * (edge[0] + edge[-1])
    there = (1.0 + draws.shift[0] + draws.stretch[0]) * place - draws.stretch[0] * middle
    added = 1.0 / (FWHM * draws.resolution[0]) if np.isfinite(draws.resolution[0]) else 0.0
    broader = float(np.hypot(width, added))
    reach = _REACH * broader
    near = np.abs(np.log(grid.centre_um / there)) < reach
    inside = edge[0] < there * (1.0 - reach) and there * (1.0 + reach) < edge[-1]
    if not inside or np.isnan(after[near]).any():
        return  # a part of the line is gone, and with it its place
    name = f"a probe's line at {at_um:.4g} µm, place"
    yield Kept(name, "µm", place, there, found, there, PLACE_LIMIT)
    if added:
        yield Kept("its width σ in ln λ, in quadrature", "", width, broader, broad, broader, 1e-2)


def _moments(grid: Wavelengths, values: NDArray[np.float32]) -> tuple[float, float]:
    """Centroid in µm and standard deviation in ln λ, weighted by light."""
    light = np.nan_to_num(values.astype(np.float64)) * grid.width_um
    whole = light.sum()
    x = np.log(grid.centre_um)
    mean = float((light * x).sum() / whole)
    return float((light * grid.centre_um).sum() / whole), float(
        np.sqrt((light * (x - mean) ** 2).sum() / whole)
    )
