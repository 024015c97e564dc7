"""One suite for all engines: real processes, real Horovod (Gloo and MPI), real torch groups.

The ranks run ``support_engines.py`` once for each engine and number of ranks; the tests read what it
measured.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from astrohpc.train.engines.rendezvous import free_port

SUPPORT = Path(__file__).resolve().parents[1] / "support_engines.py"
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}
MANY = [(engine, ranks) for engine in ("horovod", "horovod-mpi", "ddp", "fsdp") for ranks in (2, 4)]
ALL = [("single", 1), *MANY]
HAS_HOROVOD = importlib.util.find_spec("horovod") is not None


def need(engine: str) -> None:
    if engine.startswith("horovod") and not HAS_HOROVOD:
        pytest.skip("needs Horovod (hpc/horovod.sh)")
    if engine == "horovod-mpi" and shutil.which("mpirun") is None:
        pytest.skip("needs mpirun")


def ranks_of(engine: str, ranks: int, *words: str) -> list[str]:
    if engine == "horovod-mpi":
        return ["mpirun", "-n", str(ranks), sys.executable, *words]
    spawn = [sys.executable, "-m", "astrohpc.train.spawn", "-n", str(ranks), "--"]
    return [*spawn, sys.executable, *words]


def launch(engine: str, ranks: int, *words: str) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOROVOD_", "SLURM_"))}
    return subprocess.run(
        ranks_of(engine, ranks, *words),
        env=kept | MPI | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


class Measured:
    """What each rank measured, by engine and number of ranks; each is launched once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, int], list[dict[str, Any]]] = {}

    def __call__(self, engine: str, ranks: int, check: str) -> list[Any]:
        need(engine)
        if (engine, ranks) not in self._known:
            out = self._folder / f"{engine}-{ranks}.json"
            name = engine.partition("-")[0]
            done = launch(engine, ranks, str(SUPPORT), name, str(out))
            assert done.returncode == 0, done.stdout + done.stderr
            self._known[engine, ranks] = json.loads(out.read_text())
        found = [one[check] for one in self._known[engine, ranks]]
        assert len(found) == ranks
        for one in found:
            assert not (isinstance(one, dict) and "error" in one), one["error"]
        return found


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return Measured(tmp_path_factory.mktemp("engines"))


@pytest.mark.parametrize(("engine", "ranks"), ALL)
@pytest.mark.parametrize(("check", "close"), [("gradients_fp64", 1e-12), ("gradients_fp32", 2e-5)])
def test_gradients_and_their_clipped_norm_are_those_of_one_process_with_the_joint_batch(
    measured: Measured, engine: str, ranks: int, check: str, close: float
) -> None:
    for one in measured(engine, ranks, check):
        assert one["gradients"] < close
        assert one["norm"] < close
        assert one["clipped"] < close


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_uneven_shares_in_micro_batches_give_the_gradient_of_the_mean_over_all_samples(
    measured: Measured, engine: str, ranks: int
) -> None:
    assert max(measured(engine, ranks, "uneven_accumulation")) < 1e-12


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_what_nobody_uses_has_no_gradient_and_is_not_decayed(
    measured: Measured, engine: str, ranks: int
) -> None:
    found = measured(engine, ranks, "unused_and_frozen")
    for one in found:
        assert one["none"] == ["frozen.bias", "frozen.weight", "never.bias", "never.weight"]
        assert one["still"] == one["none"]
        assert one["gradients"] < 1e-12
    assert len({one["checksum"] for one in found}) == 1


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_what_an_earlier_micro_batch_used_keeps_its_gradient(
    measured: Measured, engine: str, ranks: int
) -> None:
    assert max(measured(engine, ranks, "used_in_an_earlier_micro_batch_only")) < 1e-12


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_channels_last_weights_have_gradients_of_their_own_memory_format(
    measured: Measured, engine: str, ranks: int
) -> None:
    for one in measured(engine, ranks, "channels_last"):
        assert one["gradients"] < 1e-12
        assert one["same_strides"]


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_bfloat16_gradients_are_summed_in_float32_by_horovod(
    measured: Measured, engine: str, ranks: int
) -> None:
    for one in measured(engine, ranks, "bfloat16"):
        # The others sum in bfloat16, whose numbers are 1/128 apart.
        assert one["gradients"] <= (0.0 if engine in ("single", "horovod", "horovod-mpi") else 0.05)


@pytest.mark.parametrize(("engine", "ranks"), MANY)
def test_the_loss_curve_is_that_of_one_process(measured: Measured, engine: str, ranks: int) -> None:
    alone = measured("single", 1, "training")[0]["losses"]
    for one in measured(engine, ranks, "training"):
        assert one["losses"] == pytest.approx(alone, rel=1e-5)
    assert alone[-1] < 0.9 * alone[0]


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_all_ranks_end_with_the_same_bits_and_so_does_a_second_training(
    measured: Measured, engine: str, ranks: int
) -> None:
    first = measured(engine, ranks, "training")
    again = measured(engine, ranks, "training_again")
    assert {one["words"] for one in first} == {1}
    assert len({one["checksum"] for one in first + again}) == 1


def test_processes_started_anew_train_to_the_same_bits(measured: Measured, tmp_path: Path) -> None:
    first = measured("horovod", 4, "training")
    second = Measured(tmp_path)("horovod", 4, "training")
    assert {one["checksum"] for one in first} == {one["checksum"] for one in second}


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_a_training_that_goes_on_from_a_state_ends_as_if_it_had_not_stopped(
    measured: Measured, engine: str, ranks: int
) -> None:
    whole = measured(engine, ranks, "training")
    resumed = measured(engine, ranks, "resumed")
    sharded = measured(engine, ranks, "sharded_state")
    if engine == "ddp" and ranks > 2:  # it makes its buckets anew after the first step
        for one, other in zip(resumed, whole, strict=True):
            assert one["losses"] == pytest.approx(other["losses"], rel=1e-6)
    else:
        assert [one["losses"] for one in resumed] == [one["losses"] for one in whole]
        assert {one["checksum"] for one in resumed + whole} == set(sharded)
    assert resumed[0]["kinds"] == ["Tensor"]  # whole tensors, also where the model is cut up


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_collectives_keep_type_and_shape(measured: Measured, engine: str, ranks: int) -> None:
    total, most = ranks * (ranks - 1) / 2, ranks - 1
    for one in measured(engine, ranks, "collectives"):
        for dtype in ("float32", "float64", "bfloat16", "int64"):
            assert one[f"torch.{dtype}"] == [[total, ranks], [most, 1], [0, 1]]
        assert one["torch.bool"] == [[min(total, 1), 1], [min(most, 1), 1], [0, 1]]
        assert one["any"] == [True, False]
        assert one["scalar"] == 2.5 * ranks
        assert one["empty"] is True
        assert one["gather"] == [{"rank": r, "text": "x" * r} for r in range(ranks)]
        assert one["broadcast"] == {"from": 0}
        assert one["per_unit"] == pytest.approx(ranks / ranks**2)  # 1 + 3 + 5 + … = n²


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_what_would_let_ranks_drift_apart_is_refused_with_a_sentence(
    measured: Measured, engine: str, ranks: int
) -> None:
    for one in measured(engine, ranks, "refusals"):
        if ranks > 1:
            assert f"data: rank {ranks - 1} has digest 1 and rank 0 digest 0" in one["data"]
            assert f"model: rank {ranks - 1} has" in one["model"]
            if engine != "fsdp":
                assert one["bit"].startswith("blocks.1.conv.weight: ranks have different weights")
        assert "none of its parameters is trained" in one["untrained"]
        assert "one engine trains one model" in one["twice"]
        assert one["frozen later"].startswith("first.weight: it was trained when")
        assert "a parameter that the model had not" in one["added"]
        if engine.startswith("horovod"):
            assert "two backwards of one micro-batch" in one["two backwards"]


@pytest.mark.parametrize(("engine", "ranks"), ALL)
def test_what_one_rank_refuses_all_refuse_in_its_words(
    measured: Measured, engine: str, ranks: int
) -> None:
    words = "arrays: there is no such folder; name another."
    found = measured(engine, ranks, "together")
    assert [one["made"] for one in found] == list(range(ranks))
    assert {one["all"] for one in found} == {words}
    assert {one["one"] for one in found} == {f"rank {ranks - 1}: {words}" if ranks > 1 else words}


DIFFERING = """
import sys, torch
from astrohpc.train.engines.choose import EngineSettings, open_engine
from astrohpc.train.engines.failures import run
def main():
    engine, _ = open_engine(EngineSettings(engine=sys.argv[1]))
    engine.agree({"data": "1234" if engine.rank else "5678"})
    return 0
sys.exit(run(main))
"""

DYING = """
import os, signal, sys, torch
from astrohpc.train.engines.choose import EngineSettings, open_engine
from astrohpc.train.engines.failures import run
def main():
    engine, _ = open_engine(EngineSettings(engine=sys.argv[1]))
    model = engine.prepare(torch.nn.Linear(9, 9), lambda m: torch.optim.SGD(m.parameters(), lr=0.1))
    for step in range(1000000):
        if step == 3 and engine.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        with engine.accumulate(last=True):
            engine.backward(model(torch.ones(2, 9)).sum())
        engine.finish_gradients()
        engine.step()
    return 0
sys.exit(run(main))
"""


@pytest.mark.parametrize("engine", ["horovod", "ddp"])
def test_ranks_with_other_data_end_before_the_first_step_with_78(
    engine: str, tmp_path: Path
) -> None:
    need(engine)
    (tmp_path / "program.py").write_text(DIFFERING)
    done = launch(engine, 2, str(tmp_path / "program.py"), engine)
    assert done.returncode == 78, done.stdout + done.stderr
    assert "error: data: rank 1 has 1234 and rank 0 5678; start all ranks" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("engine", ["horovod", "horovod-mpi", "ddp", "fsdp"])
def test_a_rank_that_is_killed_ends_the_others_soon_with_try_again(
    engine: str, tmp_path: Path
) -> None:
    need(engine)
    (tmp_path / "program.py").write_text(DYING)
    done = launch(engine, 2, str(tmp_path / "program.py"), engine.partition("-")[0])
    assert "Traceback" not in done.stderr
    if engine == "horovod-mpi":  # mpirun ends all, and tells the signal
        assert done.returncode != 0
    else:
        assert done.returncode == 75, done.stdout + done.stderr
        assert "start the job again and it goes on from its last checkpoint" in done.stderr


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_whose_fellow_never_comes_says_so_and_ends_with_try_again(
    rank: int, tmp_path: Path
) -> None:
    need("horovod")
    program = (
        "import sys\n"
        "from astrohpc.train.engines.choose import EngineSettings, open_engine\n"
        "from astrohpc.train.engines.failures import run\n"
        "settings = EngineSettings(engine='horovod', timeout_s=1.0)\n"
        "sys.exit(run(lambda: open_engine(settings) and 0))\n"
    )
    place = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | place,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    said = ["rank 1 of 2 did not come within 1 s", "rank 0 was not found at 127.0.0.1:"]
    assert said[rank] in done.stderr


def test_nodes_with_unequal_numbers_of_ranks_meet_as_srun_tells_them(tmp_path: Path) -> None:
    """Two tasks on one node and one on the next, without pmix; the nodes are this machine."""
    need("horovod")
    program = (
        "import sys, torch\n"
        "from astrohpc.train.engines.choose import EngineSettings, open_engine\n"
        "engine = open_engine(EngineSettings(engine='horovod', timeout_s=120))[0]\n"
        "total = engine.sum(torch.tensor(float(engine.rank)))\n"
        "print(engine.rank, engine.local_rank, total.item())\n"
        "engine.shutdown()\n"
    )
    step = {
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
        "SLURM_STEP_NODELIST": "n[1-2]",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "HOROVOD_GLOO_IFACE": "lo",
    }
    tasks = [
        step | {"SLURM_PROCID": str(r), "SLURM_NODEID": str(n), "SLURM_LOCALID": str(k)}
        for r, n, k in ((0, 0, 0), (1, 0, 1), (2, 1, 0))
    ]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | one, stdout=subprocess.PIPE, text=True
        )
        for one in tasks
    ]
    said = [rank.communicate(timeout=300)[0] for rank in ranks]
    assert said == ["0 0 3.0\n", "1 1 3.0\n", "2 0 3.0\n"]


def test_a_signal_to_the_spawner_reaches_all_processes(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys, time\n"
        "mine = pathlib.Path(sys.argv[1]) / os.environ['RANK']\n"
        "def caught(*_):\n"
        "    mine.write_text('usr1')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGUSR1, caught)\n"
        "mine.write_text('ready')\n"
        "time.sleep(300)\n"
    )
    job = subprocess.Popen(ranks_of("ddp", 3, "-c", program, str(tmp_path)))
    told = [tmp_path / str(rank) for rank in range(3)]
    while not all(one.exists() and one.read_text() for one in told):
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=120) == 0
    assert {one.read_text() for one in told} == {"usr1"}


def test_the_spawner_ends_those_that_would_wait_for_ever(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "sys.exit(78) if os.environ['RANK'] == '1' else time.sleep(3000)\n"
    )
    changed = "import astrohpc.train.spawn as s; s.GRACE_S = 0.5; raise SystemExit(s.main())"
    words = [sys.executable, "-c", changed, "-n", "2", "--", sys.executable, "-c", program]
    assert subprocess.run(words, timeout=120, check=False).returncode == 78
