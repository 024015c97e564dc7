"""The learning rate as a function of the step: there is no state that a resumed run could lose."""

import math

from astrohpc.train.settings import TrainSettings


def share(settings: TrainSettings, step: int) -> float:
    """The share of the peak learning rate at ``step``, which counts from 0.

    Warm-up rises in equal parts and reaches 1 at step ``warmup_steps``; from there the rate falls, and
    the last of several steps has ``final_share`` (``inverse_sqrt`` has no last value, and ``constant``
    does not fall).
    """
    one = settings.schedule
    if step < one.warmup_steps:
        return (step + 1) / (one.warmup_steps + 1)
    after, whole = step - one.warmup_steps, settings.steps - 1 - one.warmup_steps
    if one.kind == "constant":
        return 1.0
    if one.kind == "inverse_sqrt":
        start = one.warmup_steps + 1
        return math.sqrt(start / (start + after))
    done = min(1.0, after / whole) if whole > 0 else 0.0
    fall = 1.0 - done if one.kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return one.final_share + (1.0 - one.final_share) * fall


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The learning rate at ``step``."""
    return settings.optimizer.lr * share(settings, step)
