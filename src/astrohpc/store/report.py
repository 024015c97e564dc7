"""What a conversion says when it is over."""

from collections.abc import Iterator

from astrohpc.clock import duration
from astrohpc.files import size
from astrohpc.store.convert import Report
from astrohpc.store.verify import Verdict

DONE, PARTIAL, STOPPED = 0, 3, 75
_SHOWN = 20


def exit_code(report: Report) -> int:
    """Of the job: 0 all of it, 3 something was left out, 75 stopped before the end."""
    if report.stopped:
        return STOPPED
    return DONE if report.complete else PARTIAL


def conclusion(report: Report) -> Iterator[str]:
    """The last lines."""
    for note in report.notes:
        yield f"note: {note}"
    for one in report.refused[:_SHOWN]:
        yield f"left out: {one.sentence}"
    if len(report.refused) > _SHOWN:
        yield f"left out: … and {len(report.refused) - _SHOWN} more, in the store's report.json"
    rate = report.value_bytes / max(report.seconds, 1e-9)
    members = f"{report.members} members, " if report.members > 1 else ""
    yield (
        f"{report.target}: {members}{report.arrays} arrays, {report.shards} shards "
        f"({report.made} made, {report.kept} kept, {report.direct} of all straight from source bytes)"
    )
    yield (
        f"{size(report.value_bytes)} of values in {size(report.stored_bytes)}, "
        f"{duration(report.seconds)} ({report.seconds:.2f} s, {size(int(rate))}/s), "
        f"CPU {report.cpu_s:.2f} s, at most {size(report.peak_memory_bytes)} of memory a rank, "
        f"{_count(report.ranks, 'rank')} × {_count(report.threads, 'thread')}"
        + ("" if report.native else ", without the C kernel")
    )
    if report.stopped:
        yield "stopped as asked; the same command goes on from here"
    elif report.complete:
        yield "complete: every shard was proved against its source"
    else:
        yield f"partial: {len(report.refused)} left out; mend them and run the same command again"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def verified(verdict: Verdict) -> tuple[list[str], int]:
    """The last lines of a verification, and the job's exit code."""
    lines = [f"left out: {one.sentence}" for one in verdict.refused[:_SHOWN]]
    lines += [f"differs: {text}" for text in verdict.wrong[:_SHOWN]]
    if len(verdict.wrong) > _SHOWN:
        lines.append(f"differs: … and {len(verdict.wrong) - _SHOWN} more")
    proved = f"{verdict.shards} shards with {verdict.chunks} chunks were held against their sources"
    if verdict.wrong:
        lines.append(f"{proved}; {len(verdict.wrong)} differ, the first is {verdict.wrong[0]}")
    else:
        lines.append(f"{proved}: all are as the sources have them")
    return lines, PARTIAL if verdict.wrong or verdict.refused else DONE
