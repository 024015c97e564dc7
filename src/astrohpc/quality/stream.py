"""Sums of consecutive blocks, judged as if all times of a member had been there at once.

What grows needs a time's two neighbours, and what is constant its first value; so two samples of sums are
carried from block to block, and memory does not grow with the length of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from astrohpc.physics.budgets import BUDGETS, Residual, amounts, evaluate
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import ZonalSums
from astrohpc.physics.worlds import Worlds

Array = NDArray[np.float64]


class Stream:
    """The laws of one member, told block after block."""

    def __init__(
        self,
        layout: Layout,
        world: Mapping[str, object],
        laws: Sequence[str],
        times_s: Array | None,
        engine: str,
    ) -> None:
        self._layout, self._laws, self._engine = layout, laws, engine
        self._world = Worlds.of_attributes([world])
        self._times_s = times_s
        self._carried: ZonalSums | None = None
        self._begin = 0  # of what is carried
        self._told = 0  # samples whose residuals were given out
        self._first: dict[str, Array] = {}

    def add(self, sums: ZonalSums, *, last: bool) -> tuple[int, tuple[Residual, ...]]:
        """The residuals of all samples that have both neighbours now, and the number of the first."""
        if self._carried is None:
            self._note_first(sums)
        whole = sums if self._carried is None else _joined(self._carried, sums)
        end = self._begin + whole.samples
        ready = end if last else end - 1
        begin = self._told
        found: tuple[Residual, ...] = ()
        if ready > begin:
            times = None if self._times_s is None else self._times_s[self._begin : end]
            residuals = evaluate(
                whole,
                self._layout,
                self._world.take(np.zeros(whole.samples, np.intp)),
                times,
                engine=self._engine,
                only=self._laws,
                reference=self._first,
            )
            part = slice(begin - self._begin, ready - self._begin)
            found = tuple(_cut(one, part) for one in residuals)
        self._told = max(begin, ready)
        keep = min(2, whole.samples)
        self._carried = _cut_sums(whole, slice(whole.samples - keep, None))
        self._begin = end - keep
        return begin, found

    def _note_first(self, sums: ZonalSums) -> None:
        """What should stay constant is held against the member's first time, if there are others."""
        if self._times_s is None:
            return
        constant = [name for name in self._laws if BUDGETS[name].kind == "constant"]
        first = _cut_sums(sums, slice(0, 1))
        for name, amount in amounts(first, self._layout, self._world, constant).items():
            self._first[name] = np.asarray(amount.value, np.float64)


def _joined(one: ZonalSums, other: ZonalSums) -> ZonalSums:
    return ZonalSums(
        *(
            np.concatenate([getattr(one, field.name), getattr(other, field.name)])
            for field in fields(ZonalSums)
        )
    )


def _cut_sums(sums: ZonalSums, part: slice) -> ZonalSums:
    return ZonalSums(*(np.array(getattr(sums, field.name)[part]) for field in fields(ZonalSums)))


def _cut(one: Residual, part: slice) -> Residual:
    return Residual(
        one.budget,
        one.value[part],
        one.residual[part],
        one.relative[part],
        one.tolerance,
        one.judged[part],
        one.passed[part],
    )
