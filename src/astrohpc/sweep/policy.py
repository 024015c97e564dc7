"""Policy: from a member's attempts to one bounded action. A pure function over a table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from astrohpc.clock import duration
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome
from astrohpc.settings import suggest
from astrohpc.slurm.request import Resources
from astrohpc.sweep.state import Attempt

ActionName = Literal["continue", "more_memory", "more_time", "elsewhere", "again", "remedy", "stop"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What follows an outcome, and how often it may."""

    action: ActionName
    limit: int = 3
    factor: float = 1.5

    def __post_init__(self) -> None:
        if self.limit < 0 or not 1.0 <= self.factor < math.inf:
            raise ConfigError("limit, factor: limit must be 0 or more and factor 1 or more.")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The table. ``remedies`` says, for each engine, what a blown-up member's branch changes."""

    name: str
    rules: Mapping[str, Rule]
    breaker: int = 5
    remedies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = [str(outcome) for outcome in Outcome if outcome is not Outcome.DONE]
        for name in self.rules:
            if name not in known:
                raise ConfigError(f"rules.{name}: there is no such outcome{suggest(name, known)}")
        for name in known:
            if name not in self.rules:
                raise ConfigError(
                    f"rules.{name}: this outcome has no rule; write for example action: stop."
                )
        for engine, factors in self.remedies.items():
            for name, factor in factors.items():
                if not 0 < factor < math.inf or factor == 1:
                    raise ConfigError(
                        f"remedies.{engine}.{name}: the setting times {factor:g} is no remedy; "
                        "write a factor above 0 and other than 1, as 0.5."
                    )
        if self.breaker < 1:
            raise ConfigError("breaker: it counts equal failures; write 1 or more.")


@dataclass(frozen=True)
class Decision:
    """What to do with a member next, and why, in words for a person."""

    action: ActionName
    why: str
    resources: Resources
    overrides: Mapping[str, float] = field(default_factory=dict)  # factors on engine settings

    @property
    def runs(self) -> bool:
        """Whether the same member is submitted again."""
        return self.action not in ("stop", "remedy")


def decide(
    attempts: Sequence[Attempt],
    policy: Policy,
    base: Resources,
    *,
    engine: str,
    max_mem_mib: int | None = None,
    max_walltime_s: int | None = None,
    branches: int = 0,
) -> Decision:
    """Decide what follows ``attempts``, the last of which has ended otherwise than done.

    Everything is computed from the attempts, so that nothing needs to be remembered between launches:
    the third attempt after two out-of-memory ends gets factor² of the memory, whoever asks.
    """
    last = attempts[-1]
    rule = policy.rules[last.outcome]
    resources = _resources(attempts, policy, base, max_mem_mib, max_walltime_s)
    times = sum(1 for attempt in attempts if attempt.outcome == last.outcome)
    said = f"{last.outcome.replace('_', ' ')}" + (f" ({last.reason})" if last.reason else "")

    def stop(because: str) -> Decision:
        return Decision("stop", f"{said}; {because}", resources)

    if rule.action == "stop":
        return stop("the policy stops here")
    if rule.action == "remedy":
        factors = policy.remedies.get(engine, {})
        if not factors:
            return stop(f"no remedy is declared for engine {engine!r}")
        if branches >= rule.limit:
            return stop(f"remedies have been tried {branches} times and have not helped")
        changed = ", ".join(f"{name} × {factor:g}" for name, factor in factors.items())
        return Decision(
            "remedy", f"{said}; a branch with {changed} is run instead", resources, factors
        )
    if times > rule.limit:
        return stop(
            f"that has happened {times} times, more than the {rule.limit} that the policy allows"
        )
    if rule.action == "continue" and _idle(attempts) >= 2:
        return stop("two attempts in a row made no progress; give it a longer allocation.walltime")
    if rule.action == "more_memory":
        if (
            max_mem_mib is not None
            and _grown(attempts, rule, base.mem_mib) > max_mem_mib * rule.factor
        ):
            return stop(f"no node has more than {max_mem_mib} MiB")
        return Decision("more_memory", f"{said}; again with {resources.mem_mib} MiB", resources)
    if rule.action == "more_time" and not _progressed(attempts):
        return Decision(
            "more_time", f"{said}; again with {duration(resources.walltime_s)}", resources
        )
    if rule.action == "elsewhere" and resources.exclude:
        return Decision(
            "elsewhere", f"{said}; again without {', '.join(resources.exclude)}", resources
        )
    return Decision("continue", f"{said}; it continues from its restart", resources)


def _resources(
    attempts: Sequence[Attempt],
    policy: Policy,
    base: Resources,
    max_mem_mib: int | None,
    max_walltime_s: int | None,
) -> Resources:
    memory = _grown(attempts, policy.rules[Outcome.OUT_OF_MEMORY], base.mem_mib)
    rule = policy.rules[Outcome.TIMED_OUT]
    stuck = sum(
        1
        for i, attempt in enumerate(attempts)
        if attempt.outcome == Outcome.TIMED_OUT and not _progressed(attempts[: i + 1])
    )
    walltime = base.walltime_s
    if rule.action == "more_time":
        walltime = round(walltime * rule.factor**stuck)
    hosts = {a.host for a in attempts if a.outcome == Outcome.NODE_FAILED and a.host}
    return replace(
        base,
        mem_mib=min(memory, max_mem_mib or memory),
        walltime_s=min(walltime, max_walltime_s or walltime),
        exclude=tuple(sorted(hosts)),
    )


def _grown(attempts: Sequence[Attempt], rule: Rule, mem_mib: int) -> int:
    if rule.action != "more_memory":
        return mem_mib
    return round(mem_mib * rule.factor ** sum(a.outcome == Outcome.OUT_OF_MEMORY for a in attempts))


def _progressed(attempts: Sequence[Attempt]) -> bool:
    """Whether the last attempt got further than the one before it."""
    years = [attempt.model_years or 0.0 for attempt in attempts[-2:]]
    return years[-1] > (years[0] if len(years) == 2 else 0.0)


def _idle(attempts: Sequence[Attempt]) -> int:
    """How many attempts at the end made no progress at all."""
    idle = 0
    for last in range(len(attempts), 0, -1):
        if _progressed(attempts[:last]):
            break
        idle += 1
    return idle
