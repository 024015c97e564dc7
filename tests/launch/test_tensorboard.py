"""TensorBoard: one file that only grows, read back by TensorBoard itself, and served politely."""

import os
import re
import signal
import time
import urllib.request
from pathlib import Path

import psutil
from support import Launcher, until
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from astrohpc.clock import SystemClock
from astrohpc.launch.sweeping import report
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.session import Session


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads: the points of every curve."""
    accumulator = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {
        tag: [(point.step, point.value) for point in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def feed_again(folder: Path) -> None:
    report(Session.of(SweepFolder(folder), SystemClock(), print))


def test_every_member_s_way_to_equilibrium_is_in_one_file(launch: Launcher) -> None:
    launch("sweep", "sweep.n=3")
    folder = launch.sweep_folder()
    files = [path.name for path in (folder / "tensorboard").iterdir() if path.name[0] != "."]
    assert len(files) == 1
    found = curves(folder)
    assert len(found) == 9
    for index in range(3):
        years = [year for year, _ in found[f"surface_temperature_K/{index:05d}"]]
        assert years == sorted(set(years))
        _, balance = found[f"toa_balance_W_m-2/{index:05d}"][-1]
        assert abs(balance) < 0.01, "it ended in equilibrium"
        assert all(speed > 0 for _, speed in found[f"model_years_per_day/{index:05d}"])


def test_feeding_again_adds_only_what_is_new(launch: Launcher) -> None:
    launch("sweep", "sweep.n=2")
    folder = launch.sweep_folder()
    before = curves(folder)
    feed_again(folder)
    assert curves(folder) == before
    launch("sweep", "sweep.n=3")
    after = curves(folder)
    assert {tag: after[tag] for tag in before} == before
    assert len(after) == 9


def test_a_record_cut_in_half_is_cut_away_before_the_next(launch: Launcher) -> None:
    launch("sweep", "sweep.n=2")
    folder = launch.sweep_folder()
    before = curves(folder)
    file = next(path for path in (folder / "tensorboard").iterdir() if path.name[0] != ".")
    with file.open("ab") as torn:
        torn.write(file.read_bytes()[:37])
    launch("sweep", "sweep.n=3")
    after = curves(folder)
    assert {tag: after[tag] for tag in before} == before
    assert len(after) == 9


def test_it_is_served_on_localhost_only_and_goes_when_told(launch: Launcher) -> None:
    launch("sweep", "sweep.n=2")
    serving = launch.folder / "said"
    with serving.open("w") as out:
        process = psutil.Popen(
            launch.command(["tensorboard", "--hours=0.1"]),
            cwd=launch.folder,
            env=launch.environment,
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: "http://localhost:" in serving.read_text(), "an address")
        text = serving.read_text()
        port = int(re.findall(r"http://localhost:(\d+)", text)[0])
        assert f"ssh -N -L {port}:localhost:{port} " in text
        with urllib.request.urlopen(f"http://localhost:{port}/data/runs", timeout=300) as page:
            assert page.read() == b'["."]'
        servers = [child for child in process.children(recursive=True) if child.is_running()]
        heard = {
            connection.laddr.ip
            for server in servers
            for connection in server.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert heard == {"127.0.0.1"}
        assert all(server.nice() == 19 for server in servers)
        again = launch("tensorboard")
        assert "serves it already" in again.out
        assert f"http://localhost:{port}" in again.out
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=300)
    assert not [server for server in servers if server.is_running()]
    assert not (launch.sweep_folder() / "tensorboard" / ".serving.json").exists()


def test_a_note_left_by_a_server_that_was_killed_is_passed_over(launch: Launcher) -> None:
    launch("sweep", "sweep.n=1")
    note = launch.sweep_folder() / "tensorboard" / ".serving.json"
    note.write_text(
        f'{{"pid": {os.getpid()}, "port": 1, "host": "elsewhere", "started": {time.time()}}}'
    )
    process = launch.start("tensorboard", "--hours=0.001")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert "serves it already" not in out
    assert "TensorBoard has ended; the same command starts it again." in out


def test_where_login_nodes_forbid_it_a_job_is_offered(launch: Launcher) -> None:
    launch("sweep", "sweep.n=1", "site.tensorboard=job")
    said = launch("tensorboard", "--hours=2")
    assert said.code == 0
    script = Path(re.findall(r"sbatch (\S+)", said.out)[0])
    text = script.read_text()
    assert "tensorboard . --hours=2" in text
    assert "#SBATCH --time=02:01:00" in text
