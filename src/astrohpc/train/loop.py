"""The loop: one for every model and every engine.

    trainer = Trainer(settings, task, source, engine, folder, clock, say, stop)
    ending = trainer.run()

Between steps, in this order: ranks tell each other in one small message whether anybody was asked to
stop and what an earlier step was like; that step is judged; the next is taken. What happened is
judged ``LAG`` steps later, so that a host never waits for its device.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch

from astrohpc.clock import Clock
from astrohpc.files import digest
from astrohpc.train import moment, shortage
from astrohpc.train.accumulate import Meter, MicroBatch, meter_for
from astrohpc.train.async_save import Saver, settle
from astrohpc.train.checkpoint import sweep_up
from astrohpc.train.compared import pictures
from astrohpc.train.data import Reader
from astrohpc.train.ema import RunningMean
from astrohpc.train.engines.base import Engine
from astrohpc.train.guards import BlownUp, Guards
from astrohpc.train.logs import Log
from astrohpc.train.moment import Position, Waiting
from astrohpc.train.optimize import make_optimizer, prepare_blocks
from astrohpc.train.plan import BatchPlan, shareable
from astrohpc.train.precision import Precision
from astrohpc.train.randomness import make_deterministic, seed_all
from astrohpc.train.rates import Rates
from astrohpc.train.rows import local
from astrohpc.train.run import BOARD, CHECKPOINTS
from astrohpc.train.settings import TrainSettings
from astrohpc.train.sources import Source
from astrohpc.train.step import Stepper
from astrohpc.train.straggler import compare
from astrohpc.train.task import Task
from astrohpc.train.trace import Tracer
from astrohpc.train.validate import validate
from astrohpc.train.watchdog import Watchdog
from astrohpc.version import VERSION

LAG = 2  # steps between one and its verdict
_FIRST_STEPS = 3  # after which memory is looked at: the optimiser has its state, NCCL its buffers
Ending = Literal["done", "stopped"]


class Trainer:
    """One rank of one training, in the folder of its run."""

    def __init__(
        self,
        settings: TrainSettings,
        task: Task,
        source: Source,
        engine: Engine,
        folder: Path,
        clock: Clock,
        say: Callable[[str], None],
        stop: Callable[[], bool],
        *,
        meter: Meter | None = None,
        texts: Mapping[str, Any] | None = None,
    ) -> None:
        shareable(settings, engine.size)
        self.settings, self.task, self.source, self.engine = settings, task, source, engine
        self.folder, self.clock, self.stop, self.texts = folder, clock, stop, dict(texts or {})
        self.say: Callable[[str], None] = say if engine.rank == 0 else (lambda _: None)
        self.saver = Saver(
            folder / CHECKPOINTS,
            engine.rank,
            engine.size,
            settings.checkpoint.keep,
        )
        self.position = Position()
        self._saved_at, self._taken = -1, 0  # steps of this process
        self.stepper = self._prepared(meter or meter_for(engine.device, settings.memory_mib))
        self._belongs = moment.made_of(settings, self.stepper, source.digest)
        # What torch's own threads and ours hang in is the same question, so one watchdog for all.
        self.watchdog = Watchdog(
            settings.hang_s, folder / f"stacks-{engine.rank:05d}.txt", self._say_from_here(say)
        )

    def run(self) -> Ending:
        """Train to the last step, or until somebody is asked to stop; everything is saved either way."""
        with self.watchdog:
            self._begin()
            slower = shortage.begin_with(self.folder, self.engine, self.stepper)
            self.log = self._open_log()
            if slower:
                self.log.note(self.position.step, "memory", slower)
            try:
                return self._steps()
            finally:
                self.stepper.reader.stop()
                self.log.close()

    # ------------------------------------------------------------------------- beginning
    def _prepared(self, meter: Meter | None) -> Stepper:
        """The model, on its device and shared, with all that a step needs."""
        settings, engine = self.settings, self.engine
        if settings.deterministic:
            make_deterministic()
        precision = Precision(settings.precision)
        # Without memory as yet: an engine that cuts it up gives each rank its part only.
        with torch.device("meta"):
            model = self.task.model()
        precision.prepare(model)
        prepare_blocks(model, settings)
        engine.agree(
            {
                "version": VERSION,
                "configuration": digest(asdict(settings)),
                "data": self.source.digest,
            }
        )
        wrapped = engine.prepare(
            model,
            lambda m: make_optimizer(m, settings.optimizer, engine.device),
            lambda m: self.task.begin(m, settings.seed),
        )
        seed_all(settings.seed, moment.position_key(0), engine.rank + 1)
        plan = BatchPlan(
            self.source.count,
            settings.seed,
            settings.batch,
            self.source.shards,
            settings.data.shards_at_once,
            None if self.source.lengths is None else self.source.lengths[: self.source.count],
            settings.data.tokens,
        )
        share = settings.batch // engine.size
        return Stepper(
            settings=settings,
            task=self.task,
            engine=engine,
            model=wrapped,
            reader=Reader(
                self.source,
                plan,
                engine.rank,
                engine.size,
                engine.device,
                settings.data.prefetch,
                self.task.ahead,
            ),
            precision=precision,
            scale=precision.scale(),
            guards=Guards(settings.guards),
            mean=RunningMean(model, settings.ema) if settings.ema else None,
            micro=MicroBatch(settings.micro_batch or share),
            meter=meter,
            tell=self.say,
            narrowed=self._narrowed,
            before_change=self.saver.before_change,
        )

    def _begin(self) -> None:
        """Go on from the newest good checkpoint, if there is one."""
        if self.engine.rank == 0:
            self.saver.checkpoints.mkdir(parents=True, exist_ok=True)
            sweep_up(self.saver.checkpoints)
        self.engine.barrier()
        if self._load():
            self.say(f"going on from step {self.position.step} of {self.settings.steps}")
        elif self.stepper.mean is not None:
            self.stepper.mean.take_over(0)
        self.stepper.reader.start(self.position.batch)

    def _load(self, until: int | None = None) -> bool:
        found = moment.newest_good(self.stepper, self.saver.checkpoints, self.say, until)
        if found is None:
            return False
        moment.put_back(self.stepper, self.position, *found, self._belongs, self.settings)
        self._saved_at = self.position.step
        return True

    def _open_log(self) -> Log:
        log = Log(
            self.folder / BOARD,
            self.clock,
            self.say,
            rank=self.engine.rank,
            steps=self.settings.steps,
            from_step=self.position.step,
        )
        log.texts(self.position.step, {"settings": asdict(self.settings), **self.texts})
        log.scalars(self.position.step, {"samples at once": self.stepper.micro.most})
        self.rates = Rates(
            self.settings, self.engine, self.stepper, self.position.step, self.position.samples
        )
        return log

    # ------------------------------------------------------------------------- steps
    def _steps(self) -> Ending:
        tracer = Tracer(self.settings.log.profile, self.folder, self.engine.rank, self.say)
        while self.position.step < self.settings.steps:
            step = self.position.step
            batch = self.stepper.reader.take(self.position.batch)
            count, counts, asked, size = self._meet(batch)
            if asked:
                self._save()
                settle(self.saver, self.engine)
                return "stopped"
            if count is None:  # an earlier step sent us back
                continue
            if not self._taken:
                self._rehearse(batch)
            tracer.before(step + 1)
            pulse = self.stepper.step(step, batch, count)
            self.rates.step_taken(self.stepper.own_s)
            self.position.waiting.append(
                Waiting(
                    step,
                    pulse.loss,
                    pulse.parts,
                    pulse.norm,
                    count,
                    counts,
                    pulse.scale,
                    self.stepper.learning_rate,
                )
            )
            self.position.step += 1
            self._taken += 1
            self.position.samples += size
            self.watchdog.beat(f"step {self.position.step}")
            self._after(self.position.step)
        tracer.before(self.settings.steps + 1)
        while self.position.waiting:
            if self._meet(None)[0] is None:
                return self._steps()  # sent back by one of the last steps
        settle(self.saver, self.engine)
        self.log.scalars(self.position.step, {"checkpoint/wrote s": self.saver.write_s})
        return "done"

    def _meet(self, batch: Any) -> tuple[float | None, list[float], bool, int]:
        """One message of all ranks: counts of the batch to come, who must stop, an earlier step's sums.

        Returns the count (None: we went back), that of each part, whether to stop, samples.
        """
        kinds = len(self.task.parts)
        waiting = self.position.waiting
        old = waiting[0] if waiting and (batch is None or len(waiting) >= LAG) else None
        own, by_part = self.task.count(batch) if batch is not None else (0.0, [0.0] * kinds)
        size = len(next(iter(batch.values()))) if batch is not None else 0
        failed = self.saver.failed()
        message = torch.tensor([own, size, self.stop(), failed, *by_part], dtype=torch.float64)
        if old is not None:
            message = torch.cat([message, old.sums_of(self.engine.rank)])
        found = self.engine.sum(message).tolist()
        if found[3]:
            settle(self.saver, self.engine)  # raises on all ranks
        if old is not None:
            waiting.popleft()
            if not self._judge(old, found[4 + kinds], found[5 + kinds :]):
                return None, [], False, 0
        return max(found[0], 1.0), found[4 : 4 + kinds], bool(found[2]), int(found[1])

    def _judge(self, old: Waiting, loss_sum: float, part_sums: list[float]) -> bool:
        """Do what an earlier step asks for; whether to go on from here (or else from a checkpoint)."""
        loss, norm, scale = loss_sum / old.count, float(old.norm), self.stepper.scale
        if scale is not None and scale.value == old.scale:
            scale.learn(overflowed=not math.isfinite(norm))
        verdict = self.stepper.guards.judge(old.step, loss, norm, scaling=scale is not None)
        done = old.step + 1
        if done % self.settings.log.every_steps == 0 or done == self.settings.steps:
            parts = {
                f"loss of {name}": value / max(count, 1.0)
                for name, value, count in zip(self.task.parts, part_sums, old.counts, strict=True)
            }
            self._show(
                done, loss, {"gradient norm": norm, "learning rate": old.learning_rate, **parts}
            )
        if verdict.answer == "go":
            return True
        sentence = f"step {done}: {verdict.reason}"
        self.log.scalars(done, {"guards": 1.0})
        if verdict.answer == "stop":
            raise BlownUp(
                f"{sentence}; the last good checkpoint is kept. Take a lower learning rate."
            )
        if verdict.answer == "back":
            return self._go_back(sentence, old.step)
        self.say(
            f"{sentence}: {'left out' if verdict.answer == 'skip' else 'applied all the same'}"
        )
        return True

    def _go_back(self, sentence: str, step: int) -> bool:
        """To the last checkpoint before a step was taken, leaving out the batches that led here.

        One that was saved between that step and its verdict would bring the verdict back, for ever.
        """
        settle(self.saver, self.engine)
        next_batch = self.position.batch
        if not self._load(until=step):
            raise BlownUp(f"{sentence}; there is no checkpoint to go back to.")
        self.position.shift = next_batch - self.position.step
        self.say(f"{sentence}: back to step {self.position.step}, with other batches")
        self.log.close()
        self.log = self._open_log()
        self.stepper.reader.start(self.position.batch)
        return False

    def _narrowed(self, sentence: str, alone: bool) -> None:
        """Fewer samples are computed at once: for who wonders why it is slower now."""
        step, most = self.position.step, self.stepper.micro.most
        if alone or self.engine.rank == 0:
            shortage.keep(self.folder, shortage.Shortage(step + 1, most, sentence))
        self.log.note(step, "memory", sentence)
        self.log.scalars(step, {"samples at once": most})

    def _rehearse(self, batch: Any) -> None:
        if self.engine.device.type == "cuda" or self.stepper.meter is not None:
            self.rates.operations = self.stepper.rehearse(batch, self.settings.precision)

    # ------------------------------------------------------------------------- between steps
    def _after(self, done: int) -> None:
        """What is due after so many steps, in one order on all ranks."""
        settings, last = self.settings, done == self.settings.steps
        score = None
        if done == self._saved_at + 1:
            self.log.scalars(self._saved_at, {"checkpoint/waited s": self.saver.stall_s})
        if _due(done, settings.log.ranks_every):
            self._compare(done)
        if self._taken == _FIRST_STEPS or _due(done, settings.log.ranks_every):
            share = self.stepper.measure()
            if share:
                self.log.scalars(done, {"memory": share})
        if settings.validate_every and (_due(done, settings.validate_every) or last):
            with self.rates.paused():
                score = self._validate(done)
        if _due(done, settings.agree_every):
            self.engine.checksum()
        if _due(done, settings.log.images_every):  # on all ranks: a model that is cut up needs them
            with self.rates.paused():
                self.log.images(done, pictures(self.stepper, self.source, self.engine.rank == 0))
            self.watchdog.beat(f"the pictures after step {done}")
        if _due(done, settings.log.histograms_every) and self.engine.rank == 0:
            weights = self.engine.model.named_parameters()
            self.log.histograms(
                done, {name: local(p.detach()).float().cpu().numpy() for name, p in weights}
            )
        if _due(done, settings.checkpoint.every_steps) or last:
            self._save(score)

    def _save(self, score: float | None = None) -> None:
        if self._saved_at == self.position.step:
            return
        waited_s = settle(self.saver, self.engine)
        self.saver.save(
            moment.collect(self.stepper, self.position, self._belongs, self.settings, score)
        )
        if not self.settings.checkpoint.background:
            waited_s += settle(self.saver, self.engine)
        self.saver.stall_s += waited_s
        self._saved_at = self.position.step
        self.watchdog.beat(f"the checkpoint of step {self.position.step}")

    def _validate(self, done: int) -> float:
        found = validate(self.stepper, self.source, self.settings.batch)
        self.watchdog.beat(f"the validation after step {done}")
        self.log.scalars(done, found.scalars(self.source.about))
        best = self.position.best
        if math.isfinite(found.loss) and (best is None or found.loss < best):
            self.position.best = found.loss
        return found.loss

    def _compare(self, done: int) -> None:
        times = compare(self.engine.gather(self.rates.own.take()))
        self.log.scalars(
            done, {"ranks/median s": times.median_s, "ranks/slowest s": times.slowest_s}
        )
        if times.sentence and self.engine.size > 1:
            self.say(f"step {done}: {times.sentence}")

    def _show(self, done: int, loss: float, values: dict[str, float]) -> None:
        measured = self.rates.since(done, self.position.samples)
        self.log.scalars(done, {"loss": loss, **values, **measured})
        self.log.progress(
            done,
            f"loss {loss:.4g}, {measured['samples per s']:.4g} samples/s, "
            f"{measured['data wait']:.0%} of it waiting for data",
        )

    def _say_from_here(self, say: Callable[[str], None]) -> Callable[[str], None]:
        rank = self.engine.rank
        return lambda words: say(f"rank {rank}: {words}" if self.engine.size > 1 else words)


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0
