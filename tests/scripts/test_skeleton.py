"""The skeleton of every script, run by a real bash: signals, exit codes, and the moments between."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_render import request_of

from astrohpc.slurm.render import render, write_script

# A payload that takes half a second to write its restart after it was asked to stop.
PAYLOAD = """
import signal, sys, time
from pathlib import Path
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
Path("ready").touch()
end = time.time() + float(sys.argv[1])
while time.time() < end and not got: time.sleep(0.01)
if got:
    time.sleep(0.5)
    Path("restart").touch()
    sys.exit(75)
sys.exit(int(sys.argv[2]))
"""


def start(
    tmp_path: Path, seconds: float, code: int, payload: str = PAYLOAD
) -> "subprocess.Popen[str]":
    (tmp_path / "payload.py").write_text(payload)
    request = request_of("local", "small", "array", folder=str(tmp_path))
    command = (sys.executable, "payload.py", str(seconds), str(code))
    script = tmp_path / "job.sbatch"
    write_script(script, render(replace(request, command=command)))
    return subprocess.Popen(
        ["bash", str(script), "7"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, _ = process.communicate(timeout=300)
    return process.returncode, out


def wait_for(path: Path) -> None:
    end = time.time() + 300
    while not path.exists():
        assert time.time() < end, f"{path} never came"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, "done"), (65, "blown up"), (78, "badly configured"), (3, "done in part"), (4, "died")],
)
def test_the_payload_s_exit_code_is_the_script_s(tmp_path: Path, code: int, said: str) -> None:
    got, out = finish(start(tmp_path, 0, code))
    assert got == code
    assert f"exit {code}: {said}" in out


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM", "SIGINT"])
def test_a_signal_lets_the_payload_write_its_restart(tmp_path: Path, name: str) -> None:
    process = start(tmp_path, 30, 0)
    wait_for(tmp_path / "ready")
    process.send_signal(getattr(signal, name))
    code, out = finish(process)
    assert (code, (tmp_path / "restart").exists()) == (75, True)
    assert "asking the payload to write its restart" in out


def test_further_signals_do_not_cut_the_restart_short(tmp_path: Path) -> None:
    process = start(tmp_path, 30, 0)
    wait_for(tmp_path / "ready")
    for name in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1):
        process.send_signal(name)
        time.sleep(0.1)
    assert finish(process)[0] == 75
    assert (tmp_path / "restart").exists()


def test_a_payload_stopped_before_it_could_listen_counts_as_checkpointed(tmp_path: Path) -> None:
    deaf = "import time; from pathlib import Path; Path('ready').touch(); time.sleep(30)"
    process = start(tmp_path, 30, 0, deaf)
    wait_for(tmp_path / "ready")
    process.send_signal(signal.SIGUSR1)
    assert finish(process)[0] == 75


def test_signals_at_any_moment_end_in_a_checkpoint_or_in_the_end(tmp_path: Path) -> None:
    """From before the trap is set (bash dies of it) to after the payload has left."""
    codes = set()
    for step in range(16):
        (tmp_path / "restart").unlink(missing_ok=True)
        process = start(tmp_path, 0.3, 0)
        time.sleep(0.01 + 0.03 * step)
        process.send_signal(signal.SIGUSR1)
        codes.add(finish(process)[0])
    assert codes <= {0, 75, -signal.SIGUSR1}
    assert 75 in codes


@pytest.mark.parametrize("saves", [True, False])
def test_a_training_starts_again_as_long_as_it_gets_on(tmp_path: Path, saves: bool) -> None:
    """Seven attempts that die, with three allowed in vain; srun and scontrol are the only ones not real."""
    for name, text in (
        ("srun", 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"'),
        ("scontrol", 'if [ "$1" = requeue ]; then echo "$2" >> requeued; else echo node1; fi'),
    ):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    (tmp_path / "logs").mkdir()
    request = request_of("slurm-test", "small", "gpu", folder=str(tmp_path))
    words = "mkdir -p checkpoints/step-$NUMBER; exit 137" if saves else "exit 137"
    asked = replace(request, command=("bash", "-c", words), site=replace(request.site, requeues=3))
    write_script(tmp_path / "job.sbatch", render(asked))
    heard = []
    for attempt in range(7):
        done = subprocess.run(
            ["bash", str(tmp_path / "job.sbatch")],
            env={
                **os.environ,
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "SLURM_JOB_ID": "17",
                "SLURM_JOB_NODELIST": "node1",
                "SLURM_NTASKS": "2",
                "SLURM_RESTART_COUNT": str(attempt),
                "NUMBER": f"{attempt:09d}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 137, done.stdout + done.stderr
        heard.append("not started again: 4 attempts in a row saved nothing new" in done.stdout)
    requeued = (tmp_path / "requeued").read_text().split()
    assert requeued == ["17"] * (7 if saves else 3)
    assert heard == [False] * 7 if saves else [False] * 3 + [True] * 4


def test_a_task_number_is_needed_outside_slurm(tmp_path: Path) -> None:
    start(tmp_path, 0, 0).communicate()
    done = subprocess.run(
        ["bash", str(tmp_path / "job.sbatch")], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "say which task" in done.stderr
