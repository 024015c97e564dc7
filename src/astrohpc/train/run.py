"""A run's folder: what is in it, and from it to a trainer.

train.json        the settings        checkpoints/   everything, to go on from
provenance.json   what made it        tensorboard/   one event file
network.json      of a U-Net: what it is made of, in guess/ what it starts from, in trust.json how far
                  it is believed beside that
member-0/ …       of an ensemble, instead of the last three: each member's own folder
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.models.settings import (
    MlpSettings,
    ModelSettings,
    UnetSettings,
    model_settings,
)
from astrohpc.settings import build
from astrohpc.train.settings import TrainSettings

if TYPE_CHECKING:
    from astrohpc.train.engines.base import Engine
    from astrohpc.train.loop import Trainer
    from astrohpc.train.sources import Source
    from astrohpc.train.task import Task

SETTINGS, PROVENANCE, CHECKPOINTS = "train.json", "provenance.json", "checkpoints"
NETWORK = "network.json"  # what a U-Net is made of, without its weights
BOARD = "tensorboard"
DIRECT = "direct.json"  # what another network over mean climates is made of, and how far off it is
TRUST = "trust.json"  # how far a U-Net is believed beside its first guess
MEMBER = "member-"  # of an ensemble, and its number


@dataclass(frozen=True)
class Run:
    """What is trained, how, and in which folder."""

    folder: Path
    train: TrainSettings
    model: ModelSettings

    @classmethod
    def of(cls, folder: Path) -> "Run":
        """Read a run's folder."""
        path = folder / SETTINGS
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                f"{folder}: it holds no {SETTINGS}; 'launch train' makes such a folder."
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: it cannot be read ({error}); mend or remove it.") from error
        return cls.parse(folder, written)

    @classmethod
    def parse(cls, folder: Path, written: Mapping[str, Any]) -> "Run":
        """From groups of settings."""
        train = build(TrainSettings, written.get("train", {}), "train")
        model = model_settings(written.get("model", {}))
        if isinstance(model, UnetSettings):  # it learns nothing else
            train = replace(train, data=replace(train.data, climates=True))
        return cls(folder, train, model)

    def write(self, provenance: Mapping[str, Any], where: Mapping[str, Any]) -> None:
        """Make the folder, or bring its settings up to date; ``where`` is what launchers want to know."""
        self.folder.mkdir(parents=True, exist_ok=True)
        groups = {"train": asdict(self.train), "model": asdict(self.model), **where}
        write_atomic(self.folder / SETTINGS, json.dumps(groups, indent=1) + "\n")
        write_atomic(self.folder / PROVENANCE, json.dumps(provenance, indent=1) + "\n")
        for member in self.members:
            member.write(provenance, where)
            board = self.folder / BOARD / member.folder.name
            board.parent.mkdir(exist_ok=True)
            if not board.is_symlink():  # TensorBoard shows all of them together
                board.symlink_to(Path("..") / member.folder.name / BOARD)

    @property
    def members(self) -> list["Run"]:
        """The trainings of an ensemble, each a run of its own; none where there is only one."""
        if self.train.ensemble == 1:
            return []
        found = []
        for k in range(self.train.ensemble):
            name, seed = f"{self.train.name}-{k}", self.train.seed + k
            train = replace(self.train, ensemble=1, name=name, seed=seed)
            found.append(Run(self.folder / f"{MEMBER}{k}", train, self.model))
        return found

    def provenance(self) -> str:
        """What made this run, as text; nothing if nobody wrote it down."""
        path = self.folder / PROVENANCE
        return path.read_text(encoding="utf-8") if path.is_file() else ""


def trainer_of(
    run: Run, engine: "Engine", clock: Clock, say: Callable[[str], None], stop: Callable[[], bool]
) -> "Trainer":
    """A trainer of this run on this engine; torch is imported here."""
    from astrohpc.train.loop import Trainer  # noqa: PLC0415
    from astrohpc.train.sources import open_source  # noqa: PLC0415
    from astrohpc.train.surrogate_task import ResidualFields  # noqa: PLC0415

    source: Source
    if run.train.data.climates:
        from astrohpc.train.climate_source import open_climates  # noqa: PLC0415

        source = open_climates(run.train, run.model, run.folder, engine)
    else:
        source = engine.together(lambda: open_source(run.train.data, run.train.seed, run.folder))
    task = task_of(source, run.model)
    if isinstance(task, ResidualFields) and engine.rank == 0:
        write_atomic(run.folder / NETWORK, json.dumps(task.shape.plain(), indent=1) + "\n")
    return Trainer(
        run.train,
        task,
        source,
        engine,
        run.folder,
        clock,
        say,
        stop,
        texts={
            "model": asdict(run.model),
            "data": source.about.text(run.train.data.source, source.count, source.held_out),
            "provenance": run.provenance(),
        },
    )


def finish(run: Run, trainer: "Trainer") -> None:
    """What is left to do after the last step."""
    from astrohpc.train import direct, trust  # noqa: PLC0415 - torch
    from astrohpc.train.climate_source import ClimateSource  # noqa: PLC0415
    from astrohpc.train.fields import Fields  # noqa: PLC0415
    from astrohpc.train.surrogate_task import ResidualFields  # noqa: PLC0415

    task, source = trainer.task, trainer.source
    if trainer.engine.rank != 0 or not isinstance(source, ClimateSource):
        return
    if isinstance(task, Fields):
        direct.settle(run.folder, task, source, run.model)
    if isinstance(task, ResidualFields):
        found = trust.settle(run.folder, task)
        shares = ", ".join(f"{name} {share:.1f}" for name, share in found.items())
        trainer.say(f"believed beside its first guess, from 0 to 1: {shares}")


def task_of(source: "Source", model: ModelSettings) -> "Task":
    """What a model learns of these data; torch is imported here."""
    import psutil  # noqa: PLC0415

    from astrohpc.models.mlp import MlpSurrogate  # noqa: PLC0415
    from astrohpc.models.transformer import Transformer  # noqa: PLC0415
    from astrohpc.train.fields import Fields  # noqa: PLC0415
    from astrohpc.train.task import GlobalMeans  # noqa: PLC0415

    if isinstance(model, UnetSettings):
        from astrohpc.train.climate_source import ClimateSource  # noqa: PLC0415
        from astrohpc.train.surrogate_task import ResidualFields  # noqa: PLC0415

        assert isinstance(source, ClimateSource)
        return ResidualFields(source, model)
    if isinstance(model, MlpSettings):
        own = {k: value for k, value in asdict(model).items() if k not in ("name", "learns")}
        if model.learns == "means":
            return GlobalMeans(source, own)
        return Fields(source, own, MlpSurrogate).if_it_fits(psutil.virtual_memory().total)
    kind = Fields if model.mode == "datacube" else GlobalMeans
    return kind(source, {"size": model}, Transformer)
