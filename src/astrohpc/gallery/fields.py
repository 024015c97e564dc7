"""Each transformation of fields on a climate, then all of them in one pass.

The climate's last three times are the sample, the middle one of which is shown. Its first three are the
partner that it is mixed with, or those of the second member where there is one on the same grid. Totals are
the laws' own amounts, from zonal sums of what came back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.augment.chain import Augmented, Chain
from astrohpc.augment.draws import draw
from astrohpc.augment.policy import CutMix, Elastic, Jitter, Mixup, Noise, Policy
from astrohpc.errors import ConfigError
from astrohpc.gallery.exhibit import Exhibit, Kept, Room
from astrohpc.gallery.pictures import draw_fields
from astrohpc.physics.budgets import amounts
from astrohpc.physics.lawbook import BUDGETS
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import zonal_sums
from astrohpc.physics.worlds import Worlds
from astrohpc.quality.holder import Holder
from astrohpc.quality.request import Opened, mark_of_member, request_of
from astrohpc.quality.settings import CheckSettings
from astrohpc.quality.subject import Fields, Subject, subject_of
from astrohpc.store.scenes import Axis

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

VARIABLES = ("ps", "ta", "hus", "ua", "va")
_TIMES, _SEEN = 3, 1  # times of a sample, and the one that is shown
_OWN, _PARTNER = 0, 1  # numbers of the samples, by which random numbers are drawn
# The laws that follow from what a chain declares.
_LAWS: Mapping[str, str] = {
    "dry_air": "dry_mass",
    "water": "column_water",
    "enthalpy": "enthalpy",
    "angular_momentum": "angular_momentum",
}
_SHOWN = {
    "jitter": ("Temporal jitter", "ua"),
    "elastic": ("Elastic warp", "ua"),
    "mixup": ("Mixup", "ta"),
    "cutmix": ("CutMix", "hus"),
    "noise": ("Noise", "hus"),
    "chain": ("All in one pass", "ta"),
}
# Strong enough to be seen on a coarse grid; training takes less.
_WARP = Elastic(points=12, amplitude_deg=8.0)
_LONG = {
    "ta": "temperature",
    "hus": "specific humidity",
    "ua": "eastward wind",
    "va": "northward wind",
    "ps": "surface pressure",
}
_UNITS = {"ta": "K", "hus": "kg kg-1", "ua": "m s-1", "va": "m s-1", "ps": "Pa"}


@dataclass(frozen=True, eq=False)
class Climate:
    """A sample and its partner, [time, channel, lat, lon] each, and what they are of."""

    title: str
    source: str
    mark: str
    layout: Layout
    own: Floats
    partner: Floats
    worlds: Worlds
    spread: Array


def read_climate(path: Path) -> Climate:
    """The sample and the partner of a store or of NetCDF files."""
    opened = Opened(request_of(path, CheckSettings()), 1, None)
    try:
        names = opened.names().names
        members = [opened.member(number) for number in range(min(2, len(names)))]
        subjects = [
            subject_of(member, f"{path.name} {name}".strip(), VARIABLES)
            for member, name in zip(members, names, strict=False)
        ]
        first = _taken(subjects[0], path)
        theirs = first
        worlds = [_attrs(members[0]), _attrs(members[0])]
        alike = len(subjects) > 1 and subjects[1].names == subjects[0].names
        if alike and _same(subjects[0], subjects[1]):
            theirs, worlds[1] = _taken(subjects[1], path), _attrs(members[1])
        layout = subjects[0].layout
        assert layout is not None
        mark = mark_of_member(members[0]) or opened.names().mark
        said = str(members[0].attrs.get("source") or members[0].attrs.get("title") or path.name)
        for member in members:
            member.close()
    finally:
        opened.close()
    stacked = np.ascontiguousarray(layout.stack(first), np.float32)
    other = np.ascontiguousarray(layout.stack(theirs), np.float32)
    spread = stacked.astype(np.float64).std(axis=(0, 2, 3))
    return Climate(
        path.name,
        said,
        mark.upper(),
        layout,
        stacked[-_TIMES:],
        other[:_TIMES],
        Worlds.of_attributes(worlds),
        spread,
    )


def _attrs(member: Holder) -> Mapping[str, Any]:
    return dict(member.attrs)


def _same(one: Subject, other: Subject) -> bool:
    """Whether two members lie on one grid."""
    a, b = one.layout, other.layout
    return (
        a is not None
        and b is not None
        and a.grid.shape == b.grid.shape
        and np.array_equal(a.da_pa, b.da_pa)
        and np.array_equal(a.db, b.db)
    )


def _taken(subject: Subject, path: Path) -> Fields:
    """All times of the variables that are needed."""
    lacking = [subject.missing[name] for name in VARIABLES if name not in subject.names]
    if lacking:
        raise ConfigError(
            f"{path}: lacks {', '.join(lacking)}, which the gallery shows; give a climate with "
            f"{', '.join(VARIABLES)} on a model's own layers."
        )
    if subject.samples < _TIMES:
        raise ConfigError(
            f"{path}: has {subject.samples} times, and jitter needs {_TIMES}; give a climate with more."
        )
    blocks = [fields for _, fields in subject.blocks()]
    return {name: np.concatenate([fields[name] for fields in blocks]) for name in VARIABLES}


def fields_room(climate: Climate, seed: int) -> Room:
    """All exhibits of a climate."""
    exhibits = tuple(_exhibit(climate, policy, seed) for policy in _policies())
    return Room("fields", f"Climate: {climate.title}", climate.source, climate.mark, exhibits)


def _policies() -> Iterator[Policy]:
    """One transformation each, then the whole."""
    yield Policy(name="jitter", jitter=Jitter(step=0.5))
    yield Policy(name="elastic", elastic=_WARP)
    yield Policy(name="mixup", mixup=Mixup(concentration=1.0))
    yield Policy(name="cutmix", cutmix=CutMix(low=0.2, high=0.4))
    yield Policy(name="noise", noise=Noise(share=0.05))
    yield Policy(
        name="chain",
        jitter=Jitter(step=0.5),
        elastic=_WARP,
        mixup=Mixup(concentration=1.0),
        noise=Noise(share=0.02),
    )


def _exhibit(climate: Climate, policy: Policy, seed: int) -> Exhibit:
    mixes = policy.mixup is not None or policy.cutmix is not None
    mixing: dict[str, Any] = {}
    if mixes:
        mixing = {
            "partners": [_PARTNER],
            "others": climate.partner[None],
            "other_samples": [_PARTNER],
            "other_worlds": climate.worlds.take([1]),
        }
    made = Chain(policy)(
        climate.own[None],
        climate.layout,
        seed=seed,
        samples=[_OWN],
        spread=climate.spread if policy.noise else None,
        worlds=climate.worlds.take([0]),
        threads=1,
        **mixing,
    )
    title, shown = _SHOWN[policy.name]
    return Exhibit(
        f"fields-{policy.name}",
        title,
        _done(policy, made),
        ", ".join(name.replace("_", " ") for name in made.declared),
        tuple(_kept(climate, policy, made, seed)),
        _picture(climate, shown, made, mixes=mixes),
    )


def _done(policy: Policy, made: Augmented) -> str:
    """What was asked for, and drawn, in words."""
    parts = []
    if policy.jitter:
        parts.append(f"up to ±{policy.jitter.step:g} of a step of time")
    if policy.elastic:
        parts.append(
            f"{policy.elastic.points} control points turn by up to {policy.elastic.amplitude_deg:g}°, "
            f"layers by {100 * policy.elastic.layers:g} % of their mass"
        )
    if policy.mixup or policy.cutmix:
        where = "in a cap" if policy.cutmix else "everywhere"
        parts.append(f"{100 * (1 - float(made.lam[0])):.1f} % of the partner {where}")
    if policy.noise:
        parts.append(f"noise of {100 * policy.noise.share:g} % of each layer's spread")
    return "; ".join(parts)


def _kept(climate: Climate, policy: Policy, made: Augmented, seed: int) -> Iterator[Kept]:
    """Laws' amounts; then the worst that the chain itself measured of all variables and times."""
    layout, share = climate.layout, float(made.lam[0])
    before, after = _amounts(climate, climate.own, 0), _amounts(climate, made.out[0], 0)
    partner = _amounts(climate, climate.partner, 1)
    first, part = _moment(climate, policy, seed)
    earlier, later = (_amounts(climate, climate.own, 0, time) for time in (first, first + 1))
    for name, law in _LAWS.items():
        if name not in made.declared or law not in before:
            continue
        (value, scale), found = before[law], after[law][0]
        own = (1.0 - part) * earlier[law][0] + part * later[law][0]
        wanted = share * own + (1.0 - share) * partner[law][0]
        about = BUDGETS[law]
        yield Kept(about.title, about.unit, value, wanted, found, abs(scale))
    kept = [block for block in layout if block.role != "northward"]
    off = max(float(np.max(made.residuals[block.name])) for block in kept)
    names = ", ".join(block.name for block in kept)
    yield Kept(f"worst of all means ({names}), by the chain", "", 0.0, 0.0, off, 1.0)
    fields = layout.split(made.out)
    positive = [block.name for block in layout if block.positive]
    below = sum(int((fields[name] < 0.0).sum()) for name in positive)
    yield Kept(f"values below zero of {', '.join(positive)}", "", 0.0, 0.0, float(below), 1.0, 0.0)


def _moment(climate: Climate, policy: Policy, seed: int) -> tuple[int, float]:
    """The time before the one that jitter chose, and the part of the way to the next."""
    drawn = draw(
        Policy(name="moment", jitter=policy.jitter),
        climate.layout,
        seed=seed,
        ids=np.array([_OWN], np.int64),
        times=_TIMES,
        partner=np.array([-1], np.int64),
        spread=None,
        quality=np.ones(1),
        mean_ps_pa=np.zeros(1),
        spin_ms=np.zeros((1, 2)),
    )
    return int(drawn.before[0, _SEEN]), float(drawn.part[0, _SEEN])


def _amounts(
    climate: Climate, values: Floats, world: int, time: int = _SEEN
) -> dict[str, tuple[float, float]]:
    """Value and scale by law."""
    fields = climate.layout.split(np.ascontiguousarray(values[time : time + 1]))
    sums = zonal_sums(fields, climate.layout, threads=1)
    found = amounts(sums, climate.layout, climate.worlds.take([world]), only=tuple(_LAWS.values()))
    return {name: (float(a.value[0]), float(a.scale[0])) for name, a in found.items()}


def _picture(climate: Climate, name: str, made: Augmented, *, mixes: bool) -> bytes:
    """A map of one layer in the middle of the air: before, the partner where there is one, after."""
    layout = climate.layout
    level = int(np.argmin(np.abs(np.cumsum(layout.db) - 0.6)))

    def at(values: Floats) -> Array:
        return np.asarray(layout.split(values)[name][_SEEN, level], np.float64)

    before, after = at(climate.own), at(made.out[0])
    panels = [("before", before), ("after", after), ("difference", after - before)]
    if mixes:
        panels.insert(1, ("partner", at(climate.partner)))
    grid = layout.grid
    axes = (
        Axis("lat", "lat", "degrees_north", grid.lat_deg),
        Axis("lon", "lon", "degrees_east", grid.lon_deg),
    )
    words = f"{_LONG[name]}, layer {level + 1} of {len(layout.db)} from space"
    return draw_fields(name, words, _UNITS[name], axes, panels, climate.mark)
