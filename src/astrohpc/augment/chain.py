"""A chain of transformations over a batch, in one pass: drawn, done, and what it kept told."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrohpc.augment import memory
from astrohpc.augment.draws import draw, partners_within
from astrohpc.augment.policy import Policy
from astrohpc.augment.rules import blocks_of, declared
from astrohpc.augment.sphere import controls_of, globe_of
from astrohpc.augment.trouble import raise_first
from astrohpc.errors import ConfigError
from astrohpc.kernels import desk
from astrohpc.kernels.augment import augment
from astrohpc.kernels.tensors import tensors
from astrohpc.kernels.warp import Controls, Globe
from astrohpc.physics.layout import Layout
from astrohpc.physics.worlds import Worlds

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Augmented:
    """What came of a batch.

    ``lam`` [B] is the sample's own share, ``partner`` [B] the id of the sample that has the rest, or -1:
    labels and planet parameters mix alike. ``residuals`` has by variable, [B, T], how far its total is
    from what it ought to be, relative to the total or, where values have both signs, to that without
    signs. ``declared`` names what is kept to 1e-6 (in bfloat16: before rounding to storage).
    """

    out: Any
    lam: Array
    partner: NDArray[np.int64]
    declared: tuple[str, ...]
    residuals: dict[str, Array]


@dataclass(frozen=True)
class Chain:
    """The transformations of a policy, ready for batches.

    >>> from astrohpc.augment.policy import Mixup
    >>> Chain(Policy(name="mix", mixup=Mixup())).policy.name
    'mix'
    """

    policy: Policy

    def __call__(
        self,
        batch: Any,
        layout: Layout,
        *,
        seed: int,
        samples: ArrayLike,
        partners: ArrayLike | None = None,
        others: Any = None,
        other_samples: ArrayLike | None = None,
        spread: ArrayLike | None = None,
        quality: ArrayLike | None = None,
        worlds: Worlds | None = None,
        other_worlds: Worlds | None = None,
        out: Any = None,
        threads: int = 0,
    ) -> Augmented:
        """Augment ``batch`` [B, T, C, J, I] or [B, C, J, I] of samples ``samples`` [B] (their ids).

        ``partners`` [B] are the ids of the samples that each is mixed with: of this batch, or of
        ``others`` with ids ``other_samples``. Without it partners come from the batch, as a function of
        seed and ids. ``spread`` [C] is what noise is a share of, ``quality`` [B] from 0 to 1 makes more of
        it; with ``worlds`` angular momentum counts the planet's turning. What is drawn for a sample
        depends on seed and id alone. ``threads`` 0 is one on every core.
        """
        own = memory.planes_of(batch, layout, "batch")
        theirs = own if others is None else memory.planes_of(others, layout, "others")
        given = memory.like(batch) if out is None else out
        into = memory.planes_to_fill(given, layout)
        _check_alike(own, theirs, into)
        ids = _ids(samples, "samples", len(own))
        policy, times = self.policy, own.shape[1]
        if policy.jitter and times < 2 and len(ids):
            raise ConfigError(
                "jitter: the batch has one time and nothing to move towards; give a batch with times "
                "(sample, time, channel, lat, lon), or leave jitter out."
            )
        other_ids = ids if others is None else _ids(other_samples, "other_samples", len(theirs))
        mixes = policy.mixup is not None or policy.cutmix is not None
        where = (
            _partners(partners, ids, other_ids, seed, others is not None) if mixes else _none(ids)
        )
        ground = _ground(layout, policy.mass_flux)
        spins = _spins(worlds, other_worlds if others is not None else worlds, where, len(ids))
        draws = draw(
            policy,
            layout,
            seed=seed,
            ids=ids,
            times=times,
            partner=where,
            spread=_spread(spread, policy, layout),
            quality=_quality(quality, len(ids)),
            mean_ps_pa=_mean_ps(own, ground),
            spin_ms=spins,
        )
        report = _run(own, theirs, into, ground, draws, policy, threads)
        raise_first(report, draws, layout, own, theirs, ids, other_ids)
        found = np.where(draws.partner >= 0, other_ids[draws.partner] if len(ids) else ids, -1)
        return Augmented(
            given,
            report.own,
            found.astype(np.int64),
            declared(
                layout,
                policy.mass_flux,
                one_air=_one_air(worlds, worlds if others is None else other_worlds, draws.partner),
            ),
            _residuals(report.totals, layout),
        )


@dataclass(frozen=True, eq=False)
class _Ground:
    globe: Globe
    blocks: desk.Blocks


@lru_cache(maxsize=8)
def _ground(layout: Layout, mass_flux: str) -> _Ground:
    return _Ground(globe_of(layout), blocks_of(layout, mass_flux))


def _run(
    own: memory.Planes,
    theirs: memory.Planes,
    into: memory.Planes,
    ground: _Ground,
    draws: desk.Draws,
    policy: Policy,
    threads: int,
) -> desk.Report:
    count, times = own.shape[:2]
    blocks = ground.blocks
    report = desk.Report(
        np.ones(count),
        np.zeros((count, times, len(blocks.table)), np.int64),
        np.zeros((count, times, len(blocks.table), 3)),
    )
    controls = controls_of(policy.elastic.points if policy.elastic else 8)
    if (
        isinstance(own, memory.OnGpu)
        or isinstance(theirs, memory.OnGpu)
        or isinstance(into, memory.OnGpu)
    ):
        if count:
            _run_on_gpu(own, theirs, into, ground, controls, draws, report)
        return report
    hands = min(threads or len(os.sched_getaffinity(0)), count)

    def work(first: int, last: int) -> None:
        draft = into
        if into.dtype != np.float32:
            draft = np.empty((1, 1, 2 * max(len(blocks.da), 1), into.shape[3]), np.float32)
        augment(
            own, theirs, into, draft, ground.globe, controls, blocks, draws, report, first, last
        )

    if hands == 1:
        work(0, count)
    elif hands > 1:
        ends = [count * k // hands for k in range(hands + 1)]
        with ThreadPoolExecutor(hands) as pool:
            list(pool.map(work, ends[:-1], ends[1:]))
    return report


def _run_on_gpu(
    own: memory.Planes,
    theirs: memory.Planes,
    into: memory.Planes,
    ground: _Ground,
    controls: Controls,
    draws: desk.Draws,
    report: desk.Report,
) -> None:
    from astrohpc.kernels.augment_gpu import augment_gpu  # noqa: PLC0415 - asks for a GPU

    parts = {"batch": own, "others": theirs, "out": into}
    held = {name: getattr(part, "tensor", part) for name, part in parts.items()}
    try:
        on = tensors(held)
        augment_gpu(
            on["batch"],
            on["others"],
            on["out"],
            ground.globe,
            controls,
            ground.blocks,
            draws,
            report,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _residuals(found: Array, layout: Layout) -> dict[str, Array]:
    wanted, got, size = found[..., 0], found[..., 1], found[..., 2]
    scale = np.maximum(np.abs(wanted), size)
    off = np.abs(got - wanted) / np.where(scale > 0.0, scale, 1.0)
    return {block.name: off[..., k] for k, block in enumerate(layout) if block.role != "category"}


def _check_alike(own: memory.Planes, theirs: memory.Planes, into: memory.Planes) -> None:
    if into.shape != own.shape or into.dtype != own.dtype:
        raise ConfigError(
            f"out: has shape {into.shape} of {into.dtype} where the batch has {own.shape} of {own.dtype}; "
            "give one of the same kind."
        )
    if theirs.shape[1] != own.shape[1] or theirs.dtype != own.dtype:
        raise ConfigError(
            f"others: has {theirs.shape[1]} times of {theirs.dtype} where the batch has {own.shape[1]} of "
            f"{own.dtype}; give one of the same kind."
        )
    for array, name in ((own, "batch"), (theirs, "others")):
        if memory.share_memory(array, into):
            raise ConfigError(
                f"out: lies in the memory of {name}, which is read while out is written; give another."
            )


def _ids(samples: ArrayLike | None, name: str, count: int) -> NDArray[np.int64]:
    ids = np.asarray([] if samples is None else samples)
    if ids.shape != (count,) or (count and (ids.dtype.kind not in "iu" or ids.min() < 0)):
        raise ConfigError(
            f"{name}: must be {count} whole numbers from 0 on, one for each sample; give their ids."
        )
    return ids.astype(np.int64)


def _none(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.full(len(ids), -1, np.int64)


def _partners(
    partners: ArrayLike | None,
    ids: NDArray[np.int64],
    other_ids: NDArray[np.int64],
    seed: int,
    elsewhere: bool,
) -> NDArray[np.int64]:
    if partners is None:
        if elsewhere:
            raise ConfigError("partners: others are given but not which of them; give ids.")
        return partners_within(seed, ids) if len(ids) else ids
    wanted = _ids(partners, "partners", len(ids))
    place = {int(number): k for k, number in reversed(list(enumerate(other_ids)))}
    for number in wanted:
        if int(number) not in place:
            raise ConfigError(
                f"partners: sample {number} is not in the {'others' if elsewhere else 'batch'}; give its "
                "fields as others, with other_samples."
            )
    return np.array([place[int(number)] for number in wanted], np.int64)


def _spread(spread: ArrayLike | None, policy: Policy, layout: Layout) -> Array | None:
    if policy.noise is None:
        return None
    values = np.asarray([] if spread is None else spread, np.float64)
    if values.shape != (layout.channels,) or not (np.isfinite(values) & (values >= 0.0)).all():
        raise ConfigError(
            f"spread: noise is a share of each channel's spread; give {layout.channels} numbers from 0 on, "
            "as the statistics of the store."
        )
    return values


def _quality(quality: ArrayLike | None, count: int) -> Array:
    values = np.ones(count) if quality is None else np.asarray(quality, np.float64)
    if values.shape != (count,) or not ((values >= 0.0) & (values <= 1.0)).all():
        raise ConfigError(f"quality: must be {count} numbers from 0 to 1, one for each sample.")
    return values


def _mean_ps(own: memory.Planes, ground: _Ground) -> Array:
    if ground.blocks.pressure < 0:
        return np.full(len(own), float(desk.WITHOUT_PRESSURE_PA))
    channel = int(ground.blocks.table[ground.blocks.pressure, desk.FIRST])
    pressures = memory.as_floats(own[:, 0, channel])
    return np.array([plane.astype(np.float64).mean() for plane in pressures])


def _one_air(worlds: Worlds | None, others: Worlds | None, partner: NDArray[np.int64]) -> bool:
    """Whether all that is mixed has one heat capacity; unless worlds say otherwise it has."""
    if worlds is None or others is None:
        return True
    mixed = partner >= 0
    own, theirs = worlds.heat_capacity_jkgk[mixed], others.heat_capacity_jkgk[partner[mixed]]
    return bool(np.allclose(own, theirs, rtol=1e-9, atol=0.0))


def _spins(
    worlds: Worlds | None, others: Worlds | None, where: NDArray[np.int64], count: int
) -> Array:
    if worlds is None:
        return np.zeros((count, 2))
    if len(worlds) != count or others is None:
        raise ConfigError(
            f"worlds: has {len(worlds)} planets for {count} samples; give one for each, and other_worlds "
            "for others."
        )
    own = worlds.rotation_rate_rads * worlds.radius_m
    theirs = others.rotation_rate_rads * others.radius_m
    if len(theirs) <= where.max(initial=-1):
        raise ConfigError(
            "other_worlds: has fewer planets than there are others; give one for each."
        )
    return np.stack([own, np.where(where >= 0, theirs[where], own) if count else own], axis=1)
