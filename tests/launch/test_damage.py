"""A sweep on this machine whose own files somebody has damaged or removed."""

import shutil

from support import SLOW, Launcher, outcomes, states, until


def test_garbage_beside_a_job_of_this_machine_is_named_or_passed_over(launch: Launcher) -> None:
    words = ("sweep", "sweep.n=2", *SLOW, "engine.max_years=4000")
    launch(*words, "--detach")
    spool = launch.sweep_folder() / "local"
    until(lambda: states(launch.sweep_folder()), "a member began")
    (spool / "local-x.json").write_text("no job of ours")
    (spool / "local-1.parallel").write_text("many")
    for garbage in ("[]", "{", "[" * 100_000):
        (spool / "local-1.pid").write_text(garbage)
    good = (spool / "local-1.json").read_text()
    for garbage in ("{", "[]", '{"name": "demo"}'):
        (spool / "local-1.json").write_text(garbage)
        said = launch(*words)
        assert said.code == 2
        assert f"error: {spool}/local-1.json: what was submitted cannot be read" in said.err
        assert said.err.count("\n") == 1
    (spool / "local-1.json").write_text(good)
    assert launch("cancel").code == 0
    until(
        lambda: all(s["attempts"][-1]["outcome"] for s in states(launch.sweep_folder()).values()),
        "stopped",
    )
    with (spool / "local-1.tasks").open("a") as file:
        file.write('[]\n{"task": 0}\n{"task": 0, "event": "end"}\n')
    (spool / "local-1.lock").unlink()
    assert launch(*words, "--detach").code == 0
    assert launch("cancel").code == 0


def test_folders_and_lines_that_were_removed_do_not_stop_a_sweep(launch: Launcher) -> None:
    """Old scripts and logs, and the damaged line of an intent, as the ledger's own sentence has it."""
    assert launch("sweep", "sweep.n=2").code == 0
    folder = launch.sweep_folder()
    for name in ("scripts", "logs", "reports"):
        shutil.rmtree(folder / name)
    lines = (folder / "events.jsonl").read_text().splitlines()
    kept = [line for line in lines if '"kind": "array"' not in line]
    assert len(kept) == len(lines) - 1
    (folder / "events.jsonl").write_text("\n".join(kept) + "\n")
    said = launch("sweep", "sweep.n=4")
    assert said.code == 0, said.all
    assert outcomes(folder) == {i: ["done"] for i in range(4)}
    assert {path.suffix for path in (folder / "reports").iterdir()} == {".tsv", ".png"}
    assert list((folder / "logs").iterdir())
