"""A check's report as JSON and as a table in text; the page is :mod:`astrohpc.quality.page`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from astrohpc.errors import ConfigError
from astrohpc.files import canonical_json, write_atomic
from astrohpc.quality.results import Kept, MemberResult, Report
from astrohpc.settings import build

FILE = "check.json"
CLEAN, FOUND, STOPPED, CANNOT = 0, 3, 75, 78
COLUMNS = (
    "law", "judged", "kept", "mean", "worst residual", "relative", "tolerance", "where",
)  # fmt: skip
_SHOWN = 12  # members, faults, and what was left out, each


def exit_code(report: Report) -> int:
    """Of the job: 0 all within tolerance, 3 something is not or was left out, 78 nothing was judged."""
    if not report.judged and not any(one.faults for one in report.members):
        return CANNOT
    return CLEAN if report.clean else FOUND


def write_report(path: Path, report: Report) -> None:
    """Write the JSON; the same findings are the same bytes."""
    write_atomic(path, canonical_json(asdict(report)) + "\n", durable=True)


def read_report(path: Path) -> Report:
    """Read what :func:`write_report` wrote; ConfigError where there is none."""
    try:
        return build(Report, json.loads(path.read_text(encoding="utf-8")), "")
    except (OSError, ValueError, ConfigError) as error:
        raise ConfigError(
            f"{path}: is no report of a check ({error}); run 'launch check' again."
        ) from error


# ----------------------------------------------------------------------------- text
def table(report: Report) -> Iterator[str]:
    """The report for a terminal or a log: laws, members that do not keep them, and the grade."""
    mark = f" ({report.mark} data)" if report.mark else ""
    samples = sum(one.samples for one in report.members)
    yield f"# {report.title}{mark}: {_count(len(report.members), 'member')}, {_count(samples, 'sample')}"
    if any(one.laws for one in report.members):
        yield from _aligned([COLUMNS, *law_rows(report)])
    for name, needs, members in unchecked(report):
        of = "" if members == len(report.members) else f" ({_count(members, 'member')})"
        yield f"not checked: {name}: needs {needs}{of}"
    yield from _some("left out", [t for one in report.members for t in one.left_out])
    yield from _some("no number", [t for one in report.members for t in one.faults])
    failing = sorted(
        (one for one in report.members if one.passed < one.judged),
        key=lambda one: (one.passed / one.judged, one.name),
    )
    for one in failing[:_SHOWN]:
        yield f"beyond tolerance: {_failing(report, one)}"
    if len(failing) > _SHOWN:
        yield f"beyond tolerance: … and {len(failing) - _SHOWN} more members, in {FILE}"
    for note in report.notes:
        yield f"note: {note}"
    yield (
        f"grade {report.grade}: {report.passed} of {report.judged} pairs of sample and law are within "
        "tolerance"
    )


def _some(what: str, sentences: Sequence[str]) -> Iterator[str]:
    for text in sentences[:_SHOWN]:
        yield f"{what}: {text}"
    if len(sentences) > _SHOWN:
        yield f"{what}: … and {len(sentences) - _SHOWN} more, in {FILE}"


def law_rows(report: Report) -> Iterator[tuple[str, ...]]:
    """How each law is kept; what could not be judged anywhere is reported with its mean alone."""
    for law in report.laws:
        found = report.of_law(law.name)
        if not found:
            continue
        member, worst = worst_of(found)
        judged = sum(kept.judged for _, kept in found)
        passed = sum(kept.passed for _, kept in found)
        told = worst.residual is not None or judged
        yield (
            law.name,
            str(judged) if judged else "—",
            share_of(passed, judged),
            f"{number(_mean(found))} {law.unit}",
            f"{number(worst.residual)} {law.unit}" if told else "—",
            number(worst.relative) if told else "—",
            law.tolerance,
            place(report, member, worst) if told and worst.residual != 0 else "—",
        )


def share_of(passed: int, judged: int) -> str:
    """What is kept of what was judged; never a full hundred where something is not."""
    if not judged:
        return "—"
    share = 100 * passed / judged
    return f"{share:.4g} %" if passed == judged or share < 99.995 else "99.99 %"


def _mean(found: Sequence[tuple[MemberResult, Kept]]) -> float | None:
    """Of the value over all samples of all members."""
    known = [(kept.samples, kept.mean) for _, kept in found if kept.mean is not None]
    total = sum(samples for samples, _ in known)
    return sum(samples * mean for samples, mean in known) / total if total else None


def worst_of(found: Sequence[tuple[MemberResult, Kept]]) -> tuple[MemberResult, Kept]:
    """The member that is furthest from keeping a law; of those that are only reported the largest."""

    def far(one: tuple[MemberResult, Kept]) -> tuple[bool, float]:
        kept = one[1]
        if kept.judged:  # a share without a number is beyond all
            return True, float("inf") if kept.share is None else kept.share
        return False, abs(kept.residual or 0.0)

    return max(found, key=far)


def place(report: Report, member: MemberResult, kept: Kept) -> str:
    """Where a law's worst residual is."""
    name = member.name if len(report.members) > 1 else ""
    time = f"time {kept.time}" if member.samples > 1 else ""
    return ", ".join(part for part in (name, time) if part) or "—"


def number(value: float | None) -> str:
    """A number of a table."""
    return "no number" if value is None else f"{value:.3g}"


def _failing(report: Report, member: MemberResult) -> str:
    units = {law.name: law.unit for law in report.laws}
    parts = [
        f"{kept.law} in {kept.judged - kept.passed} of {kept.judged} "
        f"(worst {number(kept.residual)} {units[kept.law]}".rstrip()
        + (f" at time {kept.time})" if member.samples > 1 else ")")
        for kept in member.laws
        if kept.passed < kept.judged
    ]
    return f"{member.name or report.title}, grade {member.grade}: {'; '.join(parts)}"


def unchecked(report: Report) -> list[tuple[str, str, int]]:
    """Laws that were not checked, for want of the same, and in how many members."""
    counts: dict[tuple[str, str], int] = {}
    for member in report.members:
        for one in member.unchecked:
            counts[one.law, one.needs] = counts.get((one.law, one.needs), 0) + 1
    together: dict[tuple[str, int], list[str]] = {}
    for law in report.laws:
        for (name, needs), count in counts.items():
            if name == law.name:
                together.setdefault((needs, count), []).append(name)
    return [(", ".join(names), needs, count) for (needs, count), names in together.items()]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
