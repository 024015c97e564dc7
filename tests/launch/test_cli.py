"""What the command line says to mistakes: one sentence with the field and the remedy, and exit code 2."""

import csv
import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Launcher, rows

from astrohpc.launch.cli import VERBS, main
from astrohpc.launch.parser import parse

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a verb in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASTROHPC_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("ASTROHPC_CONFIGS", raising=False)
    monkeypatch.delenv("ASTROHPC_ACCOUNT", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def one_sentence(code: int, out: str, err: str) -> str:
    assert code == 2, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    return err


MISTAKES = {
    "a group misspelt": ("sweeep=demo", "sweeep", "did you mean"),
    "an option misspelt": ("sweep=thousandworld", "sweep", "did you mean 'thousandworlds'"),
    "a site that is not there": ("site=perlmuter-gpu", "site", "did you mean 'perlmutter-gpu'"),
    "a setting misspelt": ("sweep.nn=3", "sweep.nn", "did you mean 'n'"),
    "an engine setting misspelt": ("engine.max_year=3", "engine.max_year", "'max_years'"),
    "a policy misspelt": ("policy.rules.blownup.limit=1", "blownup", "did you mean 'blown_up'"),
    "no equals sign": ("demo", "'demo'", "group=option or key=value"),
    "an open bracket": ("sweep.fixed.co2=[1", "sweep.fixed.co2", "write"),
    "a wrong unit": ("sweep.fixed.radius=1 kg", "sweep.fixed.radius", "write for example"),
    "no unit": ("sweep.fixed.surface_pressure=1", "surface_pressure", "write for example"),
    "not a number": ("sweep.n=many", "sweep.n", "whole number"),
    "a seed below zero": ("sweep.seed=-1", "sweep.seed", "write 0 or a positive"),
    "planets without end": ("sweep.n=1000000000000", "sweep.n", "write fewer"),
    "a number of 400 digits": (f"engine.max_years={'9' * 400}", "max_years", "below 1e308"),
    "a share of 400 digits": (f"sweep.fixed.ch4={'9' * 400}", "sweep.fixed.ch4", "too large"),
    "no planets": ("sweep.n=0", "sweep.n", "write for example n: 64"),
    "a planet without air": ("sweep.fixed.surface_pressure=-1 bar", "surface_pressure", "-"),
    "more gas than there is": ("sweep.fixed.ch4=1.2", "ch4", "1"),
    "an orbit that is none": ("sweep.fixed.eccentricity=1.3", "eccentricity", "outside 0"),
    "an axis upside down": ("sweep.axes.co2={low: 2 percent, high: 1 percent}", "co2", "low"),
    "an axis of nothing": ("sweep.axes.colour={low: 1, high: 2}", "colour", "parameter"),
    "a walltime of doubtful unit": ("allocation.walltime=30", "walltime", "write"),
    "no time before the signal": ("allocation.walltime=00:00:20", "walltime", "raise it"),
    "a memory without unit": ("allocation.memory=8", "memory", "write"),
    "no members to a task": ("allocation.members_per_task=0", "members_per_task", "1"),
    "a name that is a path": ("sweep.name=../../etc", "sweep.name", "letters"),
    "a name that is a command": ("sweep.name='a;rm -rf x'", "sweep.name", "letters"),
    "a group left out": ("~sweep", "sweep", "choose an option"),
    "a remedy misspelt": ("policy.remedies.ebm.step_dayz=0.5", "step_dayz", "'step_days'"),
    "a remedy backwards": ("policy.remedies.ebm.step_days=-1", "step_days", "above 0"),
    "a remedy of nothing": ("policy.remedies.ebm.step_days=0", "step_days", "above 0"),
    "a remedy that is none": ("policy.remedies.ebm.step_days=nan", "step_days", "above 0"),
    "a growth that is none": ("policy.rules.timed_out.factor=nan", "factor", "1 or more"),
    "a fixed value misspelt": ("sweep.fixed.gravityy=3 m/s2", "sweep.fixed.gravityy", "'gravity'"),
    "a name with an umlaut": ("sweep.name=größe", "sweep.name: 'größe'", "a to z"),
    "a value with an umlaut": ("engine.start=kühl", "engine.start", "\"engine.start='kühl'\""),
    "a setting with an umlaut": ("sweep.größe=1", "sweep.größe", "plain letters"),
    "no folder for sweeps": ("runs=", "runs", "name the folder"),
    "a group as a dictionary": ("sweep={colour: blue}", "sweep", "write sweep=OPTION"),
    "a table where none is read": ("sweep.file=a.csv", "sweep.file", "sweep=table"),
}


@pytest.mark.parametrize("verb", ["sweep", "plan"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_with_field_and_remedy(
    say: Say, tmp_path: Path, verb: str, mistake: str
) -> None:
    override, field, remedy = MISTAKES[mistake]
    err = one_sentence(*say(verb, override))
    assert field in err
    assert remedy in err
    assert not list(tmp_path.glob("runs/*/members.tsv")), "nothing was made"
    assert not (tmp_path / "etc").exists()


def test_a_table_of_planets_is_asked_for_and_its_lines_are_checked(
    say: Say, tmp_path: Path
) -> None:
    assert "sweep.file=planets.csv" in one_sentence(*say("sweep", "sweep=table"))
    missing = one_sentence(*say("sweep", "sweep=table", "sweep.file=no.csv"))
    assert "no.csv" in missing
    (tmp_path / "planets.csv").write_text("name,radius\ne,0.92 R_earht\n")
    wrong = one_sentence(*say("sweep", "sweep=table", "sweep.file=planets.csv"))
    assert "planets.csv, planet line 2: radius: '0.92 R_earht'" in wrong


def test_a_sweep_beyond_its_budget_is_refused(say: Say) -> None:
    err = one_sentence(*say("sweep", "allocation.budget_core_hours=1e-9"))
    assert "allocation.budget_core_hours" in err
    assert "raise it, or lower sweep.n" in err


def test_a_table_with_an_open_quotation_mark_is_no_table(say: Say, tmp_path: Path) -> None:
    (tmp_path / "planets.csv").write_text("name,radius\n" + '"' + "e,0.92 R_earth\n" * 20_000)
    err = one_sentence(*say("sweep", "sweep=table", "sweep.file=planets.csv"))
    assert "is a quotation mark open?" in err


def test_a_file_of_one_s_own_that_is_no_yaml_is_named(say: Say, tmp_path: Path) -> None:
    (tmp_path / "own" / "site").mkdir(parents=True)
    (tmp_path / "own" / "site" / "mine.yaml").write_text("name: mine\n\tscheduler: slurm\n")
    err = one_sentence(*say("plan", "site=mine", "--config-dir", str(tmp_path / "own")))
    assert "mine.yaml" in err


def test_a_folder_with_an_umlaut_is_taken_in_quotes(say: Say, tmp_path: Path) -> None:
    assert f"in {tmp_path}/grün/demo" in say("plan", "runs='grün'")[1]


def test_runs_may_be_given_either_way(say: Say, tmp_path: Path) -> None:
    assert f"in {tmp_path}/a/demo" in say("plan", "--runs", str(tmp_path / "a"))[1]
    assert f"in {tmp_path}/b/demo" in say("plan", "--runs", "a", f"runs={tmp_path}/b")[1]
    assert f"in {tmp_path}/2024/demo" in say("plan", "runs=2024")[1]
    assert f"in {tmp_path}/my runs/demo" in say("plan", "--runs", str(tmp_path / "my runs"))[1]


def test_an_unwritable_runs_folder_is_named(say: Say, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    err = one_sentence(*say("sweep", f"runs={tmp_path}/file/runs"))
    assert "runs" in err
    assert "choose another folder" in err


def test_a_sweep_that_is_not_there_is_named_with_those_that_are(say: Say) -> None:
    for verb in ("status", "watch", "retry", "rerun", "cancel", "tensorboard"):
        err = one_sentence(*say(verb, "nothere"))
        assert "nothere: there is no such sweep" in err
    assert "'launch sweep' makes one" in one_sentence(*say("status"))


def test_a_verb_s_own_mistakes_are_named(launch: Launcher) -> None:
    assert launch("sweep", "sweep.n=1").code == 0
    for words, field in (
        (("retry", "--outcome", "exploded"), "--outcome: 'exploded'"),
        (("retry", "--member", "7"), "there is no index 7; they run from 0 to 0"),
        (("explain", "7"), "there is no index 7"),
        (("explain", "zzz"), "no member has"),
        (("explain", "²"), "no member has"),
        (("throttle", "0"), "N: 0 would let nothing run"),
        (("tensorboard", "--hours=0"), "--hours"),
        (("tensorboard", "--hours=nan"), "--hours"),
        (("tensorboard", "--hours=inf"), "--hours"),
        (("rerun", "demo", "engine.max_years=3"), "not the physics"),
        (("sweep", "--folder", "nowhere"), "--folder"),
        (("sweep", "--folder", "runs/demo", "sweep.n=2"), "overrides"),
        (("sweep", "--config-dir", "nowhere"), "--config-dir"),
    ):
        said = launch(*words)
        assert field in one_sentence(said.code, said.out, said.err)


def test_a_corrupt_line_of_the_ledger_is_named_and_nothing_is_lost(launch: Launcher) -> None:
    assert launch("sweep", "sweep.n=2").code == 0
    ledger = launch.sweep_folder() / "events.jsonl"
    lines = ledger.read_text().splitlines()
    lines[1] = '{"event": "subm'
    ledger.write_text("\n".join(lines) + "\n")
    before = ledger.read_bytes()
    for words in (("sweep", "sweep.n=4"), ("status",), ("retry",), ("cancel",)):
        said = launch(*words)
        err = one_sentence(said.code, said.out, said.err)
        assert "events.jsonl" in err
        assert "line 2" in err
    assert ledger.read_bytes() == before
    assert len(rows(launch.sweep_folder())) == 2


def test_overrides_and_options_come_in_any_order() -> None:
    arguments = parse(["sweep", "sweep.n=3", "--wait", "allocation.throttle=2"])
    assert arguments.overrides == ["sweep.n=3", "allocation.throttle=2"]
    assert arguments.wait


@pytest.mark.parametrize("words", [["status", "demo", "extra"], ["sweep", "--wiat", "sweep.n=3"]])
def test_what_is_no_override_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        parse(words)
    assert refusal.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_s_help_says_what_it_is_for(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as over:
        parse([verb, "--help"])
    assert over.value.code == 0
    said = capsys.readouterr().out
    assert said.count("\n") >= 5
    assert "usage: python -m astrohpc.launch " + verb in said


def test_help_names_every_verb_with_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as over:
        parse(["--help"])
    assert over.value.code == 0
    said = capsys.readouterr().out
    for verb in VERBS:
        assert re.search(rf"^    {verb}\s", said, re.MULTILINE), verb
    assert "90 % intervals" in " ".join(said.split())


def test_a_plan_adds_up(say: Say, tmp_path: Path) -> None:
    code, out, _ = say("plan", "sweep=he2022", "allocation.members_per_task=3")
    assert code == 0
    assert "he2022: 56 members on site local" in out
    assert "56       new" in out
    assert "19 tasks, 3 members each" in out
    assert "core hours:" in out
    assert not (tmp_path / "runs" / "he2022" / "members.tsv").exists()


def test_a_plan_for_a_cluster_can_be_made_anywhere(say: Say) -> None:
    code, out, err = say("plan", "site=perlmutter-cpu", "allocation.account=m0000", "sweep.n=100")
    assert code == 0, err
    assert "100 members on site perlmutter-cpu" in out


@pytest.mark.parametrize("site", ["perlmutter-cpu", "perlmutter-gpu", "juwels-booster"])
def test_a_site_that_wants_to_know_who_pays_is_told_so(say: Say, site: str) -> None:
    err = one_sentence(*say("plan", f"site={site}", "sweep.n=4"))
    assert f"allocation.account: site {site} charges every job" in err
    assert "write allocation.account=PROJECT, or set ASTROHPC_ACCOUNT" in err


def test_a_sweep_needs_the_cluster_that_it_names(say: Say, tmp_path: Path) -> None:
    words = ("site=perlmutter-cpu", "allocation.account=m0000", "sweep.n=4")
    environment = os.environ.get("SLURM_CONF")
    assert environment is None or Path(environment).exists()
    err = one_sentence(*say("sweep", *words))
    assert "cluster" in err
    assert not list(tmp_path.glob("runs/*/members.tsv"))


# ------------------------------------------------------------------------------ status
def test_status_is_for_programs_too(launch: Launcher) -> None:
    launch("sweep", "sweep.n=3")
    said = launch("status", "--json", "--members")
    found = json.loads(said.out)
    assert found["counts"] == {"done": 3}
    assert found["open"] == 0
    assert [member["status"] for member in found["members"]] == ["done"] * 3
    assert all(member["summary"]["converged"] for member in found["members"])
    plain = launch("status", "--members")
    assert "3 of 3 members done" in plain.out
    assert "\x1b" not in plain.out, "a pipe gets plain lines"
    assert sum(row["id"] in plain.out for row in rows(launch.sweep_folder())) == 3


def test_a_terminal_gets_a_table_and_a_bar(launch: Launcher) -> None:
    mine, theirs = pty.openpty()
    environment = {**launch.environment, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        launch.command(["sweep", "sweep.n=3"]),
        cwd=launch.folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(mine, 65536)
        except OSError:  # the terminal's other end is closed: Linux says EIO
            break
        if not part:
            break
        seen += part
    os.close(mine)
    assert process.wait(timeout=300) == 0
    text = seen.decode()
    assert "\x1b[" in text
    assert "members" in text
    assert "━" in text, "a progress bar"
    assert "3 of 3 members done" in text


def test_a_terminal_without_unicode_gets_question_marks(launch: Launcher) -> None:
    launch("sweep", "sweep.n=1")
    said = launch("explain", "0", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert said.code == 0
    assert "gravity 9.8 m s??" in said.out


def test_a_closed_pipe_is_no_error(launch: Launcher) -> None:
    launch("sweep", "sweep.n=3")
    command = " ".join(launch.command(["status", "--members"]))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 1"],
        cwd=launch.folder,
        env=launch.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("demo: 3 of 3 members done")
    assert done.stderr == ""


def test_a_closed_output_is_said_and_a_closed_stderr_is_no_error(launch: Launcher) -> None:
    launch("sweep", "sweep.n=1")
    command = " ".join(launch.command(["status"]))
    for closing, code, said in ((">&-", 2, "error: standard output is closed"), ("2>&-", 0, "")):
        done = subprocess.run(
            ["bash", "-c", f"{command} {closing}"],
            cwd=launch.folder,
            env=launch.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert done.stderr.startswith(said)
        assert done.stderr.count("\n") == (code != 0)


def test_explain_tells_a_planet_in_the_units_of_people(launch: Launcher) -> None:
    launch("sweep", "sweep.n=2")
    row = rows(launch.sweep_folder())[1]
    by_index, by_id = launch("explain", "1").out, launch("explain", row["id"][:6]).out
    assert by_index == by_id
    assert "radius 6378 km" in by_index
    assert "equilibrium at model year" in by_index
    worlds = (launch.sweep_folder() / "reports" / "worlds.tsv").read_text().splitlines()[1:]
    assert [world["id"] for world in csv.DictReader(worlds, delimiter="\t")][1] == row["id"]


def test_doctor_finds_this_machine_fit_for_local_sweeps(launch: Launcher) -> None:
    said = launch("doctor")
    assert said.code == 0, said.all
    assert "✓  signals, requeue, logs" in said.out
    assert "SIGUSR1 came" in said.out
    assert not list((launch.folder / "runs").glob(".doctor*")), "it cleans up after itself"


def test_doctor_on_another_machine_s_profile_says_where_to_go(launch: Launcher) -> None:
    launch.environment.pop("SLURM_CONF", None)
    said = launch("doctor", "site=perlmutter-cpu")
    assert said.code == 1
    assert "✗  scheduler" in said.out
    assert said.out.splitlines()[-1] == "next: log in where Slurm answers, or choose site=local"
