"""Submit a plan: script, intent, sbatch, job id — in that order, for every array, then the keeper."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from astrohpc.files import digest
from astrohpc.slurm.client import SchedulerRefused, SchedulerSilent
from astrohpc.slurm.render import render, write_script
from astrohpc.slurm.request import Allocation, Array, JobRequest, Resources
from astrohpc.slurm.whoami import own_job
from astrohpc.sweep.ledger import Book, Kind, Submission, intent_fields
from astrohpc.sweep.plan import MOST_TASKS, Chunk, Plan, partition_limits
from astrohpc.sweep.session import Session

CANCELLED = "cancelled by hand"  # the one stop that a further `launch sweep` lifts by itself
KEEPER = Allocation(name="keeper", walltime="00:30:00", memory="1 GiB")
LATER_MIN = 10  # a keeper that has no job to wait for looks again after so many minutes


def array_request(
    session: Session, chunk: Chunk, serial: int, dependency: str | None
) -> JobRequest:
    """Return the request for one array of members."""
    config = session.config
    array, pack = chunk.array, chunk.array.pack
    key = _key(session, "array", serial, chunk.array, chunk.resources)
    first, last = array.members(array.tasks[0])[0], array.members(array.tasks[-1])[-1]
    many = f", {pack} to a task" if pack > 1 else ""
    return JobRequest(
        kind="array",
        name=f"{config.sweep.name}.{key}",
        comment=f"astrohpc sweep {config.sweep.name}",
        title=f"members {first} to {last} of sweep '{config.sweep.name}'{many}",
        folder=str(session.folder.path),
        log="logs/%x_%A_%a.out",
        command=(session.python, "-m", "astrohpc.jobs.member", "."),
        site=config.site,
        allocation=config.allocation,
        resources=chunk.resources,
        array=array,
        dependency=dependency,
    )


def build_requests(session: Session, plan: Plan, serial: int) -> list[JobRequest]:
    """Return the requests for the arrays that build executables, a task each."""
    config = session.config
    allocation = config.allocation.for_builds()
    resources = allocation.resources()
    size = session.limits.max_array_tasks if session.limits else MOST_TASKS
    groups: dict[int, list[int]] = {}
    for index in sorted(plan.builds.values()):  # a task is the number of a member that needs it
        groups.setdefault(index // size, []).append(index % size)
    requests: list[JobRequest] = []
    for number, tasks in groups.items():
        array = Array(tasks=tuple(tasks), throttle=len(tasks), offset=number * size)
        key = _key(session, "build", serial + len(requests), array, resources)
        requests.append(
            JobRequest(
                kind="array",
                name=f"{config.sweep.name}.{key}",
                comment=f"astrohpc builds for sweep {config.sweep.name}",
                title=f"{len(tasks)} executables of sweep '{config.sweep.name}'",
                folder=str(session.folder.path),
                log="logs/%x_%A_%a.out",
                command=(session.python, "-m", "astrohpc.jobs.build", "."),
                site=config.site,
                allocation=allocation,
                resources=resources,
                array=array,
            )
        )
    return requests


def keeper_request(session: Session, serial: int, after: Sequence[str]) -> JobRequest:
    """Return the request for the job that comes after all others and submits what follows."""
    config = session.config
    like_members = (
        "account",
        "partition",
        "qos",
        "constraint",
        "reservation",
        "modules",
        "environment",
    )
    allocation = replace(
        KEEPER, **{name: getattr(config.allocation, name) for name in like_members}
    )
    resources = allocation.resources()
    longest = partition_limits(allocation, session.limits)[1]
    if longest is not None:
        resources = replace(resources, walltime_s=min(resources.walltime_s, longest))
    key = _key(session, "keeper", serial, None, resources)
    slurm = config.site.scheduler == "slurm"
    return JobRequest(
        kind="single",
        name=f"{config.sweep.name}.{key}",
        comment=f"astrohpc keeper of {config.sweep.name}",
        title=f"keeper of sweep '{config.sweep.name}': submits what follows",
        folder=str(session.folder.path),
        log="logs/keeper_%j.out",
        command=(session.python, "-m", "astrohpc.launch", "sweep", "--folder", ".", "--keeper"),
        site=config.site,
        allocation=allocation,
        resources=resources,
        dependency="afterany:" + ":".join(after) if slurm and after else None,
        begin=f"now+{LATER_MIN}minutes" if slurm and not after else None,
    )


def _key(
    session: Session, kind: Kind, serial: int, array: Array | None, resources: Resources
) -> str:
    """Six hexadecimal digits that name a submission: the same for a dry run and for the real one."""
    parts = [str(session.folder.path), kind, serial, array and asdict(array), asdict(resources)]
    return digest(parts)[:6]


def requests_of(session: Session, plan: Plan, book: Book) -> list[JobRequest]:
    """Return what a plan would submit, as a dry run prints it; the keeper's dependency is not known yet."""
    serial = book.serial
    requests = build_requests(session, plan, serial)
    serial += len(requests)
    requests += [
        array_request(
            session,
            chunk,
            serial + i,
            "afterany:JOBID" if chunk.after is not None or chunk.needs_build else None,
        )
        for i, chunk in enumerate(plan.chunks)
    ]
    if requests and session.config.site.keeper:
        requests.append(keeper_request(session, serial + len(plan.chunks), ["JOBID"]))
    return requests


def submit_plan(session: Session, plan: Plan, book: Book) -> list[Submission]:
    """Submit all arrays of a plan and a keeper after them."""
    session.folder.make()  # a person may have removed old scripts and logs, folder and all
    for key, at_once in plan.throttles.items():
        share_out(session, book.submissions[key], at_once)
    submitted: list[Submission] = []
    try:
        _submit_chunks(session, plan, book, submitted)
    finally:  # where one array is refused, those before it still need a keeper
        arrays = [s.job for s in (*book.open("array"), *submitted) if s.job is not None]
        keepers = [s for s in book.open("keeper") if s.job != own_job()]
        more_to_come = bool(arrays) or plan.tasks_later > 0
        if session.config.site.keeper and more_to_come and (submitted or not keepers):
            refresh_keeper(session, arrays, book, _serials(session, plan, book)[1])
    return submitted


def _submit_chunks(session: Session, plan: Plan, book: Book, submitted: list[Submission]) -> None:
    builds = [s.job for s in book.open("build") if s.job is not None]
    for request in build_requests(session, plan, book.serial):
        assert request.array is not None
        builds.append(str(submit(session, request, "build", request.array).job))
    serial = _serials(session, plan, book)[0]
    jobs: dict[int | str, str] = {}
    for number, chunk in enumerate(plan.chunks):
        after = builds if chunk.needs_build else []
        if chunk.after is not None:
            after = [*after, jobs.get(chunk.after, str(chunk.after))]
        dependency = "afterany:" + ":".join(after) if after else None
        request = array_request(session, chunk, serial + number, dependency)
        submission = submit(session, request, "array", chunk.array)
        assert submission.job is not None
        jobs[number] = submission.job
        submitted.append(submission)


def _serials(session: Session, plan: Plan, book: Book) -> tuple[int, int]:
    """Numbers of the first member array and of the keeper that a plan submits."""
    arrays = book.serial + len(build_requests(session, plan, 0))
    return arrays, arrays + len(plan.chunks)


def share_out(session: Session, submission: Submission, at_once: int) -> None:
    """Let one array run this many tasks at once; one that is over by now does not mind."""
    assert submission.job is not None
    with contextlib.suppress(SchedulerSilent, SchedulerRefused):
        session.scheduler.throttle(submission.job, at_once)
        session.ledger.append("shared_out", key=submission.key, at_once=at_once)


def refresh_keeper(session: Session, after: Sequence[str], book: Book, serial: int) -> None:
    """Have one keeper, which waits for all of these jobs."""
    request = keeper_request(session, serial, after)
    submit(session, request, "keeper", Array(tasks=(), throttle=1))
    dismiss_keepers(session, book)


def dismiss_keepers(session: Session, book: Book) -> None:
    """Send away the keepers of ``book``, but not the one that we may be."""
    for keeper in [s for s in book.open("keeper") if s.job is not None]:
        assert keeper.job is not None
        if keeper.job != own_job():
            with contextlib.suppress(SchedulerSilent, SchedulerRefused):  # it may be over by now
                session.scheduler.cancel([keeper.job])
        session.ledger.append("closed", key=keeper.key, began=True)


def submit(session: Session, request: JobRequest, kind: Kind, array: Array) -> Submission:
    """Write the script, then the intent, then submit, then write the job id.

    A kill between any two of these leaves something that the next launcher understands: a script that
    nobody names; an intent that the scheduler does not know, or knows by its name.
    """
    text = render(request)
    written = write_script(Path(request.script), text)
    submission = Submission(
        key=request.name.rpartition(".")[2],
        kind=kind,
        name=request.name,
        time=session.clock.now(),
        array=array,
        resources=request.resources,
    )
    session.ledger.append("intent", **intent_fields(submission), digest=written)
    try:
        submission.job = session.scheduler.submit(request)
    except SchedulerRefused:
        session.ledger.append("refused", key=submission.key, why="the scheduler said no")
        raise
    except SchedulerSilent as silent:
        session.ledger.append("uncertain", key=submission.key, why=str(silent))
        raise
    session.ledger.append("submitted", key=submission.key, job=submission.job)
    return submission
