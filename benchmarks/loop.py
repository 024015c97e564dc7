"""What our loop costs beside a bare one, how fast samples come, and how long a save holds it up.

*Loop*: a step of an MLP with everything on (guards, log, clipping, reader), and the same arithmetic in
ten lines of torch with its batch in memory, in turns of a few steps within one process. *Loader*: samples
of 64 × 32 × 20 × 5 out of a store of ours, as fast as they can be taken, and the share of waiting where a
device takes them 100 a second (it sleeps: a GPU leaves the processor free). *Save*: what the loop waits
for a checkpoint of an MLP, as a share of a step. Medians over rounds; data are synthetic.

    python benchmarks/loop.py --rounds 7 --out benchmarks/results/loop.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import torch
from convert_parts.record import provenance

from astrohpc.clock import SystemClock
from astrohpc.settings import build
from astrohpc.train.data import Reader
from astrohpc.train.engines.single import Single
from astrohpc.train.loop import Trainer
from astrohpc.train.optimize import make_optimizer
from astrohpc.train.plan import BatchPlan
from astrohpc.train.settings import TrainSettings
from astrohpc.train.sources import open_source
from astrohpc.train.task import GlobalMeans

CPU = torch.device("cpu")
TURN = 4  # steps
BATCH = 256
MODEL = {"width": 512, "depth": 3}
CUBE = {"lon": 64, "lat": 32, "lev": 20}
VARIABLES = ("ta", "ua", "va", "hus", "zg")
WANTED = {"overhead": 0.03, "samples per s": 100.0, "data wait": 0.10, "stall": 0.05}


def main() -> None:
    given = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    given.add_argument("--rounds", type=int, default=7)
    given.add_argument("--out", type=Path)
    arguments = given.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found = {
            "loop": overhead(folder, arguments.rounds),
            "loader": loader(folder, arguments.rounds),
            "save": stall(folder, arguments.rounds),
        }
    found["wanted"] = WANTED
    text = json.dumps({"provenance": provenance({"benchmark": sys.executable}), **found}, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


def settings_of(source: Path, **changes: Any) -> TrainSettings:
    written = {
        "batch": BATCH,
        "optimizer": {"name": "adamw"},
        "data": {"source": str(source)},
        "checkpoint": {"every_steps": 10**9},
        "log": {"every_steps": 10},
        **changes,
    }
    return build(TrainSettings, written, "train")


def make_arrays(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    params = np.random.default_rng(0).random((4096, 8)).astype("f4")
    np.save(folder / "params.npy", params)
    np.save(folder / "fields.npy", params[:, :, None, None].repeat(4, 3))
    return folder


def trainer_of(settings: TrainSettings, folder: Path, stop: Callable[[], bool]) -> Trainer:
    source = open_source(settings.data, 0, folder)
    task = GlobalMeans(source, MODEL)
    return Trainer(settings, task, source, Single(CPU), folder, SystemClock(), lambda _: None, stop)


# ----------------------------------------------------------------------------- loop
def overhead(folder: Path, rounds: int) -> dict[str, Any]:
    """The trainer asks once a step whether to stop: every few steps that is the bare loop's turn."""
    settings = settings_of(make_arrays(folder / "arrays"), steps=10**6)
    turns: dict[str, list[tuple[float, float]]] = {"trainer": [], "bare": []}
    begun = [0.0, 0.0]
    calls = 0
    bare = bare_loop(settings, folder)

    def between() -> bool:
        nonlocal calls, begun
        calls += 1
        if calls % TURN:
            return False
        if calls > 2 * TURN:
            turns["trainer"].append(since(begun))
        start = [time.perf_counter(), time.process_time()]
        bare(TURN)
        if calls > 2 * TURN:
            turns["bare"].append(since(start))
        begun = [time.perf_counter(), time.process_time()]
        return calls >= (3 * rounds + 2) * TURN

    trainer_of(settings, folder / "run", between).run()
    found: dict[str, Any] = {"turns": len(turns["bare"]), "steps of a turn": TURN}
    for i, kind in enumerate(("wall", "CPU")):
        times = {name: [turn[i] / TURN for turn in all_of] for name, all_of in turns.items()}
        ratios = [a / b - 1 for a, b in zip(times["trainer"], times["bare"], strict=True)]
        found[kind] = {
            **{f"{name} ms a step": 1e3 * statistics.median(one) for name, one in times.items()},
            "overhead": statistics.median(ratios),
            "quartiles": statistics.quantiles(ratios, n=4)[::2],
        }
    return found


def since(start: list[float]) -> tuple[float, float]:
    return time.perf_counter() - start[0], time.process_time() - start[1]


def bare_loop(settings: TrainSettings, folder: Path) -> Callable[[int], None]:
    source = open_source(settings.data, 0, folder)
    task = GlobalMeans(source, MODEL)
    model = task.model()
    task.begin(model, 0)
    optimizer = make_optimizer(model, settings.optimizer, CPU)
    batch = task.ahead(source.read(np.arange(BATCH), source.room(BATCH, pinned=False)))
    count, _ = task.count(batch)

    def steps(number: int) -> None:
        for _ in range(number):
            loss = task.loss(model, batch).total / count
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad()

    return steps


# ----------------------------------------------------------------------------- loader
def make_store(folder: Path) -> Path:
    """Four members of 24 times: smooth fields with noise, synthetic."""
    folder.mkdir()
    draw = np.random.default_rng(1)
    for member in range(4):
        with netCDF4.Dataset(folder / f"m{member}.nc", "w") as data:
            data.setncattr("planet_radius_m", 6.4e6 + 1e5 * member)
            data.createDimension("time", None)
            data.createVariable("time", "f8", ("time",)).units = "days since 2000-01-01"
            for name, size in CUBE.items():
                data.createDimension(name, size)
            lat = data.createVariable("lat", "f8", ("lat",))
            lat.units, lat[:] = "degrees_north", np.linspace(-87, 87, CUBE["lat"])
            data["time"][:] = np.arange(24.0)
            shape = (24, CUBE["lev"], CUBE["lat"], CUBE["lon"])
            for name in VARIABLES:
                field = data.createVariable(
                    name, "f4", ("time", "lev", "lat", "lon"), chunksizes=(1, *shape[1:])
                )
                smooth = (
                    np.cos(np.linspace(0, 6, CUBE["lon"])) * np.linspace(1, 2, CUBE["lat"])[:, None]
                )
                field[:] = 280 + 10 * smooth + draw.normal(size=shape)
    store = folder.with_suffix(".zarr")
    command = [
        sys.executable,
        "-m",
        "astrohpc.jobs.convert",
        folder,
        store,
        "--members",
        "file",
        "--bare",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return store


def loader(folder: Path, rounds: int) -> dict[str, Any]:
    data = settings_of(make_store(folder / "cubes")).data
    source = open_source(data, 0, folder)
    task = GlobalMeans(source, {})
    rates, cpus, waits = [], [], []
    for _ in range(rounds):
        reader = Reader(source, BatchPlan(source.count, 0, 16), 0, 1, CPU, 2, task.ahead)
        reader.start(0)
        reader.take(0)
        begun, cpu = time.perf_counter(), time.process_time()
        for number in range(1, 13):
            reader.take(number)
        rates.append(12 * 16 / (time.perf_counter() - begun))
        cpus.append((time.process_time() - cpu) / (12 * 16))
        reader.waited_s, begun = 0.0, time.perf_counter()
        for number in range(13, 25):
            time.sleep(16 / WANTED["samples per s"])
            reader.take(number)
        waits.append(reader.waited_s / (time.perf_counter() - begun))
        reader.stop()
    return {
        "sample": "64 x 32 x 20 x 5, float32, 0.82 MB, with its area means",
        "cores": len(os.sched_getaffinity(0)),
        "samples per s": statistics.median(rates),
        "CPU ms a sample": 1e3 * statistics.median(cpus),
        "data wait at 100 samples per s": statistics.median(waits),
    }


# ----------------------------------------------------------------------------- save
def stall(folder: Path, rounds: int) -> dict[str, Any]:
    """A save every fourth step; what the loop waited for it, beside the time of the steps around."""
    settings = settings_of(
        folder / "arrays", steps=4 * rounds + 8, checkpoint={"every_steps": 4}, ema=0.999
    )
    steps: list[float] = []
    last = time.perf_counter()

    def between() -> bool:
        nonlocal last
        now = time.perf_counter()
        steps.append(now - last)
        last = now
        return False

    trainer = trainer_of(settings, folder / "saved", between)
    waited: list[float] = []
    show = trainer.saver.save

    def save(snapshot: Any) -> None:
        if trainer.saver._thread is not None:
            waited.append(trainer.saver.stall_s)
            trainer.saver.wait()  # the disk's time, which saves as rare as real ones do not meet
        show(snapshot)

    trainer.saver.save = save  # type: ignore[method-assign]
    trainer.run()
    tensors = list(trainer.engine.model.parameters())
    step = statistics.median(steps[4:])
    return {
        "parameters": sum(p.numel() for p in tensors),
        "checkpoint MB": sum(p.numel() for p in tensors) * 16 / 1e6,
        "step ms": 1e3 * step,
        "stall ms": 1e3 * statistics.median(waited[1:]),
        "stall": statistics.median(waited[1:]) / step,
        "saves": len(waited) - 1,
    }


if __name__ == "__main__":
    main()
