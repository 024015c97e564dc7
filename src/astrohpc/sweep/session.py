"""A sweep with all that is needed to work on it, for as long as one command runs."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from astrohpc.clock import Clock
from astrohpc.engines.base import Engine
from astrohpc.engines.load import load_engine
from astrohpc.slurm import limits as slurm_limits
from astrohpc.slurm.client import NoCluster, Scheduler, SlurmClient
from astrohpc.slurm.local import LocalScheduler
from astrohpc.sweep import config as configs
from astrohpc.sweep.config import Config
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.ledger import Ledger


@dataclass
class Session:
    """One sweep, its configuration, its scheduler and its ledger."""

    folder: SweepFolder
    written: Mapping[str, Any]
    config: Config
    clock: Clock
    say: Callable[[str], None]
    scheduler: Scheduler = field(init=False)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        slurm = self.config.site.scheduler == "slurm"
        self.scheduler = SlurmClient() if slurm else LocalScheduler(self.folder.spool)
        self.ledger = Ledger(self.folder.ledger, self.clock)

    @classmethod
    def of(cls, folder: SweepFolder, clock: Clock, say: Callable[[str], None]) -> "Session":
        """Open a sweep that exists, with the configuration that it was last given."""
        written = configs.load(folder.config)
        return cls(folder, written, configs.parse(written), clock, say)

    @cached_property
    def engine(self) -> Engine:
        """The climate model; loading it costs half a second, so only who needs it asks."""
        return load_engine(self.config.engine)

    @cached_property
    def limits(self) -> slurm_limits.Limits | None:
        """What the cluster allows: read once, then kept beside the sweep. None on one's own machine.

        Where there is no cluster the profile's word is taken, so that one can plan anywhere.
        """
        if not isinstance(self.scheduler, SlurmClient):
            return None
        kept = slurm_limits.load(self.folder.limits, self.config.allocation)
        try:
            return kept or self.read_limits()
        except NoCluster:
            return slurm_limits.stated_limits(self.config.site)

    def read_limits(self) -> slurm_limits.Limits:
        """Ask the cluster; without one this raises NoCluster."""
        assert isinstance(self.scheduler, SlurmClient)
        return slurm_limits.read_limits(self.scheduler, self.config.site, self.config.allocation)

    @property
    def stale_s(self) -> float:
        """Age of a heartbeat after which a running member counts as silent."""
        return self.config.site.stale_s

    @property
    def python(self) -> str:
        """The interpreter that jobs name: the site's, or the one that runs us."""
        return self.config.site.python or sys.executable
