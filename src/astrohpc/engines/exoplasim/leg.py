"""One leg: the executable from a restart to the next, watched, and what its end means."""

import errno
import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astrohpc.engines.exoplasim import raw
from astrohpc.engines.exoplasim.worker import bound
from astrohpc.outcome import Outcome, Verdict

_POLL_S, _LOOK_S = 0.2, 2.0
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
_EXPLOSIONS = (signal.SIGFPE, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL)
_FULL = ("No space left on device", "Disk quota exceeded")


@dataclass(frozen=True)
class Leg:
    """How a leg ended: with means of its records, or with a verdict on the member."""

    means: list[raw.Means]
    verdict: Verdict | None = None


def run_leg(
    executable: Path,
    model: Path,
    output: raw.GrowingOutput,
    *,
    expected: int,
    stop: Callable[[], bool],
    look: Callable[[list[raw.Means]], None],
) -> Leg:
    """Run the executable in ``model``; ``look`` is called every few seconds with the means so far.

    When ``stop`` says so the executable is killed: it has no way to be asked for a restart, so what it
    did since the last one is lost. A leg is short for that reason.
    """
    with (model / "stdout").open("wb") as out, (model / "stderr").open("wb") as err:
        process = subprocess.Popen(
            bound(str(executable)),
            cwd=model,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        waited_s = 0.0
        while True:
            try:
                code = process.wait(timeout=_POLL_S)
                break
            except subprocess.TimeoutExpired:
                waited_s += _POLL_S
            if stop():
                return Leg([], Verdict(Outcome.CHECKPOINTED, "stopped"))
            if waited_s >= _LOOK_S:
                waited_s = 0.0
                look(output.look())
    finally:  # also where ``look`` or ``stop`` raised
        if process.poll() is None:
            process.kill()
            process.wait()
    return _judge(code, model, output.look(), expected, stop)


def _judge(
    code: int, model: Path, means: list[raw.Means], expected: int, stop: Callable[[], bool]
) -> Leg:
    said = _last_word(model / "stderr")
    raise_full_disk(said, model)
    if stop() or -code in _ASKED:  # a signal to the whole job reaches the model before us
        return Leg([], Verdict(Outcome.CHECKPOINTED, "stopped"))
    if (model / "Abort_Message").exists():
        words = " ".join((model / "Abort_Message").read_text(errors="replace").split())
        return Leg([], Verdict(Outcome.BLOWN_UP, f"the model aborted itself ({words[:100]})"))
    if -code in _EXPLOSIONS:
        name = signal.Signals(-code).name
        return Leg([], Verdict(Outcome.BLOWN_UP, f"the model crashed with {name}"))
    if any(not _is_sane(one) for one in means):
        return Leg([], Verdict(Outcome.BLOWN_UP, "temperatures or fluxes are no longer numbers"))
    if "out of bounds" in said or "Bound" in said:
        return Leg([], Verdict(Outcome.BLOWN_UP, f"the model crashed ({said[:100]})"))
    if code == -signal.SIGKILL:
        reason = "something killed the model, perhaps for its memory"
        return Leg([], Verdict(Outcome.UNKNOWN, reason))
    status = model / "plasim_status"
    if code == 0 and status.exists() and len(means) == expected:
        if raw.restart_step(status.read_bytes()) is not None:
            return Leg(means)
        return Leg([], Verdict(Outcome.UNKNOWN, "the model left half a restart"))
    reason = f"the model ended with code {code} after {len(means)} of {expected} records of a leg"
    return Leg([], Verdict(Outcome.UNKNOWN, reason + (f" ({said[:100]})" if said else "")))


def _is_sane(means: raw.Means) -> bool:
    return all(abs(value) < 1e6 for value in vars(means).values())  # false for NaN as well


def _last_word(path: Path) -> str:
    """The runtime's error among its thousands of warnings of array temporaries."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 20_000))
        text = file.read().decode(errors="replace")
    found = re.findall(r"Fortran runtime error: (.*)", text)
    return found[-1].strip() if found else ""


def raise_full_disk(said: str, folder: Path) -> None:
    """Make an error of ours of what another program said about a full disk."""
    if any(words in said for words in _FULL):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def cpu_seconds(model: Path) -> float:
    """What the model says that a leg took; 0 where it does not."""
    try:
        text = (model / "plasim_diag").read_text(errors="replace")
    except FileNotFoundError:
        return 0.0
    found = re.search(r"Total CPU time\s*:\s*([\d.]+)", text)
    return float(found[1]) if found else 0.0
