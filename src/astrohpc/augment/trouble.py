"""What is wrong with a batch, in one sentence that says where."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.augment.memory import Planes, as_floats
from astrohpc.errors import ConfigError
from astrohpc.kernels import desk
from astrohpc.physics.layout import Layout


def raise_first(
    report: desk.Report,
    draws: desk.Draws,
    layout: Layout,
    own: Planes,
    theirs: Planes,
    ids: NDArray[np.int64],
    other_ids: NDArray[np.int64],
) -> None:
    """Raise an error for the first block that is wrong, if one is."""
    wrong = np.argwhere(report.wrong != desk.FINE)
    if not len(wrong):
        return
    s, t, b = (int(n) for n in wrong[0])
    block = list(layout)[b]
    kind = int(report.wrong[s, t, b])
    if kind == desk.THIN:
        raise ConfigError(
            f"{block.name}: sample {ids[s]} (number {s} of the batch), time {t}, has layers without air; "
            "check that layers and surface pressure are in Pa and stand from space down."
        )
    if kind == desk.NEGATIVE:
        raise ConfigError(
            f"{block.name}: sample {ids[s]} (number {s} of the batch), time {t}, has less than nothing of it "
            "in all, so that no positive field has its total; mend it, or do not call it positive."
        )
    channels = layout.slice(block.name)
    if kind == desk.PARTNER_BAD:
        p = int(draws.partner[s])
        found = _first_bad(theirs[p, t : t + 1, channels], layout)
        who, time = f"partner {other_ids[p]} of sample {ids[s]}", t + found[0]
    else:
        start = int(draws.before[s, t])
        found = _first_bad(own[s, start : start + 2, channels], layout)
        who, time = f"sample {ids[s]} (number {s} of the batch)", start + found[0]
    value, level, row, column = found[1:]
    level_text = f", level {level}" if block.levels else ""
    raise ConfigError(
        f"{block.name}: is {value} in {who}, time {time}{level_text}, row {row}, column {column}; "
        "fill gaps or leave this sample out."
    )


def _first_bad(values: NDArray[Any], layout: Layout) -> tuple[int, float, int, int, int]:
    """Time, value, level, row and column of the first value that is no number."""
    numbers = as_floats(np.ascontiguousarray(values))
    time, level, cell = np.argwhere(~np.isfinite(numbers))[0]
    row, column = divmod(int(cell), layout.grid.shape[1])
    return int(time), float(numbers[time, level, cell]), int(level), row, column
