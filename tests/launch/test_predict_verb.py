"""``launch evaluate`` and ``launch predict`` as people use them, on a few energy-balance planets."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import xarray
from support import Launcher, Said

PLANET = "stellar_flux: 1200 W/m2\nco2: 1000 ppm\n"
QUICK = ("evaluate.trials=1", "evaluate.folds=3", "evaluate.methods=[mean,neighbours,pca_gp]")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    launch = Launcher(tmp_path_factory.mktemp("swept"))
    for words in (("sweep", "sweep.n=24"), ("convert",)):
        said = launch(*words)
        assert said.code == 0, said.all
    said = launch("evaluate", *QUICK)
    assert said.code == 0, said.all
    return launch.folder, said


@pytest.fixture
def evaluated(swept: tuple[Path, Said], launch: Launcher) -> Launcher:
    # Paths in the sweep's files are those of the original, which nothing here goes on with.
    shutil.copytree(swept[0] / "runs", launch.folder / "runs", symlinks=True)
    (launch.folder / "planet.yaml").write_text(PLANET)
    return launch


def test_an_evaluation_leaves_a_report_scores_pictures_and_a_surrogate(
    swept: tuple[Path, Said],
) -> None:
    folder, said = swept
    sweep = folder / "runs" / "demo"
    place = sweep / "evaluations" / "evaluation"
    assert "(synthetic data)" in said.out
    assert "handed over: pca_gp" in said.out
    assert said.out.splitlines()[-1].startswith("next: look at ")
    page = (place / "report.html").read_text()
    for words in (
        "synthetic: the data say so themselves",
        "Every method on the test planets",
        "Are the intervals honest?",
        "Conservation",
        "pooled_r2",
        "Left out",
        "compared/ts/1",
    ):
        assert words in page, words
    assert (sweep / "reports" / "evaluation.html").read_text() == page
    rows = list(csv.DictReader((place / "scores.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == {"mean", "neighbours", "pca_gp"}
    assert {row["part"] for row in rows} == {"validation", "test", "corner"}
    assert {row["data"] for row in rows} == {"synthetic"}
    skill = [
        row
        for row in rows
        if (row["method"], row["metric"], row["part"]) == ("mean", "skill", "test")
        and row["means"] == "as predicted"
    ]
    assert all(abs(float(row["value"])) < 1e-6 for row in skill)
    planets = list(csv.DictReader((place / "planets.csv").read_text().splitlines()))
    assert {row["part"] for row in planets} == {"test", "corner"}
    assert list((place / "tensorboard").glob("events.out.tfevents.*"))
    words = json.loads((place / "surrogate" / "surrogate.json").read_text())
    assert words["name"] == "pca_gp"
    assert words["about"]["mark"] == "synthetic"
    assert words["provenance"]["packages"]


def test_the_same_evaluation_again_fits_nothing_and_says_the_same(evaluated: Launcher) -> None:
    place = evaluated.sweep_folder() / "evaluations" / "evaluation"
    before = {path: path.stat().st_mtime_ns for path in (place / "methods").iterdir()}
    said = evaluated("evaluate", *QUICK)
    assert said.code == 0, said.all
    assert {path: path.stat().st_mtime_ns for path in (place / "methods").iterdir()} == before
    more = evaluated("evaluate", *QUICK[:2], "evaluate.methods=[mean,pca_gp,ridge]")
    assert more.code == 0, more.all
    after = {path: path.stat().st_mtime_ns for path in (place / "methods").iterdir()}
    assert set(after) - set(before) == {
        place / "methods" / name for name in ("ridge.json", "ridge.safetensors")
    }
    assert {path: after[path] for path in before} == before


def test_a_planet_is_predicted_by_the_newest_surrogate(evaluated: Launcher) -> None:
    said = evaluated("predict", "planet.yaml")
    assert said.code == 0, said.all
    assert "by pca_gp (synthetic data)" in said.out
    with xarray.open_dataset(evaluated.folder / "planet.predicted.nc") as found:
        assert found.ts.dims == ("planet", "lat")
        assert (found.ts_low < found.ts).all()
        assert (found.ts < found.ts_high).all()
        assert 250 < float(found.ts.mean()) < 330
        assert found.outside_domain.values.tolist() == [0]
        assert found.planet_name.values.tolist() == ["planet"]
        assert json.loads(found.attrs["provenance"])["astrohpc"]


def test_a_planet_outside_is_answered_flagged_and_ends_with_three(evaluated: Launcher) -> None:
    (evaluated.folder / "two.csv").write_text(
        "name,stellar_flux [W/m2],co2 [ppm],gravity [m/s2]\nwarm,1200,1000,\nhot,3000,1000,\n"
        "heavy,1200,1000,25\n"
    )
    said = evaluated("predict", "two.csv", "demo", "-o", "two.nc")
    assert said.code == 3, said.all
    warnings = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert "hot is outside" in warnings[0]
    assert "stellar_flux is 3000 W m⁻²" in warnings[0]
    assert "gravity is 25 m s⁻², and 9.8 m s⁻² on all planets trained on" in warnings[1]
    with xarray.open_dataset(evaluated.folder / "two.nc") as found:
        assert found.outside_domain.values.tolist() == [0, 1, 1]


def test_several_planets_in_one_yaml_file(evaluated: Launcher) -> None:
    (evaluated.folder / "some.yaml").write_text(
        "planets:\n- {name: a, stellar_flux: 1000 W/m2, co2: 400 ppm}\n"
        "- {stellar_flux: 1300 W/m2, co2: 1 percent}\n"
    )
    place = evaluated.sweep_folder() / "evaluations" / "evaluation" / "surrogate"
    said = evaluated("predict", "some.yaml", str(place))
    assert said.code in (0, 3), said.all
    with xarray.open_dataset(evaluated.folder / "some.predicted.nc") as found:
        assert found.planet_name.values.tolist() == ["a", "planet 2"]
        assert found.ts.values[1].mean() > found.ts.values[0].mean()


def test_mistakes_are_one_sentence_and_end_with_two(evaluated: Launcher) -> None:
    folder = evaluated.folder
    (folder / "flux.yaml").write_text("stellar_flux: 1200 W/m2\n")
    (folder / "bare.yaml").write_text("stellar_flux: 1200\nco2: 400 ppm\n")
    (folder / "typo.yaml").write_text("stellar_flx: 1200 W/m2\nco2: 400 ppm\n")
    (folder / "list.yaml").write_text("- 3\n")
    (folder / "open.yaml").write_text("a: [\n")
    (folder / "empty").mkdir()
    broken = folder / "broken"
    shutil.copytree(evaluated.sweep_folder() / "evaluations/evaluation/surrogate", broken)
    numbers = next(broken.glob("*.safetensors"))
    numbers.write_bytes(b"\0" + numbers.read_bytes()[1:])
    for words, part in (
        (("predict",), "name a file of planets"),
        (("predict", "nowhere.yaml"), "there is no such file"),
        (("predict", "flux.yaml"), "co2: the surrogate was trained on planets that differ in it"),
        (("predict", "bare.yaml"), "stellar_flux: 1200 has no unit"),
        (("predict", "typo.yaml"), "did you mean 'stellar_flux'"),
        (("predict", "list.yaml"), "it has no planet"),
        (("predict", "open.yaml"), "it cannot be read"),
        (("predict", "planet.yaml", "empty"), "there is no surrogate in it"),
        (("predict", "planet.yaml", "nothing"), "there is no such folder"),
        (("predict", "planet.yaml", "broken"), "this surrogate is damaged"),
        (("evaluate", "nothing"), "is neither a file, nor a folder, nor a sweep"),
        (("evaluate", "demo", "wide"), "wide: is no training of demo; 'launch train' makes one"),
        (("evaluate", "evaluate.methods=[gp]"), "evaluate.methods: there is no 'gp'"),
        (("evaluate", "evaluate.trails=3"), "evaluate.trails: there is no such setting"),
        (("evaluate", "evaluate.name=a/b"), "cannot be a folder's name"),
        (("evaluate", "evaluate.variables=[ta]"), "has no 'ta' under a canonical name"),
        (("evaluate", "evaluate.split.test=0.0"), "none of 24 planets is left to judge by"),
    ):
        said = evaluated(*words)
        assert said.code == 2, (words, said.all)
        assert part in said.err, (words, said.all)
        assert len(said.err.strip().splitlines()) == 1, (words, said.err)


def test_a_training_of_other_variables_is_refused_if_named_and_left_out_if_not(
    evaluated: Launcher,
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: the extra train has it")
    quick = (
        "train.steps=4", "train.validate_every=2", "train.checkpoint.every_steps=2",
        "train.schedule.warmup_steps=1", "train.log.images_every=0", "model.trials=1",
        "model.guess=ridge", "model.folds=3",
    )  # fmt: skip
    said = evaluated("train", "model=unet", "train.data.variables=[ts]", "train.name=ts", *quick)
    assert said.code == 0, said.all
    said = evaluated("evaluate", "demo", "ts", *QUICK)
    assert said.code == 2, said.all
    assert "ts: it was trained on ts (0 levels), and " in said.err
    said = evaluated("train", "model=unet", "train.data.split.seed=5", "train.name=other", *quick)
    assert said.code == 0, said.all
    said = evaluated("train", "model=unet", "train.name=good", *quick)
    assert said.code == 0, said.all
    said = evaluated("evaluate", *QUICK)
    assert said.code == 0, said.all
    assert "left out: training ts: it was trained on ts" in said.out
    assert "left out: training other: it was trained on other planets" in said.out
    assert "good: skill on test planets" in said.out


def test_dry_runs_print_the_command_or_the_script(evaluated: Launcher) -> None:
    said = evaluated("evaluate", "demo", "--dry-run")
    assert said.code == 0, said.all
    assert "-m astrohpc.jobs.evaluate" in said.out
    said = evaluated("evaluate", "demo", "site=slurm-test", "--dry-run", "evaluate.name=cold")
    assert said.code == 0, said.all
    assert "#SBATCH" in said.out
    assert "astrohpc.jobs.evaluate" in said.out
    assert not (evaluated.sweep_folder() / "evaluations" / "cold").exists()
