"""``launch evaluate`` and ``launch predict`` as people use them, on a few energy-balance planets."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import xarray
from support import Launcher, Said

from astrohpc.climates.split import SplitSettings, split
from astrohpc.climates.store import from_store
from astrohpc.clock import SystemClock
from astrohpc.errors import ConfigError
from astrohpc.evaluate.job import Job
from astrohpc.evaluate.run import evaluate
from astrohpc.evaluate.settings import EvaluateSettings
from astrohpc.launch.cli import main
from astrohpc.settings import build
from astrohpc.train.run import TRUST

PLANET = "stellar_flux: 1500 W/m2\nco2: 1000 ppm\n"
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


class Predict:
    """``launch`` in this process, for it starts no jobs, in a copy of what was evaluated."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.sweep = folder / "runs" / "demo"
        self.place = self.sweep / "evaluations" / "evaluation"

    def __call__(self, *words: str) -> Said:
        self.capsys.readouterr()
        code = main([*words, "--runs", str(self.folder / "runs")])
        return Said(code, *self.capsys.readouterr())


@pytest.fixture
def launched(
    swept: tuple[Path, Said],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Predict:
    # Paths in the sweep's files are those of the original, which nothing here goes on with.
    shutil.copytree(swept[0] / "runs", tmp_path / "runs", symlinks=True)
    monkeypatch.chdir(tmp_path)
    Path("planet.yaml").write_text(PLANET)
    return Predict(tmp_path, capsys)


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


def test_the_same_evaluation_again_fits_nothing_that_was_fitted(
    launched: Predict, launch: Launcher
) -> None:
    methods = launched.place / "methods"
    before = {path: path.stat().st_mtime_ns for path in methods.iterdir()}
    said = launch("evaluate", *QUICK[:2], "evaluate.methods=[mean,pca_gp,ridge]")
    assert said.code == 0, said.all
    after = {path: path.stat().st_mtime_ns for path in methods.iterdir()}
    assert set(after) - set(before) == {
        methods / name for name in ("ridge.json", "ridge.safetensors")
    }
    assert {path: after[path] for path in before} == before


def test_a_planet_is_predicted_by_the_newest_surrogate(launched: Predict) -> None:
    said = launched("predict", "planet.yaml")
    assert said.code == 0, said.all
    assert "by pca_gp (synthetic data)" in said.out
    with xarray.open_dataset("planet.predicted.nc") as found:
        assert found.ts.dims == ("planet", "lat")
        assert (found.ts_low < found.ts).all()
        assert (found.ts < found.ts_high).all()
        assert 280 < float(found.ts.mean()) < 360
        assert found.outside_domain.values.tolist() == [0]
        assert found.planet_name.values.tolist() == ["planet"]
        assert json.loads(found.attrs["provenance"])["astrohpc"]


def test_a_planet_outside_is_answered_flagged_and_ends_with_three(launched: Predict) -> None:
    Path("two.csv").write_text(
        "name,stellar_flux [W/m2],co2 [ppm],gravity [m/s2]\nwarm,1500,1000,\nhot,3000,1000,\n"
        "heavy,1500,1000,25\n"
    )
    said = launched("predict", "two.csv", "demo", "-o", "two.nc")
    assert said.code == 3, said.all
    warnings = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert "hot is outside" in warnings[0]
    assert "stellar_flux is 3000 W m⁻²" in warnings[0]
    assert "gravity is 25 m s⁻², and 9.8 m s⁻² on all planets trained on" in warnings[1]
    with xarray.open_dataset("two.nc") as found:
        assert found.outside_domain.values.tolist() == [0, 1, 1]


def test_several_planets_in_one_yaml_file(launched: Predict) -> None:
    Path("some.yaml").write_text(
        "planets:\n- {name: a, stellar_flux: 900 W/m2, co2: 400 ppm}\n"
        "- {stellar_flux: 1600 W/m2, co2: 1 percent}\n"
    )
    said = launched("predict", "some.yaml", str(launched.place / "surrogate"))
    assert said.code in (0, 3), said.all
    with xarray.open_dataset("some.predicted.nc") as found:
        assert found.planet_name.values.tolist() == ["a", "planet 2"]
        assert found.ts.values[1].mean() > found.ts.values[0].mean()


def test_mistakes_are_one_sentence_and_end_with_two(launched: Predict) -> None:
    Path("flux.yaml").write_text("stellar_flux: 1200 W/m2\n")
    Path("bare.yaml").write_text("stellar_flux: 1200\nco2: 400 ppm\n")
    Path("typo.yaml").write_text("stellar_flx: 1200 W/m2\nco2: 400 ppm\n")
    Path("list.yaml").write_text("- 3\n")
    Path("open.yaml").write_text("a: [\n")
    Path("empty").mkdir()
    shutil.copytree(launched.place / "surrogate", "broken")
    numbers = next(Path("broken").glob("*.safetensors"))
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
        (("evaluate", "demo", "evaluate.floor=nope"), "evaluate.floor: nope: is neither a file"),
        (("evaluate", "evaluate.trails=3"), "evaluate.trails: there is no such setting"),
        (("evaluate", "evaluate.name=a/b"), "cannot be a folder's name"),
        (("pipeline", "sweeep=demo"), "there is no such group or setting; did you mean 'sweep'"),
        (("pipeline", "evaluate.split.seed=3"), "write split.KEY=VALUE, which is for both"),
        (("pipeline", "evaluate.unconverged=true"), "write the same in train.data.unconverged"),
        (("pipeline", "store.codecs=3"), "store.codecs: there is no such setting"),
    ):
        said = launched(*words)
        assert said.code == 2, (words, said.all)
        assert part in said.err, (words, said.all)
        assert len(said.err.strip().splitlines()) == 1, (words, said.err)


def test_a_second_run_of_some_planets_says_how_well_the_climates_are_known(
    launched: Predict, launch: Launcher
) -> None:
    """The energy-balance model from a cold start: near the cold edge planets end under ice."""
    for words in (("sweep", "sweep.n=6", "sweep.name=cold", "engine.start=cold"), ("convert",)):
        said = launch(*words, *(("cold",) if words == ("convert",) else ()))
        assert said.code == 0, said.all
    again = launch.folder / "runs" / "cold"
    said = launched("evaluate", "demo", *QUICK, "evaluate.name=floor", f"evaluate.floor={again}")
    assert said.code == 0, said.all
    page = (launched.sweep / "evaluations" / "floor" / "report.html").read_text()
    assert "How well these climates are known" in page
    assert "6 planets were run again from other initial states (cold)" in page
    said = launched("evaluate", "demo", *QUICK, "evaluate.floor=demo")
    assert said.code == 2, said.all
    assert "holds the very runs of" in said.err


def test_a_training_of_other_variables_or_planets_is_refused_if_named_and_left_out_if_not(
    launched: Predict, launch: Launcher
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: the extra train has it")
    from astrohpc.evaluate import networks

    said = launch(
        "train", "model=unet", "train.data.variables=[ts]", "train.name=ts", "train.steps=4",
        "train.validate_every=2", "train.checkpoint.every_steps=2", "train.schedule.warmup_steps=1",
        "train.log.images_every=0", "model.trials=1", "model.guess=ridge", "model.folds=3",
    )  # fmt: skip
    assert said.code == 0, said.all
    run, store = launched.sweep / "trainings" / "ts", launched.sweep / "store.zarr"
    chosen = build(EvaluateSettings, {"methods": ["mean"], "trials": 1, "folds": 3}, "evaluate")
    job = Job(launched.folder / "e", store, chosen, (run,), named=True)
    told: list[str] = []
    with pytest.raises(
        ConfigError, match=r"ts: it was trained on ts \(0 levels\), and .* gives ts"
    ):
        evaluate(job, SystemClock(), lambda: False, told.append)
    found = evaluate(replace(job, named=False), SystemClock(), lambda: False, told.append)
    assert found is not None
    assert any(one.startswith("left out: training ts: it was trained on ts") for one in told)
    assert [one.name for one in found.verdicts] == ["mean"]

    climates = from_store(store, ["ts"])
    networks.check_fits(run, climates, split(climates, SplitSettings()))
    with pytest.raises(ConfigError, match="ts: it was trained on other planets than"):
        networks.check_fits(run, climates, split(climates, SplitSettings(seed=5)))
    alone = replace(job, settings=replace(chosen, variables=("ts",), surrogate="ts"))
    found = evaluate(alone, SystemClock(), lambda: False, told.append)
    assert found is not None
    assert [(one.name, one.trained) for one in found.verdicts] == [("mean", False), ("ts", True)]
    assert found.chosen.name == "ts"

    (run / TRUST).unlink()
    with pytest.raises(ConfigError, match="ts: ts has not come to its last step"):
        evaluate(alone, SystemClock(), lambda: False, told.append)


def test_an_evaluation_that_is_stopped_goes_on_where_it_was(launched: Predict) -> None:
    chosen = EvaluateSettings(methods=("mean", "neighbours"), trials=1, folds=3)
    job = Job(launched.folder / "e", launched.sweep / "store.zarr", chosen)
    told: list[str] = []
    asked = iter([False, True])
    assert evaluate(job, SystemClock(), lambda: next(asked), told.append) is None
    assert {one.name for one in (job.folder / "methods").iterdir()} == {
        "mean.json",
        "mean.safetensors",
    }
    done = evaluate(
        replace(job, settings=replace(chosen, surrogate="mean")),
        SystemClock(),
        lambda: False,
        told.append,
    )
    assert done is not None
    whole = evaluate(
        Job(launched.folder / "f", job.data, replace(chosen, surrogate="mean")),
        SystemClock(),
        lambda: False,
        told.append,
    )
    assert whole is not None
    for one, other in zip(done.verdicts, whole.verdicts, strict=True):
        scores = [verdict.scores["test", verdict.best].summary() for verdict in (one, other)]
        assert repr(scores[0]) == repr(scores[1])  # a number that is none is like no other


def test_dry_runs_print_the_command_or_the_script(launched: Predict) -> None:
    said = launched("evaluate", "demo", "--dry-run")
    assert said.code == 0, said.all
    assert "-m astrohpc.jobs.evaluate" in said.out
    said = launched("evaluate", "demo", "site=slurm-test", "--dry-run", "evaluate.name=cold")
    assert said.code == 0, said.all
    assert "#SBATCH" in said.out
    assert "astrohpc.jobs.evaluate" in said.out
    assert not (launched.sweep / "evaluations" / "cold").exists()
