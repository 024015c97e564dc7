"""``launch pipeline`` on the real Slurm with the real ExoPlaSim and an ensemble, at the smallest size."""

import csv
import json
import re

import pytest
from support import Launcher, until
from support_slurm import Cluster

pytest.importorskip("exoplasim", reason="the extra 'exoplasim' is not installed")
pytest.importorskip("torch", reason="torch is not installed: the extra train has it")
pytestmark = [pytest.mark.slurm, pytest.mark.slow]

# Ten days settle nothing: what counts as settled is widened to what no climate misses. Numbers are of no
# meaning here; that every stage follows on the one before is.
WORDS = (
    *("sweep=exoplasim-t21", "sweep.n=9", "site=slurm-test", "site.query_interval_s=1"),
    *("engine=exoplasim-t21", "engine.run_days=10", "engine.leg_days=5", "engine.output_days=5"),
    *("engine.climate_days=5", "sweep:allocation.members_per_task=2"),
    *("engine.equilibrium_years=0.2", "engine.tolerance_wm2=50", "engine.tolerance_k=10"),
    *("evaluate.methods=[mean,ridge,pca_gp]", "evaluate.trials=1", "evaluate.folds=3"),
    *("split.test=0.3", "split.corner=0", "split.validation=0.2", "evaluate.unconverged=true"),
    "split.seed=8",  # four to train on, three to validate with, two to judge by
    *("model=unet", "model.width=4", "model.stages=1", "model.trials=1", "model.folds=3"),
    *("train.steps=6", "train.batch=4", "train.validate_every=3", "train.checkpoint.every_steps=3"),
    *("train.schedule.warmup_steps=1", "train.ensemble=2", "train.data.unconverged=true"),
    *("check:allocation.tasks_per_node=1", "train:allocation.cpus_per_task=1"),
)


def test_a_sweep_of_exoplasim_becomes_a_report_by_jobs_that_wait_for_each_other(
    launch: Launcher, cluster: Cluster
) -> None:
    said = launch("pipeline", *WORDS, timeout=300)
    assert said.code == 0, said.all
    folder = launch.sweep_folder("exoplasim-t21")
    queue = cluster.queue()
    assert any("pipeline.exoplasim-t21" in line for line in queue), queue
    again = launch("pipeline", *WORDS, timeout=300)
    assert again.code == 0, again.all
    assert "is at it already" in again.out or "submitted" in again.out

    page = folder / "evaluations" / "evaluation" / "report.html"
    until(page.exists, "the report", 800)
    cluster.drain()
    log = "".join(path.read_text() for path in sorted((folder / "logs").glob("pipeline_*.out")))
    assert len(re.findall(r"job \d+ submitted", log)) >= 3, log
    words = json.loads((page.parent / "surrogate" / "surrogate.json").read_text())
    assert words["about"]["mark"] == ""
    assert [one["name"] for one in words["variables"]][:2] == ["ta", "log_hus"]
    assert "Conservation" in page.read_text()
    assert (folder / "store.zarr" / ".astrohpc" / "check.html").is_file()
    run = folder / "trainings" / "training"
    logs = sorted(run.glob("logs/train_*_[01].out"))
    assert len(logs) == 2, "an array of two"
    for path in logs:
        assert "trained at step 6 of 6" in path.read_text(), path.read_text()
    rows = list(csv.DictReader((page.parent / "scores.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == {"mean", "ridge", "pca_gp", "training"}
