"""What values go through on their way into a store: other grids, other layers, fewer digits."""

from pathlib import Path

import netCDF4
import numpy as np
import xarray
from support_store import made, proved

PS_PA = 9.0e4


def world(path: Path, rows: int, columns: int, seed: int = 0) -> None:
    """A file with layers of equal mass, areas and a zonal mean; synthetic."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(exist_ok=True)
    with netCDF4.Dataset(path, "w") as file:
        sizes = {"time": 3, "lat": rows, "lon": columns, "lev": 10, "nv": 2}
        for name, size in sizes.items():
            file.createDimension(name, size)

        def put(name: str, dims: tuple[str, ...], values: object, **attrs: str) -> None:
            one = file.createVariable(name, "f8", dims)
            one.setncatts(attrs)
            one[:] = values

        put("time", ("time",), np.arange(3.0), units="days since 0001-01-01", calendar="365_day")
        for name, low, high, units in (
            ("lat", -90.0, 90.0, "degrees_north"),
            ("lon", 0.0, 360.0, "degrees_east"),
        ):
            edge = np.linspace(low, high, sizes[name] + 1)
            bounds = f"{name}_bnds"
            put(name, (name,), 0.5 * (edge[1:] + edge[:-1]), units=units, bounds=bounds)
            put(bounds, (name, "nv"), np.stack([edge[:-1], edge[1:]], 1))
        edge = np.linspace(0, 1, 11)
        pairs, middle = np.stack([edge[:-1], edge[1:]], 1), 0.5 * (edge[1:] + edge[:-1])
        put("lev", ("lev",), middle, bounds="lev_bnds", formula_terms="ap: ap b: b ps: ps")
        put("lev_bnds", ("lev", "nv"), pairs, formula_terms="ap: ap_bnds b: b_bnds ps: ps")
        put("ap", ("lev",), 0.0)
        put("b", ("lev",), middle)
        put("ap_bnds", ("lev", "nv"), 0.0)
        put("b_bnds", ("lev", "nv"), pairs)
        put("ps", ("time", "lat", "lon"), PS_PA, units="Pa")
        put("zonal", ("time", "lat"), 1.0)
        put("ta", ("time", "lev", "lat", "lon"), rng.normal(280, 9, (3, 10, rows, columns)))
        edge = np.sin(np.radians(np.linspace(-90, 90, rows + 1)))
        area = np.outer(np.diff(edge), np.full(columns, 1.0 / columns))
        put("cell_area", ("lat", "lon"), area, standard_name="cell_area", units="m2")


def mean(path: Path, store: bool) -> np.ndarray:
    """Of each time and layer, weighted by area."""
    with xarray.open_zarr(path) if store else xarray.open_dataset(path) as data:
        weights = data.cell_area if "member" not in data.cell_area.dims else data.cell_area[0]
        return np.asarray(data.ta.weighted(weights).mean(("lat", "lon")))


def test_members_on_different_grids_come_to_one_and_keep_their_means(tmp_path: Path) -> None:
    world(tmp_path / "in" / "a.nc", 32, 64)
    world(tmp_path / "in" / "b.nc", 46, 72, seed=1)
    how = {"members": "file", "regrid": "T21", "without": ("zonal",)}
    report = made(tmp_path / "in", tmp_path / "a.zarr", **how)
    assert report.complete, report.refused
    means = mean(tmp_path / "a.zarr", store=True)
    for number, name in enumerate("ab"):
        expected = mean(tmp_path / "in" / f"{name}.nc", store=False)
        np.testing.assert_allclose(means[number], expected, rtol=1e-12)
    with xarray.open_zarr(tmp_path / "a.zarr") as store:
        assert store.sizes["lat"] == 32
        assert store.sizes["lon"] == 64
        np.testing.assert_allclose(store.cell_area.sum(("lat", "lon")), 2.0, rtol=1e-12)
        assert store.lat_bnds.shape == (32, 2)
    assert not proved(tmp_path / "in", tmp_path / "a.zarr").wrong


def test_what_has_no_map_is_left_out_of_a_regridded_store_and_named(tmp_path: Path) -> None:
    world(tmp_path / "a.nc", 32, 64)
    report = made(tmp_path / "a.nc", tmp_path / "a.zarr", regrid="latlon 10x20")
    (one,) = report.refused
    assert one.variable == "zonal"
    assert "do not end in latitude and longitude" in one.reason
    assert not report.complete


def test_thicker_layers_hold_the_mass_weighted_mean_of_the_thin_ones(tmp_path: Path) -> None:
    world(tmp_path / "a.nc", 8, 16)
    report = made(tmp_path / "a.nc", tmp_path / "a.zarr", levels=(0.0, 0.3, 1.0))
    assert report.complete, report.refused
    with (
        xarray.open_dataset(tmp_path / "a.nc") as source,
        xarray.open_zarr(tmp_path / "a.zarr") as store,
    ):
        thin = source.ta.values
        np.testing.assert_allclose(store.ta.values[:, 0], thin[:, :3].mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(store.ta.values[:, 1], thin[:, 3:].mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(store.lev.values, [0.15, 0.65])
        np.testing.assert_allclose(store.b_bnds.values, [[0, 0.3], [0.3, 1]])
    assert not proved(tmp_path / "a.nc", tmp_path / "a.zarr").wrong


def test_what_is_lost_of_precision_stands_beside_the_values(tmp_path: Path) -> None:
    world(tmp_path / "a.nc", 8, 16)
    made(tmp_path / "a.nc", tmp_path / "a.zarr", float32=True, digits={"ta": 3})
    with (
        xarray.open_dataset(tmp_path / "a.nc") as source,
        xarray.open_zarr(tmp_path / "a.zarr") as store,
    ):
        assert store.ta.dtype == np.float32
        off = np.abs(store.ta.values - source.ta.values) / source.ta.values
        assert 0 < off.max() <= 5e-4
        attrs = store.ta.attrs
        assert attrs["quantization"] in store
        assert attrs["float32_maximum_relative_error"] <= 2.0**-24
        lost = attrs["quantization_maximum_relative_error"]
        assert off.max() <= lost + attrs["float32_maximum_relative_error"]
        assert store[attrs["quantization"]].attrs["algorithm"] == "bitround"
