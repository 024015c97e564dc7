"""What a launcher adds to a member: astrohpc, submitit's map_array, and a hand-written sbatch array.

All three run the same planets on the same climate model on the same private Slurm, one after the other,
several times; medians are reported. Wall time runs from the command to the last climate on disk, for the
three differ in how soon they notice it. CPU time is what the whole machine used until the command returned,
the cluster's daemons included. Files are those that the launcher left, without the model's own. Queries are calls of squeue, sacct, scontrol, sinfo and sacctmgr, counted by wrappers in
PATH.

    eval "$(hpc/slurm/cluster.sh env)"; python benchmarks/launch_overhead.py --members 100 --repeats 3
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import record
import submitit

from astrohpc.engines.ebm import Ebm, EbmSettings
from astrohpc.launch.compose import compose
from astrohpc.settings import build
from astrohpc.sweep.design import Design, draw

REPOSITORY = Path(__file__).resolve().parents[1]
MODEL_FILES = Ebm(EbmSettings()).files()
COUNTED = ("squeue", "sacct", "scontrol", "sinfo", "sacctmgr")


def run_row(folder: str, index: int) -> str:
    """What every launcher has to get done: one planet of a table, on the built-in climate."""
    from astrohpc.sweep.members import read_table

    planet = read_table(Path(folder) / "planets.tsv", range(index, index + 1))[0].planet
    where = Path(folder) / str(index)
    where.mkdir(parents=True, exist_ok=True)
    return str(
        Ebm(EbmSettings()).run(planet, where, stop=lambda: False, report=lambda _: None).outcome
    )


@dataclass
class Run:
    """One measurement."""

    wall_s: float
    cpu_s: float
    files: int
    queries: int


@contextmanager
def counted(folder: Path) -> Iterator[Path]:
    """Put wrappers that count before Slurm's commands."""
    bin_folder, log = folder / "bin", folder / "calls"
    bin_folder.mkdir(parents=True)
    log.touch()
    for name in COUNTED:
        real = shutil.which(name)
        (bin_folder / name).write_text(f'#!/bin/sh\necho {name} >>{log}\nexec {real} "$@"\n')
        (bin_folder / name).chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{bin_folder}:{before}"
    try:
        yield log
    finally:
        os.environ["PATH"] = before


def machine_cpu_s() -> float:
    """CPU seconds that this machine has used since it started."""
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


def measure(folder: Path, launch: Callable[[Path], None]) -> Run:
    """Time one launch in an empty folder, and count what it left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work = folder / "work"
    work.mkdir()
    with counted(folder) as log:
        began, cpu = time.time(), machine_cpu_s()
        launch(work)
        used = machine_cpu_s() - cpu
        wall = max(path.stat().st_mtime for path in work.rglob("climate.nc")) - began
        queries = len(log.read_text().splitlines())
    files = sum(1 for path in work.rglob("*") if path.is_file() and path.name not in MODEL_FILES)
    return Run(wall, used, files, queries)


def with_astrohpc(members: int, pack: int) -> Callable[[Path], None]:
    """Launch with astrohpc, ``pack`` members to a task."""

    def launch(work: Path) -> None:
        command = [sys.executable, "-m", "astrohpc.launch", "sweep", "sweep=thousandworlds"]
        command += [f"sweep.n={members}", "site=slurm-test", f"runs={work}", "--wait"]
        command += [f"allocation.members_per_task={pack}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return launch


def with_submitit(members: int) -> Callable[[Path], None]:
    """Launch with submitit's own map_array, as its documentation shows."""

    def launch(work: Path) -> None:
        executor = submitit.AutoExecutor(folder=work / "logs", cluster="slurm")
        executor.update_parameters(
            timeout_min=30, mem_gb=1, cpus_per_task=1, slurm_array_parallelism=100
        )
        _write_planets(work, members)
        jobs = executor.map_array(run_row, [str(work)] * members, range(members))
        assert {job.result() for job in jobs} == {"done"}

    return launch


def by_hand(members: int) -> Callable[[Path], None]:
    """Launch with the fifteen lines that a careful person writes."""

    def launch(work: Path) -> None:
        _write_planets(work, members)
        (work / "logs").mkdir()
        script = work / "array.sbatch"
        code = f"import sys; sys.path.insert(0, {str(REPOSITORY / 'benchmarks')!r}); import launch_overhead as b; "
        code += "assert b.run_row('.', int(sys.argv[1])) == 'done'"
        script.write_text(
            "#!/bin/bash\n"
            f"#SBATCH --array=0-{members - 1}%100\n#SBATCH --time=00:30:00\n#SBATCH --mem=1G\n"
            f"#SBATCH --chdir={work}\n#SBATCH --output=logs/%A_%a.out\n"
            f'{sys.executable} -c "{code}" $SLURM_ARRAY_TASK_ID\n'
        )
        subprocess.run(["sbatch", "--wait", str(script)], check=True, stdout=subprocess.DEVNULL)

    return launch


def _write_planets(work: Path, members: int) -> None:
    from astrohpc.sweep.members import Member, write_table

    spec = build(Design, compose(["sweep=thousandworlds", f"sweep.n={members}"])["sweep"], "sweep")
    rows = [Member(i, f"{i:016x}", one.planet) for i, one in enumerate(draw(spec))]
    write_table(work / "planets.tsv", rows)


def main() -> None:
    """Measure all, alternating, and print a table and a ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that all nodes see")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()
    n = arguments.members
    head = record.provenance("submitit")
    Ebm(EbmSettings()).prepare()
    launchers = {
        "astrohpc, 1 member a task": with_astrohpc(n, 1),
        "astrohpc, 20 members a task": with_astrohpc(n, 20),
        "submitit map_array": with_submitit(n),
        "hand-written sbatch array": by_hand(n),
    }
    runs: dict[str, list[Run]] = {name: [] for name in launchers}
    for repeat in range(arguments.repeats):
        for name, launch in launchers.items():
            run = measure(arguments.folder / "bench", launch)
            runs[name].append(run)
            print(f"# {repeat + 1}/{arguments.repeats} {name}: {run}", file=sys.stderr, flush=True)
    shutil.rmtree(arguments.folder / "bench", ignore_errors=True)

    medians = {
        name: Run(
            statistics.median(run.wall_s for run in found),
            statistics.median(run.cpu_s for run in found),
            round(statistics.median(run.files for run in found)),
            round(statistics.median(run.queries for run in found)),
        )
        for name, found in runs.items()
    }
    hand = medians["hand-written sbatch array"]
    print(
        f"| launcher, {n} members | wall s a member | CPU s a member | files a member | queries | wall against hand-written |"
    )
    print("|---|---|---|---|---|---|")
    for name, run in medians.items():
        print(
            f"| {name} | {run.wall_s / n:.3f} | {run.cpu_s / n:.2f} | {run.files / n:.2f} | {run.queries} "
            f"| {run.wall_s / hand.wall_s:.2f} |"
        )
    if arguments.out:
        result = {
            **head,
            "slurm": record.said("sbatch", "--version"),
            "members": n,
            "runs": {name: [vars(run) for run in found] for name, found in runs.items()},
        }
        record.write(arguments.out, result)


if __name__ == "__main__":
    main()
