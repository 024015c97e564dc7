"""Four members on a scheduler that answers as it is told to; all else of the scene is real."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from support import FakeClock

from astrohpc.outcome import Outcome, Verdict
from astrohpc.slurm.client import JobSeen, SchedulerSilent
from astrohpc.slurm.request import Array, JobRequest
from astrohpc.sweep.ledger import Submission, intent_fields
from astrohpc.sweep.members import Member
from astrohpc.sweep.reconcile import Account, reconcile
from astrohpc.sweep.session import Session
from astrohpc.sweep.state import Attempt, State, ended, read, write

JOB = "7"


@dataclass
class Scripted:
    """A scheduler that answers as it is told to, and writes down what it was asked."""

    queue: list[JobSeen] = field(default_factory=list)
    past: list[JobSeen] = field(default_factory=list)
    silent: str = ""  # 'queue' or 'past': which of its two halves does not answer
    asked: list[str] = field(default_factory=list)
    released: list[tuple[str, int | None]] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def jobs(self) -> list[JobSeen]:
        self.asked.append("queue")
        if self.silent == "queue":
            raise SchedulerSilent("squeue: timed out")
        self.meanwhile()
        return self.queue

    def history(self, jobs: Iterable[str], names: Iterable[str]) -> list[JobSeen]:
        self.asked.append("past")
        if self.silent == "past":
            raise SchedulerSilent("sacct: timed out")
        wanted, named = set(jobs), set(names)
        return [one for one in self.past if one.job in wanted or one.name in named]

    def release(self, job: str, task: int | None) -> None:
        self.released.append((job, task))

    def submit(self, request: JobRequest) -> str:
        raise AssertionError("reconciling submits nothing")

    def cancel(self, jobs: Sequence[str]) -> None:
        raise AssertionError("reconciling cancels nothing")

    def throttle(self, job: str, at_once: int) -> None:
        raise AssertionError("reconciling throttles nothing")

    def test(self, script: Path) -> str:
        raise AssertionError("reconciling tests nothing")


@dataclass
class Scene:
    """Four members in the four tasks of job 7."""

    session: Session
    scheduler: Scripted
    members: list[Member]
    clock: FakeClock

    def reconcile(self) -> Account:
        return reconcile(self.session, self.members)

    def submitted(self, job: str | None = JOB, name: str = "demo.aaaaaa") -> None:
        """Write an intent for all members, and the job id if there is one."""
        submission = Submission(
            key=name.rpartition(".")[2],
            kind="array",
            name=name,
            time=self.clock.now(),
            array=Array(tasks=(0, 1, 2, 3), throttle=4),
            resources=self.session.config.allocation.resources(),
        )
        self.session.ledger.append("intent", **intent_fields(submission), digest="")
        if job is not None:
            self.session.ledger.append("submitted", key=submission.key, job=job)

    def home(self, index: int) -> Path:
        return self.session.folder.member(self.members[index].id)

    def running(self, index: int, job: str | None = None) -> State:
        """A member whose attempt has begun and has just written its heartbeat."""
        self.home(index).mkdir(parents=True, exist_ok=True)
        attempt = Attempt(n=1, job=job or f"{JOB}_{index}", host="node1", started=self.clock.now())
        state = State(
            id=self.members[index].id, index=index, attempts=(attempt,), updated=self.clock.now()
        )
        write(self.home(index), state)
        return state

    def done(self, index: int) -> None:
        """A member whose attempt has ended well."""
        end = Verdict(Outcome.DONE, "in equilibrium")
        write(self.home(index), ended(self.running(index), end, self.clock.now()))

    def state(self, index: int) -> State:
        state = read(self.home(index))
        assert isinstance(state, State)
        return state

    def last(self, index: int) -> Attempt:
        state = read(self.home(index))
        assert isinstance(state, State)
        assert state.last is not None
        return state.last


def seen(task: int, state: str, **more: object) -> JobSeen:
    return replace(
        JobSeen(JOB, task, state, name="demo.aaaaaa", node="node1"),
        **more,  # type: ignore[arg-type]
    )


def every_task(state: str) -> list[JobSeen]:
    return [seen(task, state) for task in range(4)]
