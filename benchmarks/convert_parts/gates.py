"""The promises of the converter as ratios within one run; printed, never asserted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from convert_parts.contenders import TWO_RANKS, TWO_THREADS
from convert_parts.floors import Step, encoder, total_cpu_s
from convert_parts.runs import Run

SPEED, CLASSIC_SPEED, MEMORY_MB, SIZE, OVER_FLOOR, PASSED_S = 2.5, 3.0, 150.0, 0.98, 1.3, 1.0
OVER_DISK = 1.3


@dataclass(frozen=True)
class Gate:
    """One promise: its number, and whether it's kept; None where what it needs didn't run."""

    promise: str
    number: str
    kept: bool | None

    def __str__(self) -> str:
        verdict = {True: "PASS", False: "fail", None: "not measured"}[self.kept]
        return f"| {self.promise} | {self.number} | {verdict} |"


def gates(runs: list[Run], floors: list[dict[str, Step]]) -> Iterator[Gate]:
    """All promises, judged by medians."""
    for mode in (TWO_THREADS, TWO_RANKS):
        ours = _of(runs, "nc4", mode, lambda run: run.tool == "astrohpc" and run.codec == "planes")
        yield _ratio(
            f"nc4, {mode}: wall of tensorstore with our settings ÷ ours",
            _median(_tuned(runs, "nc4", mode, "tensorstore"), "wall_s"),
            _median(ours, "wall_s"),
            at_least=SPEED,
        )
        best, name = _best_peer(runs, "nc4", mode)
        yield _ratio(
            f"nc4, {mode}: CPU of the best peer with our settings{name} ÷ ours",
            best,
            _median(ours, "cpu_s"),
            at_least=SPEED,
        )
    threads = _of(
        runs, "nc4", TWO_THREADS, lambda run: run.tool == "astrohpc" and run.codec == "planes"
    )
    classic = _of(
        runs, "nc3", TWO_THREADS, lambda run: run.tool == "astrohpc" and run.codec == "planes"
    )
    yield _ratio(
        "nc3: CPU of tensorstore with our settings ÷ ours",
        _median(_tuned(runs, "nc3", TWO_THREADS, "tensorstore"), "cpu_s"),
        _median(classic, "cpu_s"),
        at_least=CLASSIC_SPEED,
    )
    mine = [run for run in runs if run.tool == "astrohpc" and not run.failure]
    peak = max((run.process_pss_mb for run in mine), default=None)
    yield Gate(
        f"memory of our largest process < {MEMORY_MB:g} MB",
        _text(peak, "MB"),
        None if peak is None else peak < MEMORY_MB,
    )
    recipe = [
        run for run in runs if run.variant == "nc4" and run.codec == "seed" and not run.failure
    ]
    yield _ratio(
        "nc4: our store ÷ the smallest of the zstd-5 recipe",
        _median(threads, "store_mb"),
        min((run.store_mb for run in recipe), default=None),
        at_most=SIZE,
    )
    compared = sum(run.compared for run in mine)
    findings = sum(len(run.differ) for run in mine)
    failed = sum(run.tool == "astrohpc" and bool(run.failure) for run in runs)
    yield Gate(
        "our stores hold what the files hold, bit for bit",
        f"{compared} fields compared, {findings} findings, {failed} runs failed",
        all(run.compared for run in mine) and not findings and not failed if mine else None,
    )
    whose = f" (encoder: {encoder(floors[0])})" if floors else ""
    for proof, words in ((False, ""), (True, " with one decoding as proof")):
        floor = median(total_cpu_s(one, proof=proof) for one in floors) if floors else None
        yield _ratio(
            f"nc4: our CPU ÷ the floor{words}{whose}",
            _median(threads, "cpu_s"),
            floor,
            at_most=OVER_FLOOR,
        )
    passed = _median(
        _of(
            runs, "nc4", TWO_THREADS, lambda run: run.tool == "astrohpc" and run.codec == "deflate"
        ),
        "wall_s",
    )
    disk = median(_disk_s(one) for one in floors) if floors else None
    yield Gate(
        f"nc4: pass-through in < {PASSED_S:g} s, or ≤ {OVER_DISK:g} of what the disk takes to write it",
        f"{_text(passed, 's')}; disk {_text(disk, 's')}",
        None if passed is None else passed < max(PASSED_S, OVER_DISK * (disk or 0.0)),
    )


def _disk_s(floor: dict[str, Step]) -> float:
    """Wall seconds of the quicker way to write as much as there is compressed."""
    writes = [one for name, one in floor.items() if name.startswith("write") and one.nbytes]
    return min(one.wall_s / one.nbytes for one in writes) * floor["pread"].nbytes


def _of(runs: list[Run], variant: str, mode: str, which: Callable[[Run], bool]) -> list[Run]:
    return [
        run
        for run in runs
        if run.variant == variant and run.mode == mode and not run.failure and which(run)
    ]


def _tuned(runs: list[Run], variant: str, mode: str, tool: str) -> list[Run]:
    return _of(runs, variant, mode, lambda run: run.tool == tool and run.codec == "tuned")


def _best_peer(runs: list[Run], variant: str, mode: str) -> tuple[float | None, str]:
    tools = sorted({run.tool for run in runs if run.codec == "tuned"})
    found = [(_median(_tuned(runs, variant, mode, tool), "cpu_s"), tool) for tool in tools]
    known = [(cpu_s, f" ({tool})") for cpu_s, tool in found if cpu_s is not None]
    return min(known, default=(None, ""))


def _median(runs: list[Run], what: str) -> float | None:
    return median(float(getattr(run, what)) for run in runs) if runs else None


def _ratio(
    promise: str,
    above: float | None,
    below: float | None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Gate:
    limit = f"≥ {at_least:g}" if at_least is not None else f"≤ {at_most:g}"
    if above is None or not below:
        return Gate(f"{promise} {limit}", "–", None)
    ratio = above / below
    kept = ratio >= at_least if at_least is not None else ratio <= (at_most or 0.0)
    return Gate(f"{promise} {limit}", f"{ratio:.2f}", kept)


def _text(number: float | None, unit: str) -> str:
    return "–" if number is None else f"{number:.2f} {unit}"
