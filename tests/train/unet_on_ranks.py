"""One rank of trainings of a small U-Net, results to a file: a script of a test.

python unet_on_ranks.py ENGINE FOLDER
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from support_climates import unet_trainer
from support_train import Stopper

from astrohpc.train.engines.choose import EngineSettings, open_engine
from astrohpc.train.engines.failures import run
from astrohpc.train.precision import Precision
from astrohpc.train.rows import local

BASE: dict[str, Any] = {"steps": 8, "validate_every": 4, "checkpoint": {"every_steps": 4}}


def main(name: str, folder: Path) -> int:
    torch.set_num_threads(1)
    found: dict[str, Any] = {}

    def train(
        run_name: str, stop: Callable[[], bool] = lambda: False, **changes: Any
    ) -> dict[str, Any]:
        precision = Precision(changes.get("precision", "fp32"))
        lower = None if precision.compute == precision.keep else precision.compute
        engine, _ = open_engine(EngineSettings(name, timeout_s=120), param_dtype=lower)
        trainer = unet_trainer(folder / name / run_name, engine=engine, stop=stop, **BASE | changes)
        trainer.run()
        weights = torch.cat([local(p.detach()).view(-1) for p in engine.model.parameters()])
        return {
            "best": trainer.position.best,
            "checksum": engine.checksum(),
            "weights": weights.double().tolist(),
        }

    exact = {"precision": "fp64"}
    found["whole"] = train("whole", **exact)
    train("cut", Stopper(5), **exact)
    found["resumed"] = train("cut", **exact)
    found["recomputed"] = train("recomputed", recompute="all", **exact)
    found["bf16"] = train("bf16", precision="bf16", recompute="every_second")
    if "compile" in sys.argv:
        found["plain"] = train("plain")
        found["compiled"] = train("compiled", compile=True, recompute="every_second")
    if int(os.environ["RANK"]) == 0:
        (folder / f"{name}.json").write_text(json.dumps(found))
    open_engine(EngineSettings(name))[0].shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1], Path(sys.argv[2]))))
