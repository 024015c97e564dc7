"""The run folder before a launch and after a killed one; processes and restarts of our own making."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from netCDF4 import Dataset
from support import FakeClock, until

from astrohpc.clock import SystemClock
from astrohpc.engines.rocke3d import owner
from astrohpc.engines.rocke3d.evidence import ERRORS, FLAG, INPUT, LOCK, STATUS
from astrohpc.engines.rocke3d.inputfile import InputFile
from astrohpc.engines.rocke3d.rundir import Restart, RunFolder
from astrohpc.errors import ConfigError

PLAIN = InputFile.parse(
    b"toy (x)\n\n &&PARAMETERS\n DT=450.\n &&END_PARAMETERS\n &INPUTZ\n YEARI=1,\n YEARE=2,\n /\n"
)
NOTHING: Mapping[str, Any] = {}


def restart(folder: Path, name: str, step: int, **parameters: float) -> Path:
    with Dataset(folder / name, "w", format="NETCDF3_64BIT_OFFSET") as file:
        file.createVariable("rparam", "i4", ()).setncatts(parameters)
        file.createDimension("cells", 100)
        file.createVariable("t", "f8", ("cells",))[:] = 1.0
        file.createVariable("itime", "i4", ())[...] = step
    return folder / name


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


# ------------------------------------------------------------------ which restart
def test_of_two_whole_restarts_the_model_takes_the_later(tmp_path: Path) -> None:
    restart(tmp_path, "fort.1.nc", 960)
    restart(tmp_path, "fort.2.nc", 480)
    chosen = RunFolder(tmp_path, "toy").choose_restart(NOTHING)
    assert (chosen.istart, chosen.step) == (10, 960)


@pytest.mark.parametrize(("damaged", "istart", "step"), [(1, 12, 960), (2, 11, 480)])
def test_of_two_restarts_the_whole_one_is_forced(
    tmp_path: Path, damaged: int, istart: int, step: int
) -> None:
    restart(tmp_path, "fort.1.nc", 480)
    restart(tmp_path, "fort.2.nc", 960)
    cut(tmp_path / f"fort.{damaged}.nc")
    place = RunFolder(tmp_path, "toy")
    chosen = place.choose_restart(NOTHING)
    assert (chosen.istart, chosen.step) == (istart, step)
    place.make_ready(PLAIN, {}, chosen)
    assert not (tmp_path / f"fort.{damaged}.nc").exists(), "it would be in the way of the next one"


def test_a_single_restart_is_forced_because_the_model_opens_both(tmp_path: Path) -> None:
    restart(tmp_path, "fort.2.nc", 2)
    assert RunFolder(tmp_path, "toy").choose_restart(NOTHING).istart == 12


def test_without_both_the_newest_whole_month_start_is_linked_as_aic(tmp_path: Path) -> None:
    for name in ("fort.1.nc", "fort.2.nc"):
        cut(restart(tmp_path, name, 5000))
    restart(tmp_path, "1FEB0001.rsftoy.nc", 1500)
    restart(tmp_path, "1MAR0001.rsftoy.nc", 3000)
    cut(restart(tmp_path, "1APR0001.rsftoy.nc", 4500))
    place = RunFolder(tmp_path, "toy")
    chosen = place.choose_restart(NOTHING)
    assert (chosen.istart, chosen.step, chosen.file) == (9, 3000, "1MAR0001.rsftoy.nc")
    place.make_ready(PLAIN.restarting(9), {"AIC": tmp_path / "elsewhere.nc"}, chosen)
    assert (tmp_path / "AIC").readlink() == Path("1MAR0001.rsftoy.nc")


def test_an_empty_folder_starts_cold(tmp_path: Path) -> None:
    assert RunFolder(tmp_path, "toy").choose_restart(NOTHING).cold


@pytest.mark.parametrize("name", ["fort.1.nc", "1FEB0001.rsftoy.nc"])
def test_another_planets_restart_is_refused_by_name_and_value(tmp_path: Path, name: str) -> None:
    restart(tmp_path, name, 480, planet_s0=900.0)
    place = RunFolder(tmp_path, "toy")
    assert not place.choose_restart({"planet_S0": 900.001, "CO2X": 1.0}).cold
    with pytest.raises(ConfigError, match=r"another planet \(planet_s0 = 900.0, but .* 1361"):
        place.choose_restart({"planet_s0": 1361.0})


# ------------------------------------------------------------------ before a launch
def test_a_launch_begins_without_the_words_of_the_last_one(tmp_path: Path) -> None:
    (tmp_path / STATUS).write_text("13\nTerminated normally\n")
    for name in ("toy.PRT", ERRORS, "fort.99"):
        (tmp_path / name).write_text("Stopped in ATMDYN::SDRAG")
    (tmp_path / FLAG).write_text("__STOP__\n")
    place = RunFolder(tmp_path, "toy")
    data = tmp_path / "elsewhere.nc"
    place.make_ready(PLAIN, {"TOPO": data}, Restart(2, 0))
    assert place.status() == -99
    assert not (tmp_path / "fort.99").exists()
    assert (tmp_path / FLAG).read_text().startswith("___GO___")
    assert (tmp_path / INPUT).read_bytes() == PLAIN.data
    assert (tmp_path / "TOPO").readlink() == data
    place.make_ready(PLAIN, {"TOPO": data}, Restart(2, 0))
    place.unlink_inputs(["TOPO", "AIC"])
    assert not (tmp_path / "TOPO").is_symlink()


def test_a_file_where_a_link_belongs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "TOPO").write_text("somebody's")
    with pytest.raises(ConfigError, match="TOPO: is a file where a link"):
        RunFolder(tmp_path, "toy").make_ready(PLAIN, {"TOPO": tmp_path}, Restart(2, 0))
    assert (tmp_path / "TOPO").read_text() == "somebody's"


@pytest.mark.parametrize("content", ["", "Run in", "\x00"])
def test_a_torn_status_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / STATUS).write_text(content)
    assert RunFolder(tmp_path, "toy").status() is None


def test_only_the_newest_month_starts_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(("1MAR0001", "1FEB0001", "1JAN0001")):
        path = restart(tmp_path, f"{name}.rsftoy.nc", 0)
        os.utime(path, (1e9 - age, 1e9 - age))
    RunFolder(tmp_path, "toy").keep_restarts(2)
    assert not (tmp_path / "1JAN0001.rsftoy.nc").exists()
    assert (tmp_path / "1FEB0001.rsftoy.nc").exists()


# ------------------------------------------------------------------ the lock
@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process that runs an executable in the folder, as a model that lost its adapter does."""
    executable = tmp_path / "modele.exe"
    executable.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    executable.chmod(0o755)
    run = tmp_path / "run"
    run.mkdir()
    process = subprocess.Popen([str(executable)], cwd=run, start_new_session=True)
    until(lambda: owner.working_in(run, executable), "the process")
    yield process, executable
    process.kill()
    process.wait()


def clear(run: Path, executable: Path = Path("/no/such.exe"), **changes: Any) -> str:
    arguments = {"clock": SystemClock(), "silence_s": 1.0, "waiting": lambda: False, **changes}
    return owner.clear(run, executable, **arguments)


def foreign(run: Path, age_s: float, host: str = "node17") -> None:
    (run / LOCK).write_text(json.dumps({"host": host, "pid": 1, "started": 1.0}))
    then = time.time() - age_s
    os.utime(run / LOCK, (then, then))


def test_what_an_earlier_attempt_left_running_here_is_ended(
    sleeper: tuple[subprocess.Popen[bytes], Path], tmp_path: Path
) -> None:
    process, executable = sleeper
    owner.hold(tmp_path / "run", process.pid)
    assert clear(tmp_path / "run", executable) == ""
    process.wait(10)
    assert not (tmp_path / "run" / LOCK).exists()


def test_a_model_that_no_lock_names_is_found_by_its_folder(
    sleeper: tuple[subprocess.Popen[bytes], Path], tmp_path: Path
) -> None:
    process, executable = sleeper
    assert clear(tmp_path / "run", executable) == ""
    process.wait(10)


def test_a_process_that_only_inherited_the_number_is_left_alone(
    sleeper: tuple[subprocess.Popen[bytes], Path], tmp_path: Path
) -> None:
    process, _executable = sleeper
    held = owner.hold(tmp_path / "run", process.pid)
    written = {"host": held.host, "pid": held.pid, "started": held.started - 1000.0}
    (tmp_path / "run" / LOCK).write_text(json.dumps(written))
    assert clear(tmp_path / "run") == ""
    assert process.poll() is None


def test_a_lock_of_another_node_counts_only_while_something_moves(tmp_path: Path) -> None:
    foreign(tmp_path, age_s=100.0)
    assert clear(tmp_path, silence_s=50.0) == ""
    assert not (tmp_path / LOCK).exists()


def test_a_lock_of_another_node_is_waited_for(tmp_path: Path) -> None:
    foreign(tmp_path, age_s=0.0)
    clock = FakeClock()
    asked: list[bool] = []

    def waiting() -> bool:
        asked.append(True)
        return False

    before = time.time()
    assert clear(tmp_path, clock=clock, silence_s=1.0, waiting=waiting) == ""
    assert time.time() - before > 0.9
    assert asked, "and the sweep hears of us meanwhile"


def test_a_run_of_another_node_that_still_writes_is_not_disturbed(tmp_path: Path) -> None:
    foreign(tmp_path, age_s=0.0)

    class Busy(FakeClock):
        def sleep(self, seconds: float) -> None:
            then = time.time() + 5.0
            (tmp_path / "toy.PRT").write_text("day 2")
            os.utime(tmp_path / "toy.PRT", (then, then))

    said = clear(tmp_path, clock=Busy(), silence_s=60.0)
    assert "node17 still writes" in said
    assert (tmp_path / LOCK).exists()


def test_waiting_for_silence_ends_when_we_are_asked_to_stop(tmp_path: Path) -> None:
    foreign(tmp_path, age_s=0.0)
    assert "was locked on node17" in clear(tmp_path, silence_s=60.0, waiting=lambda: True)
    assert (tmp_path / LOCK).exists()


def test_the_empty_lock_of_the_models_own_launcher_goes_after_silence(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    os.utime(tmp_path / LOCK, (1e9, 1e9))
    assert clear(tmp_path, silence_s=300.0) == ""
    assert not (tmp_path / LOCK).exists()
