"""What an evaluation leaves: tables, the page, TensorBoard's pictures, and the surrogate."""

from collections.abc import Iterator

from astrohpc.clock import Clock
from astrohpc.evaluate import bundle, report
from astrohpc.evaluate.job import BOARD, SCORES, SURROGATE, Job
from astrohpc.evaluate.page import write_page
from astrohpc.evaluate.pictures import pictures
from astrohpc.evaluate.run import Results, surrogate_of
from astrohpc.evaluate.verdict import PLAIN
from astrohpc.train.events import EventFile


def deliver(job: Job, results: Results, clock: Clock) -> Iterator[str]:
    """Write everything; lines for a person."""
    bundle.write(job.folder / SURROGATE, surrogate_of(results), results.provenance)
    report.write_files(job.folder, results)
    drawn = pictures(results)
    page = write_page(job.folder, results, drawn, job.copy)
    _board(job, results, drawn, clock)
    columns, rows = report.skill_table(results, "test")
    mark = f" ({results.climates.mark} data)" if results.climates.mark else ""
    yield (
        f"# skill on {len(results.parts.test)} test planets{mark}, with 90 % intervals over planets"
    )
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
    yield f"handed over: {results.chosen.name}, in {job.folder / SURROGATE}"
    if results.verdict.note:
        yield results.verdict.note
    yield f"scores: {job.folder / SCORES}"
    yield f"report: {page}"


def _board(job: Job, results: Results, drawn: dict[str, bytes], clock: Clock) -> None:
    """The pictures, the table and the skills for TensorBoard."""
    events = EventFile(job.folder / BOARD, 0, clock.now())
    try:
        now = clock.now()
        for name, picture in drawn.items():
            events.image(0, now, f"evaluated/{name}", picture)
        columns, rows = report.skill_table(results, "test")
        lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        mark = f"**{results.climates.mark}**\n\n" if results.climates.mark else ""
        events.text(0, now, "evaluated/skill on test planets", mark + "\n".join(lines))
        scores = {one.name: one.scores["test", PLAIN] for one in results.verdicts}
        events.scalars(
            0,
            now,
            {
                f"skill/{variable.name}/{name}": found.value(variable.name, "skill")
                for name, found in scores.items()
                for variable in found.variables
            },
        )
    finally:
        events.close()
