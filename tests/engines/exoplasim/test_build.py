"""The executable: compiled once, whoever asks; and one sentence where it cannot be."""

import importlib.util
import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from support import make_planet
from support_exoplasim import installed, settings

from astrohpc.engines.exoplasim import Exoplasim, ExoplasimSettings, build
from astrohpc.engines.exoplasim.worker import Worker, WorkerDied
from astrohpc.engines.load import load_engine
from astrohpc.errors import ConfigError
from astrohpc.files import file_digest
from astrohpc.launch.compose import compose
from astrohpc.sweep import config as configs
from astrohpc.sweep.members import member_id


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that has been compiled never."""
    folder = tmp_path / "exoplasim"
    (folder / "plasim" / "run").mkdir(parents=True)
    monkeypatch.setattr(build, "installation", lambda: (folder, "3.4.2"))
    monkeypatch.setattr(build, "_TOOLS", {"sh": "dash"})
    return folder


def compiling(
    package: Path, monkeypatch: pytest.MonkeyPatch, content: bytes = b"executable"
) -> list[dict[str, object]]:
    """Let the child only pretend to compile; returns what it was asked."""
    asked: list[dict[str, object]] = []

    def ask(_worker: Worker, request: dict[str, object]) -> dict[str, object]:
        asked.append(request)
        time.sleep(0.3)
        (package / "plasim" / "run" / "most_plasim_t21_l10_p1.x").write_bytes(content)
        return {}

    monkeypatch.setattr(Worker, "ask", ask)
    return asked


def test_two_launchers_compile_it_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = compiling(package, monkeypatch)
    builds: list[build.Build] = []
    threads = [
        threading.Thread(target=lambda: builds.append(build.ensure(settings()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    assert len(set(builds)) == 1
    assert builds[0].digest == file_digest(builds[0].executable)


@pytest.mark.parametrize("damage", ["cut", "gone", "unrecorded"])
def test_an_executable_that_is_not_whole_is_compiled_again(
    package: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    asked = compiling(package, monkeypatch)
    made = build.ensure(settings())
    if damage == "cut":
        made.executable.write_bytes(b"exec")
    elif damage == "gone":
        made.executable.unlink()
    else:
        next(package.glob("astrohpc-t21-l10.json")).unlink()
    assert build.find(settings()) is None
    assert build.ensure(settings()) == made
    assert len(asked) == 2


def test_each_resolution_and_each_number_of_layers_is_one_of_its_own(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiling(package, monkeypatch)
    build.ensure(settings())
    assert build.find(settings(timestep_min=30.0)) is not None
    assert build.find(settings(layers=20)) is None
    assert build.find(settings(resolution="T42")) is None


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="ExoPlaSim is not installed; run"):
        member_id(make_planet(), Exoplasim(settings()))


def test_a_missing_compiler_is_one_sentence(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_TOOLS", {"sh": "dash", "no-such-compiler": "gfortran"})
    with pytest.raises(ConfigError, match=r"gfortran cannot be found; run 'apt-get install"):
        build.ensure(settings())


def test_a_path_that_its_shell_commands_break_on_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "installation", lambda: (tmp_path / "my venv", "3.4.2"))
    with pytest.raises(ConfigError, match="break on blanks"):
        build.ensure(settings())


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("ModuleNotFoundError: No module named 'exoplasim.pyfft'", "setuptools<81"),
        ("it ended without a word", "compiling ExoPlaSim failed"),
    ],
)
def test_a_failed_build_is_one_sentence(
    package: Path, monkeypatch: pytest.MonkeyPatch, word: str, sentence: str
) -> None:
    """A new setuptools breaks f2py on Python 3.11; the model runs on and its output is lost."""

    def ask(_worker: Worker, _request: dict[str, object]) -> dict[str, object]:
        raise WorkerDied(word)

    monkeypatch.setattr(Worker, "ask", ask)
    with pytest.raises(ConfigError) as failed:
        build.ensure(settings())
    assert sentence in str(failed.value)
    assert build.find(settings()) is None


@installed
def test_physics_name_version_and_executable(built: Exoplasim) -> None:
    physics = built.physics()
    executable = build.ensure(settings()).executable
    assert physics["executable"] == file_digest(executable)
    assert physics["exoplasim"] == build.installation()[1]
    record = json.loads((build.installation()[0] / "astrohpc-t21-l10.json").read_text())
    assert "Fortran" in record["compiler"]
    assert shutil.which("gfortran")


@installed
def test_what_decides_a_member_decides_its_id(built: Exoplasim) -> None:
    planet = make_planet()
    assert member_id(planet, built) == member_id(planet, Exoplasim(settings()))
    for change in ({"seed": 2}, {"timestep_min": 22.5}, {"leg_days": 5.0}, {"climate_days": 10.0}):
        assert member_id(planet, Exoplasim(settings(**change))) != member_id(planet, built)
    farther = Exoplasim(settings(run_days=20.0))
    assert member_id(planet, farther) == member_id(planet, built), "one goes on as the other"


def test_the_shipped_settings_run_to_equilibrium() -> None:
    engine = load_engine(configs.parse(compose(["engine=exoplasim"])).engine)
    assert isinstance(engine, Exoplasim)
    assert engine.settings.run_days is None
    assert engine.settings == ExoplasimSettings()


def test_it_is_an_engine_by_its_name() -> None:
    engine = load_engine({"name": "exoplasim", "timestep_min": 30}, {"timestep_min": 15.0})
    assert engine.name == "exoplasim"
    assert "T21 with 10 layers" in engine.description
    with pytest.raises(ConfigError, match=r"engine.timestep: .*did you mean 'timestep_min'"):
        load_engine({"name": "exoplasim", "timestep": 30})
