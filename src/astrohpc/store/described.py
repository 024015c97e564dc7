"""Arrays that no file has: the members' names, their planets' parameters, how values were rounded."""

from typing import Any

import numpy as np

from astrohpc.store import rounding
from astrohpc.store.draft import Draft
from astrohpc.store.plan import MEMBER, PlannedArray
from astrohpc.store.schema import ArraySpec


def quantization(draft: Draft) -> PlannedArray:
    """The scalar that CF wants beside rounded variables: its attributes name the algorithm."""
    spec = ArraySpec(
        path=rounding.CONTAINER,
        dims=(),
        shape=(),
        dtype=np.dtype("i4"),
        chunk=(),
        shard=None,
        codec=draft.settings.coding(),
        fill=0,
        attrs=rounding.container_attributes(),
    )
    return PlannedArray(spec, values=np.array(0, "i4"))


def member_arrays(draft: Draft, taken: set[str]) -> list[PlannedArray]:
    """The members' names, their planets' parameters, and what a sweep knows of them."""
    if not draft.stacked:
        return []
    columns: dict[str, list[Any]] = {MEMBER: [run.name for run in draft.runs]}
    for k, run in enumerate(draft.runs):
        known = draft.looks[run.looks[0]].source.attrs
        for name, value in {**known, **run.attrs}.items():
            if name in run.attrs or name.startswith("planet_"):
                columns.setdefault(name, [None] * len(draft.runs))[k] = value
    arrays = []
    for name, column in columns.items():
        if name in taken:
            continue
        numbers = all(v is None or isinstance(v, int | float | np.number) for v in column)
        values = (
            np.array([np.nan if v is None else float(v) for v in column])
            if numbers
            else np.array(["" if v is None else str(v) for v in column], dtype=object)
        )
        attrs = {} if name == MEMBER else {"long_name": name.replace("_", " ")}
        spec = ArraySpec(
            path=name,
            dims=(MEMBER,),
            shape=values.shape,
            dtype=values.dtype,
            chunk=(max(1, values.size),),
            shard=None,
            codec=draft.settings.coding(),
            fill=np.nan if numbers else "",
            attrs=attrs,
        )
        arrays.append(PlannedArray(spec, values=values))
    return arrays
