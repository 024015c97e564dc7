"""An evaluation's folder: what is in it, and what is asked of it.

evaluate.json     what was asked         methods/       each fitted method, to go on from
provenance.json   what made it           scores.csv     every score with its interval
report.html       the report             planets.csv    the chosen method's scores, a row a planet
surrogate/        what predict loads     tensorboard/   the report's pictures
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from astrohpc.errors import ConfigError
from astrohpc.evaluate.settings import EvaluateSettings
from astrohpc.files import write_atomic
from astrohpc.settings import build

ASKED, PROVENANCE = "evaluate.json", "provenance.json"
METHODS, SURROGATE, BOARD = "methods", "surrogate", "tensorboard"
REPORT, SCORES, PLANETS = "report.html", "scores.csv", "planets.csv"


@dataclass(frozen=True)
class Job:
    """One evaluation: of which data, with which networks, into which folder."""

    folder: Path
    data: Path
    settings: EvaluateSettings
    trainings: tuple[Path, ...] = ()
    named: bool = (
        False  # whether a person named the trainings, so that one that does not fit is an error
    )
    copy: Path | None = None  # where else the report is put

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read an evaluation's folder."""
        path = folder / ASKED
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            trainings = tuple(Path(one) for one in said["trainings"])
            data, named = Path(said["data"]), bool(said["named"])
            copy = Path(said["copy"]) if said["copy"] else None
            settings = said["evaluate"]
        except FileNotFoundError:
            raise ConfigError(
                f"{folder}: it holds no {ASKED}; 'launch evaluate' makes such a folder."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: it cannot be read ({error!r}); remove it and run 'launch evaluate' again."
            ) from error
        return cls(
            folder, data, build(EvaluateSettings, settings, "evaluate"), trainings, named, copy
        )

    def write(self, provenance: Mapping[str, Any], where: Mapping[str, Any]) -> None:
        """Make the folder, or bring it up to date; ``where`` is what launchers want to know."""
        self.folder.mkdir(parents=True, exist_ok=True)
        said = {
            "data": str(self.data),
            "trainings": [str(one) for one in self.trainings],
            "named": self.named,
            "copy": None if self.copy is None else str(self.copy),
            "evaluate": asdict(self.settings),
            **where,
        }
        write_atomic(self.folder / ASKED, json.dumps(said, indent=1) + "\n")
        write_atomic(self.folder / PROVENANCE, json.dumps(dict(provenance), indent=1) + "\n")

    def provenance(self) -> dict[str, Any]:
        """What made it, as far as somebody wrote that down."""
        path = self.folder / PROVENANCE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
