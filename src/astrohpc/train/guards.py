"""What follows a step that went wrong: declared, bounded, and the same on all ranks.

Whether a gradient is finite is asked on the device, before the step, and such a step changes nothing.
Limits are set by the steps before: the window's median times a factor. What a step was like is
judged one step later, so that the host never waits for the device; resuming keeps that order.
"""

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from astrohpc.train.settings import GuardSettings

Answer = Literal["go", "tell", "skip", "back", "stop"]
_ORDER: tuple[Answer, ...] = ("go", "tell", "skip", "back", "stop")
_LEAST = 8  # steps in a window before it is a measure


class BlownUp(Exception):
    """Training cannot go on with what it has: one sentence, exit code 65."""


@dataclass(frozen=True)
class Verdict:
    """What is to be done about a step, and why."""

    answer: Answer
    reason: str = ""


@dataclass
class Guards:
    """Windows of losses and gradient norms, and how often each answer was given lately."""

    settings: GuardSettings
    losses: deque[float] = field(default_factory=deque)
    norms: deque[float] = field(default_factory=deque)
    answered: dict[str, list[int]] = field(default_factory=dict)  # at which steps

    def limit(self) -> float:
        """The gradient norm above which a step is not applied; inf where none is skipped for that."""
        if self.settings.gradient != "skip" or len(self.norms) < _LEAST:
            return math.inf
        return self.settings.gradient_factor * statistics.median(self.norms)

    def is_bad(self, norm: torch.Tensor) -> torch.Tensor:
        """1 where a gradient of this norm must not be applied, else 0; stays on the device."""
        # Not `norm > limit`: a NaN is not above anything.
        most = min(self.limit(), torch.finfo(norm.dtype).max)
        return (~(norm <= most)).float()

    def judge(self, step: int, loss: float, norm: float, *, scaling: bool = False) -> Verdict:
        """What follows from a finished step.

        ``scaling``: a loss scale is at work, whose way of finding its value is to overflow.
        """
        kinds: list[tuple[str, Answer, str]] = []
        if not (math.isfinite(loss) and math.isfinite(norm)):
            if scaling and math.isfinite(loss):
                return Verdict("go")
            kinds.append(
                ("not finite", self.settings.not_finite, f"loss {loss:g}, gradient norm {norm:g}")
            )
        else:
            kinds += self._outliers(loss, norm)
        found = Verdict("go")
        for kind, answer, reason in kinds:
            verdict = self._bounded(step, kind, answer, reason)
            found = max(found, verdict, key=lambda one: _ORDER.index(one.answer))
        if found.answer in ("go", "tell"):  # else the window would learn to find it normal
            self._remember(loss, norm)
        return found

    def _outliers(self, loss: float, norm: float) -> list[tuple[str, Answer, str]]:
        found: list[tuple[str, Answer, str]] = []
        checks = (
            ("loss", loss, self.losses, self.settings.spike_factor, self.settings.spike),
            (
                "gradient norm",
                norm,
                self.norms,
                self.settings.gradient_factor,
                self.settings.gradient,
            ),
        )
        for name, value, window, factor, answer in checks:
            if len(window) < _LEAST:
                continue
            usual = statistics.median(window)
            if usual > 0 and value > factor * usual:
                found.append(
                    (
                        name,
                        answer,
                        f"{name} {value:.4g} is {value / usual:.3g} times its usual {usual:.4g}",
                    )
                )
        return found

    def _bounded(self, step: int, kind: str, answer: Answer, reason: str) -> Verdict:
        if answer in ("tell", "stop"):
            return Verdict(answer, reason)
        given = self.answered.setdefault(kind, [])
        given[:] = [one for one in given if step - one < self.settings.window]
        given.append(step)
        if len(given) > self.settings.most:
            return Verdict(
                "stop",
                f"{reason}, and it is the {len(given)}th time within {self.settings.window} steps",
            )
        return Verdict(answer, reason)

    def _remember(self, loss: float, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return
        for window, value in ((self.losses, loss), (self.norms, norm)):
            window.append(value)
            if len(window) > self.settings.window:
                window.popleft()

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {
            "losses": list(self.losses),
            "norms": list(self.norms),
            "answered": {kind: list(steps) for kind, steps in self.answered.items()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's windows; what was answered since then stays counted.

        Otherwise going back would forget that it went back, and go back for ever.
        """
        self.losses, self.norms = deque(state["losses"]), deque(state["norms"])
        for kind, steps in state["answered"].items():
            kept = self.answered.setdefault(kind, [])
            kept[:] = sorted({*kept, *steps})
