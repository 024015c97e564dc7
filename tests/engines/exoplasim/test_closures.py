"""Twenty days of real ExoPlaSim held against the laws, and against the closures known of the model.

It starts cold, dry and at rest, so nothing is settled: budgets must close all the same. With -s the
figures are printed that docs/conservation.md shows.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset
from numpy.typing import NDArray
from support import FakeClock
from support_exoplasim import installed, run

from astrohpc.constants import DAY_S
from astrohpc.engines.exoplasim import files
from astrohpc.physics.budgets import Residual, evaluate
from astrohpc.physics.integrals import Integrals
from astrohpc.physics.lawbook import BUDGETS
from astrohpc.physics.sums import zonal_sums
from astrohpc.physics.worlds import Worlds
from astrohpc.quality.check import wanted
from astrohpc.quality.holder import FileMember
from astrohpc.quality.request import request_of
from astrohpc.quality.run import check
from astrohpc.quality.settings import CheckSettings
from astrohpc.quality.subject import Fields, Subject, subject_of
from astrohpc.store.members import MemberFiles
from astrohpc.store.ranks import Alone

pytestmark = [installed, pytest.mark.slow, pytest.mark.usefixtures("built")]

DAYS = 20
LAST = slice(-6, -1)  # days whose both ends are known, when vapour no longer doubles within one
TOP = {"rsdt": 1.0, "rsut": -1.0, "rlut": -1.0}

# The model's own net radiation at the top, by its own post-processor.
NET_AT_THE_TOP = """
import sys
from exoplasim import pyburn
pyburn.postprocess(sys.argv[1], "top.nc", logfile="top.log", variables=["ntr"], times=None,
    timeaverage=False)
"""


@pytest.fixture(scope="module")
def member(built: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record a day: humidity in the output is the state at its begin, and one day later at its end."""
    folder = tmp_path_factory.mktemp("closures")
    _, verdict, _ = run(folder, run_days=float(DAYS), leg_days=float(DAYS), output_days=1.0)
    assert verdict.reason == f"{DAYS} days run, as asked"
    return folder


@pytest.fixture(scope="module")
def subject(member: Path) -> Subject:
    return subject_of(
        FileMember(MemberFiles("", (member / "climate.nc",))), "climate", wanted(BUDGETS.values())
    )


@pytest.fixture(scope="module")
def fields(subject: Subject) -> Fields:
    ((_, fields),) = subject.blocks()
    return fields


@pytest.fixture(scope="module")
def found(subject: Subject, fields: Fields) -> dict[str, Residual]:
    assert subject.layout is not None
    results = evaluate(
        zonal_sums(fields, subject.layout, threads=1),
        subject.layout,
        Worlds.of_attributes([subject.holder.attrs] * DAYS),
        subject.axes.times_s,
        engine="exoplasim",
    )
    return {one.budget.name: one for one in results}


def mean(subject: Subject, fields: Fields, name: str) -> NDArray[np.float64]:
    """The sphere's mean of each day."""
    assert subject.layout is not None
    sums = zonal_sums(fields, subject.layout, threads=1)
    return np.asarray(Integrals(sums, subject.layout).area_mean(name))


def test_the_check_of_the_climate_says_what_evaluating_it_says(
    member: Path, found: Mapping[str, Residual]
) -> None:
    laws = (
        *("dry_mass", "water", "surface_energy", "toa_energy"),
        *("temperature", "humidity", "cloud", "pressure"),
    )
    request = request_of(member / "climate.nc", CheckSettings(laws=laws))
    outcome = check(request, Alone(), 1, FakeClock(), lambda: False, lambda _text: None)
    assert outcome is not None and outcome.report is not None
    (result,) = outcome.report.members
    assert result.left_out == result.faults == result.unchecked == ()
    assert (outcome.report.grade, outcome.report.passed) == ("A+", outcome.report.judged)
    for kept in result.laws:
        one = found[kept.law]
        assert (kept.judged, kept.passed) == (one.judged.sum(), one.passed.sum())
        print(
            f"{kept.law}: {kept.passed} of {kept.judged}, worst {kept.residual} {one.budget.unit}"
        )
    days = {kept.law: kept.judged for kept in result.laws}
    assert days["surface_energy"] == days["dry_mass"] == DAYS
    assert days["water"] == DAYS - 2
    assert days["toa_energy"] == 0  # only a settled climate has none


def test_net_radiation_at_the_top_is_the_model_s_own(
    member: Path, subject: Subject, fields: Fields, found: Mapping[str, Residual]
) -> None:
    raw = files.raw_path(member, 0)
    command = [sys.executable, "-c", NET_AT_THE_TOP, str(raw)]
    subprocess.run(command, cwd=member, check=True, stdout=subprocess.DEVNULL)
    with Dataset(member / "top.nc") as file:
        own = np.asarray(file["ntr"][:], np.float64)[:, ::-1]  # northward
    ours = sum(sign * fields[name].astype(np.float64) for name, sign in TOP.items())
    apart = np.abs(ours - own).max()
    assert subject.layout is not None
    share = subject.layout.share[:, None]
    means = (own * share).sum((1, 2))
    off = np.abs(found["toa_energy"].value - means).max()
    print(f"ntr: within {apart:.2g} W m-2 in a cell, {off:.2g} in the mean; {means.round(2)}")
    assert apart < 1e-4  # a rounding or two of a float32 of some hundred W m-2
    assert off < 6e-6
    assert np.abs(means).max() > 50.0


def test_the_surface_closes_but_for_what_melts(
    subject: Subject, fields: Fields, found: Mapping[str, Residual]
) -> None:
    surface = found["surface_energy"]
    own = mean(subject, fields, "hfds")
    print(
        f"surface: {surface.residual.min():.3g} to {surface.residual.max():.3g} of {own.round(1)}"
    )
    assert surface.passed.all()
    assert (surface.residual > -1e-3).all()  # melting takes heat and never gives any
    assert surface.residual[-1] > 0.1  # and is not left out
    assert (own > 30.0).all()  # downward: a cold ocean under a sun takes heat in


def test_surface_pressure_is_what_the_model_keeps(found: Mapping[str, Residual]) -> None:
    drift = np.abs(found["dry_mass"].relative).max()
    print(f"ps: {drift:.2g} relative in {DAYS} days")
    assert found["dry_mass"].passed.all()
    assert found["dry_mass"].tolerance.limit == 5e-5
    assert drift < 5e-6


def test_what_evaporates_and_does_not_rain_is_there_as_vapour(
    subject: Subject, fields: Fields, found: Mapping[str, Residual]
) -> None:
    """By the column of the model, of which growth of a day must be guessed, and by states of humidity."""
    judged = found["water"]
    by_column = np.abs(judged.residual[judged.judged]).max() * DAY_S
    vapour = found["column_water"].value
    by_state = np.abs(np.diff(vapour) - judged.value[:-1] * DAY_S)
    rain = mean(subject, fields, "pr") * DAY_S
    print(
        f"E - P: {by_column:.2g} mm a day by prw, {by_state.max():.2g} by hus; P {rain.max():.2g}"
    )
    assert judged.judged.sum() == DAYS - 2
    assert (judged.passed == judged.judged).all()
    assert by_column < 0.1
    assert by_state.max() < 0.01
    assert rain.max() > 0.3


def test_the_column_of_vapour_is_the_integral_of_humidity(
    subject: Subject, fields: Fields, found: Mapping[str, Residual]
) -> None:
    """The mean of a day against the mean of humidity at its begin and its end, not against the begin."""
    vapour, own = found["column_water"].value, mean(subject, fields, "prw")
    apart = 0.5 * (vapour[:-1] + vapour[1:]) / own[:-1] - 1.0
    alone = np.abs(found["water_column"].relative[LAST]).max()
    print(
        f"prw: {np.abs(apart[LAST.start + 1 :]).max():.2g} by both ends of a day, {alone:.2g} by its begin alone"
    )
    assert np.abs(apart[LAST.start + 1 :]).max() < 0.02
    assert own[-1] > 1.0


def test_humidity_is_never_negative(fields: Fields) -> None:
    print(f"hus: {fields['hus'].min():.2g} to {fields['hus'].max():.2g}")
    assert fields["hus"].min() >= 0.0
    assert fields["hus"].max() > 1e-4
