"""engine=command: the program of docs/engines.md, and programs that break its contract."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from support import REPOSITORY, Launcher, make_planet, outcomes, rows, until

from astrohpc.constants import STEFAN_BOLTZMANN
from astrohpc.engines.base import Progress
from astrohpc.engines.command import Command, CommandSettings
from astrohpc.engines.conformance import check_conformance
from astrohpc.engines.load import load_engine
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome, Verdict

PAGE = (REPOSITORY / "docs" / "engines.md").read_text()
SPHERE = re.findall(r"<!-- program -->\n```python\n(.*?)```", PAGE, re.DOTALL)[0]
PLANET = make_planet()

Make = Callable[..., Command]


@pytest.fixture
def program(tmp_path: Path) -> Make:
    """An engine around a program's text."""

    def make(text: str, **settings: object) -> Command:
        path = tmp_path / "model.py"
        path.write_text(text)
        words = (sys.executable, str(path))
        return Command(CommandSettings(command=words, **settings))  # type: ignore[arg-type]

    return make


@pytest.fixture
def member(tmp_path: Path) -> Path:
    folder = tmp_path / "member"
    folder.mkdir()
    return folder


def run(
    engine: Command,
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Verdict:
    return engine.run(PLANET, folder, stop=stop, report=report)


def test_the_program_of_the_page_is_a_sweep_s_model(launch: Launcher) -> None:
    (launch.folder / "sphere.py").write_text(SPHERE)
    words = ("sweep", "sweep.n=3", "engine=command", "allocation.members_per_task=1")
    said = launch(
        *words,
        f"engine.command=[{sys.executable},{launch.folder}/sphere.py]",
        "engine.settings.albedo=0.2",
        "engine.description='a black sphere, synthetic data'",
    )
    assert said.code == 0, said.all
    assert "3 of 3 members done" in said.out
    assert "a black sphere, synthetic data" in said.out
    assert outcomes(launch.sweep_folder()) == {i: ["done"] for i in range(3)}
    for path in launch.sweep_folder().glob("members/*/*/climate.nc"):
        assert check_conformance(path) == []


def test_its_temperature_is_that_of_the_closed_form(program: Make, member: Path) -> None:
    engine = program(SPHERE, settings={"albedo": 0.2})
    verdict = run(engine, member)
    assert verdict.outcome is Outcome.DONE
    assert verdict.reason.startswith("balance within")
    flux = PLANET.stellar_flux_wm2 / 4 * 0.8
    expected_k = (flux / STEFAN_BOLTZMANN) ** 0.25
    summary = engine.summary(member)
    assert summary["surface_temperature_k"] == pytest.approx(expected_k, abs=0.01)
    assert engine.series(member)[-1].surface_temperature_k == summary["surface_temperature_k"]
    assert engine.verdict(member) == verdict
    assert run(engine, member) == verdict, "what is done is not run again"


# The program of the page, a hundredth of a second a year and with a smaller step.
SLOWLY = SPHERE.replace(
    "    year, temp_k = year + 1", "    import time; time.sleep(0.01)\n    year, temp_k = year + 1"
)


def test_it_stops_when_it_is_asked_and_goes_on_to_the_same_bits(
    program: Make, tmp_path: Path
) -> None:
    engine = program(SLOWLY)
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    for folder in (calm, stormy):
        folder.mkdir()
    assert run(engine, calm).outcome is Outcome.DONE
    seen: list[Progress] = []
    verdict = run(engine, stormy, stop=lambda: bool(seen), report=seen.append)
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert engine.verdict(stormy) is not None
    assert seen[0].model_years < engine.series(calm)[-1].model_years
    assert run(engine, stormy).outcome is Outcome.DONE
    assert (stormy / "run" / "progress.csv").read_bytes() == (
        calm / "run" / "progress.csv"
    ).read_bytes()


@pytest.mark.parametrize(
    ("text", "outcome", "said"),
    [
        ("import sys; sys.exit(65)", Outcome.BLOWN_UP, "exit code 65"),
        (
            "import sys; open('reason.txt', 'w').write('too\\nhot'); sys.exit(65)",
            Outcome.BLOWN_UP,
            "too hot",
        ),
        ("import sys; sys.exit(78)", Outcome.BAD_CONFIG, "exit code 78"),
        ("import sys; sys.exit(3)", Outcome.UNKNOWN, "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", Outcome.UNKNOWN, "exit code -9"),
        ("", Outcome.BAD_CONFIG, "it left no run/climate.nc"),
        ("open('climate.nc', 'w').write('x')", Outcome.BAD_CONFIG, "climate.nc"),
        (
            SPHERE.replace("SIGMA * temp_k**4 * every", "-SIGMA * temp_k**4 * every"),
            Outcome.BAD_CONFIG,
            "rlut",
        ),
        (SPHERE.replace('Field("ts"', 'Field("ice"'), Outcome.BAD_CONFIG, "ts"),
    ],
)
def test_an_exit_code_is_a_claim_and_the_files_decide(
    program: Make, member: Path, text: str, outcome: Outcome, said: str
) -> None:
    verdict = run(program(text), member)
    assert verdict.outcome is outcome, verdict
    assert said in verdict.reason


@pytest.mark.parametrize(
    "text", ["", "x\n1\n", "model_years,surface_temperature_k,toa_balance_wm2\n1,2", "\x00\xff"]
)
def test_a_progress_file_that_is_no_table_is_no_progress(
    program: Make, member: Path, text: str
) -> None:
    engine = program("")
    (member / "run").mkdir()
    (member / "run" / "progress.csv").write_text(text, encoding="latin-1")
    assert engine.series(member) == []


def test_a_program_that_does_not_hear_is_ended(program: Make, member: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGUSR1, signal.SIG_IGN); "
        "open('deaf', 'w').close(); time.sleep(100)"
    )
    engine = program(deaf, stop_wait_s=0.5)
    verdict = run(engine, member, stop=(member / "run" / "deaf").exists)
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert "did not stop within 0.5 s of being asked" in verdict.reason
    assert "was killed" in verdict.reason


def start_job(member: Path) -> "subprocess.Popen[bytes]":
    """Run the program beside this folder in a process of its own, as a job does."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]); from support import make_planet; "
        "from pathlib import Path; from astrohpc.engines.command import Command, CommandSettings; "
        "Command(CommandSettings(command=(sys.executable, sys.argv[1]))).run("
        "make_planet(), Path(sys.argv[2]), stop=lambda: False, report=lambda _: None)"
    )
    words = [str(member.parent / "model.py"), str(member), str(REPOSITORY / "tests")]
    return subprocess.Popen([sys.executable, "-c", code, *words])


def test_a_program_ends_with_the_job_that_started_it(program: Make, member: Path) -> None:
    program("import time; open('here', 'w').write('x'); time.sleep(100)")
    job = start_job(member)
    until((member / "run" / "here").exists, "the program began")
    model = next(p for p in psutil.Process(job.pid).children() if "bash" not in p.name())
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    until(lambda: not model.is_running() or model.status() == "zombie", "the program went too")


def test_a_folder_of_another_member_is_refused(program: Make, member: Path) -> None:
    assert run(program(SPHERE), member).outcome is Outcome.DONE
    other = program(SPHERE, settings={"albedo": 0.9})
    verdict = run(other, member)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "belongs to another member" in verdict.reason


def test_its_identity_is_in_the_files_that_it_names(program: Make) -> None:
    before = program("x = 1").physics()
    assert program("x = 1").physics() == before
    assert program("x = 2").physics() != before
    assert program("x = 1", version="2").physics() != before
    assert json.dumps(before, sort_keys=True) == json.dumps(dict(before), sort_keys=True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "engine.command: which program"),
        ({"command": ["x"], "max_years": 0}, "engine.max_years: 0 is not a number above 0"),
        ({"command": ["x"], "cpu_s": math.nan}, "engine.cpu_s: nan is not a number above 0"),
        ({"command": "x y"}, "engine.command"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_engine({"name": "command", **settings})


def test_a_program_that_is_not_there_is_said_before_anything_is_submitted(
    launch: Launcher,
) -> None:
    said = launch("sweep", "sweep.n=1", "engine=command", "engine.command=[nosuchmodel]")
    assert said.code == 2
    assert "engine.command: 'nosuchmodel' is no program on this machine" in said.err


def test_a_climate_of_another_planet_is_not_this_member_s(program: Make, member: Path) -> None:
    other = SPHERE.replace(
        'Planet(**asked["planet"])', 'Planet(**{**asked["planet"], "radius_m": 3e6})'
    )
    verdict = run(program(other), member)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "planet_radius_m is 3000000.0, and this one's is 6371000.0" in verdict.reason


FORKS = (
    "import os, sys, time; from pathlib import Path\n"
    "if os.fork() == 0:\n    Path('child').write_text(str(os.getpid())); time.sleep(600)\n"
    "while not Path('child').exists() or not Path('child').read_text(): time.sleep(0.01)\n"
)


def gone(member: Path) -> bool:
    pid = int((member / "run" / "child").read_text())
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


@pytest.mark.parametrize("end", ["sys.exit(65)", "time.sleep(600)"])
def test_nothing_that_a_program_has_forked_outlives_it(
    program: Make, member: Path, end: str
) -> None:
    verdict = run(program(FORKS + end), member, stop=(member / "run" / "child").exists)
    assert verdict.outcome in (Outcome.BLOWN_UP, Outcome.CHECKPOINTED)
    until(lambda: gone(member), "the child went")


def test_a_forked_child_ends_with_the_job_that_is_killed(program: Make, member: Path) -> None:
    program(FORKS + "time.sleep(600)")
    job = start_job(member)
    until((member / "run" / "child").exists, "the program forked")
    until((member / "run" / "child").read_text, "its child said its number")
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    until(lambda: gone(member), "the child went too")


def test_the_speed_after_a_restart_counts_from_where_it_goes_on(
    program: Make, member: Path
) -> None:
    (member / "run").mkdir()
    head = "model_years,surface_temperature_k,toa_balance_wm2\n"
    (member / "run" / "progress.csv").write_text(f"{head}50,280,1\n")
    again = f"import time; open('progress.csv', 'w').write({head!r} + '20,280,1\\n'); time.sleep(1)"
    seen: list[Progress] = []
    run(program(again), member, report=seen.append)
    assert {progress.model_years for progress in seen} >= {20.0}
    assert min(progress.model_years_per_day for progress in seen) >= 0


def test_a_path_of_the_command_means_the_same_in_the_job(launch: Launcher) -> None:
    (launch.folder / "sphere.py").write_text(f"#!{sys.executable}\n{SPHERE}")
    (launch.folder / "sphere.py").chmod(0o755)
    for name, command in (("a", "./sphere.py"), ("b", f"{sys.executable},sphere.py")):
        said = launch(
            "sweep",
            "sweep.n=1",
            f"sweep.name={name}",
            "engine=command",
            f"engine.command=[{command}]",
        )
        assert said.code == 0, said.all
        assert "1 of 1 members done" in said.out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python,/no/such.py", "there is no file /no/such.py, which 'python' is to run"),
        ("python,-u,such.py", "there is no file such.py"),
        ("bash,no/such", "there is no file no/such"),
        ("./plain.txt", "plain.txt may not be executed; say 'chmod +x'"),
        ("nosuchmodel", "'nosuchmodel' is no program on this machine"),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "sweep"])
def test_a_program_that_cannot_run_is_refused_before_anything_is_made(
    launch: Launcher, verb: str, command: str, said: str
) -> None:
    (launch.folder / "plain.txt").write_text("x")
    answer = launch(verb, "sweep.n=1", "engine=command", f"engine.command=[{command}]")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert not launch.sweep_folder().exists()


@pytest.mark.parametrize(
    "command", [("python", "-c", "a/b.py"), ("python", "-m", "a.py"), ("bash", "-o", "x/y", "z")]
)
def test_a_word_that_may_be_no_script_is_not_looked_for(command: tuple[str, ...]) -> None:
    Command(CommandSettings(command=command)).prepare()


def test_a_script_without_its_interpreter_is_badly_configured(member: Path) -> None:
    path = member.parent / "model"
    path.write_text("no first line")
    path.chmod(0o755)
    verdict = run(Command(CommandSettings(command=(str(path),))), member)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "cannot be started (Exec format error)" in verdict.reason


def test_explain_shows_what_a_program_that_failed_said_last(launch: Launcher) -> None:
    (launch.folder / "model.py").write_text("raise SystemExit('no snow in the input')")
    words = ("sweep", "sweep.n=1", "engine=command", "policy.rules.unknown.limit=0")
    launch(*words, f"engine.command=[{sys.executable},model.py]")
    assert "command.log: no snow in the input" in launch("explain", "0").out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"ice_fraction": ' + "9" * 400 + "}", "summary.json: ice_fraction is too large"),
        ('{"ice_fraction": ', "summary.json cannot be read as JSON"),
        ("[" * 100_000, "summary.json cannot be read as JSON"),
        ("[1]", "summary.json is no JSON object"),
    ],
)
def test_a_summary_that_is_none_is_said(program: Make, member: Path, text: str, said: str) -> None:
    verdict = run(program(f"{SPHERE}\nPath('summary.json').write_text({text!r})"), member)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert said in verdict.reason


def test_a_summary_cannot_overwrite_our_columns(launch: Launcher) -> None:
    more = {"id": "mine", "status": "well", "index": 7, "ice_fraction": "none", "albedo": 0.3}
    text = f"{SPHERE}\nPath('summary.json').write_text({json.dumps(more)!r})"
    (launch.folder / "model.py").write_text(text)
    said = launch(
        "sweep", "sweep.n=1", "engine=command", f"engine.command=[{sys.executable},model.py]"
    )
    assert said.code == 0, said.all
    _, head, row = (launch.sweep_folder() / "reports" / "worlds.tsv").read_text().splitlines()
    world = dict(zip(head.split("\t"), row.split("\t"), strict=True))
    assert world["id"] == rows(launch.sweep_folder())[0]["id"]
    assert (world["index"], world["status"]) == ("0", "done")
    assert (world["summary_id"], world["summary_status"]) == ("mine", "well")
    assert world["albedo"] == "0.3"


@pytest.mark.parametrize("row", ["1e400,280,1", "nan,280,1", "1e30,280,1"])
def test_a_year_that_is_none_is_no_progress(program: Make, member: Path, row: str) -> None:
    (member / "run").mkdir()
    head = "model_years,surface_temperature_k,toa_balance_wm2\n"
    (member / "run" / "progress.csv").write_text(f"{head}1,1e400,1\n{row}\n")
    (only,) = program("").series(member)
    assert only.model_years == 1
    assert math.isnan(only.surface_temperature_k)
