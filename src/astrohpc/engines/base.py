"""What the house asks of a climate model, and nothing more.

A member job (``astrohpc.jobs.member``) owns a folder, calls :meth:`Engine.run` in it, and records
what it returns. If the job is killed too hard to say anything, the sweep later asks
:meth:`Engine.verdict` what the files tell. An engine never looks at exit codes, schedulers or other
members.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from astrohpc.outcome import Verdict
from astrohpc.planet import Planet


@dataclass(frozen=True)
class Progress:
    """How far a model is on its way to equilibrium, in the words of its own field."""

    model_years: float
    limit_years: float
    surface_temperature_k: float
    toa_balance_wm2: float
    model_years_per_day: float


@dataclass(frozen=True)
class Estimate:
    """What one member is expected to need, before any has run."""

    cpu_s: float
    disk_bytes: int
    files: int


class Engine(Protocol):
    """One climate model with its run settings."""

    @property
    def name(self) -> str:
        """The word that configurations know it by."""

    @property
    def description(self) -> str:
        """What its numbers are; stands in every table and plot that is made of them."""

    @property
    def extent(self) -> frozenset[str]:
        """Settings that say how far a member goes: no part of its id, so that it may go farther later."""

    def physics(self) -> Mapping[str, Any]:
        """All else that decides the result besides the planet: settings, code or executable, inputs."""

    def check(self, planet: Planet) -> None:
        """Raise ConfigError where this model cannot run this planet."""

    def estimate(self) -> Estimate:
        """The likely cost of one member on one core."""

    def prepare(self) -> None:
        """Build or compile once what all members share. Called by the launcher before it submits."""

    def run(
        self,
        planet: Planet,
        folder: Path,
        *,
        stop: Callable[[], bool],
        report: Callable[[Progress], None],
    ) -> Verdict:
        """Run one member in its folder, from its restart if there is one, until it is over.

        ``stop`` is asked often; once it says yes the model writes its restart and returns
        CHECKPOINTED. ``report`` is called as it goes; it may raise to end the run at once.
        """

    def verdict(self, folder: Path) -> Verdict | None:
        """What the files in the folder say happened, or None if they say nothing.

        DONE says that nothing is left to do under the present settings.
        """

    def files(self) -> frozenset[str]:
        """Names this model may leave in a member's folder; anything else there is foreign."""

    def series(self, folder: Path) -> list[Progress]:
        """The diagnostics of a member so far, oldest first."""

    def summary(self, folder: Path) -> Mapping[str, float | str]:
        """The few numbers of a finished member that a table of worlds shows."""


@runtime_checkable
class Builder(Protocol):
    """What an engine adds whose executable depends on the planet.

    Members are grouped by executable; each distinct one is built once, in a job of its own that the
    members' arrays wait for, and is known by its key for ever after.
    """

    def executable(self, planet: Planet) -> str:
        """Key of the executable that this planet needs."""

    def built(self, key: str) -> bool:
        """Whether it is there."""

    def build(self, planet: Planet, say: Callable[[str], None]) -> None:
        """Build the executable of this planet, unless it is there; ConfigError where that fails."""
