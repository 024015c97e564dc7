"""What a run folder says happened, for every way in which ModelE ends."""

import gzip
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_rocke3d import (
    FAILURES,
    RUN_INPUT,
    SHARED,
    STARTED,
    needs_failures,
    run_folder,
    stopped_because,
    written,
)

from astrohpc.engines.rocke3d.evidence import Evidence, gather
from astrohpc.engines.rocke3d.outcome import is_hung, judge, read_verdict
from astrohpc.outcome import Outcome, Verdict

NOW = 4e9
BOTH = ("fort.1.nc", "fort.2.nc")
RUNNING = "1\nRun in progress...\n"
SDRAG = " SDRAG:      56  31  11   9  T,U,V=    {}    117.66    -92.74\n"


def ended(folder: Path) -> Verdict:
    verdict = read_verdict(folder, now=NOW)
    assert verdict is not None
    assert "\n" not in verdict.reason
    assert "{" not in verdict.reason
    return verdict


def real_folder(name: str, folder: Path) -> Path:
    """A shared folder as it was: its log unpacked, and the files that its listing names."""
    source = FAILURES / name
    for entry in (source / "LISTING.txt").read_text().split():
        (folder / entry).write_bytes(b"CDF\x01")
    for path in source.iterdir():
        if path.suffix == ".gz":
            (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copy(path, folder)
    return folder


@needs_failures
@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("dt900", Outcome.BLOWN_UP, ("DT=900", "time step is too long", "DT=450.")),
        ("nodt", Outcome.BAD_CONFIG, ("DTsrc=1756.8", "set DTsrc=1728")),
        ("s0x300", Outcome.BLOWN_UP, ("overheated", "488 K", "S0X=300", "would not help")),
        ("sigscript", Outcome.CHECKPOINTED, ("killed together", "waits to be resumed", "'lock'")),
    ],
)
def test_each_real_failure_is_named_with_its_cause(
    name: str, outcome: Outcome, words: tuple[str, ...], tmp_path: Path
) -> None:
    verdict = ended(real_folder(name, tmp_path))
    assert verdict.outcome is outcome
    for word in words:
        assert word in verdict.reason


@needs_failures
def test_a_log_that_was_packed_tells_the_same() -> None:
    assert ended(FAILURES / "dt900").outcome is Outcome.BLOWN_UP
    assert ended(SHARED / "gcm" / "modelE_72x46").outcome is Outcome.DONE


def test_a_folder_that_no_launch_has_touched_says_nothing(tmp_path: Path) -> None:
    assert read_verdict(tmp_path, now=NOW) is None
    assert read_verdict(tmp_path / "none", now=NOW) is None
    (tmp_path / "I").write_text(RUN_INPUT)
    assert read_verdict(tmp_path, now=NOW) is None


def test_thirteen_is_success(tmp_path: Path) -> None:
    log = STARTED + written(1, 11, "JAN", 1, 0) + " PROGRAM TERMINATED NORMALLY\n"
    folder = run_folder(
        tmp_path, "13\nTerminated normally (reached maximum time)\n", log, restarts=BOTH
    )
    assert ended(folder) == Verdict(Outcome.DONE, "it reached the end of its time")


def test_thirteen_after_the_first_hour_is_not_the_end(tmp_path: Path) -> None:
    log = STARTED + written(1, 1, "JAN", 1, 1) + " PROGRAM TERMINATED NORMALLY\n"
    folder = run_folder(tmp_path, "13\nTerminated normally\n", log, restarts=BOTH[:1])
    verdict = ended(folder)
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert (
        "end of a leg (year 1, month 1, day 1, hour 1), and its I file goes on to year 11"
        in verdict.reason
    )


def test_thirteen_with_a_calendar_that_we_cannot_read_is_believed(tmp_path: Path) -> None:
    log = STARTED + written(1, 1, "D+J", 1, 1) + " PROGRAM TERMINATED NORMALLY\n"
    assert ended(run_folder(tmp_path, "13\nok\n", log)).outcome is Outcome.DONE


def test_a_clean_stop_waits_to_be_resumed_from_the_newest_restart(tmp_path: Path) -> None:
    folder = run_folder(
        tmp_path, "12\nRun stopped with sswE\n", restarts=("fort.2.nc", "fort.1.nc")
    )
    assert ended(folder) == Verdict(
        Outcome.CHECKPOINTED, "it was asked to stop and did; fort.1.nc waits to be resumed"
    )


def test_an_empty_restart_is_none_and_a_month_start_may_stand_in(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, RUNNING, restarts=("1JAN0005.rsftoy.nc",))
    (folder / "fort.1.nc").touch()
    verdict = ended(folder)
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert "1JAN0005.rsftoy.nc can be resumed with ISTART=9" in verdict.reason


def test_a_kill_leaves_a_restart_and_perhaps_a_stale_lock(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, RUNNING, restarts=BOTH)
    assert ended(folder).reason == "it was killed while it ran; fort.2.nc waits to be resumed"
    (folder / "lock").touch()
    verdict = ended(folder)
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert verdict.reason.endswith("(remove the stale 'lock' first)")


def test_a_kill_without_a_restart_is_unknown_and_never_failed(tmp_path: Path) -> None:
    verdict = ended(run_folder(tmp_path, RUNNING))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "start it again from the beginning" in verdict.reason


@pytest.mark.parametrize("status", ["", "1", "garbage\n", "1\x00"])
def test_a_torn_status_is_not_believed(status: str, tmp_path: Path) -> None:
    assert ended(run_folder(tmp_path, status, restarts=BOTH)).outcome is Outcome.CHECKPOINTED


def test_silence_before_the_first_step_is_a_hang_or_an_early_death(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "-99\nINPUT not yet completed\n", " Num MPI Processes: 2\n")
    verdict = ended(folder)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "it hung (its log had not grown for" in verdict.reason
    assert "try another number of tasks" in verdict.reason


@pytest.mark.parametrize("status", [1, -99])
def test_a_living_run_hangs_only_when_its_log_has_long_been_silent(status: int) -> None:
    assert is_hung(Evidence(status=status, has_log=True, log_age_s=60.0)) is None
    silent = is_hung(Evidence(status=status, has_log=True, log_age_s=7200.0))
    assert silent is not None
    assert silent.outcome is Outcome.UNKNOWN
    assert "not grown for 2 h" in silent.reason
    assert is_hung(Evidence(status=13, has_log=True, log_age_s=7200.0)) is None


@pytest.mark.parametrize(
    ("message", "log", "words"),
    [
        ("Please define master_yr in the rundeck.", "", ("master_yr is missing", "master_yr=1850")),
        (
            "INPUT: DTsrc inappropriately set",
            " DTsrc=   1756.8      has to stay at/be set to   1728.0\n",
            ("DTsrc=1756.8", "set DTsrc=1728 in the I file"),
        ),
        (
            "INPUT: DT inappropriately set",
            " DT=   600.0      has to be changed to   450.0\n",
            ("DT=600 does not go an even number", "set DT=450 in the I file"),
        ),
        ("INPUT: nmonav inappropriately set", "", ("NMONAV", "1, 2, 3, 4, 6 or 12")),
        ("INPUT: yearI not provided", "", ("YEARI",)),
        ("INPUT: start date inconsistent with data", "", ("restart file", "YEARI, MONTHI")),
        (
            "PARAM: wrong type or dim of parameter",
            " PARAM: wrong type or dim of parameter: dt\n ATT: set: i called: r\n",
            ("parameter dt has the wrong type", "225. and not 225"),
        ),
        ("PARAM: wrong type or dim of parameter", "", ("the log names it",)),
        (
            "PARAM: Can't get parameter - not in database",
            " PARAM: Can't get - not in database : dtsrc\n",
            ("parameter dtsrc is missing; add it",),
        ),
        ("PARSER error", " PARSER: no values were given to param: nrad\n", ("nrad has no value",)),
        ("PARSER: Error reading params", "", ("&&END_PARAMETERS",)),
        ("Error in NAMELIST parameters", "", ("&INPUTZ",)),
        ("nonexistent file TOPO", "", ("input file TOPO is not there",)),
        (
            "FILEMANAGER: FILE OPENING ERROR",
            " FILEMANAGER: Error opening file AIC\n",
            ("file AIC is",),
        ),
        ("restart problem", "", ("ISTART=13",)),
        (
            "Something new about the input",
            "",
            ("refused its input: Something new about the input",),
        ),
    ],
)
def test_what_the_model_says_of_its_input_is_a_bad_configuration(
    message: str, log: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    folder = run_folder(tmp_path, f"255\n{message}\n", log + stopped_because(message))
    verdict = ended(folder)
    assert verdict.outcome is Outcome.BAD_CONFIG
    for word in words:
        assert word in verdict.reason


@pytest.mark.parametrize(
    ("status", "log", "errors", "words"),
    [
        ("11\nStopped in aadvtx\n", "", "", ("advection failed (Stopped in aadvtx)", "DT=225. instead of 450.")),
        ("11\nStopped in aadvQy\n", "", "", ("too strong for the time step",)),
        (RUNNING, "\n0PRESSURE DIAGNOSTIC     I,J,MRCH=   7  12   2      0.00   1800.00\n", "", ("grid box 7, 12", "DT=450")),
        (RUNNING, "", "Program received signal SIGFPE: Floating-point exception\n", ("SIGFPE", "shorter")),
        (RUNNING, " limitq error: new sn < 0\n", "", ("polar stratosphere", "limitq")),
        ("11\nStopped in aadvtz\n", ' limitq warning: abs(a)>1 2.0\n limitq error: new sn < 0\n', "", ("polar",)),
        ("255\nERR in init_snow: NaN\n", STARTED, "", ("not a number any more", "DT=225.")),
        (RUNNING, STARTED, "Segmentation fault\n", ("in mid-run",)),
        ("255\nSomething new\n", STARTED, "", ("stopped itself in mid-run: Something new",)),
        ("11\nSomething newer\n", "", "", ("Something newer",)),
    ],
)  # fmt: skip
def test_numbers_out_of_bounds_are_a_blow_up_with_a_shorter_step(
    status: str, log: str, errors: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    verdict = ended(run_folder(tmp_path, status, STARTED + log, restarts=BOTH, errors=errors))
    assert verdict.outcome is Outcome.BLOWN_UP
    for word in words:
        assert word in verdict.reason


def test_the_remedy_goes_back_to_a_month_start_where_there_is_one(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "11\nStopped in aadvtx\n", restarts=("1FEB0003.rsftoy.nc", *BOTH))
    assert "go back to a month-start restart, run some months with" in ended(folder).reason


@pytest.mark.parametrize(
    ("log", "air", "words"),
    [
        (" PBL: Ts bad at    3   11  itype     1   488.3\n", "395.52", ("at the surface reached 488 K", "S0X=1)")),
        ("", "395.52", ("overheated: the air reached 396 K",)),
        ("", "61.00", ("the air cooled to 61 K", "more starlight")),
        ("", "**********", ("ran away in the upper layers", "rtau")),
    ],
)  # fmt: skip
def test_air_out_of_bounds_is_hot_cold_or_unstable(
    log: str, air: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    folder = run_folder(tmp_path, "11\nStopped in ATMDYN::SDRAG\n", STARTED + log)
    (folder / "fort.99").write_text(SDRAG.format(air))
    verdict = ended(folder)
    assert verdict.outcome is Outcome.BLOWN_UP
    for word in words:
        assert word in verdict.reason


@pytest.mark.parametrize(
    ("errors", "outcome", "words"),
    [
        (
            "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0\n",
            Outcome.OUT_OF_MEMORY,
            "more",
        ),
        ("Operating system error: Cannot allocate memory\n", Outcome.OUT_OF_MEMORY, "more"),
        ("write: No space left on device\n", Outcome.BAD_CONFIG, "disk or its quota is full"),
        (
            "./toy: 12: ./toy.exe: not found\n",
            Outcome.BAD_CONFIG,
            "executable ./toy.exe is not there",
        ),
        ("mpirun was unable to find the specified executable file\n", Outcome.BAD_CONFIG, "MPI"),
        (
            "toy.exe: error while loading shared libraries: libnetcdff.so.7: cannot open\n",
            Outcome.BAD_CONFIG,
            "library libnetcdff.so.7 is not found",
        ),
        ("Segmentation fault\n", Outcome.BAD_CONFIG, "ulimit -s unlimited"),
    ],
)
def test_causes_outside_the_model_are_read_from_its_errors(
    errors: str, outcome: Outcome, words: str, tmp_path: Path
) -> None:
    folder = run_folder(tmp_path, "-99\nINPUT not yet completed\n", None, errors=errors)
    verdict = ended(folder)
    assert verdict.outcome is outcome
    assert words in verdict.reason


def test_a_warning_that_the_run_survived_is_not_its_end(tmp_path: Path) -> None:
    log = STARTED + " limitq warning: abs(a)>1\n" + written(1, 3, "MAR", 1, 0) * 500
    assert ended(run_folder(tmp_path, RUNNING, log, restarts=BOTH)).outcome is Outcome.CHECKPOINTED


def test_an_input_file_that_cannot_be_read_is_the_cause(tmp_path: Path) -> None:
    folder = run_folder(
        tmp_path, "-99\nINPUT not yet completed\n", run_input="toy\n\n&&PARAMETERS\n"
    )
    verdict = ended(folder)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "add a line &&END_PARAMETERS" in verdict.reason


def test_a_huge_log_is_read_at_its_ends_only(tmp_path: Path) -> None:
    log = STARTED + " PBL: Ts bad at 1 2 itype 1 400.0\n" * 300_000
    folder = run_folder(tmp_path, "11\nStopped in ATMDYN::SDRAG\n", log)
    evidence = gather(folder, now=NOW)
    assert evidence is not None
    assert len(evidence.log) < 400_000
    assert evidence.began
    assert "400 K" in ended(folder).reason


@given(
    st.none() | st.integers(-100, 300),
    st.text(max_size=40),
    st.text(max_size=200),
    st.booleans(),
    st.lists(st.sampled_from(BOTH), unique=True).map(tuple),
)
def test_any_evidence_gets_one_sentence(
    status: int | None, text: str, log: str, locked: bool, restarts: tuple[str, ...]
) -> None:
    verdict = judge(Evidence(status=status, text=text, log=log, locked=locked, restarts=restarts))
    assert verdict.reason
    assert verdict.outcome in Outcome
