"""Fitting methods and asking them about planets that they did not see."""

import time
from collections.abc import Sequence
from typing import Any

from astrohpc.climates.climates import Climates
from astrohpc.climates.split import Split
from astrohpc.emulate.base import Emulator
from astrohpc.emulate.methods import METHODS
from astrohpc.emulate.tune import WithSpread, out_of_fold, tuned
from astrohpc.evaluate import kinds
from astrohpc.evaluate.fitted import JUDGED, Fitted, calibrations
from astrohpc.evaluate.settings import EvaluateSettings
from astrohpc.physics.projections import Projection


def fit_baseline(
    name: str,
    climates: Climates,
    parts: Split,
    projections: Sequence[Projection],
    settings: EvaluateSettings,
) -> Fitted:
    """Tune and fit a baseline on the planets to train on; its intervals follow from those out of fold."""
    began = time.process_time()
    train = climates.take(parts.train)
    folds = min(settings.folds, len(train))
    scaled = train.scaled
    emulator, chosen, skill = tuned(
        name,
        scaled,
        train.values,
        train.weights,
        train.names,
        settings.seed,
        settings.trials,
        folds,
    )
    emulator = _bare(emulator)
    took = time.process_time() - began
    unseen = out_of_fold(
        lambda: METHODS[name](**chosen),
        scaled,
        train.values,
        train.weights,
        train.names,
        folds,
        settings.seed,
    )
    plain, exact = calibrations(train, unseen, projections)
    everyone = climates.scaled
    return Fitted(
        name=name,
        trained=False,
        settings=chosen,
        skill=skill,
        cpu_s=took,
        said={part: emulator.predict(everyone[getattr(parts, part)]) for part in JUDGED},
        plain=plain,
        exact=exact,
        emulator=emulator if kinds.can_be_kept(emulator) else None,
    )


def _bare(emulator: Emulator) -> Any:
    """Without the spread that tuning lends to methods that have none: calibration measures its own."""
    return emulator.emulator if isinstance(emulator, WithSpread) else emulator
