"""One method after its fit: what it says of planets that it never saw, and how far to believe it.

It is kept on disk as soon as it is there, so an evaluation that was stopped fits no method twice.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Array, Climates
from astrohpc.climates.physical import projected
from astrohpc.emulate.base import Prediction
from astrohpc.evaluate import kinds
from astrohpc.evaluate.arrays import Damaged, packed, sha256, unpacked
from astrohpc.evaluate.calibrate import Calibration, calibrate
from astrohpc.files import write_atomic
from astrohpc.physics.projections import Projection

JUDGED = ("validation", "test", "corner")
_FORM = 1  # of the files; others are made anew


@dataclass(frozen=True, eq=False)
class Fitted:
    """A method by its name; ``plain`` as it predicts, ``exact`` as projections leave it."""

    name: str
    trained: bool  # a network of ``launch train``, and no baseline
    settings: Mapping[str, Any]
    skill: float | None  # by cross-validation over the planets trained on
    cpu_s: float | None  # for tuning and fit; of networks their own logs know it
    said: Mapping[str, Prediction]  # by part of the split, as the method says it
    plain: Calibration
    exact: Calibration | None  # none where nothing is projected
    emulator: Any  # what a surrogate can be made of; none where it cannot be written down


def corrected(
    prediction: Prediction, climates: Climates, projections: Sequence[Projection]
) -> Prediction:
    """Means that keep what the projections say; the method's own spread around them."""
    mean = projected(
        prediction.mean, climates.variables, climates.axes, climates.planets, projections
    )
    return Prediction(mean, prediction.std)


def calibrations(
    climates: Climates, prediction: Prediction, projections: Sequence[Projection]
) -> tuple[Calibration, Calibration | None]:
    """From predictions of planets that the method had not seen: as they are, and projected."""
    plain = calibrate(climates, prediction)
    if not projections:
        return plain, None
    return plain, calibrate(climates, corrected(prediction, climates, projections))


# ----------------------------------------------------------------------------- on disk
def keep(folder: Path, key: str, fitted: Fitted) -> None:
    """Write it; the words come last and carry the digest of the numbers."""
    arrays: dict[str, NDArray[Any]] = {}
    for part, one in fitted.said.items():
        arrays[f"{part}/mean"] = one.mean.astype(np.float32)
        if one.std is not None:
            arrays[f"{part}/std"] = one.std.astype(np.float32)
    calibration = {}
    for name in ("plain", "exact"):
        learned = getattr(fitted, name)
        if learned is not None:
            calibration[name], own = learned.state()
            arrays |= {f"{name}/{key_}": values for key_, values in own.items()}
    emulator = None
    if fitted.emulator is not None:
        said, own = fitted.emulator.state()
        emulator = {"kind": kinds.kind_of(fitted.emulator), "arguments": said}
        arrays |= {f"emulator/{name}": values for name, values in own.items()}
    data = packed(arrays)
    words = {
        "form": _FORM,
        "key": key,
        "trained": fitted.trained,
        "settings": dict(fitted.settings),
        "skill": fitted.skill,
        "cpu_s": fitted.cpu_s,
        "calibration": calibration,
        "emulator": emulator,
        "sha256": sha256(data),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{fitted.name}.safetensors", data)
    write_atomic(folder / f"{fitted.name}.json", json.dumps(words, indent=1) + "\n")


def kept(folder: Path, key: str, name: str) -> Fitted | None:
    """What was kept under this key; None where there is nothing, something else, or half of it."""
    try:
        words = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        if words["form"] != _FORM or words["key"] != key:
            return None
        data = (folder / f"{name}.safetensors").read_bytes()
        if sha256(data) != words["sha256"]:
            return None
        arrays = unpacked(data)
    except (OSError, ValueError, KeyError, TypeError, Damaged):
        return None

    def part(prefix: str) -> dict[str, NDArray[Any]]:
        return {
            one.removeprefix(prefix): values
            for one, values in arrays.items()
            if one.startswith(prefix)
        }

    found = {
        which: Calibration.restored(state, part(f"{which}/"))
        for which, state in words["calibration"].items()
    }
    said = words["emulator"]
    return Fitted(
        name=name,
        trained=words["trained"],
        settings=words["settings"],
        skill=words["skill"],
        cpu_s=words["cpu_s"],
        said={which: _prediction(part(f"{which}/")) for which in JUDGED},
        plain=found["plain"],
        exact=found.get("exact"),
        emulator=said and kinds.restored(said["kind"], said["arguments"], part("emulator/")),
    )


def _prediction(arrays: Mapping[str, NDArray[Any]]) -> Prediction:
    std = arrays.get("std")
    mean: Array = arrays["mean"].astype(np.float64)
    return Prediction(mean, None if std is None else std.astype(np.float64))
