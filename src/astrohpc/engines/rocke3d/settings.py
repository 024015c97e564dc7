"""What a person may set of a ROCKE-3D run; ``configs/engine/rocke3d.yaml`` says what each is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from astrohpc.engines.rocke3d.configuration import Settings
from astrohpc.errors import ConfigError

PLACEHOLDERS = ("deck", "planet_params", "source", "executable")

# How a run is kept, watched and ended, never what comes out of it. max_years is here because it says
# how long we are willing to wait: a member that found no equilibrium says so, and goes on when the
# ceiling is raised.
_BOOKKEEPING = frozenset(
    {
        *("deck", "executables", "build", "build_seconds", "input_files", "launcher"),
        *("stack_kib", "max_years", "leg_years", "checkpoint_days", "keep_output"),
        *("core_hours_per_year", "poll_seconds", "stop_seconds", "hang_seconds", "lock_seconds"),
    }
)
# These decide from where a blown-up run goes on, and nothing where it does not.
_REMEDY = ("remedy_months", "remedy_limit", "restart_months", "keep_restarts")
# Where files lie differs from site to site.
_PLACES = ("solar_spec_dir", "spectral_dir")

_RANGES: dict[str, tuple[float, float]] = {
    "build_seconds": (1.0, 1e6),
    "stack_kib": (0, 2**40),
    "max_years": (1e-3, 1e6),
    "min_years": (0.0, 1e6),
    "mean_years": (1e-3, 1e4),
    "leg_years": (1e-3, 1e4),
    "tolerance_wm2": (1e-6, 100.0),
    "tolerance_k": (1e-6, 100.0),
    "checkpoint_days": (1e-3, 1e5),
    "restart_months": (1, 12000),
    "keep_restarts": (1, 1000),
    "remedy_dt_factor": (0.05, 1.0),
    "remedy_months": (1, 1200),
    "remedy_limit": (1, 100),
    "core_hours_per_year": (1e-4, 1e6),
    "poll_seconds": (0.01, 10.0),
    "stop_seconds": (0.1, 1e5),
    "hang_seconds": (0.1, 1e6),
    "lock_seconds": (0.0, 1e5),
}


@dataclass(frozen=True, kw_only=True)
class Rocke3dSettings(Settings):
    """Run settings, besides those by which a planet becomes a configuration."""

    deck: str
    source: str
    executables: str
    build: tuple[str, ...]
    input_files: str
    launcher: tuple[str, ...] = ()
    build_seconds: float = 7200.0
    stack_kib: int = 0
    max_years: float = 100.0
    min_years: float = 10.0
    mean_years: float = 5.0
    leg_years: float = 10.0
    tolerance_wm2: float = 0.2
    tolerance_k: float = 0.02
    checkpoint_days: float = 10.0
    restart_months: int = 12
    keep_restarts: int = 6
    keep_output: bool = False
    remedy_dt_factor: float = 1.0
    remedy_months: int = 3
    remedy_limit: int = 5
    core_hours_per_year: float = 0.85
    poll_seconds: float = 2.0
    stop_seconds: float = 90.0
    hang_seconds: float = 1800.0
    lock_seconds: float = 300.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    f"{name}: {value:g} lies outside {low:g} … {high:g}; write for example "
                    f"{Rocke3dSettings.__dataclass_fields__[name].default}."
                )
        for name, example in (
            ("deck", "/home/me/decks/P1SoM40.R"),
            ("source", "modelE2_planet_1.0, or the path of its tree"),
            ("executables", "/shared/executables"),
            ("input_files", "/shared/prod_input_files"),
        ):
            if not getattr(self, name).strip():
                raise ConfigError(f"{name}: the text is empty; write for example {example}.")
        for name in ("build", "launcher"):
            if any(not word.strip() for word in getattr(self, name)):
                raise ConfigError(f"{name}: a word of the command is empty; leave it out.")
        self._check_build()
        if self.min_years > self.max_years:
            raise ConfigError(
                f"min_years: {self.min_years:g} is above max_years ({self.max_years:g}); lower it."
            )

    def _check_build(self) -> None:
        if not self.build:
            raise ConfigError(
                "build: the command is empty; write how your own script is called, for example "
                "[bash, build.sh, '{deck}', '{planet_params}', '{executable}']."
            )
        try:
            words = [word.format(**dict.fromkeys(PLACEHOLDERS, "")) for word in self.build]
        except (KeyError, ValueError, IndexError) as error:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ConfigError(f"build: {error} is no placeholder; choose from {known}.") from error
        if words == list(self.build) or not any("{executable}" in word for word in self.build):
            raise ConfigError(
                "build: the command does not name {executable}, where it is to put what it built; "
                "add the word '{executable}'."
            )

    def physics(self) -> dict[str, Any]:
        """The settings that decide the result; the deck's content stands for its path."""
        values = {name: value for name, value in asdict(self).items() if name not in _BOOKKEEPING}
        if self.remedy_dt_factor >= 1.0:
            values = {name: value for name, value in values.items() if name not in _REMEDY}
        radiation: Mapping[str, Any] = values["radiation"]
        values["radiation"] = {key: one for key, one in radiation.items() if key not in _PLACES}
        return values
