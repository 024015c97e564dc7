"""``launch train model=scalar`` on a table, and ``predict`` with what it wrote."""

from pathlib import Path

import netCDF4
import numpy as np
from support import Launcher


def table_of_planets(path: Path, count: int = 16) -> Path:
    """Synthetic planets on a line: a temperature and a share by the logarithm of rotation."""
    rng = np.random.default_rng(0)
    days = 2.0 ** rng.permutation(np.linspace(0, 7, count))
    tilt = rng.permutation(np.linspace(0, 90, count))
    lines = ["name,rotation_period [d],obliquity [deg],tsurf [degC],share"]
    for i in range(count):
        share = 1 / (1 + days[i] / 16)
        lines.append(f"p{i},{days[i]},{tilt[i]},{20 * share + 0.02 * tilt[i]},{share}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_becomes_a_surrogate_that_answers_with_intervals(launch: Launcher) -> None:
    table_of_planets(launch.folder / "known.csv")
    said = launch("train", "model=scalar", "known.csv", "name=first")
    assert said.code == 0, said.all
    assert "16 planets, each predicted without itself" in said.all
    folder = launch.folder / "runs" / "trainings" / "first"
    scores = (folder / "leave_one_out.tsv").read_text(encoding="utf-8").splitlines()
    assert scores[1].split("\t")[:3] == ["tsurf", "degC", "16"]
    assert float(scores[1].split("\t")[4]) > 0.9  # skill

    (launch.folder / "new.csv").write_text(
        "name,rotation_period,obliquity\nnear,16,45\nfar,2000,45\n", encoding="utf-8"
    )
    said = launch("predict", "new.csv")
    assert said.code == 3, said.all
    assert "rotation_period: has no unit; taken as d" in said.all
    assert "far is outside" in said.all
    with netCDF4.Dataset(launch.folder / "new.predicted.nc") as file:
        assert list(file["outside_domain"][:]) == [0, 1]
        low, mean, high = (float(file[f"share{end}"][0]) for end in ("_low", "", "_high"))
        assert 0 <= low < mean < high <= 1
        assert abs(mean - 0.5) < 0.05
        assert file["rotation_period"].units == "s"

    (launch.folder / "one.yaml").write_text("rotation_period: 4 d\n", encoding="utf-8")
    said = launch("predict", "one.yaml")
    assert said.code == 2
    assert "it has no obliquity, which the surrogate needs" in said.all


def test_settings_that_a_scalar_has_not_are_refused_and_a_dry_run_writes_nothing(
    launch: Launcher,
) -> None:
    table_of_planets(launch.folder / "known.csv")
    said = launch("train", "model=scalar", "known.csv", "nmae=x")
    assert said.code == 2
    assert "nmae: model=scalar has no such setting" in said.all
    table_of_planets(launch.folder / "few.csv", 8)
    said = launch("train", "model=scalar", "few.csv")
    assert said.code == 2
    assert "8 planets cannot vouch for an interval of 90 %; give 9 or more" in said.all
    said = launch("train", "model=scalar", "known.csv", "--dry-run")
    assert said.code == 0, said.all
    assert not (launch.folder / "runs").exists()
