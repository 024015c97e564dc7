"""The whole configuration of a sweep, typed, as composed by hydra or as saved in ``sweep.yaml``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.settings import build, suggest
from astrohpc.slurm.request import Allocation, Site
from astrohpc.sweep.design import Design
from astrohpc.sweep.policy import Policy


@dataclass(frozen=True, kw_only=True)
class Config:
    """What was asked for. ``engine`` stays a mapping: each engine knows its own settings."""

    runs: str
    sweep: Design
    engine: Mapping[str, Any]
    site: Site
    allocation: Allocation
    policy: Policy
    share: bool = True  # a member that another sweep of `runs` has is run once
    rerun_of: str | None = None

    @property
    def folder(self) -> Path:
        """Where the sweep lives."""
        return Path(self.runs).expanduser().absolute() / self.sweep.name


def parse(written: Mapping[str, Any]) -> Config:
    """Check a composed configuration and give it types."""
    config = build(Config, written, "")
    walltime_s, lead_s = config.allocation.resources().walltime_s, config.site.signal_lead_s
    if walltime_s <= lead_s:
        raise ConfigError(
            f"allocation.walltime: {walltime_s} s is not longer than site.signal_lead_s ({lead_s} s), so "
            "that a task would be asked to stop as it starts; raise it."
        )
    engine = str(config.engine.get("name"))
    known = [name for name in config.engine if name != "name"]
    for name in config.policy.remedies.get(engine, {}):
        if name not in known:
            raise ConfigError(
                f"policy.remedies.{engine}.{name}: the engine has no such setting{suggest(name, known)}"
            )
    return config


def check_account(config: Config) -> None:
    """Refuse to plan for a site that would take no job of ours, for want of somebody who pays."""
    if config.site.account_needed and not config.allocation.account:
        raise ConfigError(
            f"allocation.account: site {config.site.name} charges every job to a project and none is "
            "named; write allocation.account=PROJECT, or set ASTROHPC_ACCOUNT."
        )


def save(path: Path, written: Mapping[str, Any]) -> None:
    """Write ``sweep.yaml``: the resolved configuration, which is all that a rerun needs."""
    text = yaml.safe_dump(
        dict(written), sort_keys=False, allow_unicode=True, default_flow_style=None
    )
    write_atomic(path, text, durable=True)


def load(path: Path) -> dict[str, Any]:
    """Read ``sweep.yaml``."""
    try:
        written = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - the safe one, in C
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: the sweep's configuration cannot be read ({error}); is this a sweep's folder?"
        ) from error
    if not isinstance(written, dict):
        raise ConfigError(f"{path}: this is not a sweep's configuration; restore it from a backup.")
    return written


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
