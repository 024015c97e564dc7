"""What a fitted method is worth: its scores on planets held out, and which laws it keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from astrohpc.climates.climates import Array, Climates
from astrohpc.climates.split import Split
from astrohpc.emulate.base import Prediction
from astrohpc.evaluate.bootstrap import Interval, interval_of_mean
from astrohpc.evaluate.calibrate import Calibration
from astrohpc.evaluate.conservation import Kept, conservation
from astrohpc.evaluate.fitted import JUDGED, Fitted, corrected
from astrohpc.evaluate.metrics import Scores, score
from astrohpc.physics.projections import Projection

PLAIN, EXACT = "as predicted", "projected"


@dataclass(frozen=True, eq=False)
class Verdict:
    """A method's scores by part of the split, and by whether its means were projected."""

    name: str
    trained: bool
    settings: Mapping[str, object]
    skill: float | None
    cpu_s: float | None
    scores: Mapping[tuple[str, str], Scores]  # by part and by PLAIN or EXACT; intervals calibrated
    uncalibrated: Scores | None  # of the test, with a Gaussian's intervals; none without a spread
    laws: Mapping[str, tuple[Kept, ...]]  # by PLAIN or EXACT, of the test planets
    note: str  # what is to be known of its intervals

    @property
    def ways(self) -> tuple[str, ...]:
        """What there is of PLAIN and EXACT."""
        return tuple(dict.fromkeys(way for _, way in self.scores))

    @property
    def best(self) -> str:
        """As it is handed over: projected, where there is something to project."""
        return self.ways[-1]

    def mean_skill(self, part: str) -> float:
        """The skill averaged over variables.

        Before projections: these know of a planet what the method had to learn.
        """
        found = self.scores[part, PLAIN]
        skills = [found.value(one.name, "skill") for one in found.variables]
        return float(np.mean([one for one in skills if np.isfinite(one)] or [-np.inf]))


def lead(one: Verdict, other: Verdict, part: str) -> Interval:
    """By how much one's mean skill is the better, with its interval over the planets of a part."""
    gains = []
    for variable in one.scores[part, PLAIN].variables:
        ours, usual = one.scores[part, PLAIN].parts(variable.name, "skill")
        theirs, _ = other.scores[part, PLAIN].parts(variable.name, "skill")
        if usual.mean() > 0.0:
            gains.append((theirs - ours) / usual.mean())
    return interval_of_mean(np.mean(gains, axis=0))


def judge(
    fitted: Fitted, climates: Climates, parts: Split, projections: Sequence[Projection]
) -> Verdict:
    """Hold what a method said against the truth."""
    mean = training_mean(climates, parts)
    scores: dict[tuple[str, str], Scores] = {}
    laws: dict[str, tuple[Kept, ...]] = {}
    for part in JUDGED:
        if not len(getattr(parts, part)):
            continue
        truth = climates.take(getattr(parts, part))
        for way, said, calibration in ways_of(fitted, part, truth, projections):
            applied = calibration.applied(said)
            scores[part, way] = score(truth, applied, mean, calibration.reach())
            if part == "test":
                laws[way] = conservation(truth, said.mean)
    test = fitted.said["test"]
    uncalibrated = None
    if test.std is not None and len(test.mean):
        uncalibrated = score(climates.take(parts.test), test, mean)
    return Verdict(
        name=fitted.name,
        trained=fitted.trained,
        settings=fitted.settings,
        skill=fitted.skill,
        cpu_s=fitted.cpu_s,
        scores=scores,
        uncalibrated=uncalibrated,
        laws=laws,
        note=fitted.plain.note,
    )


def ways_of(
    fitted: Fitted, part: str, truth: Climates, projections: Sequence[Projection]
) -> list[tuple[str, Prediction, Calibration]]:
    """A method's predictions of a part as they are and, where something is projected, so."""
    said = fitted.said[part]
    found = [(PLAIN, said, fitted.plain)]
    if fitted.exact is not None:
        found.append((EXACT, corrected(said, truth, projections), fitted.exact))
    return found


def training_mean(climates: Climates, parts: Split) -> Array:
    """Of the planets trained on, by value: what skill is against."""
    return np.asarray(climates.values[parts.train].mean(axis=0, dtype=np.float64))
