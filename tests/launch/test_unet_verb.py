"""``launch train model=unet`` from the command line: one network, an ensemble here and as an array, refusals."""

import json
import re
import subprocess
import sys

import pytest
from support import Launcher

from astrohpc.climates.store import from_store
from astrohpc.train.networks import Surrogate

pytestmark = pytest.mark.slow
QUICK = (
    *("train", "model=unet", "model.trials=1", "model.folds=3", "model.width=8", "model.stages=1"),
    *("train.steps=6", "train.batch=4", "train.schedule.warmup_steps=2"),
    *("train.validate_every=3", "train.checkpoint.every_steps=3", "train.log.images_every=6"),
)


def test_a_sweep_becomes_an_ensemble_of_networks_that_go_on_where_they_are(
    launch: Launcher,
) -> None:
    assert launch("sweep", "sweep.n=14", "allocation.members_per_task=14").code == 0
    assert launch("convert").code == 0
    said = launch(*QUICK, "train.ensemble=2", "train.name=both")
    assert said.code == 0, said.all
    assert re.findall(r"member (\d) of 2", said.out) == ["0", "1"]
    weights = re.findall(r"trained at step 6 of 6, weights (\w+)", said.out)
    assert len(set(weights)) == 2
    assert len(re.findall("believed beside its first guess, from 0 to 1: ts", said.out)) == 2
    run = launch.sweep_folder() / "trainings" / "both"
    assert json.loads((run / "train.json").read_text())["train"]["data"]["climates"] is True
    climates = from_store(launch.sweep_folder() / "store.zarr")
    found = Surrogate.of(run)
    assert len(found.networks) == 2
    said_of = found.predict(climates.scaled[:3])
    assert said_of.mean.shape == climates.values[:3].shape
    assert said_of.std is not None
    assert (said_of.std > 0).all()
    again = launch(*QUICK, "train.ensemble=2", "train.name=both")
    assert len(re.findall("going on from step 6 of 6", again.out)) == 2
    assert re.findall(r"weights (\w+)", again.out) == weights
    task = [
        sys.executable,
        "-m",
        "astrohpc.jobs.ensemble",
        str(run),
        "--first",
        "1",
        "--count",
        "1",
    ]
    alone = subprocess.run(
        task, env=launch.environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert re.findall(r"member (\d) of 2", alone.stdout) == ["1"]  # as a task of an array
    assert weights[1] in alone.stdout
    drawn = launch("curves", "both")
    assert drawn.code == 0, drawn.all
    assert re.findall(r"^(member-\d) +6 ", drawn.out, re.MULTILINE) == ["member-0", "member-1"]

    script = launch(*QUICK, "train.ensemble=5", "site=slurm-test", "--dry-run").out
    assert "#SBATCH --array=0-4%100" in script
    assert re.search(r'-m astrohpc.jobs.ensemble \S+/training --first "\$\(\(0 \+ task', script)
    many = launch(*QUICK, "train.ensemble=2", "allocation.tasks_per_node=2")
    assert many.code == 2
    assert "train.ensemble: its members are one process each, and 2 were asked for" in many.all
    few = launch(*QUICK, "train.batch=64")
    assert few.code == 2
    assert re.search(r"batch: 64 samples are more than the \d+ that there are", few.all)
    none = launch(*QUICK, "train.data.split.validation=0", "train.name=none")
    assert none.code == 2
    assert "train.data.split.validation: it leaves none of 14 planets" in none.all
