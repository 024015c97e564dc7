"""What is done to values on their way into the store: other layers, another grid, fewer digits.

Each file's own grid is read from its axes, so that members may come on different ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.store.look import Look
from astrohpc.store.settings import StoreSettings
from astrohpc.store.source import BadSource, Variable

if TYPE_CHECKING:  # scipy and numba take a second and 60 MiB, which most conversions need not pay
    from astrohpc.physics.latlon import LatLon
    from astrohpc.physics.regrid import Regridder
    from astrohpc.physics.vertical import LayerEdges

_NORTH = ("degrees_north", "degree_north", "degree_n", "degrees_n")
_EAST = ("degrees_east", "degree_east", "degree_e", "degrees_e")


@dataclass(frozen=True, eq=False)
class Layers:
    """One file's layers, the store's, and the surface pressure that both hang on."""

    source: "LayerEdges"
    target: "LayerEdges"
    axis: int  # of the variable's own axes
    ps: Variable


@dataclass(frozen=True, eq=False)
class Treatment:
    """What one variable of one file goes through, in this order."""

    layers: Layers | None = None
    regrid: "Regridder | None" = None

    def apply(self, values: NDArray[Any], ps_pa: NDArray[Any] | None) -> NDArray[Any]:
        """Values with gaps as NaN (..., [lev], lat, lon), treated; gaps are NaN again."""
        if self.layers is not None:
            from astrohpc.physics.vertical import remap_layers  # noqa: PLC0415

            assert ps_pa is not None
            values = remap_layers(values, ps_pa, self.layers.source, self.layers.target)
        if self.regrid is not None:
            values = self.regrid.apply(values)
        return values


class Treatments:
    """The treatments that a store asks for, each grid's weights computed once."""

    def __init__(self, settings: StoreSettings) -> None:
        self.grid: LatLon | None = None
        self.layers: LayerEdges | None = None
        self._method = settings.regrid_method
        self._known: dict[bytes, Regridder] = {}
        if settings.regrid:
            from astrohpc.physics.latlon import target_grid  # noqa: PLC0415

            self.grid = target_grid(settings.regrid)
        if settings.levels:
            from astrohpc.physics.vertical import sigma_layers  # noqa: PLC0415

            try:
                self.layers = sigma_layers(settings.levels)
            except ConfigError as error:
                raise ConfigError(str(error).replace("sigma_edges", "levels", 1)) from None

    def free(self, look: Look) -> frozenset[str]:
        """Dimensions whose lengths and values may differ between files, for they are made alike."""
        names: set[str] = set()
        if self.grid is not None:
            names |= {
                v.path
                for v in look.source.variables
                if v.dims == (v.path,) and (_is(v, _NORTH) or _is(v, _EAST))
            }
        if self.layers is not None:
            names |= {v.path for v in look.source.variables if _has_layers(v)}
        return frozenset(names)

    def of(self, look: Look, variable: Variable) -> Treatment | None:
        """What this variable needs; None where nothing. BadSource where it cannot be had."""
        free = self.free(look) & set(variable.dims)
        if not free or len(variable.dims) < 2:
            return None
        layers = self._layers(look, variable) if self.layers is not None else None
        regrid = self._regridder(look, variable) if self.grid is not None else None
        return Treatment(layers, regrid) if layers or regrid else None

    def shape(self, treatment: Treatment, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The variable's shape afterwards."""
        new = list(shape)
        if treatment.layers is not None:
            new[treatment.layers.axis] = treatment.layers.target.count
        if treatment.regrid is not None:
            new[-2:] = treatment.regrid.target.shape
        return tuple(new)

    def axis(self, look: Look, variable: Variable, values: NDArray[Any]) -> NDArray[Any]:
        """An axis of the store, its bounds or its area, in place of the file's."""
        axes = {v.path: v for v in look.source.variables}
        for name in self.free(look) & set(variable.dims):
            owner = axes[name]
            bounds = str(owner.attrs.get("bounds", ""))
            if self.grid is not None and len(variable.dims) <= 2 and not _has_layers(owner):
                north = _is(owner, _NORTH)
                centre = self.grid.lat_deg if north else self.grid.lon_deg
                edge = self.grid.lat_edge_deg if north else self.grid.lon_edge_deg
                if variable.path == name:
                    return centre
                if variable.path == bounds:
                    return _pairs(edge)
            if self.layers is not None and _has_layers(owner):
                return self._layer_axis(look, owner, variable)
        if self.grid is not None:
            regridder = self._regridder(look, variable)  # refuses what has no map
            if regridder and variable.attrs.get("standard_name") == "cell_area":
                return self.grid.share * float(np.sum(values))
        return values

    def _layer_axis(self, look: Look, owner: Variable, variable: Variable) -> NDArray[Any]:
        assert self.layers is not None
        terms = _terms(owner)
        edges = self.layers.b
        new = {
            owner.path: 0.5 * (edges[1:] + edges[:-1]),
            str(owner.attrs.get("bounds")): _pairs(edges),
            terms.get("b", ""): 0.5 * (edges[1:] + edges[:-1]),
            terms.get("ap", ""): np.zeros(self.layers.count),
        }
        for v in look.source.variables:
            if v.path == owner.attrs.get("bounds"):
                new |= {
                    _terms(v).get("b", ""): _pairs(edges),
                    _terms(v).get("ap", ""): np.zeros((self.layers.count, 2)),
                }
        if variable.path not in new:
            raise BadSource(
                f"{look.source.path}: {variable.path}: belongs to the file's own layers, and the "
                "store has others; leave it out with without"
            )
        return new[variable.path]

    def _regridder(self, look: Look, variable: Variable) -> "Regridder | None":
        from astrohpc.physics.latlon import source_grid  # noqa: PLC0415
        from astrohpc.physics.regrid import bilinear, conservative  # noqa: PLC0415

        assert self.grid is not None
        axes = {v.path: v for v in look.source.variables}
        horizontal = [
            name for name in variable.dims if name in axes and _is(axes[name], _NORTH + _EAST)
        ]
        if not horizontal:
            return None
        last = variable.dims[-2:]
        if len(last) < 2 or not (_is(axes.get(last[0]), _NORTH) and _is(axes.get(last[1]), _EAST)):
            raise BadSource(
                f"{look.source.path}: {variable.path}: its axes ({', '.join(variable.dims)}) do not end in "
                "latitude and longitude, so that it cannot be regridded; leave it out with without"
            )
        lat, lon = (look.known[name] for name in last)
        bounds = [look.known.get(str(axes[name].attrs.get("bounds"))) for name in last]
        key = b"".join(one.tobytes() for one in (lat, lon, *bounds) if one is not None)
        if key not in self._known:
            grid = source_grid(str(look.source.path), lat, lon, *bounds)
            method = conservative if self._method == "conservative" else bilinear
            self._known[key] = method(grid, self.grid)
        return self._known[key]

    def _layers(self, look: Look, variable: Variable) -> Layers | None:
        from astrohpc.physics.vertical import LayerEdges  # noqa: PLC0415

        assert self.layers is not None
        axes = {v.path: v for v in look.source.variables}
        own = [name for name in variable.dims if _has_layers(axes.get(name))]
        if not own:
            return None
        owner = axes[own[0]]
        edges = axes.get(str(owner.attrs.get("bounds")))
        terms = _terms(edges) if edges is not None else {}
        try:
            ap, b = (look.known[terms[name]] for name in ("ap", "b"))
            ps = axes[_terms(owner)["ps"]]
        except KeyError:
            raise BadSource(
                f"{look.source.path}: {variable.path}: its layers have no edges as ap + b * ps "
                "(formula_terms of their bounds), so that no mass can be shared out; leave levels away"
            ) from None
        source = LayerEdges(np.append(ap[:, 0], ap[-1, 1]), np.append(b[:, 0], b[-1, 1]))
        return Layers(source, self.layers, variable.dims.index(own[0]), ps)


def _is(variable: Variable | None, units: tuple[str, ...]) -> bool:
    return variable is not None and str(variable.attrs.get("units", "")).lower() in units


def _has_layers(variable: Variable | None) -> bool:
    return variable is not None and variable.dims == (variable.path,) and "ps" in _terms(variable)


def _terms(variable: Variable) -> Mapping[str, str]:
    """``formula_terms`` as names: "ap: ap b: b ps: ps"."""
    words = str(variable.attrs.get("formula_terms", "")).replace(":", " ").split()
    return dict(zip(words[::2], words[1::2], strict=False))


def _pairs(edges: NDArray[Any]) -> NDArray[Any]:
    return np.stack([edges[:-1], edges[1:]], axis=1)
