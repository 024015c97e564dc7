"""What a person may set of the energy-balance model, with the ranges in which it means something."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from astrohpc.errors import ConfigError

# Settings that change how a run is kept, never what comes out of it.
_BOOKKEEPING = ("checkpoint_seconds",)

_RANGES: dict[str, tuple[float, float]] = {
    "bands": (6, 720),
    "step_days": (0.01, 365.25),
    "max_years": (1, 1e6),
    "tolerance_wm2": (1e-8, 10.0),
    "tolerance_k": (1e-8, 1.0),
    "land_fraction": (0.0, 1.0),
    "ocean_depth_m": (0.1, 10000.0),
    "land_albedo": (0.0, 1.0),
    "ocean_albedo": (0.0, 1.0),
    "ice_albedo": (0.0, 1.0),
    "ice_full_k": (150.0, 300.0),
    "ice_free_k": (150.0, 300.0),
    "cloud_scattering": (0.0, 10.0),
    "diffusivity_m2s": (0.0, 1e10),
    "slow_rotation_days": (0.01, 1000.0),
    "moist_limit_wm2": (100.0, 1000.0),
    "checkpoint_seconds": (0.0, 1e7),
}
_PAIRS = ("land_albedo", "ocean_albedo", "ice_albedo", "cloud_scattering")


@dataclass(frozen=True, kw_only=True)
class EbmSettings:
    """Run settings; ``configs/engine/ebm.yaml`` says what each is.

    An albedo is a pair, visible and near infrared; ``cloud_scattering`` is one, over land and ice
    and over ocean.
    """

    bands: int = 60
    step_days: float = 5.0
    start: Literal["warm", "cold"] = "warm"
    max_years: float = 1000.0
    tolerance_wm2: float = 0.01
    tolerance_k: float = 0.005
    land_fraction: tuple[float, ...] = (0.25,)
    ocean_depth_m: float = 30.0
    land_albedo: tuple[float, ...] = (0.16, 0.31)
    ocean_albedo: tuple[float, ...] = (0.18, 0.18)
    ice_albedo: tuple[float, ...] = (0.75, 0.45)
    ice_full_k: float = 258.0
    ice_free_k: float = 282.0
    cloud_scattering: tuple[float, ...] = (0.015, 0.02)
    diffusivity_m2s: float = 2.4e7
    slow_rotation_days: float = 3.0
    moist_limit_wm2: float = 330.0
    checkpoint_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if not low <= number <= high:
                    raise ConfigError(
                        f"{name}: {number:g} lies outside {low:g} … {high:g}; "
                        f"write for example {_example(name)}."
                    )
        for name in _PAIRS:
            if len(getattr(self, name)) != 2:
                raise ConfigError(
                    f"{name}: {list(getattr(self, name))} is not a pair of numbers; "
                    f"write for example {_example(name)}."
                )
        if not self.land_fraction:
            raise ConfigError(
                "land_fraction: the list is empty; write one number for the whole planet, "
                "or several from the south pole to the north pole."
            )
        if self.ice_full_k >= self.ice_free_k:
            raise ConfigError(
                f"ice_full_k: {self.ice_full_k:g} K is not colder than ice_free_k "
                f"({self.ice_free_k:g} K); lower ice_full_k."
            )

    def physics(self) -> dict[str, Any]:
        """The settings that decide the result."""
        return {name: value for name, value in asdict(self).items() if name not in _BOOKKEEPING}


def _example(name: str) -> str:
    default = EbmSettings.__dataclass_fields__[name].default
    return str(list(default) if isinstance(default, tuple) else default)
