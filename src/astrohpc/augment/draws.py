"""What is drawn for each sample of a batch: functions of seed, sample and operation, and of nothing else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from astrohpc.augment.policy import CutMix, Elastic, Jitter, Mixup, Noise, Policy
from astrohpc.kernels.desk import Draws
from astrohpc.kernels.random import uniforms
from astrohpc.physics.layout import Layout

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

# Operations, as they stand in the keys of random numbers.
ELASTIC, MIXUP, CUTMIX, NOISE, JITTER, PARTNER, NOISE_OR_NOT = range(1, 8)


def draw(
    policy: Policy,
    layout: Layout,
    *,
    seed: int,
    ids: Ids,
    times: int,
    partner: NDArray[np.int64],
    spread: Array | None,
    quality: Array,
    mean_ps_pa: Array,
    spin_ms: Array,
) -> Draws:
    """The draws for samples ``ids`` [B]; ``partner`` [B] is where each one's partner stands."""
    before, part = _times(policy.jitter, seed, ids, times)
    warped, half, upper, weight = _warps(policy.elastic, layout, seed, ids, mean_ps_pa)
    mixture, mixed = _mixtures(policy.mixup, seed, ids)
    caps, capped = _caps(policy.cutmix, seed, ids)
    # Kernels are compiled for one order in memory.
    ordered = np.ascontiguousarray
    return Draws(
        before=ordered(before),
        part=ordered(part),
        warped=warped,
        half=ordered(half),
        upper=ordered(upper),
        weight=ordered(weight),
        partner=ordered(np.where(mixed | (capped == 1), partner, -1).astype(np.int64)),
        mixture=mixture,
        capped=capped,
        caps=caps,
        sigma=_sigmas(policy.noise, layout, seed, ids, spread, quality),
        low=(ids & 0xFFFFFFFF).astype(np.uint32),
        high=(ids >> 32).astype(np.uint32),
        seed=np.uint32(seed),
        operation=np.uint32(NOISE),
        spin=ordered(spin_ms),
    )


def partners_within(seed: int, ids: Ids) -> NDArray[np.int64]:
    """A partner for each sample from the batch itself: a function of the seed and the set of ids.

    The ids are put in an order of the seed's, each takes the next one, the last takes the first.
    """
    key = uniforms(seed, PARTNER, ids, (1,))[:, 0]
    order = np.lexsort((ids, key))
    place = np.empty(len(ids), np.int64)
    place[order] = np.roll(order, -1)
    return place


def _uniform(seed: int, operation: int, ids: Ids, count: int) -> Array:
    return uniforms(seed, operation, ids, (count,)).astype(np.float64)


def _times(
    jitter: Jitter | None, seed: int, ids: Ids, times: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    at = np.broadcast_to(np.arange(times, dtype=np.float64), (len(ids), times))
    if jitter:
        u = _uniform(seed, JITTER, ids, 2)
        moved = np.where(u[:, :1] < jitter.probability, jitter.step * (2.0 * u[:, 1:] - 1.0), 0.0)
        at = np.clip(at + moved, 0.0, times - 1.0)
    before = np.minimum(np.floor(at), max(times - 2, 0)).astype(np.int64)
    return before, (at - before).astype(np.float32)


def _warps(
    elastic: Elastic | None, layout: Layout, seed: int, ids: Ids, mean_ps_pa: Array
) -> tuple[NDArray[np.uint8], Array, NDArray[np.int64], NDArray[np.float32]]:
    count = len(ids)
    levels = layout.layers.count if layout.layers else 0
    warped = np.zeros(count, np.uint8)
    upper = np.broadcast_to(np.arange(levels, dtype=np.int64), (count, levels)).copy()
    weight = np.zeros((count, levels), np.float32)
    if elastic is None:
        return warped, np.zeros((count, 1, 3)), upper, weight
    u = _uniform(seed, ELASTIC, ids, 3 + 3 * elastic.points)
    warped = (u[:, 0] < elastic.probability).astype(np.uint8)
    turn = np.radians(elastic.amplitude_deg) / np.sqrt(3.0) * (2.0 * u[:, 3:] - 1.0)
    if levels > 1 and elastic.layers > 0.0:
        for s in np.flatnonzero(warped):
            bends = 0.5 * elastic.layers * (2.0 * u[s, 1:3] - 1.0)
            upper[s], weight[s] = displaced(layout, float(mean_ps_pa[s]), bends)
    return warped, 0.5 * turn.reshape(count, elastic.points, 3), upper, weight


def displaced(
    layout: Layout, ps_pa: float, bends: Sequence[float] | Array
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """From which two levels each comes, where mass is moved by m (1 - m) (a + b (1 - 2 m)).

    m is the part of the column's mass above, at a surface pressure; the top and the ground stay.
    """
    dp = layout.da_pa + layout.db * ps_pa
    if not (dp > 0.0).all():  # the kernel says where
        return np.arange(len(dp)), np.zeros(len(dp), np.float32)
    middle = (np.cumsum(dp) - 0.5 * dp) / dp.sum()
    a, b = bends
    source = middle + middle * (1.0 - middle) * (a + b * (1.0 - 2.0 * middle))
    upper = np.clip(np.searchsorted(middle, source), 1, len(middle) - 1)
    gap = middle[upper] - middle[upper - 1]
    weight = np.clip((middle[upper] - source) / gap, 0.0, 1.0)
    return upper.astype(np.int64), weight.astype(np.float32)


def _mixtures(
    mixup: Mixup | None, seed: int, ids: Ids
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if mixup is None:
        return np.zeros(len(ids), np.float32), np.zeros(len(ids), bool)
    u = _uniform(seed, MIXUP, ids, 2)
    mixed = u[:, 0] < mixup.probability
    own = betaincinv(mixup.concentration, mixup.concentration, u[:, 1])
    return np.where(mixed, 1.0 - own, 0.0).astype(np.float32), mixed


def _caps(cutmix: CutMix | None, seed: int, ids: Ids) -> tuple[Array, NDArray[np.uint8]]:
    caps = np.zeros((len(ids), 5))
    if cutmix is None:
        return caps, np.zeros(len(ids), np.uint8)
    u = _uniform(seed, CUTMIX, ids, 4)
    z, turn = 2.0 * u[:, 1] - 1.0, 2.0 * np.pi * u[:, 2]
    level = np.sqrt(1.0 - z * z)
    part = cutmix.low + (cutmix.high - cutmix.low) * u[:, 3]
    radius, soft = np.arccos(1.0 - 2.0 * part), 0.5 * np.radians(cutmix.edge_deg)
    caps[:, 0], caps[:, 1], caps[:, 2] = level * np.cos(turn), level * np.sin(turn), z
    caps[:, 3] = np.cos(np.maximum(radius - soft, 0.0))
    caps[:, 4] = np.cos(np.minimum(radius + soft, np.pi))
    return caps, (u[:, 0] < cutmix.probability).astype(np.uint8)


def _sigmas(
    noise: Noise | None, layout: Layout, seed: int, ids: Ids, spread: Array | None, quality: Array
) -> NDArray[np.float32]:
    if noise is None or spread is None:
        return np.zeros((len(ids), layout.channels), np.float32)
    applied = _uniform(seed, NOISE_OR_NOT, ids, 1)[:, 0] < noise.probability
    factor = np.where(applied, noise.share * (1.0 + noise.gain * (1.0 - quality)), 0.0)
    return (factor[:, None] * spread[None]).astype(np.float32)
