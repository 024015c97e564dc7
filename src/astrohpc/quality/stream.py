"""Sums of consecutive blocks, judged as if all times of a member had been there at once.

What grows needs a time's two neighbours, and what is constant its first value; so two samples of sums are
carried from block to block, and memory does not grow with the length of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.physics.budgets import Residual, amounts, evaluate, evaluate_columns
from astrohpc.physics.integrals import Integrals
from astrohpc.physics.lawbook import BUDGETS
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import ZonalSums
from astrohpc.physics.worlds import Worlds

Array = NDArray[np.float64]

_NEIGHBOURS = 2  # of a time, between which an amount grows


class Stream:
    """The laws of one member, told block after block."""

    def __init__(
        self,
        layout: Layout,
        world: Mapping[str, object],
        laws: Sequence[str],
        samples: int,
        times_s: Array | None,
        engine: str,
    ) -> None:
        self._layout, self._engine = layout, engine
        self._laws = [name for name in laws if BUDGETS[name].kind != "column"]
        self._columns = [name for name in laws if BUDGETS[name].kind == "column"]
        self._world = Worlds.of_attributes([world])
        self._samples, self._times_s = samples, times_s
        self._carried: ZonalSums | None = None
        self._begin = 0  # of what is carried
        self._told = 0  # samples whose residuals were given out
        self._first: dict[str, Array] = {}

    def add(self, sums: ZonalSums, *, last: bool) -> tuple[int, tuple[Residual, ...]]:
        """The residuals of all samples that have both neighbours now, and the number of the first."""
        self._note_first(sums)
        whole = sums if self._carried is None else _joined(self._carried, sums)
        end = self._begin + whole.samples
        begin, ready = self._told, end if last else end - 1
        if not last and whole.samples <= _NEIGHBOURS:
            ready = begin  # two samples alone would be taken for a member without growth
        found: tuple[Residual, ...] = ()
        if ready > begin:
            found = self._judged(whole, end, slice(begin - self._begin, ready - self._begin))
        self._told = ready
        self._begin = max(self._begin, min(ready - 1, end - _NEIGHBOURS))
        self._carried = _cut_sums(whole, slice(self._begin - end, None))
        return begin, found

    def _judged(self, whole: ZonalSums, end: int, part: slice) -> tuple[Residual, ...]:
        """The residuals of a part of the samples at hand, whose neighbours are at hand too."""
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
        return tuple(_cut(one, part) for one in residuals)

    def columns(self, fields: Mapping[str, NDArray[Any]], sums: ZonalSums) -> tuple[Residual, ...]:
        """The residuals of laws that look at columns, of a block's samples alone."""
        if not self._columns:
            return ()
        world = self._world.take(np.zeros(sums.samples, np.intp))
        return evaluate_columns(fields, self._layout, world, self._columns, engine=self._engine)

    def _note_first(self, sums: ZonalSums) -> None:
        """What should stay constant is held against the first sample that has all of its values."""
        integrals = Integrals(sums, self._layout)
        for name in self._laws:
            budget = BUDGETS[name]
            if budget.kind != "constant" or np.isfinite(self._first.get(name, np.nan)).all():
                continue
            self._first[name] = np.array(np.nan)
            whole = np.flatnonzero(budget.whole(integrals))
            if self._samples > 1 and whole.size:
                first = _cut_sums(sums, slice(whole[0], whole[0] + 1))
                amount = amounts(first, self._layout, self._world, [name])[name]
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
    return replace(
        one,
        value=one.value[part],
        residual=one.residual[part],
        relative=one.relative[part],
        judged=one.judged[part],
        passed=one.passed[part],
        rows=None,
    )
