"""Spectra augmented a CPU-second: our one pass, and chains of torch and of numpy that do the same.

All shift up to 10 %, degrade to R 50-500, multiply by a smooth response of 2 % and add photon noise of SNR 10-100,
restore the total after each of the two, and cut gaps. The data are synthetic: lines on a black body, on a grid
even in ln λ, because only there the chains' Gaussian filters are right; ours needs no such grid. All ways run in
this process on one thread, in turns; medians are compared. Without noise all make the same spectra but for narrow
lines, as the chains take a bin's light for even over it.

    python benchmarks/augment_spectra.py --out benchmarks/results/augment_spectra.json
"""

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter1d

from astrohpc.augment.spectra import augment
from astrohpc.augment.spectra_blur import FWHM
from astrohpc.augment.spectra_policy import Draws, SpectraPolicy, amplitude, draw
from astrohpc.gallery.spectrum_files import synthetic_spectrum
from astrohpc.physics.wavelengths import Wavelengths

OURS, TORCH, NUMPY = (
    "ours, one pass",
    "torch, a chain over the batch",
    "numpy and scipy, a spectrum at a time",
)


class Chains:
    """The same steps as arrays of a batch, one after the other, with the same draws."""

    def __init__(self, grid: Wavelengths, policy: SpectraPolicy, drawn: Draws) -> None:
        self.edge = grid.rising[0]
        self.width = grid.width_um
        self.step = float(np.log(self.edge[1] / self.edge[0]))
        self.policy, self.drawn, n = policy, drawn, grid.count
        knots = drawn.knots.shape[1]
        part = (np.log(grid.centre_um) - np.log(grid.centre_um[0])) / np.log(
            grid.centre_um[-1] / grid.centre_um[0]
        )
        line = np.arange(knots + 4) - 3.0
        place = np.minimum(part * (knots - 3), (knots - 3) * (1 - 1e-12))
        self.basis = BSpline.design_matrix(place, line, 3).toarray().astype(np.float32)
        self.size = np.float32(amplitude(policy.response, knots))
        self.sigma = 1.0 / (FWHM * drawn.resolution) / self.step  # in bins
        self.bins = n

    def numpy(self, flux: np.ndarray, noise: bool) -> np.ndarray:
        """As a person writes it with numpy and scipy."""
        out, draws = np.empty_like(flux), np.random.default_rng(1)
        for k, one in enumerate(flux):
            light = np.concatenate([[0.0], np.cumsum(one * self.width)])
            seen = np.interp(
                self.edge / (1.0 + self.drawn.shift[k]), self.edge, light, np.nan, np.nan
            )
            moved = np.diff(seen) / self.width
            lost = np.isnan(moved)
            # Per ln λ the Gaussian keeps light.
            per_log = np.where(lost, 0.0, moved * self.width)
            y = gaussian_filter1d(per_log, self.sigma[k], mode="constant") / self.width
            lost |= (
                gaussian_filter1d(lost.astype(float), self.sigma[k], mode="constant", cval=1.0)
                > 1e-12
            )
            y[lost] = 0.0
            total = (y * self.width).sum()
            y *= 1.0 + self.size * (self.basis @ self.drawn.knots[k])
            y *= total / (y * self.width).sum()
            if noise:
                mean = total / self.width[~lost].sum()
                y += (
                    np.sqrt(np.maximum(y, 0) * mean)
                    / self.drawn.snr[k]
                    * draws.normal(size=self.bins)
                )
                y[lost] = 0.0
                y *= total / (y * self.width).sum()
            y[lost] = np.nan
            for first, last in self.drawn.gaps[k]:
                y[first:last] = np.nan
            out[k] = y
        return out

    def torch(self, flux: torch.Tensor, noise: bool) -> torch.Tensor:
        """As a person writes it for a batch in torch."""
        b, n = flux.shape

        def there(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(flux.device)

        width = there(self.width)
        light = torch.nn.functional.pad(torch.cumsum(flux.double() * width, 1), (1, 0))
        shift = there(self.drawn.shift)[:, None]
        edge = there(self.edge)
        at = (edge / (1.0 + shift)).contiguous()
        place = torch.searchsorted(edge, at).clamp(1, n)
        low, high = edge[place - 1], edge[place]
        part = (at - low) / (high - low)
        seen = torch.gather(light, 1, place - 1) * (1 - part) + torch.gather(light, 1, place) * part
        outside = (at < edge[0]) | (at > edge[-1])
        lost = outside[:, :-1] | outside[:, 1:]
        per_log = torch.where(lost, 0.0, torch.diff(seen, dim=1)).float()
        sigma = there(self.sigma).float()[:, None]
        reach = int(np.ceil(4.0 * self.sigma.max()))
        x = torch.arange(-reach, reach + 1, device=flux.device)
        kernel = torch.exp(-0.5 * (x / sigma) ** 2) * (x.abs() <= 4.0 * sigma)
        kernel /= kernel.sum(1, keepdim=True)
        smooth = torch.nn.functional.conv1d
        y = smooth(per_log[None], kernel[:, None], padding=reach, groups=b)[0] / width.float()
        ends = torch.nn.functional.pad(lost.float()[None], (reach, reach), value=1.0)
        lost = smooth(ends, kernel[:, None], groups=b)[0] > 1e-6
        y = torch.where(lost, 0.0, y)
        w = width.float()
        total = (y * w).sum(1, keepdim=True)
        y = y * (1.0 + self.size * (there(self.drawn.knots) @ there(self.basis).T))
        y = y * (total / (y * w).sum(1, keepdim=True))
        if noise:
            mean = total / (w * ~lost).sum(1, keepdim=True)
            snr = there(self.drawn.snr).float()[:, None]
            y = y + torch.sqrt(y.clamp(min=0.0) * mean) / snr * torch.randn_like(y)
            y = torch.where(lost, 0.0, y)
            y = y * (total / (y * w).sum(1, keepdim=True))
        y = torch.where(lost, torch.nan, y)
        number = torch.arange(n, device=flux.device)
        for g in range(self.drawn.gaps.shape[1]):
            first, last = there(self.drawn.gaps[:, g]).T[..., None]
            y = torch.where((number >= first) & (number < last), torch.nan, y)
        return y


def measure(spectra: int, bins: int, repeats: int) -> dict[str, Any]:
    """CPU seconds of all ways, in turns, and how far apart they are."""
    torch.set_num_threads(1)
    made = synthetic_spectrum(bins)
    grid = made.wavelengths
    flux = np.tile(made.values, (spectra, 1))
    policy = SpectraPolicy()
    ids = np.arange(spectra)
    drawn = draw(policy, 1, ids, bins)
    chains = Chains(grid, policy, drawn)
    tensor = torch.from_numpy(flux)
    out = np.empty_like(flux)
    calm = replace(policy, snr=())
    quiet = replace(drawn, snr=np.full(spectra, np.nan))
    same = augment(flux, grid, calm, seed=1, draws=quiet, threads=1).values
    peers = {NUMPY: chains.numpy(flux, False), TORCH: chains.torch(tensor, False).numpy()}
    difference = {name: float(np.nanmax(np.abs(same - got))) for name, got in peers.items()}
    ways: dict[str, Callable[[], object]] = {
        OURS: lambda: augment(flux, grid, policy, seed=1, out=out, threads=1),
        TORCH: lambda: chains.torch(tensor, True),
        NUMPY: lambda: chains.numpy(flux, True),
    }
    for way in ways.values():
        way()  # compiles
    tracemalloc.start()
    augment(flux, grid, policy, seed=1, out=out, threads=1)
    extra = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name].append(time.process_time() - began)
        print(f"# {repeat + 1}/{repeats}", file=sys.stderr)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    return {
        "spectra": spectra,
        "bins": bins,
        "cpu_s": seconds,
        "median_cpu_s": median,
        "times_ours": {name: took / median[OURS] for name, took in median.items()},
        "largest_difference_without_noise": difference,
        "extra_memory_bytes": extra,
        "batch_bytes": flux.nbytes,
    }


def main() -> None:
    """Measure, print a table and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spectra", type=int, default=256)
    parser.add_argument("--bins", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()
    head = record.provenance("numpy", "numba", "scipy", "torch")
    found = measure(arguments.spectra, arguments.bins, arguments.repeats)
    median, difference = found["median_cpu_s"], found["largest_difference_without_noise"]
    title = f"{arguments.spectra} x {arguments.bins} bins, SYNTHETIC, float32, one thread"
    print(f"| {title} | CPU seconds | times ours | largest difference |")
    print("|---|---|---|---|")
    for name, took in median.items():
        apart = f"{difference[name]:.1e}" if name in difference else ""
        print(f"| {name} | {took:.3f} | {found['times_ours'][name]:.2f} | {apart} |")
    print(
        f"\nextra memory of ours: {100 * found['extra_memory_bytes'] / found['batch_bytes']:.1f} % of the batch"
    )
    if arguments.out:
        result = {
            **head,
            "data": "SYNTHETIC",
            **found,
        }
        record.write(arguments.out, result)


if __name__ == "__main__":
    main()
