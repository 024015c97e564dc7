"""What the numbers of a source are, for people: names, units, axes, and whether they are synthetic."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrohpc.quality.request import mark_of_data
from astrohpc.store.glance import open_store
from astrohpc.store.plan import MEMBER
from astrohpc.store.scenes import Axis, axes_of

_ID = 12  # letters of a member's name that tell it from others


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable of a sample; ``axes`` are its levels, where it has them, and its cells."""

    name: str
    long_name: str
    unit: str
    axes: tuple[Axis, ...]
    levels: bool

    @property
    def label(self) -> str:
        """Its name with its unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True, eq=False)
class About:
    """A source in words. ``mark`` is written over every picture: ``synthetic``, or nothing."""

    mark: str
    variables: tuple[Variable, ...]
    name_of: Callable[[int], str]  # a sample, by its number

    def text(self, where: str, trained_on: int, held_out: int) -> str:
        """For the log of a run; the keys are what ``train.curves`` looks for."""
        said = {
            "data": where,
            "mark": self.mark,
            "samples to train on": trained_on,
            "samples held out": held_out,
            "variables": [
                f"{one.label}: {one.long_name}" if one.long_name else one.label
                for one in self.variables
            ],
        }
        return json.dumps(said, indent=1, ensure_ascii=False)


def about_store(path: Path, names: Sequence[str], samples: NDArray[np.int64]) -> About:
    """Of some variables of a store, whose samples are rows of (member, time)."""
    root, arrays = open_store(path)
    variables = []
    own: dict[str, Axis] = {}
    for name in names:
        found = arrays[name]
        axes = axes_of(found, arrays)
        own |= {axis.kind: axis for axis in axes}
        cells = tuple(axis for axis in axes if axis.kind not in (MEMBER, "time"))
        unit, long_name = (str(found.array.attrs.get(key, "")) for key in ("units", "long_name"))
        levels = found.array.vertical is not None
        variables.append(Variable(name, long_name, "" if unit == "1" else unit, cells, levels))

    def name_of(number: int) -> str:
        words = []
        for kind, place in zip((MEMBER, "time"), samples[number], strict=True):
            if kind in own:
                value = own[kind].values[place]
                words.append(str(value)[:_ID] if isinstance(value, str) else f"{kind} {value:.6g}")
        return ", ".join(words) or f"sample {number}"

    return About(mark_of_data(root.get("attributes", {})), tuple(variables), name_of)


def about_arrays(
    names: Sequence[str], units: Sequence[str], words: str, cells: Sequence[int]
) -> About:
    """Of arrays in a folder, from the ``words`` that somebody left with them."""
    axes = tuple(Axis(f"axis {i}", "", "", np.arange(float(n))) for i, n in enumerate(cells, 2))
    variables = tuple(
        Variable(name, "", unit, axes, levels=False)
        for name, unit in zip(names, units, strict=True)
    )
    return About(mark_of_data({"source": words}), variables, lambda number: f"sample {number}")
