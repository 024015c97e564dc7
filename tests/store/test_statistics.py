"""Statistics of a store are numpy's in double precision, and the same bits whoever computes them."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_small import Made, make_store, planet_store

import astrohpc
from astrohpc.errors import ConfigError
from astrohpc.kernels import moments as kernel
from astrohpc.store import sizes
from astrohpc.store.codec import Codec
from astrohpc.store.journal import merge_journals
from astrohpc.store.ranks import Alone
from astrohpc.store.reader import Store
from astrohpc.store.statistics import FILE, compute, read_statistics

# Shares of the sphere between ±90, ±45 and the equator: differences of the sine.
BANDS = np.array([1 - math.sqrt(0.5), math.sqrt(0.5), math.sqrt(0.5), 1 - math.sqrt(0.5)])


def computed(path: Path, threads: int = 1) -> Mapping[str, Any]:
    found = compute(path, Alone(), threads, lambda: False, lambda _: None)
    assert found is not None
    return found


def expected(values: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    there = ~np.isnan(values)
    x, w = values[there].astype("f8"), np.broadcast_to(weights, values.shape)[there]
    mean = np.average(x, weights=w)
    return {
        "count": values.size,
        "missing": int((~there).sum()),
        "minimum": x.min(),
        "maximum": x.max(),
        "mean": mean,
        "variance": np.average((x - mean) ** 2, weights=w),
    }


def assert_same(found: Mapping[str, Any], wanted: Mapping[str, float]) -> None:
    assert {name: found[name] for name in wanted} == pytest.approx(dict(wanted), rel=1e-11)


def meant(path: Path, name: str) -> np.ndarray:
    with Store.open(path) as store:
        one = store.arrays[name]
        return one.meaning(store.coordinate(name))


@pytest.mark.parametrize("codec", [Codec(), Codec("deflate", 4)], ids=["planes", "passed through"])
def test_means_are_weighted_by_the_area_between_latitudes(tmp_path: Path, codec: Codec) -> None:
    path = planet_store(tmp_path / "s.zarr", codec)
    if codec.name == "deflate":  # nobody looked at the values when the store was made
        merge_journals(path, [])
    found = computed(path)
    assert set(found) == {"ta", "tas"}
    assert found["tas"]["weight"] == "area"
    assert_same(found["tas"], expected(meant(path, "tas"), BANDS[:, None]))
    ta = meant(path, "ta")
    assert_same(found["ta"], expected(ta, BANDS[:, None]))
    for level in range(3):
        one = {name: values[level] for name, values in found["ta"]["levels"].items()}
        assert_same(one, expected(ta[:, :, level], BANDS[:, None]))


def test_bounds_of_latitude_and_areas_of_cells_come_first(tmp_path: Path) -> None:
    edges = np.array([[-90, -60], [-60, 0], [0, 30], [30, 90]], "f8")
    area = np.random.default_rng(3).uniform(1, 2, (4, 6))
    with_bounds = planet_store(tmp_path / "b.zarr", lat_bnds=Made(("lat", "nv"), edges))
    shares = np.diff(np.sin(np.deg2rad(edges)), axis=1)
    assert_same(computed(with_bounds)["tas"], expected(meant(with_bounds, "tas"), shares))
    with_area = planet_store(tmp_path / "a.zarr", cell_area=Made(("lat", "lon"), area))
    assert_same(computed(with_area)["tas"], expected(meant(with_area, "tas"), area))


def test_bounds_that_nobody_filled_in_are_not_believed(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr", lat_bnds=Made(("lat", "nv"), np.zeros((4, 2))))
    assert_same(computed(path)["tas"], expected(meant(path, "tas"), BANDS[:, None]))


def test_a_part_of_the_globe_does_not_reach_to_the_poles(tmp_path: Path) -> None:
    values = np.random.default_rng(6).normal(size=(1, 4, 3, 2))
    path = make_store(
        tmp_path / "s.zarr",
        {
            "lat": Made(("lat",), np.array([50.0, 40.0, 30.0]), attrs={"units": "degrees_north"}),
            "x": Made(("member", "time", "lat", "lon"), values, (1, 1, 3, 2)),
        },
    )
    shares = -np.diff(np.sin(np.deg2rad([55, 45, 35, 25])))[:, None]
    assert_same(computed(path)["x"], expected(values, shares))


@pytest.mark.parametrize("by_member", [False, True])
def test_layers_are_weighted_by_their_mass(tmp_path: Path, by_member: bool) -> None:
    a = np.array([[0, 5e3], [5e3, 1e4], [1e4, 0]])
    b = np.array([[0, 0.1], [0.1, 0.4], [0.4, 1.0]])
    dims: tuple[str, ...] = ("lev", "nv")
    if by_member:
        a, b, dims = np.stack([a, a / 3]), np.stack([b, b]), ("member", *dims)
    ps = np.random.default_rng(5).uniform(5e4, 1e5, (2, 5, 4, 6)).astype("f4")
    ps[0, 0, 0, 0] = np.nan
    terms = {"formula_terms": "ap: ap_bnds b: b_bnds ps: ps"}
    path = planet_store(
        tmp_path / "s.zarr",
        lev_bnds=Made(("lev", "nv"), b.reshape(-1, 3, 2)[0], attrs=terms),
        ap_bnds=Made(dims, a),
        b_bnds=Made(dims, b),
        ps=Made(("member", "time", "lat", "lon"), ps, (1, 1, 4, 6), fill=np.float32(np.nan)),
    )
    thick = [np.diff(one, axis=-1)[..., 0] for one in (a, b)]
    thick_a, thick_b = (
        one.reshape((2, 1, 3, 1, 1) if by_member else (1, 1, 3, 1, 1)) for one in thick
    )
    weights = np.abs(thick_a + thick_b * ps[:, :, None].astype("f8")) * BANDS[:, None]
    found, ta = computed(path)["ta"], meant(path, "ta")
    assert found["weight"] == "mass"
    known = np.where(np.isnan(weights), np.nan, ta)  # weightless where surface pressure is missing
    wanted = expected(known, weights)
    for name in ("mean", "variance"):
        assert found[name] == pytest.approx(wanted[name], rel=1e-11)
    assert found["missing"] == np.isnan(ta).sum()


def test_a_narrow_spread_far_from_zero_keeps_its_variance(tmp_path: Path) -> None:
    values = 1e8 + np.random.default_rng(2).normal(0, 1e-3, (1, 50, 4, 6))
    tas = Made(("member", "time", "lat", "lon"), values, (1, 7, 4, 6))
    path = make_store(
        tmp_path / "s.zarr",
        {"lat": Made(("lat",), np.array([-67.5, -22.5, 22.5, 67.5])), "x": tas},
    )
    shifted = expected(values - 1e8, BANDS[:, None])
    assert computed(path)["x"]["variance"] == pytest.approx(shifted["variance"], rel=1e-6)


def test_packed_numbers_count_as_what_they_mean(tmp_path: Path) -> None:
    packed = np.arange(240, dtype="i2").reshape(2, 5, 4, 6)
    attrs = {"scale_factor": 0.5, "add_offset": 10.0, "_FillValue": np.int16(239)}
    made = Made(
        ("member", "time", "lat", "lon"), packed, (1, 1, 4, 6), fill=np.int16(239), attrs=attrs
    )
    path = planet_store(tmp_path / "s.zarr", x=made)
    found = computed(path)["x"]
    assert (found["minimum"], found["maximum"], found["missing"]) == (10, 129, 1)


def test_what_is_missing_everywhere_has_no_mean(tmp_path: Path) -> None:
    made = Made(("member", "time", "lat", "lon"), np.full((2, 5, 4, 6), np.nan, "f4"), (1, 1, 4, 6))
    found = computed(planet_store(tmp_path / "s.zarr", x=made))["x"]
    assert (found["count"], found["missing"]) == (240, 240)
    assert (found["mean"], found["minimum"], found.get("quantiles")) == (None, None, None)


# ----------------------------------------------------------------------------- quantiles
@given(
    kind=st.sampled_from(["around zero", "humidity", "kelvin", "negative", "one value"]),
    seed=st.integers(0, 99),
)
def test_quantiles_are_off_by_no_more_than_they_say(kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = {
        "around zero": random.normal(3, 10, 4000),
        "humidity": 10.0 ** random.uniform(-9, -1.5, 4000),
        "kelvin": random.normal(250, 20, 4000),
        "negative": -(10.0 ** random.uniform(-3, 2, 4000)),
        "one value": np.full(4000, 2.5),
    }[kind].astype("f4")
    weights = random.uniform(0.1, 1, 4000)
    block = values.reshape(1, 1, -1)
    how = sizes.steps(float(values.min()), float(values.max()))
    by_size = np.zeros(how.n, np.int64)
    weighed = kernel.Weights(
        weights[None], np.zeros((1, 0)), np.zeros((1, 0)), np.zeros((1, 1)), np.zeros(1, int), 0.5
    )
    kernel.moments(block, sizes.size_bits(block, how), weighed, how, by_size)
    found = sizes.quantiles(by_size, how, float(values.min()), float(values.max()))
    bound = sizes.error_bound(how, float(values.min()), float(values.max()))
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    for percent, value in found.items():
        # Weights are rounded to millionths, so that the true quantile is between these two.
        share = float(percent) / 100
        low = values[order][np.searchsorted(below, share - 1e-5)]
        high = values[order][min(np.searchsorted(below, share + 1e-5), 3999)]
        allowed = bound.get("absolute", 0) + bound.get("relative", 0) * max(abs(low), abs(high))
        assert low - allowed <= value <= high + allowed


def test_the_middle_of_a_known_distribution(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 4800, dtype="f4").reshape(1, 200, 4, 6)
    path = make_store(
        tmp_path / "s.zarr", {"v": Made(("member", "time", "y", "x"), values, (1, 9, 4, 6))}
    )
    found = computed(path)["v"]
    assert found["weight"] == "none"
    assert found["quantiles"]["50"] == pytest.approx(0.5, rel=1e-3)
    assert found["quantiles"]["5"] == pytest.approx(0.05, rel=1e-2)


# ----------------------------------------------------------------------------- same bits
def test_threads_change_no_bit(tmp_path: Path) -> None:
    results = []
    for threads in (1, 3):
        path = planet_store(tmp_path / f"{threads}.zarr")
        computed(path, threads)
        results.append((path / ".astrohpc" / FILE).read_bytes())
    assert results[0] == results[1]


RANKED = """
import sys
from pathlib import Path
from astrohpc.store import statistics
from astrohpc.store.ranks import find_ranks
statistics._TASK_BYTES = statistics._BOX_BYTES = 2000  # so that all ranks have something to do
ranks = find_ranks()
assert ranks.size == int(sys.argv[2])
found = statistics.compute(Path(sys.argv[1]), ranks, 2, lambda: False, lambda _: None)
assert (found is not None) == (ranks.rank == 0)
"""


def test_ranks_change_no_bit(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        pytest.skip("there is no mpirun here")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(astrohpc.__file__).parent.parent),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    results = []
    for ranks in (1, 3):
        path = planet_store(tmp_path / f"{ranks}.zarr", Codec("deflate", 4))
        merge_journals(path, [])  # no bounds are known, so that they have to be shared too
        command = [mpirun, "--oversubscribe", "-n", str(ranks), sys.executable, "-c", RANKED]
        done = subprocess.run(
            [*command, str(path), str(ranks)],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        results.append((path / ".astrohpc" / FILE).read_bytes())
    assert results[0] == results[1]


# ----------------------------------------------------------------------------- once
def test_nothing_is_computed_again_until_a_shard_changes(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    said: list[str] = []
    first = compute(path, Alone(), 1, lambda: False, said.append)
    root = (path / "zarr.json").read_bytes()
    again = compute(path, Alone(), 1, lambda: False, said.append)
    assert again == first
    assert said == ["statistics of 2 variables"]
    assert (path / "zarr.json").read_bytes() == root
    journal = path / ".astrohpc" / "journal.jsonl"
    lines = journal.read_text().splitlines()
    changed = [line.replace('"digest": "tas', '"digest": "new') for line in lines]
    journal.write_text("\n".join(changed))
    compute(path, Alone(), 1, lambda: False, said.append)
    assert said[1:] == ["statistics of 1 variables"]


def test_a_conversion_that_rewrote_the_attributes_gets_them_back(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    plain = (path / "zarr.json").read_bytes()
    first = computed(path)
    (path / "zarr.json").write_bytes(plain)
    assert computed(path) == first
    with Store.open(path) as store:
        assert store.arrays["tas"].attrs["actual_range"] == [
            first["tas"]["minimum"],
            first["tas"]["maximum"],
        ]
    own = json.loads((path / "tas" / "zarr.json").read_text())
    assert own["attributes"]["actual_range"] == [first["tas"]["minimum"], first["tas"]["maximum"]]


def test_who_is_stopped_writes_nothing(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    assert compute(path, Alone(), 1, lambda: True, lambda _: None) is None
    with pytest.raises(ConfigError, match="has no statistics"):
        read_statistics(path)


def test_what_was_computed_can_be_read(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    assert computed(path) == read_statistics(path)
