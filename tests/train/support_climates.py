"""Small mean climates, made up: planets whose fields follow from their inputs, and trainings of them."""

from pathlib import Path
from typing import Any

import numpy as np
from support_train import CPU, settings_of

from astrohpc.climates.climates import Climates, Input, Variable
from astrohpc.climates.split import SplitSettings, split
from astrohpc.clock import SystemClock
from astrohpc.models.settings import UnetSettings
from astrohpc.train.climate_source import ClimateSource
from astrohpc.train.engines.base import Engine
from astrohpc.train.engines.single import Single
from astrohpc.train.first_guess import first_guess
from astrohpc.train.loop import Trainer
from astrohpc.train.surrogate_task import ResidualFields

LEVELS, ROWS, COLUMNS = 2, 4, 8
UNIT = {"ta": "K", "va": "m s-1", "ts": "K"}
SMALL = UnetSettings(guess="mean", trials=1, folds=3, width=8, stages=1, dropout=0.0)


def made_up(planets: int = 40, *, longitudes: int = COLUMNS, layered: bool = True) -> Climates:
    """Temperatures and a wind that are no linear function of two inputs."""
    params = np.random.default_rng(7).random((planets, 2))
    lat = np.array([-67.5, -22.5, 22.5, 67.5])
    lon = np.arange(longitudes) * 360.0 / longitudes
    a, b = (params[:, i].reshape(-1, 1, 1, 1) for i in range(2))
    high = np.array([0.25, 0.75])[:, None, None]
    warm = np.cos(np.radians(lat))[:, None] * (1 + 0.3 * np.cos(np.radians(lon)))
    fields = {
        "ta": 250 + 30 * np.abs(a - 0.5) * warm + 5 * b * high,
        "va": 8 * np.sin(6 * a) * np.sin(np.radians(lon) + 0.4) * np.cos(3 * b) * high + 0 * warm,
        "ts": (260 + 20 * np.abs(a - 0.5) * warm + 0 * high)[:, -1],
    }
    names = list(fields) if layered else ["ts"]
    area = np.outer([0.15, 0.35, 0.35, 0.15], np.full(longitudes, 1 / longitudes)).reshape(-1)
    shares = {name: np.outer([0.4, 0.6], area).reshape(-1) for name in names} | {"ts": area}
    own = (len(lat), longitudes) if longitudes > 1 else (len(lat),)
    return Climates(
        inputs=(Input("one", "", 0.0, 1.0, False), Input("other", "", 0.0, 1.0, False)),
        params=params,
        variables=tuple(
            Variable(
                name=name,
                long_name="",
                unit=UNIT[name],
                shape=own if name == "ts" else (LEVELS, *own),
                levels=name != "ts",
                of=name,
            )
            for name in names
        ),
        values=np.concatenate([fields[name].reshape(planets, -1) for name in names], axis=1).astype(
            np.float32
        ),
        weights=np.concatenate([shares[name] for name in names]),
        names=tuple(f"planet {i}" for i in range(planets)),
        planets=(),
        axes={"lat": lat, "lon": lon},
        excluded=(),
        constant=(),
        source="made up",
        mark="synthetic",
        notes={},
    )


def source_in(
    folder: Path, model: UnetSettings = SMALL, climates: Climates | None = None
) -> ClimateSource:
    """Samples with a first guess, which is kept in the folder."""
    climates = climates or made_up()
    parts = split(climates, SplitSettings())
    guess = first_guess(climates, parts, model, 0, folder, Single(CPU))
    return ClimateSource(climates, parts, guess)


def unet_trainer(
    folder: Path,
    model: UnetSettings = SMALL,
    climates: Climates | None = None,
    engine: Engine | None = None,
    **more: Any,
) -> Trainer:
    """A training of a second."""
    stop, say = more.pop("stop", lambda: False), more.pop("say", lambda _: None)
    settings = settings_of(folder, **{"data": {"climates": True}, **more})
    source = source_in(folder, model, climates)
    task = ResidualFields(source, model)
    engine = engine or Single(CPU)
    return Trainer(settings, task, source, engine, folder, SystemClock(), say, stop)
