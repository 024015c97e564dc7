"""A conversion from beginning to end, on one rank or many: look, plan, make shards, finish."""

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Semaphore

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.files import canonical_json, write_atomic
from astrohpc.store.agree import Refusal
from astrohpc.store.crew import share_out
from astrohpc.store.journal import (
    FOLDER,
    Done,
    Journal,
    merge_journals,
    read_journal,
    read_record,
    stands,
)
from astrohpc.store.look import Look, look
from astrohpc.store.metadata import write_after, write_before
from astrohpc.store.plan import Plan
from astrohpc.store.planning import make_plan
from astrohpc.store.progress import Progress, cpu_s, peak_memory_bytes
from astrohpc.store.ranks import Alone, Ranks
from astrohpc.store.rounding import Losses
from astrohpc.store.shards import Maker
from astrohpc.store.source import BadSource
from astrohpc.store.target import ABOUT, Request, held
from astrohpc.store.tasks import Task, make_tasks, parts_of

REPORT = "report.json"
_WAITING = 1  # threads beyond those that compute


@dataclass(frozen=True)
class Report:
    """What came of it, summed over all ranks."""

    target: str
    complete: bool  # nothing was refused, nothing is left to do
    stopped: bool  # it was asked to stop before the end
    arrays: int
    members: int
    shards: int
    made: int
    kept: int
    direct: int
    value_bytes: int
    stored_bytes: int
    seconds: float
    cpu_s: float
    peak_memory_bytes: int  # of the rank that needed most
    ranks: int
    threads: int
    native: bool
    refused: tuple[Refusal, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Work:
    """What rank 0 tells the others."""

    plan: Plan
    tasks: tuple[Task, ...]
    done_bytes: int
    total_bytes: int


def convert(
    request: Request,
    ranks: Ranks,
    clock: Clock,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Report | None:
    """Convert; the report at rank 0, None at the others."""
    began = clock.now()
    threads = cores(request, ranks)
    with held(request, ranks, request.settings.shard_bytes(threads)) as found:
        problem = ranks.share(found)
        if problem:
            raise ConfigError(problem)
        looks = look_at_all(request, ranks, say)
        work, failure = None, ""
        if ranks.rank == 0:
            try:
                work = _prepare(request, looks or {}, say)
            except (ConfigError, OSError) as error:
                failure = str(error)
        work, failure = ranks.share((work, failure))
        if failure:
            raise ConfigError(failure)
        assert work is not None
        results = _make_all(
            request, work, ranks, threads, clock, stop, say if ranks.rank == 0 else _quiet
        )
        gathered = ranks.gather((*results, cpu_s(), peak_memory_bytes()))
        if gathered is None:
            return None
        return _finish(request, work, gathered, ranks, threads, clock.now() - began)


def _quiet(_text: str) -> None:
    return


def cores(request: Request, ranks: Ranks) -> int:
    """Threads of one rank: as asked for, or the cores that we may use, shared with this node's ranks."""
    return request.settings.threads or own_cores(ranks)


def own_cores(ranks: Ranks) -> int:
    """The cores that we may use, shared with this node's ranks."""
    own = len(os.sched_getaffinity(0))
    here = os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE")
    together = int(here) if here and here.isdigit() else ranks.size
    return max(1, own // max(1, together)) if ranks.size > 1 else own


# ----------------------------------------------------------------------------- before
def look_at_all(
    request: Request, ranks: Ranks, say: Callable[[str], None]
) -> dict[str, Look | Refusal] | None:
    """Headers of all files, shared out over the ranks."""
    paths = [path for member in request.members for path in member.files]
    if ranks.rank == 0:
        say(f"reading the headers of {len(paths)} files")
    seen: dict[str, Look | Refusal] = {}
    for path in paths[ranks.rank :: ranks.size]:
        try:
            seen[str(path)] = look(path)
        except BadSource as error:
            seen[str(path)] = Refusal(str(path), "", str(error).removeprefix(f"{path}: "))
        except OSError as error:
            seen[str(path)] = Refusal(
                str(path), "", f"cannot be read ({error.strerror}); mend its rights or leave it out"
            )
    gathered = ranks.gather(seen)
    if gathered is None:
        return None
    together = {path: one for part in gathered for path, one in part.items()}
    return {str(path): together[str(path)] for path in paths}


def _prepare(
    request: Request,
    looks: Mapping[str, Look | Refusal],
    say: Callable[[str], None],
) -> _Work:
    shard_bytes = int((read_record(request.target, ABOUT) or {})["shard_bytes"])
    plan = make_plan(request.members, looks, request.settings, shard_bytes)
    if not plan.arrays:
        if plan.refused:
            raise ConfigError(f"{plan.refused[0].sentence} (and nothing else is there to convert).")
        raise ConfigError(f"{request.target}: the files have no variables; name others.")
    _sweep_up(request.target)
    tasks = make_tasks(plan, request.settings)
    before = read_journal(request.target)
    todo, kept, good = [], [], []
    for task in tasks:
        done = before.get(plan.arrays[task.array].spec.key(task.index))
        if done is not None and done.digest == task.digest and stands(request.target, done):
            kept.append(task)
            good.append(done)
        else:
            todo.append(task)
    # One journal of what counts: a rank's line that a kill cut would swallow the next one, and an old
    # line of one rank would hide a new one of another.
    merge_journals(request.target, good)
    write_before(request.target, plan, request.about, anew=bool(todo))
    if kept:
        say(f"{len(kept)} of {len(tasks)} shards are there already")
    done_bytes = sum(task.nbytes for task in kept)
    return _Work(plan, tuple(todo), done_bytes, done_bytes + sum(task.nbytes for task in todo))


def plan_of(request: Request) -> Plan:
    """The plan alone, for who wants to see it."""
    looks = look_at_all(request, Alone(), _quiet)
    most = request.settings.shard_bytes(cores(request, Alone()))
    return make_plan(request.members, looks or {}, request.settings, most)


def _sweep_up(target: Path) -> None:
    """Remove what a killed conversion left half-written; nobody else writes here now.

    All our temporary names begin with a dot; so do those of files that NFS keeps for who has them open.
    """
    for path in target.rglob(".*"):
        if path.is_file() and not path.name.startswith(".nfs"):
            path.unlink(missing_ok=True)


# ----------------------------------------------------------------------------- shards
def _make_all(
    request: Request,
    work: _Work,
    ranks: Ranks,
    threads: int,
    clock: Clock,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> tuple[list[Refusal], bool, bool]:
    """Make shards until there are no more; what was refused, whether we were stopped, kernel or not."""
    # Memory is reckoned for so many shards that are values on their way. Who waits for the disk with one
    # made straight from source bytes holds little, and another thread has its core meanwhile.
    room = Semaphore(threads)
    values = any(array.unpack or array.treated for array in work.plan.arrays)
    makers = [
        Maker(work.plan, request.target, f"{ranks.rank}-{i}", room=room)
        for i in range(threads if values else threads + _WAITING)
    ]
    progress = Progress(work.total_bytes, clock, say)
    journal = Journal(request.target, ranks.rank)
    refused: list[Refusal] = []

    def labour(maker: Maker, number: int) -> tuple[Done | None, list[Refusal]]:
        task = work.tasks[number]
        try:
            made = maker.make(task)
        except BadSource as error:
            return None, [_refusal(work.plan, task, str(error))]
        return made.done, [_refusal(work.plan, task, one) for one in made.refused]

    def note(number: int, made: tuple[Done | None, list[Refusal]]) -> None:
        done, missing = made
        if done is not None and not missing:  # one in which something is missing is made again
            journal.note(done)
        refused.extend(missing)
        progress.at(work.done_bytes + ranks.add(work.tasks[number].nbytes))

    try:
        stopped = share_out(len(work.tasks), makers, labour, note, ranks, stop)
    except OSError as error:
        raise _fatal(error) from error
    finally:
        journal.close()
        for maker in makers:
            maker.close()
    return refused, stopped, bool(makers[0].worker.native)


def _refusal(plan: Plan, task: Task, sentence: str) -> Refusal:
    array = plan.arrays[task.array]
    pieces = {
        plan.looks[part.piece.source].source.path: part.piece
        for part in parts_of(array, task.index)
    }
    path, name = next(
        (
            (str(p), piece.variable.path)
            for p, piece in pieces.items()
            if sentence.startswith(f"{p}: ")
        ),
        ("", array.spec.path),
    )
    reason = sentence.removeprefix(f"{path}: ").removeprefix(f"{name}: ")
    return Refusal(path, name, reason)


def _fatal(error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ConfigError(
            "the disk or its quota is full; free space there and run the same command again: it goes on "
            "where it stopped."
        )
    return error


# ----------------------------------------------------------------------------- after
def _finish(
    request: Request,
    work: _Work,
    gathered: Sequence[tuple[list[Refusal], bool, bool, float, int]],
    ranks: Ranks,
    threads: int,
    seconds: float,
) -> Report:
    plan = work.plan
    refused = [*plan.refused, *(one for part in gathered for one in part[0])]
    wanted = {
        plan.arrays[task.array].spec.key(task.index): task
        for task in make_tasks(plan, request.settings)
    }
    noted = read_journal(request.target)
    counts = [d for key, d in noted.items() if key in wanted and d.digest == wanted[key].digest]
    for key in noted.keys() - wanted.keys():  # a shard of what is no longer a source
        (request.target / key).unlink(missing_ok=True)
    there = {done.key for done in counts}
    gaps = {plan.arrays[task.array].spec.path for key, task in wanted.items() if key not in there}
    # Asked to stop when the last shard was made already is no stop.
    stopped = bool(gaps) and any(part[1] for part in gathered)
    merge_journals(request.target, counts)
    complete = not refused and not stopped and not gaps
    write_after(
        request.target, plan, request.about, complete=complete, gaps=gaps, losses=losses_of(counts)
    )
    report = Report(
        target=str(request.target),
        complete=complete,
        stopped=stopped,
        arrays=len(plan.arrays),
        members=len(plan.members),
        shards=len(wanted),
        made=len(work.tasks) - (len(wanted) - len(there)),
        kept=len(wanted) - len(work.tasks),
        direct=sum(done.direct for done in counts),
        value_bytes=work.total_bytes,
        stored_bytes=sum(done.nbytes for done in counts),
        seconds=seconds,
        cpu_s=sum(part[3] for part in gathered),
        peak_memory_bytes=max(part[4] for part in gathered),
        ranks=ranks.size,
        threads=threads,
        native=gathered[0][2],
        refused=tuple(refused),
        notes=plan.notes,
    )
    write_atomic(request.target / FOLDER / REPORT, canonical_json(asdict(report)))
    return report


def losses_of(done: Iterable[Done]) -> dict[str, Losses]:
    """Of each array over all its shards."""
    found: dict[str, Losses] = {}
    for one in done:
        found[one.path] = found.get(one.path, Losses()).joined(one.losses)
    return found
