"""What a person may set of ExoPlaSim, with the ranges in which it means something."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from astrohpc.errors import ConfigError

LATITUDES = {"T21": 32, "T42": 64, "T63": 96, "T85": 128, "T106": 160, "T127": 192, "T170": 256}
_WITH_EARTH_MAP = ("T21", "T42")  # what the package carries surface maps for
_MINUTES_PER_DAY = 1440.0

_RANGES: dict[str, tuple[float, float]] = {
    "layers": (3, 60),
    "timestep_min": (0.5, 720.0),
    "ocean_depth_m": (0.1, 10000.0),
    "seed": (1, 2**31 - 1),  # 0 would be the system clock: no run twice the same
    "output_days": (0.05, 10000.0),
    "leg_days": (0.05, 10000.0),
    "run_days": (0.05, 1e7),
    "max_years": (0.1, 1e5),
    "equilibrium_years": (0.2, 1e4),
    "tolerance_wm2": (1e-4, 50.0),
    "tolerance_k": (1e-5, 10.0),
    "climate_days": (0.05, 1e6),
}
# Settings that say how far a run goes, and no more: a member may go farther later.
EXTENT = frozenset({"run_days", "max_years"})
# Settings that decide when a run ends and what is kept of it, not the way that it goes.
_END = (
    *EXTENT,
    "equilibrium_years",
    "tolerance_wm2",
    "tolerance_k",
    "climate_days",
)


@dataclass(frozen=True, kw_only=True)
class ExoplasimSettings:
    """Run settings; ``configs/engine/exoplasim.yaml`` says what each is.

    ``leg_days`` is physics: a restart does not bring back the very bits that went into it (surface
    temperatures differ by 2 mK a step later, measured), so where legs end decides the weather after.
    """

    resolution: Literal["T21", "T42", "T63", "T85", "T106", "T127", "T170"] = "T21"
    layers: int = 10
    timestep_min: float = 45.0
    surface: Literal["aquaplanet", "desert", "earth"] = "aquaplanet"
    ocean_depth_m: float = 50.0
    seed: int = 1
    output_days: float = 30.0
    leg_days: float = 30.0
    run_days: float | None = None
    max_years: float = 100.0
    equilibrium_years: float = 5.0
    tolerance_wm2: float = 1.0
    tolerance_k: float = 0.05
    climate_days: float = 360.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(
                    f"{name}: {value:g} lies outside {low:g} … {high:g}; "
                    f"write for example {_EXAMPLES.get(name, getattr(ExoplasimSettings, name))}."
                )
        steps = _MINUTES_PER_DAY / self.timestep_min
        if abs(steps - round(steps)) > 1e-9 * steps or round(steps) % 2:
            raise ConfigError(  # the model would silently take another step
                f"timestep_min: {self.timestep_min:g} min does not divide a day into an even number "
                "of steps; write for example 45, 30, 22.5 or 15."
            )
        for name, unit in (("output_days", "a step"), ("leg_days", "output_days")):
            part = (
                _MINUTES_PER_DAY**-1 * self.timestep_min if unit == "a step" else self.output_days
            )
            _whole(name, getattr(self, name), unit, part)
        if self.run_days is not None:
            _whole("run_days", self.run_days, "leg_days", self.leg_days)
        if self.surface == "earth" and self.resolution not in _WITH_EARTH_MAP:
            raise ConfigError(
                f"surface: ExoPlaSim has no map of the Earth at {self.resolution}; choose "
                f"{' or '.join(_WITH_EARTH_MAP)}, or surface: aquaplanet."
            )

    @property
    def steps_per_day(self) -> int:
        """Time steps in 24 hours."""
        return round(_MINUTES_PER_DAY / self.timestep_min)

    @property
    def output_steps(self) -> int:
        """Time steps that one record of output is the mean of."""
        return round(self.output_days * self.steps_per_day)

    @property
    def records_per_leg(self) -> int:
        """Records of output in a leg."""
        return round(self.leg_days / self.output_days)

    @property
    def leg_steps(self) -> int:
        """Time steps in a leg."""
        return self.records_per_leg * self.output_steps

    @property
    def latitudes(self) -> int:
        """Rows of the Gaussian grid."""
        return LATITUDES[self.resolution]

    def physics(self) -> dict[str, Any]:
        """The settings that decide the result, however far it goes."""
        return {name: value for name, value in asdict(self).items() if name not in EXTENT}

    def trajectory(self) -> dict[str, Any]:
        """The settings that decide the way, wherever it ends: what a restart belongs to."""
        return {name: value for name, value in asdict(self).items() if name not in _END}


_EXAMPLES = {"run_days": 30.0}


def _whole(name: str, value: float, unit: str, part: float) -> None:
    ratio = value / part
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-9 * ratio:
        raise ConfigError(
            f"{name}: {value:g} days is not a whole number of times {unit} ({part:g} days); "
            f"write for example {part * max(1, round(ratio)):g}."
        )
