"""``launch convert`` and ``launch verify`` on a real sweep, from the command line as people use it."""

import shutil
import subprocess
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray
from support import Launcher, rows

SMALL = ("sweep.n=3", "allocation.members_per_task=3")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    launch = Launcher(tmp_path_factory.mktemp("sweep"))
    said = launch("sweep", *SMALL)
    assert said.code == 0, said.all
    return launch.folder / "runs"


@pytest.fixture
def swept(sweep: Path, launch: Launcher) -> Launcher:
    shutil.copytree(sweep, launch.folder / "runs", symlinks=True)
    return launch


def test_a_sweep_becomes_its_store_and_is_proved(swept: Launcher) -> None:
    said = swept("convert")
    assert said.code == 0, said.all
    folder = swept.sweep_folder()
    store = folder / "store.zarr"
    assert "complete: every shard was proved against its source" in said.out
    assert "next: launch verify" in said.all
    with xarray.open_zarr(store, decode_times=False) as data:
        members = rows(folder)
        assert list(data["member"].values) == [row["id"] for row in members]
        assert data.attrs["astrohpc_sweep"] == "demo"
        assert data.attrs["astrohpc_state"] == "complete"
        assert any(str(name).startswith("planet_") for name in data.coords)
        for m, row in enumerate(members):
            climate = next(folder.glob(f"members/*/{row['id']}/climate.nc"))
            with netCDF4.Dataset(climate) as source:
                for name, variable in source.variables.items():
                    if name in data and data[name].dims[0] == "member" and variable.dimensions:
                        expected = np.ma.filled(variable[:].astype("f8"), np.nan)
                        found = data[name].values[m]
                        part = found[tuple(map(slice, expected.shape))]
                        np.testing.assert_array_equal(part, expected, err_msg=name)
    said = swept("verify", "demo")
    assert said.code == 0, said.all
    assert "all are as the sources have them" in said.out


def test_again_it_does_nothing_and_a_larger_sweep_is_appended(swept: Launcher) -> None:
    swept("convert")
    store = swept.sweep_folder() / "store.zarr"
    shards = {p: p.stat().st_mtime_ns for p in store.glob("*/[0-9]*")}
    said = swept("convert", "demo")
    assert said.code == 0, said.all
    assert "(0 made, " in said.out
    assert {p: p.stat().st_mtime_ns for p in shards} == shards
    with xarray.open_zarr(store, decode_times=False) as data:
        before = data.load()
    swept("sweep", "sweep.n=5", SMALL[1])
    said = swept("convert", "demo")
    assert said.code == 0, said.all
    with xarray.open_zarr(store, decode_times=False) as data:
        assert data.sizes["member"] == 5
        for name in before.data_vars:
            if "member" in before[name].dims:
                part = data[name].isel({dim: slice(n) for dim, n in before[name].sizes.items()})
                np.testing.assert_array_equal(part.values, before[name].values)
    assert swept("verify", "demo").code == 0


def test_a_target_of_one_s_own_and_settings_by_override(swept: Launcher, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.zarr"
    said = swept("convert", "demo", str(target), "store.codec=lz4")
    assert said.code == 0, said.all
    assert "lz4" in (target / "zarr.json").read_text()
    again = swept("convert", "demo", str(target), "store.codec=planes")
    assert again.code == 2
    assert "store.codec: " in again.out
    assert swept("verify", "demo", str(target)).code == 0


def test_explain_shows_chunks_and_writes_nothing(swept: Launcher) -> None:
    said = swept("convert", "demo", "--explain")
    assert said.code == 0, said.all
    assert "sample" in said.out
    assert not (swept.sweep_folder() / "store.zarr").exists()


def test_a_dry_run_for_slurm_prints_the_script(swept: Launcher, tmp_path: Path) -> None:
    said = swept("convert", "demo", "site=slurm-test", "--dry-run")
    assert said.code == 0, said.all
    script = tmp_path / "script.sh"
    script.write_text(said.out)
    assert "srun" in said.out
    assert "astrohpc.jobs.convert" in said.out
    assert not (swept.sweep_folder() / "store.zarr").exists()
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    checked = subprocess.run(
        ["shellcheck", "-s", "bash", script], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_errors_are_one_sentence_and_end_with_two(launch: Launcher, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    empty = tmp_path / "empty"
    empty.mkdir()
    some = tmp_path / "some.nc"
    with netCDF4.Dataset(some, "w") as data:
        data.createDimension("lat", 3)
        data.createVariable("lat", "f8", ("lat",)).units = "degrees_north"
    for words, part in (
        (("convert", "nowhere"), "is neither a file, nor a folder, nor a sweep"),
        (("convert", str(empty)), "holds no file that ends in"),
        (("convert", str(tmp_path / "file")), "is text and not NetCDF"),
        (("verify", str(empty), str(tmp_path / "no.zarr")), "no store of ours"),
        (("convert", str(empty), "store.codec=zip"), "store.codec"),
        (("convert", str(empty), "store.memory_mib=1"), "memory_mib"),
        (("convert", str(empty), "a.zarr", "b.zarr"), "one name too many"),
        (("convert", str(some), "store.levels=[0,3]"), "levels"),
        (("convert", str(some), "store.regrid=T"), "regrid"),
    ):
        said = launch(*words)
        assert said.code == 2, (words, said.all)
        errors = [line for line in said.all.splitlines() if part in line]
        assert errors, (words, said.all)


def test_a_damaged_store_is_named_and_the_exit_code_says_so(swept: Launcher) -> None:
    swept("convert")
    store = swept.sweep_folder() / "store.zarr"
    shard = max(store.glob("*/[0-9]*"), key=lambda path: path.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 0x40
    shard.write_bytes(data)
    said = swept("verify", "demo")
    assert said.code == 3, said.all
    assert f"differs: {shard}" in said.out
    assert swept("convert", "demo").code == 0
    assert swept("verify", "demo").code == 0
