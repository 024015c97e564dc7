"""engine=command: the program of docs/engines.md, and programs that break its contract."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from support import REPOSITORY, Launcher, make_planet, outcomes, until

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
    deaf = "import signal, time; signal.signal(signal.SIGUSR1, signal.SIG_IGN); time.sleep(100)"
    engine = program(deaf, stop_wait_s=0.5)
    verdict = run(engine, member, stop=lambda: True)
    assert verdict.outcome is Outcome.CHECKPOINTED


def test_a_program_ends_with_the_job_that_started_it(program: Make, member: Path) -> None:
    program("import time; open('here', 'w').write('x'); time.sleep(100)")
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]); from support import make_planet; "
        "from pathlib import Path; from astrohpc.engines.command import Command, CommandSettings; "
        "Command(CommandSettings(command=(sys.executable, sys.argv[1]))).run("
        "make_planet(), Path(sys.argv[2]), stop=lambda: False, report=lambda _: None)"
    )
    words = [str(member.parent / "model.py"), str(member), str(REPOSITORY / "tests")]
    job = subprocess.Popen([sys.executable, "-c", code, *words])
    until((member / "run" / "here").exists, "the program began")
    (model,) = psutil.Process(job.pid).children()
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    until(lambda: not model.is_running() or model.status() == "zombie", "the program went too", 10)


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
        ({"command": ["x"], "max_years": 0}, "engine.max_years: 0 is not more than 0"),
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
