"""The promise in one test: a thousand members, and a launcher, a node and slurmctld killed on the way."""

import itertools
import json
import signal
import time
from pathlib import Path

import pytest
from support import Launcher, events, outcomes, states, until
from support_slurm import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

WORDS = ("sweep", "sweep=thousandworlds", "sweep.n=1000", "site=slurm-test", "engine=ebm")


def done(folder: Path) -> int:
    return sum(tries[-1:] == ["done"] for tries in outcomes(folder).values())


def test_a_thousand_members_end_once_each_whatever_is_killed(
    launch: Launcher, cluster: Cluster
) -> None:
    began = time.time()
    folder = launch.sweep_folder("thousandworlds")
    first = launch.start(*WORDS)
    until(lambda: (folder / "events.jsonl").exists() and events(folder, "intent"), "an intent")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    said = launch(*WORDS)
    assert said.code == 0, said.all
    until(lambda: done(folder) > 50 if folder.exists() else False, "some members")
    cluster.verb("node-kill", "2")
    cluster.run("scontrol", "update", "nodename=node2", "state=down", "reason=test")
    until(lambda: done(folder) > 300, "more members")
    cluster.verb("controller-kill")
    cluster.verb("up")
    end = launch(*WORDS, "--wait", timeout=420)
    assert end.code == 0, end.all
    seconds = time.time() - began

    final = outcomes(folder)
    assert sorted(final) == list(range(1000))
    assert all(tries[-1] == "done" and tries.count("done") == 1 for tries in final.values())
    ours = [p for p in folder.glob("members/*/*/*") if p.name == "state.json" or p.name[0] == "."]
    others = [p for name in ("logs", "scripts") for p in (folder / name).iterdir()]
    assert (len(ours) + len(others)) / 1000 <= 5
    lines = (folder / "events.jsonl").read_text().splitlines()
    queries = sum(event.get("queries", 0) for event in map(json.loads, lines))
    print(
        f"\n1000 members in {seconds:.0f} s ({60000 / seconds:.0f} members/min), "
        f"{(len(ours) + len(others)) / 1000:.2f} files of ours a member, {queries} scheduler queries"
    )
    asked = [event["time"] for event in events(folder, "queried")]
    assert all(b - a >= 59 for a, b in itertools.pairwise(asked)), "at most one question a minute"

    before = (folder / "events.jsonl").read_bytes()
    clock = time.time()
    again = launch(*WORDS)
    quick = time.time() - clock
    assert "nothing to submit; 1000 of 1000 members are done" in again.out
    assert (folder / "events.jsonl").read_bytes() == before
    print(f"the same command again: {quick:.2f} s")

    more = launch(*WORDS[:2], "sweep.n=1200", *WORDS[3:], "--wait")
    assert "200 members added to the 1000 of thousandworlds" in more.out
    assert len(states(folder)) == 1200
    assert done(folder) == 1200
