"""One rank of trainings of a small transformer that is cut up, results to a file: a script of a test.

python giants_on_ranks.py PART FOLDER DATA
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from support_train import Stopper, digests, settings_of, trainer_with

from astrohpc.errors import ConfigError
from astrohpc.models.settings import TransformerSettings
from astrohpc.train import tensorfile
from astrohpc.train.checkpoint import MANIFEST, Manifest, folder_of, read_manifest
from astrohpc.train.engines.agree import bits_hash
from astrohpc.train.engines.choose import EngineSettings, open_engine
from astrohpc.train.engines.failures import run
from astrohpc.train.migrate import VERSION
from astrohpc.train.precision import Precision
from astrohpc.train.rows import local
from astrohpc.train.run import task_of

# Sizes that neither two nor four ranks divide.
SIZE = TransformerSettings(hidden=12, heads=2, inner=17, vocabulary=29, blocks=3)
BASE: dict[str, Any] = {
    "steps": 12,
    "engine": "fsdp",
    "recompute": "all",
    "agree_every": 4,
    "validate_every": 6,
    "data": {"held_out": 0.1},
    "checkpoint": {"every_steps": 4},
}


class Rank:
    """One rank's trainings, one after the other."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.told: list[str] = []
        self.found: dict[str, Any] = {}

    def train(
        self,
        name: str,
        stop: Callable[[], bool] = lambda: False,
        size: TransformerSettings = SIZE,
        **changes: Any,
    ) -> dict[str, Any]:
        """A training of so many steps, from where its folder is; what it began and ended with."""
        settings = settings_of(self.data, **{**BASE, **changes})
        precision = Precision(settings.precision)
        lower = None if precision.compute == precision.keep else precision.compute
        engine, _ = open_engine(EngineSettings(settings.engine, timeout_s=120), param_dtype=lower)
        trainer = trainer_with(
            self.folder / name,
            settings,
            engine,
            lambda source: task_of(source, size),
            say=self.told.append,
            stop=stop,
        )
        found: dict[str, Any] = {"begun": engine.checksum()}
        trainer.stepper.before_change = lambda: found.update(bytes=self.bytes(trainer.engine))
        read = self.count_bytes()
        found |= {"ending": trainer.run(), "step": trainer.position.step, "read": read()}
        self.weights = torch.cat([local(p.detach()).view(-1) for p in engine.model.parameters()])
        found |= {"checksum": engine.checksum(), "moments": self.moments(engine)}
        return found

    def bytes(self, engine: Any) -> dict[str, int]:
        """What this rank has of weights, gradients and moments, after its gradients are made."""
        weights = [local(p) for p in engine.model.parameters()]
        gradients = [local(p.grad) for p in engine.model.parameters()]
        states = [
            local(v) for one in engine.optimizer.state.values() for v in one.values() if v.ndim
        ]
        kinds = {"weights": weights, "gradients": gradients, "moments": states}
        return {kind: sum(t.nbytes for t in all_of) for kind, all_of in kinds.items()}

    def moments(self, engine: Any) -> dict[str, int]:
        """Hashes of the optimiser's whole state; nothing on other ranks than the first."""
        state = engine.optimizer_state()["state"]
        return {
            f"{name}.{key}": int(bits_hash(value))
            for name, one in state.items()
            for key, value in one.items()
        }

    def count_bytes(self) -> Callable[[], int]:
        """Count what is read of files of tensors, until asked."""
        plain, total = tensorfile.TensorFile._read, 0

        def counting(file: Any, name: str, tensor: torch.Tensor, begin: int) -> torch.Tensor:
            nonlocal total
            total += tensor.nbytes
            return plain(file, name, tensor, begin)

        def stop() -> int:
            tensorfile.TensorFile._read = plain  # type: ignore[method-assign]
            return total

        tensorfile.TensorFile._read = counting  # type: ignore[method-assign]
        return stop

    def refused(self, name: str, **changes: Any) -> str:
        """The sentence by which a training is refused."""
        try:
            self.train(name, **changes)
        except ConfigError as error:
            return str(error)
        return "it was not"

    def at_first(self, work: Callable[[], object]) -> None:
        """Something that rank 0 does while the others wait."""
        engine, _ = open_engine(EngineSettings("fsdp"))
        if engine.rank == 0:
            work()
        engine.barrier()

    def copy(self, name: str, to: str) -> Path:
        """The newest checkpoint of a copy of a run."""
        self.at_first(lambda: shutil.copytree(self.folder / name, self.folder / to))
        return folder_of(self.folder / to / "checkpoints", 12)


def four(rank: Rank) -> None:
    rank.found["whole"] = rank.train("whole")
    rank.found["stopped"] = rank.train("stopped", Stopper(5))
    rank.copy("stopped", "moved")
    rank.found["resumed"] = rank.train("stopped")


def killed(rank: Rank) -> None:
    """The last rank is killed by force before its eighth step."""
    last = os.environ["RANK"] == "1"
    kill = Stopper(7, lambda: bool(os.kill(os.getpid(), signal.SIGKILL)))
    rank.train("killed", kill if last else (lambda: False), precision="bf16")


def two(rank: Rank) -> None:
    rank.found["moved"] = rank.train("moved", steps=5)
    rank.found["further"] = rank.train("moved", Stopper(4))
    rank.found["bf16"] = rank.train("bf16", precision="bf16")
    rank.found["killed"] = rank.train("killed", precision="bf16")
    for name, damage in (
        ("cut in half", lambda path: os.truncate(path, path.stat().st_size // 2)),
        ("missing", Path.unlink),
    ):
        part = rank.copy("bf16", name) / "model-00001.safetensors"
        rank.at_first(lambda damage=damage, part=part: damage(part))  # type: ignore[misc]
        rank.told.clear()
        done = rank.train(name, precision="bf16")
        rank.found[name] = [*rank.told, digests(rank.folder / name, 12), done["checksum"]]
    newer = rank.copy("bf16", "newer")
    rank.at_first(lambda: make_newer(newer))
    rank.found["newer"] = rank.refused("newer", precision="bf16")
    other = TransformerSettings(**{**vars(SIZE), "blocks": 2})
    rank.found["another"] = rank.refused("bf16", precision="bf16", size=other)
    heads = TransformerSettings(**{**vars(SIZE), "heads": 1})
    rank.found["heads"] = rank.refused("bf16", precision="bf16", size=heads)


def compiled(rank: Rank) -> None:
    """By one process, on two engines; more blocks than torch compiles ways of one function."""
    import torch._inductor.config  # slow to import
    from torch._dynamo.utils import counters

    size = TransformerSettings(**{**vars(SIZE), "blocks": 9})
    changes = {"steps": 6, "optimizer": {"lr": 1e-3}, "validate_every": 0}
    for engine, recompute in (("single", "none"), ("single", "all"), ("fsdp", "all")):
        name = f"{engine} {recompute}"
        changes |= {"engine": engine, "recompute": recompute}
        rank.train(f"{name} plain", size=size, **changes)
        plain = rank.weights
        torch._dynamo.reset()
        before = counters["stats"]["unique_graphs"]
        rank.train(name, size=size, compile=True, **changes)
        rank.found[name] = {
            "apart": (rank.weights - plain).abs().max().item(),
            "graphs": counters["stats"]["unique_graphs"] - before,
        }
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        rank.found["no compiler"] = rank.refused("no compiler", compile=True)


def make_newer(checkpoint: Path) -> None:
    changed = Manifest(**{**vars(read_manifest(checkpoint)), "version": VERSION + 1})
    (checkpoint / MANIFEST).write_text(changed.text())


def main(part: str, folder: Path, data: Path) -> int:
    torch.set_num_threads(1)
    rank = Rank(folder, data)
    {"four": four, "killed": killed, "two": two, "compiled": compiled}[part](rank)
    (folder / f"{part}-{os.environ['RANK']}.json").write_text(json.dumps(rank.found))
    open_engine(EngineSettings("fsdp"))[0].shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
