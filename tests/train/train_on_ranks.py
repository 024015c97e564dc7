"""One rank of some trainings on one engine, results to a file: a script of a test.

python train_on_ranks.py ENGINE FOLDER DATA
"""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch
from support_train import Stopper, settings_of, small_trainer

from astrohpc.errors import ConfigError
from astrohpc.train.engines.choose import EngineSettings, open_engine
from astrohpc.train.engines.failures import run
from astrohpc.train.sources import Batch
from astrohpc.train.task import GlobalMeans, Loss

BASE: dict[str, Any] = {
    "precision": "fp64",
    "agree_every": 4,
    "validate_every": 8,
    "data": {"held_out": 0.1},
    "log": {"ranks_every": 5},
}


class SpoiledHere(GlobalMeans):
    """NaN on the last rank alone, in its sixth loss."""

    spoiled = False
    calls = 0

    def loss(self, model: torch.nn.Module, batch: Batch) -> Loss:
        found = super().loss(model, batch)
        self.calls += 1
        if self.spoiled and self.calls == 6:
            return Loss(found.total * math.nan, found.parts)
        return found


def main(engine_name: str, folder: Path, data: Path) -> int:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    told: list[str] = []
    found: dict[str, Any] = {}

    def train(name: str, **more: Any) -> Any:
        changes = more.pop("changes", {})
        settings = settings_of(data, **{**BASE, **changes})
        # A process starts Horovod once; it stays up until the last of these.
        engine, _ = open_engine(EngineSettings(engine_name, timeout_s=60))
        trainer = small_trainer(folder / name, settings, engine, say=told.append, **more)
        ending = trainer.run()
        return ending, trainer.position.step, engine.checksum(), trainer.position.best

    found["whole"] = train("whole")
    # The last rank alone is asked to stop.
    asked = Stopper(9) if rank else (lambda: False)
    found["stopped"] = train("cut", stop=asked)
    found["resumed"] = train("cut")
    SpoiledHere.spoiled = rank == 1
    found["spoiled"] = train("spoiled", task=SpoiledHere)
    found["told"] = told
    try:
        train("other", changes={"seed": rank})
    except ConfigError as error:
        found["disagree"] = str(error)
    if rank == 0:
        (folder / "found.json").write_text(json.dumps(found))
    open_engine(EngineSettings(engine_name))[0].shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
