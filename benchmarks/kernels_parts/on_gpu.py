"""Where a GPU is: the three kernels' ways on one batch each, next to a copy and to others' operations.

Seconds are wall time between two waits for the GPU, of the whole call with all that the processor does
for it, unless a name says otherwise; the first call, which compiles, is left out. A share of the copy is
bytes that have to be moved a second, against those that a device-to-device copy moves (read and written).
What a peer cannot do is recorded in its own words.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import augment as chains
import augment_spectra as spectra
import budgets
import numpy as np
import torch

from astrohpc.augment.spectra import augment, grid_of, plan_of
from astrohpc.augment.spectra_blur import nodes_of
from astrohpc.augment.spectra_policy import SpectraPolicy, amplitude, draw
from astrohpc.gallery.spectrum_files import synthetic_spectrum
from astrohpc.kernels import spectra_desk as desk
from astrohpc.kernels.spectra_gpu import SpectraOnGpu
from astrohpc.kernels.tensors import tensors
from astrohpc.physics.budgets import evaluate
from astrohpc.physics.sums import zonal_sums, zonal_sums_torch
from astrohpc.physics.worlds import Worlds
from kernels_parts.counted import chain_bytes, spectra_bytes, zonal_bytes

DEVICE = "cuda"
BINS = 4096
_PEERS_SPECTRA = 4096  # of the batch: peers take many times its memory
_MAPPED_SAMPLES = 4  # of the batch: this takes a call for each of their planes
_READ_AND_WRITE = 2.0


@dataclass(frozen=True)
class Way:
    """One way to do something: the bytes of batch that it does, and how often they have to be moved."""

    work: Callable[[], object]
    size: int
    moved: float


Found = tuple[dict[str, Way], dict[str, int]]


def measure(gigabytes: float, repeats: int) -> dict[str, Any]:
    """All of it on the GPU that is torch's current one."""
    copy = copied(gigabytes, repeats)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "copy_gb_s": copy,
    }
    for part in (_budgets, _chain, _spectra):
        ways, moved = part(gigabytes)
        name = part.__name__.strip("_")
        found[name] = {}
        for title, way in ways.items():
            one = timed(way.work, way.size, repeats)
            if "gb_s" in one:
                one["share_of_copy"] = one["gb_s"] * way.moved / copy
            found[name][title] = one
        found[name]["bytes"] = moved
        torch.cuda.empty_cache()
    return found


def copied(gigabytes: float, repeats: int) -> float:
    """GB/s, read and written, of a device-to-device copy of such a batch."""
    one = torch.zeros(int(gigabytes * 1e9) // 4, device=DEVICE)
    other = torch.empty_like(one)
    found = timed(lambda: other.copy_(one), 2 * one.nbytes, repeats)
    return float(found["gb_s"])


def timed(work: Callable[[], object], size: int, repeats: int) -> dict[str, Any]:
    """Median seconds, and GB/s of so many bytes."""
    seconds = []
    try:
        for repeat in range(-1, repeats):
            torch.cuda.synchronize()
            began = time.perf_counter()
            work()
            torch.cuda.synchronize()
            if repeat >= 0:
                seconds.append(time.perf_counter() - began)
    except Exception as error:  # noqa: BLE001 - a peer may want more memory than there is, or not compile
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"seconds": seconds, "gb_s": size / statistics.median(seconds) / 1e9}


def _budgets(gigabytes: float) -> Found:
    layout, stack = budgets.batch(int(gigabytes * 1e9 / 2**20))
    fields = layout.split(torch.from_numpy(stack).to(DEVICE))
    worlds = Worlds(*(np.full(len(stack), value) for value in (6e6, 9.8, 7e-5, 287.0, 1004.0)))
    compiled = torch.compile(lambda its: vars(zonal_sums_torch(its, layout)))
    moved = zonal_bytes(layout, len(stack))

    def way(run: Callable[[], object]) -> Way:
        return Way(run, stack.nbytes, times_moved(moved))

    return {
        "sums by zonal.cu, and all budgets": way(
            lambda: evaluate(zonal_sums(fields, layout), layout, worlds)
        ),
        "sums by zonal.cu": way(lambda: zonal_sums(fields, layout)),
        "sums by torch": way(lambda: zonal_sums_torch(fields, layout)),
        "sums by torch, compiled": way(lambda: compiled(fields)),
    }, moved


def times_moved(moved: dict[str, int]) -> float:
    """How often a batch's bytes have to be moved."""
    return (moved["read"] + moved["written"]) / moved["batch"]


def _chain(gigabytes: float) -> Found:
    grid, levels, samples, times = chains.SIZES["300 MB"]
    one = 289e6 / samples
    chains.SIZES["on a GPU"] = (grid, levels, max(2, int(gigabytes * 1e9 / one)), times)
    work = chains.Work("on a GPU", DEVICE)
    compiled = torch.compile(work.torch_chain)
    ways = work.ways()
    size, few = work.batch.nbytes, min(len(work.batch), _MAPPED_SAMPLES)
    moved = chain_bytes(work.layout, *work.batch.shape[:2])

    def way(run: Callable[[], object]) -> Way:
        return Way(run, size, times_moved(moved))

    return {
        "chain by augment.cu": way(ways[chains.OURS]),
        "chain by torch": way(ways["torch chain"]),
        "chain by torch, compiled": way(lambda: compiled(work.batch, work.draws)),
        "warp alone by map_coordinates of cupyx, a plane at a time": Way(
            lambda: mapped(work, few), size * few // len(work.batch), _READ_AND_WRITE
        ),
    }, moved


def mapped(work: chains.Work, samples: int) -> None:
    """The warp of samples as a person writes it with cupyx.scipy.ndimage."""
    import cupy
    from cupyx.scipy import ndimage

    rows, columns = work.layout.grid.shape
    at, _, _ = work.torch_chain.source(work.draws)
    places = torch.stack([(at[..., 1] + 1.0) * (rows + 1) / 2, (at[..., 0] + 1.0) * columns / 2], 1)
    part = work.batch[:samples].flatten(1, 2)
    across = part.roll(columns // 2, -1)
    planes = cupy.asarray(torch.cat([across[..., :1, :], part, across[..., -1:, :]], -2))
    where, out = cupy.asarray(places), cupy.empty(part.shape, cupy.float32)
    for s in range(samples):
        for c in range(part.shape[1]):
            out[s, c] = ndimage.map_coordinates(planes[s, c], where[s], order=1, mode="grid-wrap")


def _spectra(gigabytes: float) -> Found:
    made = synthetic_spectrum(BINS)
    grid, policy = made.wavelengths, SpectraPolicy()
    count = max(2, int(gigabytes * 1e9 / 4 / BINS))
    flux = torch.from_numpy(made.values).reshape(1, BINS).to(DEVICE).repeat(count, 1)
    out, ids = torch.empty_like(flux), np.arange(count)
    drawn = draw(policy, 1, ids, BINS)
    few = min(count, _PEERS_SPECTRA)
    peers = spectra.Chains(grid, policy, drawn.part(slice(0, few)))
    nodes = nodes_of(grid, drawn.resolution, policy.native_resolution)
    at = grid_of(grid, drawn.knots.shape[1], nodes)
    size = amplitude(policy.response, drawn.knots.shape[1])
    manner = desk.Manner(1, 0, size, desk.PHOTON, policy.keep_total, policy.positive)
    plan = plan_of(policy, grid, drawn, nodes, ids)

    def planned() -> None:
        held = tensors({"flux": flux, "out": out})
        SpectraOnGpu(held["flux"], held["out"], at, manner).augment(0, plan)

    compiled = torch.compile(lambda some: peers.torch(some, True))
    moved = spectra_bytes(
        count, BINS, plan.weight.shape[1], plan.knots.shape[1], plan.gaps.shape[1]
    )

    def way(run: Callable[[], object], spectra: int) -> Way:
        return Way(run, spectra * (flux.nbytes // count), times_moved(moved))

    return {
        "spectra by spectra.cu, plans made before": way(planned, count),
        "spectra by spectra.cu": way(lambda: augment(flux, grid, policy, seed=1, out=out), count),
        "spectra by torch": way(lambda: peers.torch(flux[:few], True), few),
        "spectra by torch, compiled": way(lambda: compiled(flux[:few]), few),
    }, moved
