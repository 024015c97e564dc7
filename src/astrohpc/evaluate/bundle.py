"""A surrogate on disk: a folder that says all of itself, and loads without the training's configuration.

surrogate.json         what it is, what it was made of, and by whom
arrays.<digest>.safetensors   its numbers; any safetensors library reads them

Nothing in it is executed. The arrays carry their digest in their name and are there before the words that
name them, so a kill leaves the old surrogate or the new one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Input, Variable
from astrohpc.errors import ConfigError
from astrohpc.evaluate import kinds
from astrohpc.evaluate.arrays import Damaged, packed, sha256, unpacked
from astrohpc.evaluate.calibrate import Calibration
from astrohpc.evaluate.domain import Domain
from astrohpc.evaluate.surrogate import Common, Surrogate
from astrohpc.files import write_atomic
from astrohpc.physics.projections import described, restored
from astrohpc.version import VERSION

FILE = "surrogate.json"
_FORMAT, _VERSION = "astrohpc surrogate", 1
_PREFIX, _SUFFIX = "arrays.", ".safetensors"

Arrays = dict[str, NDArray[Any]]


def is_surrogate(folder: Path) -> bool:
    """Whether a folder holds one, whole or not."""
    return (folder / FILE).is_file()


def write(folder: Path, surrogate: Surrogate, provenance: Mapping[str, Any]) -> None:
    """Write a surrogate, over another one if there is one."""
    arrays: Arrays = {"weights": surrogate.weights}
    arrays |= {f"axes/{name}": values for name, values in surrogate.axes.items()}
    kind = kinds.kind_of(surrogate.emulator)
    said, own = surrogate.emulator.state()
    emulator = {"kind": kind, "arguments": said}
    arrays |= {f"emulator/{name}": values for name, values in own.items()}
    calibration = None
    if surrogate.calibration is not None:
        calibration, own = surrogate.calibration.state()
        arrays |= {f"calibration/{name}": values for name, values in own.items()}
    common = surrogate.common
    data = packed(arrays)
    seen = sha256(data)
    file = f"{_PREFIX}{seen[:10]}{_SUFFIX}"
    words = {
        "format": _FORMAT,
        "version": _VERSION,
        "astrohpc": VERSION,
        "name": surrogate.name,
        "inputs": [asdict(one) for one in surrogate.inputs],
        "variables": [asdict(one) for one in surrogate.variables],
        "planets": None if common is None else asdict(common),
        "emulator": emulator,
        "calibration": calibration,
        "domain": None if surrogate.domain is None else surrogate.domain.state(),
        "projections": described(surrogate.projections),
        "about": dict(surrogate.about),
        "arrays": {"file": file, "sha256": seen},
        "provenance": dict(provenance),
    }
    text = json.dumps(words, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / file, data, durable=True)
    write_atomic(folder / FILE, text, durable=True)
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        if path.name != file:
            path.unlink()


def read(folder: Path) -> Surrogate:
    """Read a surrogate; ConfigError where there is none that we understand."""
    words = words_of(folder)
    try:
        arrays = _arrays(folder, words["arrays"])
        common, domain, calibration = (words[name] for name in ("planets", "domain", "calibration"))
        return Surrogate(
            name=words["name"],
            inputs=tuple(Input(**one) for one in words["inputs"]),
            variables=tuple(_variable(one) for one in words["variables"]),
            weights=np.asarray(arrays["weights"], np.float64),
            axes=_of(arrays, "axes/"),
            common=None if common is None else Common(common["values"], common["tidally_locked"]),
            about=words["about"],
            emulator=kinds.restored(
                words["emulator"]["kind"], words["emulator"]["arguments"], _of(arrays, "emulator/")
            ),
            domain=None if domain is None else Domain.restored(domain),
            calibration=None
            if calibration is None
            else Calibration.restored(calibration, _of(arrays, "calibration/")),
            projections=restored(words["projections"]),
        )
    except ConfigError:
        raise
    except (Damaged, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConfigError(
            f"{folder}: this surrogate is damaged ({type(error).__name__}: {error}); copy it again, or make "
            "it anew with 'launch evaluate'."
        ) from error


def words_of(folder: Path) -> dict[str, Any]:
    """What a surrogate says of itself, without its numbers."""
    path = folder / FILE
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{folder}: there is no surrogate ({FILE}) in it; 'launch evaluate' makes one."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: it cannot be read ({error}); copy it again, or make it anew with 'launch evaluate'."
        ) from error
    if not isinstance(words, dict) or words.get("format") != _FORMAT:
        raise ConfigError(
            f"{path}: it is no surrogate of ours; name a folder of 'launch evaluate'."
        )
    if words.get("version") != _VERSION:
        raise ConfigError(
            f"{path}: it is of version {words.get('version')}, and this astrohpc ({VERSION}) reads version "
            f"{_VERSION}; use the astrohpc that wrote it ({words.get('astrohpc')}), or make it anew with "
            "'launch evaluate'."
        )
    return words


def _arrays(folder: Path, said: Mapping[str, str]) -> Arrays:
    name = Path(said["file"]).name
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise Damaged(f"{name} cannot be read: {error.strerror}") from error
    if sha256(data) != said["sha256"]:
        raise Damaged(f"{name} is not what was written, by its digest")
    return unpacked(data)


def _of(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }


def _variable(said: Mapping[str, Any]) -> Variable:
    return Variable(**{**said, "shape": tuple(said["shape"])})
