"""Attempts at a member, with a stand-in executable of our own in ModelE's place (standins/modele.py).

What holds here is that the adapter keeps the file contract; of ModelE's climate it says nothing.
"""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import xarray
from standins.modele import T0_K, TAU_S, equilibrium_k
from support import REPOSITORY, until
from support_standin import PLANET, House

from astrohpc.engines.base import Progress
from astrohpc.engines.conformance import check_conformance
from astrohpc.engines.rocke3d.evidence import LOCK
from astrohpc.engines.rocke3d.series import Row, read_rows
from astrohpc.outcome import Outcome

SHORT = {"max_years": 1.0, "min_years": 0.5}
RESTARTS = ("fort.1.nc", "fort.2.nc")


def at_row(count: int) -> object:
    return lambda rows: len(rows) >= count


def same_climate(one: Path, other: Path) -> bool:
    with (
        xarray.open_dataset(one / "climate.nc") as a,
        xarray.open_dataset(other / "climate.nc") as b,
    ):
        return a.identical(b)


def values(rows: list[Row]) -> list[tuple[object, ...]]:
    """All but the speed, which is the machine's."""
    return [(r.file, r.surface_temperature_k, r.toa_balance_wm2, r.last_step) for r in rows]


def log(folder: Path) -> str:
    return (folder / "rocke3d.log").read_text()


# ------------------------------------------------------------------ to the end
def test_it_runs_to_equilibrium_in_legs_and_hands_over_what_conforms(house: House) -> None:
    engine = house.built()
    verdict = house.run(engine)
    where = house.member()
    assert verdict.outcome is Outcome.DONE, verdict.reason
    assert "equilibrium" in verdict.reason
    assert check_conformance(where / "climate.nc") == []
    summary = engine.summary(where)
    assert summary["converged"] == "true"
    assert abs(float(summary["toa_balance_wm2"])) <= 0.2
    assert log(where).count("launched") >= 3, "the set-up hour, and more than one leg"
    assert "set-up hour" in log(where).splitlines()[0]
    assert engine.verdict(where) == verdict
    assert {path.name for path in where.iterdir()} <= engine.files()
    assert not (where / "run" / LOCK).exists()
    assert not any(path.is_symlink() for path in (where / "run").iterdir()), "links while it runs"
    assert house.run(engine) == verdict, "it is done: nothing is launched"


def test_its_months_have_the_temperature_of_the_closed_form(house: House) -> None:
    house.run(house.built(**SHORT))
    goal = equilibrium_k(1000.0)
    for row in read_rows(house.member()):
        steps = np.arange(row.first_step + 1, row.last_step + 1) * row.step_s
        expected = goal + (T0_K - goal) * np.exp(-steps / TAU_S).mean()
        assert row.surface_temperature_k == pytest.approx(expected, abs=1e-4)
        assert row.toa_balance_wm2 == pytest.approx(2.0 * (goal - expected), abs=1e-3)


def test_progress_is_told_all_the_time(house: House) -> None:
    house.misbehave(slow_s=0.01)
    house.run(house.built(**SHORT))
    assert math.isnan(house.reports[0].surface_temperature_k), "before the first month is over"
    years = [progress.model_years for progress in house.reports]
    assert years == sorted(years)
    assert len(years) > len(set(years)), "also when nothing is new"
    assert house.reports[-1].limit_years == 1.0


@pytest.mark.parametrize(("leg_years", "poll_seconds"), [(0.5, 0.05), (2.0, 10.0)])
def test_what_the_last_mean_needs_is_kept_however_fast_the_model_writes(
    house: House, leg_years: float, poll_seconds: float
) -> None:
    engine = house.built(leg_years=leg_years, poll_seconds=poll_seconds, keep_restarts=1)
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.DONE, verdict.reason
    left = sorted((house.member() / "run").glob("*.acc*"))
    assert len(left) < 41, "months that nobody needs any more are removed"
    assert engine.summary(house.member())["model_years"] == pytest.approx(3.377, 1e-3)


def test_a_crash_after_equilibrium_does_not_matter(house: House) -> None:
    house.misbehave(blow_up="sigfpe", month=44, dt_above=0)
    verdict = house.run(house.built(poll_seconds=10.0))
    assert verdict.outcome is Outcome.DONE, verdict.reason


def test_without_equilibrium_it_ends_at_the_ceiling_and_says_so(house: House) -> None:
    engine = house.built(**SHORT)
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.DONE
    assert "max_years" in verdict.reason
    assert engine.summary(house.member())["converged"] == "false"
    assert engine.verdict(house.member()) == verdict


def test_a_higher_ceiling_continues_a_finished_member(house: House) -> None:
    house.run(house.built(**SHORT), "raised")
    longer = house.engine(**(SHORT | {"max_years": 1.5}))
    waiting = longer.verdict(house.member("raised"))
    assert waiting is not None
    assert waiting.outcome is Outcome.CHECKPOINTED
    assert house.run(longer, "raised").outcome is Outcome.DONE
    house.run(longer, "whole")
    assert values(read_rows(house.member("raised"))) == values(read_rows(house.member("whole")))
    assert same_climate(house.member("raised"), house.member("whole"))
    assert log(house.member("raised")).count("set-up hour") == 1, "it did not begin anew"


# ------------------------------------------------------------------ stop, kill, resume
def test_stopped_and_resumed_it_gives_the_same_to_the_bit(house: House) -> None:
    engine = house.built(**SHORT)
    house.run(engine, "whole")
    house.misbehave(slow_s=0.002)
    verdict = house.run(engine, "cut", until=at_row(3))
    assert verdict.outcome is Outcome.CHECKPOINTED, verdict.reason
    assert (house.member("cut") / "run" / "run_status").read_text().startswith("12")
    said = engine.verdict(house.member("cut"))
    assert said is not None
    assert said.outcome is Outcome.CHECKPOINTED
    assert house.run(engine, "cut", until=at_row(7)).outcome is Outcome.CHECKPOINTED
    house.misbehave()
    assert house.run(engine, "cut").outcome is Outcome.DONE
    assert values(read_rows(house.member("cut"))) == values(read_rows(house.member("whole")))
    assert same_climate(house.member("cut"), house.member("whole"))


def test_a_model_that_ignores_the_flag_is_ended_and_resumed(house: House) -> None:
    engine = house.built(**SHORT, stop_seconds=0.3)
    house.run(engine, "whole")
    house.misbehave(slow_s=0.002, ignore_stop=True)
    verdict = house.run(engine, "cut", until=at_row(2))
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert "did not stop" in verdict.reason
    house.misbehave()
    assert house.run(engine, "cut").outcome is Outcome.DONE
    assert same_climate(house.member("cut"), house.member("whole"))


def in_background(house: House, name: str) -> subprocess.Popen[bytes]:
    """An attempt in another process, which can be killed."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from support_standin import *\n"
        "from astrohpc.engines.load import load_engine\n"
        f"engine = load_engine(settings(Path(sys.argv[2]), **{SHORT!r}))\n"
        f"print(engine.run(PLANET, Path(sys.argv[2]) / {name!r}, stop=lambda: False, report=print))\n"
    )
    house.member(name)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(REPOSITORY / "tests"), str(house.folder)],
        stdout=subprocess.DEVNULL,
    )


def model_of(adapter: subprocess.Popen[bytes]) -> psutil.Process:
    until(lambda: psutil.Process(adapter.pid).children(), "a model")
    return psutil.Process(adapter.pid).children()[0]


@pytest.mark.parametrize("killed", ["adapter", "both"])
def test_after_kill_9_the_next_attempt_ends_what_is_left_and_goes_on(
    house: House, killed: str
) -> None:
    engine = house.built(**SHORT)
    house.run(engine, "whole")
    house.misbehave(slow_s=0.01)
    adapter = in_background(house, "cut")
    until(lambda: len(read_rows(house.member("cut"))) >= 2, "two months")
    model = model_of(adapter)
    adapter.kill()
    adapter.wait()
    if killed == "both":
        model.kill()
    assert (house.member("cut") / "run" / LOCK).exists(), "nobody was left to remove it"
    house.misbehave()
    assert house.run(engine, "cut").outcome is Outcome.DONE
    assert not model.is_running() or model.status() == psutil.STATUS_ZOMBIE
    assert same_climate(house.member("cut"), house.member("whole"))


def test_a_killed_model_leaves_a_checkpoint(house: House) -> None:
    house.misbehave(torn_restart=3)
    engine = house.built(**SHORT)
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert "killed" in verdict.reason


def test_a_fenced_attempt_ends_its_model_at_once(house: House) -> None:
    class Fenced(Exception):
        pass

    def report(progress: Progress) -> None:
        if progress.model_years > 0:
            raise Fenced

    house.misbehave(slow_s=0.01)
    engine = house.built(**SHORT)
    with pytest.raises(Fenced):
        engine.run(PLANET, house.member(), stop=lambda: False, report=report)
    assert not [
        child
        for child in psutil.Process(os.getpid()).children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
    ]


def test_a_file_that_the_model_is_slow_to_write_is_not_read_before_it_is_whole(
    house: House,
) -> None:
    """Ten looks long it does not grow, and its means are others than they will be."""
    engine = house.built(**SHORT)
    house.run(engine, "whole")
    house.misbehave(slow_file_s=0.5)
    assert house.run(engine, "slow").outcome is Outcome.DONE
    slow, whole = (values(read_rows(house.member(name))) for name in ("slow", "whole"))
    assert slow == whole


# ------------------------------------------------------------------ damaged restarts
def test_a_torn_restart_is_passed_over_for_the_earlier_one(house: House) -> None:
    engine = house.built(**SHORT)
    house.run(engine, "whole")
    house.misbehave(torn_restart=3)
    house.run(engine, "cut")
    house.misbehave()
    assert house.run(engine, "cut").outcome is Outcome.DONE
    assert any(f"(ISTART={one})" in log(house.member("cut")) for one in (11, 12))
    assert same_climate(house.member("cut"), house.member("whole"))


def test_with_both_restarts_damaged_it_goes_on_from_the_months_start(house: House) -> None:
    engine = house.built(**SHORT)
    house.run(engine, "whole")
    house.misbehave(slow_s=0.002)
    house.run(engine, "cut", until=at_row(4))
    for name in RESTARTS:
        path = house.member("cut") / "run" / name
        path.write_bytes(path.read_bytes()[:-10])
    house.misbehave()
    assert house.run(engine, "cut").outcome is Outcome.DONE
    assert "(ISTART=9)" in log(house.member("cut"))
    assert same_climate(house.member("cut"), house.member("whole"))


def test_with_no_restart_left_it_begins_anew(house: House) -> None:
    engine = house.built(**SHORT)
    house.run(engine, "whole")
    house.misbehave(slow_s=0.002)
    house.run(engine, "cut", until=at_row(4))
    for path in (house.member("cut") / "run").glob("*rsf*"):
        path.write_bytes(b"")
    for name in RESTARTS:
        (house.member("cut") / "run" / name).write_bytes(b"CDF")
    house.misbehave()
    assert house.run(engine, "cut").outcome is Outcome.DONE
    assert log(house.member("cut")).count("set-up hour") == 2
    assert same_climate(house.member("cut"), house.member("whole"))


def test_a_restart_of_another_planet_is_refused(house: House) -> None:
    engine = house.built(**SHORT)
    house.misbehave(slow_s=0.002)
    house.run(engine, until=at_row(2))
    (house.member() / "remedies.json").unlink()  # as a folder that was copied by hand
    from dataclasses import replace

    other = replace(PLANET, stellar_flux_wm2=1200.0)
    verdict = house.run(engine, planet=other)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "restart of another planet (planet_s0 = 1000.0" in verdict.reason


def test_the_folder_of_another_member_is_refused(house: House) -> None:
    house.run(house.built(**SHORT))
    verdict = house.run(house.built(**SHORT, dt_s=100.0))
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "belongs to another member" in verdict.reason


# ------------------------------------------------------------------ blow-ups and hangs
@pytest.mark.parametrize(
    ("kind", "words"), [("sigfpe", "time step is too long"), ("hot", "overheated")]
)
def test_a_blow_up_is_explained_and_final(house: House, kind: str, words: str) -> None:
    house.misbehave(blow_up=kind, month=3, dt_above=0)
    engine = house.built(**SHORT)
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.BLOWN_UP
    assert words in verdict.reason
    assert engine.verdict(house.member()) == verdict
    house.misbehave()
    assert house.run(engine) == verdict, "the same again would be the same again"


def test_the_remedy_shortens_the_step_for_some_months_and_then_goes_back(house: House) -> None:
    house.misbehave(blow_up="sigfpe", month=5, dt_above=150)
    engine = house.built(**SHORT, remedy_dt_factor=0.5, remedy_months=3)
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.DONE, verdict.reason
    assert engine.summary(house.member())["remedies"] == 1.0
    launches = [line for line in log(house.member()).splitlines() if "launched" in line]
    assert "(ISTART=9), to row 8, DT=108.3 s" in launches[-2]
    assert "DT=" not in launches[-1], "then the usual step"
    run_input = (house.member() / "run" / "I").read_text()
    assert "DT=216.6" in run_input
    assert [row.last_step for row in read_rows(house.member())] == [1500 * n for n in range(1, 14)]


def test_a_remedy_that_does_not_help_goes_further_back_and_then_gives_up(house: House) -> None:
    house.misbehave(blow_up="sigfpe", month=4, dt_above=0)
    engine = house.built(**SHORT, remedy_dt_factor=0.5, remedy_months=2, remedy_limit=3)
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.BLOWN_UP
    assert "after 3 remedies" in verdict.reason
    backs = [
        int(line.split()[-1]) for line in log(house.member()).splitlines() if "back to" in line
    ]
    assert backs == [6000, 4500, 3000]


def test_killed_in_the_remedied_stretch_it_resumes_with_the_shorter_step(house: House) -> None:
    engine = house.built(**SHORT, remedy_dt_factor=0.5, remedy_months=3)
    house.misbehave(blow_up="sigfpe", month=5, dt_above=150)
    house.run(engine, "whole")
    house.misbehave(blow_up="sigfpe", month=5, dt_above=150, slow_s=0.003)
    stopped = house.run(
        engine,
        "cut",
        until=lambda rows: len(rows) >= 6 and (house.member("cut") / "remedies.json").exists(),
    )
    assert stopped.outcome is Outcome.CHECKPOINTED
    house.misbehave(blow_up="sigfpe", month=5, dt_above=150)
    assert house.run(engine, "cut").outcome is Outcome.DONE
    assert same_climate(house.member("cut"), house.member("whole"))


@pytest.mark.parametrize(
    ("where", "words"), [("input", "input is not read"), (2, "log has not grown")]
)
def test_a_hang_is_seen_by_silence(house: House, where: object, words: str) -> None:
    house.misbehave(hang=where)
    verdict = house.run(house.built(**SHORT, hang_seconds=1.0))
    assert verdict.outcome is Outcome.UNKNOWN
    assert words in verdict.reason


def test_what_the_model_refuses_is_a_bad_configuration(house: House) -> None:
    house.misbehave(refuse="Please define master_yr in the rundeck.")
    engine = house.built(**SHORT)
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "master_yr" in verdict.reason
    house.misbehave()
    assert house.run(engine).outcome is Outcome.DONE, "mended, it runs"


def test_signals_to_the_adapter_reach_the_model_only_by_the_flag(house: House) -> None:
    """Slurm signals whom it likes; the model is in a group of its own."""
    house.misbehave(slow_s=0.01)
    engine = house.built(**SHORT)
    asked: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, _frame: asked.append(number))
    try:

        def report(progress: Progress) -> None:
            if progress.model_years > 0 and not asked:
                os.kill(os.getpid(), signal.SIGUSR1)
                time.sleep(0.01)

        verdict = engine.run(PLANET, house.member(), stop=lambda: bool(asked), report=report)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert (house.member() / "run" / "run_status").read_text().startswith("12")


def test_the_launcher_of_the_ranks_is_put_before_the_executable(house: House) -> None:
    engine = house.built(**SHORT, launcher=["env", "ASTROHPC_STANDIN_RANKS=2"])
    assert house.run(engine).outcome is Outcome.DONE
