"""Pictures of exhibits: before, after, and the difference, with what is synthetic marked in each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.gallery.spectrum_files import Spectrum
from astrohpc.store.pictures import draw, png
from astrohpc.store.scenes import Axis, Field, Scene

Array = NDArray[np.float64]

_WIDE_IN, _HIGH_IN, _DPI = 9.6, 2.7, 80
_DECADES = 4.0  # from a range so wide on, wavelengths are shown by their logarithm


def draw_spectrum(
    spectrum: Spectrum, after: NDArray[np.float32], sigma: NDArray[np.float32] | None
) -> bytes:
    """Both spectra, and what one is more than the other; gaps are grey, ``sigma`` of noise is a band."""
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter  # noqa: PLC0415

    x = spectrum.wavelengths.centre_um
    lost = np.isnan(after)
    figure: Any = Figure(figsize=(_WIDE_IN, _HIGH_IN), dpi=_DPI)
    both = figure.add_axes((0.07, 0.17, 0.52, 0.68))
    curves = [
        (_roughness(values), values, look)
        for values, look in (
            (spectrum.values, {"lw": 0.6, "color": "0.55", "label": "before"}),
            (after, {"lw": 0.6, "color": "tab:blue", "label": "after"}),
        )
    ]
    for _, values, look in sorted(curves, key=lambda one: -one[0]):  # the smoother over the rougher
        both.plot(x, _with_holes(spectrum, values), **look)
    both.set_ylabel(f"{spectrum.name} [{spectrum.unit}]" if spectrum.unit else spectrum.name)
    both.legend(loc="upper right", frameon=False, fontsize=7)
    apart = figure.add_axes((0.68, 0.17, 0.31, 0.68))
    if sigma is not None:
        band = np.where(lost, np.nan, sigma)
        for side in (1.0, -1.0):
            apart.plot(x, side * band, lw=0.9, color="black", zorder=3)
        apart.set_title("σ of the noise in black", loc="right", fontsize=7)
    apart.plot(x, _with_holes(spectrum, after - spectrum.values), lw=0.5, color="tab:red")
    apart.axhline(0.0, lw=0.5, color="0.5")
    for axis, title in ((both, "before and after"), (apart, "difference")):
        for low, high in _stretches(spectrum, lost):
            axis.axvspan(low, high, color="0.92", lw=0)
        axis.set_xlabel("wavelength [µm]")
        axis.set_title(title, loc="left")
        if x.max() > _DECADES * x.min():
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.xaxis.set_major_formatter(ScalarFormatter())
            axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlim(x.min(), x.max())
    if spectrum.mark:
        figure.text(0.99, 0.97, spectrum.mark, va="top", ha="right", fontsize=10, color="tab:red")
    return png(figure)


def _roughness(values: NDArray[np.float32]) -> float:
    return float(np.nansum(np.abs(np.diff(values))))


def _with_holes(spectrum: Spectrum, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values with NaN where the grid has a gap after them, so that no line is drawn over it."""
    grid = spectrum.wavelengths
    near, far = (grid.low_um, grid.high_um) if grid.falls else (grid.high_um, grid.low_um)
    out = values.copy()
    out[:-1][near[:-1] != far[1:]] = np.nan
    return out


def _stretches(spectrum: Spectrum, lost: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Where bins that are lost begin and end."""
    turns = np.flatnonzero(np.diff(np.r_[False, lost, False].astype(np.int8)))
    grid = spectrum.wavelengths
    return [
        (float(grid.low_um[a:b].min()), float(grid.high_um[a:b].max()))
        for a, b in zip(turns[::2], turns[1::2], strict=True)
    ]


def draw_fields(
    name: str,
    words: str,
    unit: str,
    axes: tuple[Axis, Axis],
    panels: Sequence[tuple[str, Array]],
    mark: str,
) -> bytes:
    """Maps side by side; all but the last, which is a difference, have one range of colours."""
    shown = np.concatenate([values.ravel() for _, values in panels[:-1]])
    limits = (float(np.nanmin(shown)), float(np.nanmax(shown)))
    drawn = [Field(title, *axes, values, limits) for title, values in panels[:-1]]
    title, last = panels[-1]
    return draw(Scene(name, words, unit, (*drawn, Field(title, *axes, last))), mark)
