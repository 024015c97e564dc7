"""``launch pipeline`` from a configuration to the report and a prediction, with the energy-balance model."""

import json
from pathlib import Path

import pytest
import xarray
from support import Launcher

SMALL = (
    *("sweep.n=24", "evaluate.methods=[mean,ridge,pca_gp]", "evaluate.trials=1"),
    *("model=unet", "model.trials=1", "train.steps=12", "train.validate_every=6"),
    *("train.checkpoint.every_steps=6", "train.schedule.warmup_steps=2"),
    *("train.log.images_every=0", "split.test=0.25"),
)


@pytest.mark.slow
def test_one_command_goes_from_a_configuration_to_a_report_and_does_nothing_twice(
    launch: Launcher,
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: the extra train has it")
    dry = launch("pipeline", *SMALL, "--dry-run")
    assert dry.code == 0, dry.all
    assert "# then: launch train demo model=unet" in dry.out
    assert not launch.sweep_folder().exists()

    said = launch("pipeline", *SMALL, timeout=580)
    assert said.code == 0, said.all
    lines = said.out.splitlines()
    stages = [line for line in lines if line.startswith("# ") and " of 5: " in line]
    names = ["sweep", "convert", "check", "train", "evaluate"]
    assert stages == [f"# {k} of 5: {name}" for k, name in enumerate(names, start=1)]
    assert lines[-1].startswith("next: look at ")
    folder = launch.sweep_folder()
    place = folder / "evaluations" / "evaluation"
    page = (place / "report.html").read_text()
    assert "synthetic: the data say so themselves" in page
    assert "training" in page
    words = json.loads((folder / "pipeline.json").read_text())["words"]
    assert "train.data.split.test=0.25" in words["train"]
    assert "evaluate.split.test=0.25" in words["evaluate"]

    planet = launch.folder / "planet.yaml"
    planet.write_text("stellar_flux: 1500 W/m2\nco2: 400 ppm\n")
    answer = launch("predict", str(planet))
    assert answer.code == 0, answer.all
    with xarray.open_dataset(planet.with_suffix(".predicted.nc")) as found:
        assert (found.ts_low < found.ts_high).all()

    fitted = _times(place / "methods")
    members = _times(folder / "members")
    again = launch("pipeline", *SMALL, timeout=580)
    assert again.code == 0, again.all
    assert "nothing to submit; 24 of 24 members are done" in again.out
    assert "nothing has changed since this was checked" in again.out
    assert _times(place / "methods") == fitted
    assert _times(folder / "members") == members


def _times(folder: Path) -> dict[str, int]:
    """When each file was written; what a run only looks at stays as it is."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }
