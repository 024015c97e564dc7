"""Bringing predicted climates onto what an equilibrium must keep, with each planet's own constants.

A mean climate that was predicted, and not simulated, need not balance. Each projection here takes away
exactly what one law says is left over, by the least and most uniform change, and returns only what it
changed. It works on fields ``[S, L, J, I]`` and ``[S, J, I]`` of numpy or torch, in double precision with
autocast off, and is differentiable.

Soft in training, exact at inference: :func:`soft_losses` are squared relative residuals of the same laws.
Nobody trains through a projection, for what it overwrites would then never be learned.

The order matters: bounds come first, for they change means; then the air's mass, then winds that carry
that air, heights of its layers, and light at the top last.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics import laws
from astrohpc.physics.hydrostatic import Hydrostatic
from astrohpc.physics.integrals import Integrals, like
from astrohpc.physics.law import Amount
from astrohpc.physics.layout import POSITIVE, Layout
from astrohpc.physics.sums import zonal_sums, zonal_sums_torch
from astrohpc.physics.worlds import Known

Array = NDArray[np.float64]
Fields = Mapping[str, Any]

_SHARES = frozenset(
    {"hus", "clw", "cli", "clt", "cl", "siconc", "ice", "sftlf"}
    | {"surface_albedo", "planetary_albedo"}
)


class Projection(Protocol):
    """One law that a prediction is brought to keep. Frozen dataclasses of numbers that JSON can hold."""

    name: ClassVar[str]  # of the law in astrohpc.physics.lawbook
    needs: ClassVar[tuple[str, ...]]
    changes: ClassVar[tuple[str, ...]]  # empty: whatever lies outside what is possible

    def __call__(self, fields: Fields, layout: Layout, known: Known) -> dict[str, Any]:
        """The fields that it changes, in double precision."""

    def loss(self, fields: Fields, layout: Layout, known: Known) -> Any:
        """The squared relative residual of each sample, [S]; nought where nothing would change."""


# ----------------------------------------------------------------------------- the projections
@dataclass(frozen=True)
class Bounds:
    """Shares lie in 0…1 and what is never negative is not; gradients pass as if nothing were cut off."""

    name: ClassVar[str] = "bounds"
    needs: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[tuple[str, ...]] = ()

    def __call__(self, fields: Fields, layout: Layout, known: Known) -> dict[str, Any]:
        """What lay outside, at the bound."""
        del known
        found = {}
        for name, values, inside in self._inside(fields, layout):
            if bool((inside != values).any()):
                found[name] = inside
                if not isinstance(values, np.ndarray):
                    # Cells at a bound would never leave it again if no gradient reached them.
                    found[name] = inside.detach() + (values - values.detach())
        return found

    def loss(self, fields: Fields, layout: Layout, known: Known) -> Any:
        """Mean square of what lies outside, of the mean square of all."""
        total: Any = like(next(iter(fields.values())), np.zeros(len(known.pressure_pa)))
        for _, values, inside in self._inside(fields, layout):
            axes = tuple(range(1, values.ndim))
            outside, size = ((part * part).mean(axes) for part in (values - inside, values))
            total = total + outside / (size + np.finfo(np.float64).tiny)
        return total

    def _inside(self, fields: Fields, layout: Layout) -> Iterator[tuple[str, Any, Any]]:
        for block in layout:
            if block.name in _SHARES | POSITIVE:
                values = fields[block.name]
                most = 1.0 if block.name in _SHARES else None
                yield block.name, values, values.clip(0.0, most)


@dataclass(frozen=True)
class DryMass:
    """The air weighs what the planet's does: surface pressure times one factor a planet."""

    name: ClassVar[str] = "dry_mass"
    needs: ClassVar[tuple[str, ...]] = ("ps",)
    changes: ClassVar[tuple[str, ...]] = ("ps",)

    def __call__(self, fields: Fields, layout: Layout, known: Known) -> dict[str, Any]:
        """``ps``; a factor, unlike an offset, keeps it above nothing and its pattern what it was."""
        factor = 1.0 / (1.0 + self._excess(fields, layout, known))
        return {"ps": fields["ps"] * factor[:, None, None]}

    def loss(self, fields: Fields, layout: Layout, known: Known) -> Any:
        """Of the planet's mass."""
        return self._excess(fields, layout, known) ** 2

    def _excess(self, fields: Fields, layout: Layout, known: Known) -> Any:
        mass = laws.dry_mass(_integrals(fields, layout, self.needs), known.worlds).value
        return mass / like(mass, known.pressure_pa / known.worlds.gravity_ms2) - 1.0


@dataclass(frozen=True)
class MeridionalMassFlux:
    """No air gathers at a pole: the mass-weighted mean of each row's northward wind is nought.

    Exact for the wind and the pressure that are given. A model's own means leave out how the two vary
    together, so that they keep it only nearly.
    """

    name: ClassVar[str] = "meridional_mass_flux"
    needs: ClassVar[tuple[str, ...]] = ("va", "ps")
    changes: ClassVar[tuple[str, ...]] = ("va",)

    def __call__(self, fields: Fields, layout: Layout, known: Known) -> dict[str, Any]:
        """``va`` less its row's mean."""
        rows = self._measured(fields, layout, known).rows
        return {"va": fields["va"] - rows[:, None, :, None]}

    def loss(self, fields: Fields, layout: Layout, known: Known) -> Any:
        """Mean square over the sphere of the rows' means, of the mean square of the wind."""
        amount = self._measured(fields, layout, known)
        share = like(amount.rows, layout.share * layout.grid.shape[1])
        return (amount.rows**2 * share).sum(-1) / amount.scale**2

    def _measured(self, fields: Fields, layout: Layout, known: Known) -> Amount:
        return laws.meridional_mass_flux(_integrals(fields, layout, self.needs), known.worlds)


@dataclass(frozen=True)
class ToaEnergy:
    """Light absorbed is infrared sent out, but for an imbalance: one offset of ``rlut`` a planet.

    Nought is physics. Climates that are not quite settled, or whose model loses energy on its way, have
    an imbalance of their own, and a prediction of them is brought to it.
    """

    name: ClassVar[str] = "toa_energy"
    needs: ClassVar[tuple[str, ...]] = ("rsut", "rlut")
    changes: ClassVar[tuple[str, ...]] = ("rlut",)

    imbalance_wm2: float = 0.0

    def __call__(self, fields: Fields, layout: Layout, known: Known) -> dict[str, Any]:
        """``rlut``."""
        net, _ = self.measured(fields, layout, known)
        return {"rlut": fields["rlut"] + (net - self.imbalance_wm2)[:, None, None]}

    def loss(self, fields: Fields, layout: Layout, known: Known) -> Any:
        """Of the starlight."""
        net, light = self.measured(fields, layout, known)
        return ((net - self.imbalance_wm2) / light) ** 2

    @classmethod
    def measured(cls, fields: Fields, layout: Layout, known: Known) -> tuple[Any, Any]:
        """What is taken in and not sent out, and the starlight, W m-2 [S]; known where not predicted."""
        if "rsdt" not in fields:
            light = like(fields["rlut"], known.starlight_wm2[:, None, None])
            fields = {**fields, "rsdt": light + 0.0 * fields["rlut"]}
        integrals = _integrals(fields, layout, ("rsdt", "rsut", "rlut"))
        amount = laws.toa_energy(integrals, known.worlds)
        return amount.value, amount.scale


_KINDS: tuple[type[Any], ...] = (Bounds, DryMass, MeridionalMassFlux, Hydrostatic, ToaEnergy)
ORDER: tuple[str, ...] = tuple(kind.name for kind in _KINDS)


# ----------------------------------------------------------------------------- lists of them
def project(
    fields: Fields, layout: Layout, known: Known, projections: Sequence[Projection]
) -> dict[str, Any]:
    """Do them in turn, each on what those before it left; only what changed, in double precision."""
    _check(fields, projections)
    with _exactly(fields):
        whole = {name: _double(values) for name, values in fields.items()}
        changed: dict[str, Any] = {}
        for one in projections:
            changed |= one(whole | changed, layout, known)
        return changed


def soft_losses(
    fields: Fields, layout: Layout, known: Known, projections: Sequence[Projection]
) -> dict[str, Any]:
    """What each of them would have to mend: squared relative residuals by name, [S]."""
    _check(fields, projections)
    with _exactly(fields):
        whole = {name: _double(values) for name, values in fields.items()}
        return {one.name: one.loss(whole, layout, known) for one in projections}


def made_for(
    fields: Mapping[str, NDArray[Any]],
    layout: Layout,
    known: Known,
    names: Sequence[str] = ORDER,
    *,
    imbalance_wm2: float | None = None,
) -> tuple[Projection, ...]:
    """Those of these names that the fields have the variables for, in order, as such data need them.

    Spreads and distances of levels are the data's own, and so is the top's imbalance, unless it is given.
    """
    for name in names:
        if name not in ORDER:
            raise ConfigError(
                f"projections: {name!r} is none; write some of {', '.join(ORDER)}, or none."
            )
    whole = {name: _double(values) for name, values in fields.items()}
    found: list[Projection] = []
    for kind in _KINDS:
        if kind.name not in names or not all(need in fields for need in kind.needs):
            continue
        if kind is Hydrostatic:
            found.append(Hydrostatic.of_data(whole, layout, known))
        elif kind is ToaEnergy:
            if imbalance_wm2 is None:
                imbalance_wm2 = float(np.median(ToaEnergy.measured(whole, layout, known)[0]))
            found.append(ToaEnergy(imbalance_wm2))
        else:
            found.append(kind())
    return tuple(found)


def described(projections: Sequence[Projection]) -> list[dict[str, Any]]:
    """As JSON holds them."""
    return [{"name": one.name, **asdict(cast(Any, one))} for one in projections]


def restored(written: Sequence[Mapping[str, Any]]) -> tuple[Projection, ...]:
    """What :func:`described` wrote."""
    kinds = {kind.name: kind for kind in _KINDS}
    found = []
    for one in written:
        settings = {key: value for key, value in one.items() if key != "name"}
        if one.get("name") not in kinds:
            raise ConfigError(
                f"projections: {one.get('name')!r} is none that this version knows; update this "
                "installation."
            )
        found.append(kinds[one["name"]](**settings))
    return tuple(found)


# ----------------------------------------------------------------------------- details
def _check(fields: Fields, projections: Sequence[Projection]) -> None:
    for one in projections:
        lacking = [name for name in one.needs if name not in fields]
        if lacking:
            raise ConfigError(
                f"{one.name}: needs {', '.join(lacking)} as well; predict them, or leave it out."
            )


def _integrals(fields: Fields, layout: Layout, names: Sequence[str]) -> Integrals:
    """Of a few variables, by the laws' own sums."""
    chosen = {name: fields[name] for name in names}
    part = Layout.of_fields(chosen, layout.grid, layout.layers)
    one = next(iter(chosen.values()))
    if isinstance(one, np.ndarray):
        return Integrals(zonal_sums(chosen, part, threads=1), part)
    return Integrals(zonal_sums_torch(chosen, part), part)


def _double(values: Any) -> Any:
    return values.astype(np.float64) if isinstance(values, np.ndarray) else values.double()


@contextlib.contextmanager
def _exactly(fields: Fields) -> Iterator[None]:
    """No autocast inside: differences of large sums would be lost in half precision."""
    one = next(iter(fields.values()))
    if isinstance(one, np.ndarray):
        yield
        return
    import torch  # noqa: PLC0415 - only who has tensors has torch

    with torch.autocast(one.device.type, enabled=False):
        yield
