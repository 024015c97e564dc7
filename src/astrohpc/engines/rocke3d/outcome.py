"""How a launch of ModelE ended, as one outcome and one sentence that names cause and remedy.

Success is 13 in ``run_status``, never an exit code: the launcher exits with 13 when all went well.
"""

from collections.abc import Iterable
from pathlib import Path

from astrohpc.clock import duration
from astrohpc.engines.rocke3d.evidence import ERRORS, LOCK, NORMAL_END, Evidence, gather
from astrohpc.engines.rocke3d.signatures import (
    CRASH,
    CRASH_AT_START,
    INPUT,
    OUTSIDE,
    UNSTABLE,
    Signature,
)
from astrohpc.outcome import Outcome, Verdict

REACHED_END, STOPPED, IN_PROGRESS, INCOMPLETE = 13, 12, 1, -99
HANG_AFTER_S = 1800.0
_BLOWN_UP_CODE = 11


def read_verdict(folder: Path, *, now: float, errors: str = ERRORS) -> Verdict | None:
    """What the files of a run folder say whose processes are gone; None if no launch left any."""
    evidence = gather(folder, now=now, errors=errors)
    return None if evidence is None else judge(evidence)


def judge(evidence: Evidence) -> Verdict:
    """The verdict on a launch that is over."""
    if evidence.status == REACHED_END:
        return _reached(evidence)
    if evidence.status == STOPPED:
        return _resumable(evidence, "it was asked to stop and did")
    in_run = evidence.status == IN_PROGRESS
    if evidence.input_error and not in_run:
        return Verdict(Outcome.BAD_CONFIG, evidence.input_error.rstrip("."))
    verdict = (
        _first(OUTSIDE, evidence.all_text, evidence)
        or (None if in_run else _first(INPUT, evidence.all_text, evidence))
        or _first(UNSTABLE, evidence.end_text, evidence)
        or (CRASH if in_run else CRASH_AT_START).match(evidence.end_text, evidence)
    )
    if verdict is not None:
        return verdict
    stopped = evidence.status not in (IN_PROGRESS, INCOMPLETE, None)
    return _stopped_by_itself(evidence) if stopped else _gone(evidence)


def is_hung(evidence: Evidence, hang_after_s: float = HANG_AFTER_S) -> Verdict | None:
    """The verdict on a launch that still has processes, but has written nothing for too long."""
    if evidence.status not in (IN_PROGRESS, INCOMPLETE) or evidence.log_age_s < hang_after_s:
        return None
    silence = duration(evidence.log_age_s)
    if evidence.status == INCOMPLETE:
        return Verdict(
            Outcome.UNKNOWN,
            f"it hangs: the input is not read and the log has not grown for {silence}; end it, and "
            "try another number of tasks, for MPI tasks that wait for each other are the usual "
            "cause",
        )
    return Verdict(
        Outcome.UNKNOWN,
        f"it hangs: the log has not grown for {silence}; end it, and continue from its restart",
    )


def _first(signatures: Iterable[Signature], text: str, evidence: Evidence) -> Verdict | None:
    found = (signature.match(text, evidence) for signature in signatures)
    return next((verdict for verdict in found if verdict is not None), None)


def _reached(evidence: Evidence) -> Verdict:
    """The end of its time, unless that was only the short first leg, or the end was moved since."""
    end = evidence.input.end if evidence.input else None
    reached = evidence.reached
    if NORMAL_END in evidence.log and end is not None and reached is not None and reached < end:
        return _resumable(
            evidence,
            f"it reached the end of a leg (year {reached.year}, month {reached.month}, day "
            f"{reached.day}, hour {reached.hour}), and its I file goes on to year {end.year}",
        )
    return Verdict(Outcome.DONE, "it reached the end of its time")


def _resumable(evidence: Evidence, what: str) -> Verdict:
    if evidence.restarts:
        return Verdict(
            Outcome.CHECKPOINTED,
            f"{what}; {evidence.restarts[0]} waits to be resumed{_lock(evidence)}",
        )
    if evidence.month_starts:
        return Verdict(
            Outcome.CHECKPOINTED,
            f"{what}; there is no fort.1.nc or fort.2.nc, but {evidence.month_starts[0]} can be "
            f"resumed with ISTART=9{_lock(evidence)}",
        )
    return Verdict(
        Outcome.UNKNOWN,
        f"{what}, and there is no restart to resume; start it again from the beginning"
        f"{_lock(evidence)}",
    )


def _gone(evidence: Evidence) -> Verdict:
    """No end, no reason, no process: it was killed, or never got far enough to say anything."""
    if evidence.status == INCOMPLETE:
        silent = evidence.log_age_s >= HANG_AFTER_S
        how = (
            f"it hung (its log had not grown for {duration(evidence.log_age_s)}) or was killed"
            if silent
            else "it was killed or died"
        )
        last = next((line for line in reversed(evidence.errors.splitlines()) if line.strip()), "")
        words = f"its last words were '{last.strip()[:200]}'" if last else "left no reason"
        return Verdict(
            Outcome.UNKNOWN,
            f"{how} before its input was read, and {words}; if it happens again, try another "
            "number of tasks, for MPI tasks that wait for each other are the usual cause"
            f"{_lock(evidence)}",
        )
    if evidence.locked:
        return _resumable(evidence, "it was killed together with its launcher")
    return _resumable(evidence, "it was killed while it ran")


def _lock(evidence: Evidence) -> str:
    return f" (remove the stale '{LOCK}' first)" if evidence.locked else ""


def _stopped_by_itself(evidence: Evidence) -> Verdict:
    """A message that we do not know: before the first step it is about the input, after it not."""
    said = evidence.text or "no reason given"
    if evidence.status == _BLOWN_UP_CODE or evidence.began:
        return Verdict(
            Outcome.BLOWN_UP,
            f"the model stopped itself in mid-run: {said}; look at the end of its log, and try a "
            "shorter DT from the last month-start restart",
        )
    return Verdict(
        Outcome.BAD_CONFIG,
        f"the model refused its input: {said}; correct the I file or the input files",
    )
