"""The report of an evaluation: one HTML file that needs nothing else.

What was left out comes first; then every method in one table, whether intervals and laws are kept, where
the domain ends, and pictures of the climates that nobody had seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from astrohpc.climates.split import PARTS
from astrohpc.evaluate import report
from astrohpc.evaluate.imposed import words
from astrohpc.evaluate.job import REPORT, SCORES
from astrohpc.evaluate.run import Results
from astrohpc.files import write_atomic
from astrohpc.planet import PARAMETERS
from astrohpc.store.markup import details, figure, listed, opening, pairs, table, text


def write_page(
    folder: Path, results: Results, pictures: Mapping[str, bytes], copy: Path | None
) -> Path:
    """Write the report, and a copy of it where somebody wants one."""
    content = "\n".join([*_parts(results, pictures), "</body></html>\n"])
    path = folder / REPORT
    write_atomic(path, content)
    if copy is not None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(copy, content)
    return path


def _parts(results: Results, pictures: Mapping[str, bytes]) -> Iterator[str]:
    climates, mark = results.climates, results.climates.mark
    yield opening(f"{results.chosen.name} on {Path(climates.source).name}", "surrogate")
    if mark:
        yield f'<p class="mark">{mark}: the data say so themselves; this is no result</p>'
    yield _headline(results)
    yield from _left_out(results)
    yield from _facts(results)
    yield from _scores(results)
    yield from _intervals(results)
    yield from _laws(results)
    yield from _domain(results)
    yield "<h2>Pictures</h2>"
    for name, png in pictures.items():
        yield figure("p-" + name.replace("/", "-"), name, png)


def _headline(results: Results) -> str:
    scores = results.verdict.scores["test", results.verdict.best]
    said = ", ".join(
        f"{one.name} {report.number(scores.value(one.name, 'skill'))}"
        for one in results.climates.variables
    )
    return (
        f"<p>Handed over: <b>{text(results.chosen.name)}</b>, learned from {len(results.parts.train)} "
        f"planets. Skill on {len(results.parts.test)} planets that it never saw, against the mean of the "
        f"planets trained on at each place (1 is perfect, 0 that mean): {text(said)}.</p>"
    )


def _left_out(results: Results) -> Iterator[str]:
    climates = results.climates
    said = [f"{name}: {why}" for name, why in (*climates.excluded, *climates.constant)]
    yield f"<h2>Left out{f' ({len(said)})' if said else ''}</h2>" + (
        listed(said, "out") if said else "<p>Nothing.</p>"
    )
    notes = [*results.notes, *([results.verdict.note] if results.verdict.note else [])]
    if notes:
        yield "<h2>Notes</h2>" + listed(notes)


def _facts(results: Results) -> Iterator[str]:
    climates, settings = results.climates, results.settings
    counts = ", ".join(f"{len(results.parts.parts[part])} {part}" for part in PARTS)
    said = results.provenance
    yield "<h2>What and from what</h2>"
    yield pairs(
        [
            ("data", text(climates.source)),
            ("digest of the data", text(climates.digest)),
            ("planets", text(f"{len(climates)}: {counts}")),
            ("variables", text(", ".join(one.label for one in climates.variables))),
            (
                "budget",
                f"{settings.trials} settings of each method, {settings.folds}-fold cross-validation over "
                f"planets; seed {settings.seed}",
            ),
            ("projections", text(words(results.projections))),
            ("astrohpc", text(said.get("astrohpc", "unknown"))),
            ("commit", text(said.get("git_commit") or "unknown (installed, not a checkout)")),
            ("Python", text(said.get("python", "unknown"))),
            *([("Slurm job", text(said["slurm_job"]))] if "slurm_job" in said else []),
        ]
    )
    yield "<h2>Domain</h2><p>Of what is learned nothing is known beyond it.</p>" + table(
        ("input", "least", "greatest", "scale"),
        [
            (
                text(one.name),
                text(_shown(one.name, one.low, one.unit)),
                text(_shown(one.name, one.high, one.unit)),
                "logarithmic" if one.logarithm else "linear",
            )
            for one in climates.inputs
        ],
        climates.mark,
    )


def _scores(results: Results) -> Iterator[str]:
    yield (
        "<h2>Every method on the test planets</h2><p>Skill: 1 − squared error / squared error of the mean of "
        "the planets trained on at each place, with 90 % intervals over planets. Which method is handed "
        "over was decided without them: by cross-validation, of networks by the validation planets.</p>"
    )
    yield _table(results, report.skill_table(results, "test"))
    if len(results.parts.corner):
        yield (
            "<h2>Extrapolation</h2><p>The planets nearest to a corner of the domain, none of which was "
            "trained on.</p>"
        )
        yield _table(results, report.skill_table(results, "corner"))
    if results.floor is not None:
        yield (
            f"<h2>How well these climates are known</h2><p>{results.floor.planets} planets were run again "
            f"from other initial states ({text(Path(results.floor.source).parent.name)}). By the root of "
            "half of the mean square difference of such pairs one run is off its planet's climate, and "
            f"{text(results.chosen.name)}, on the test planets, by so many times that.</p>"
        )
        yield _table(results, report.floor_table(results))
    columns, rows = report.duel_table(results)
    if rows:
        yield (
            f"<h2>Against {report.REFERENCE}</h2><p>By how much the root mean square error is smaller, with "
            "the interval of paired draws of planets; better or worse only where the whole interval says "
            "so.</p>"
        )
        yield _table(results, (columns, rows))
    for one in results.climates.variables:
        yield f"<h2>{text(one.label)}</h2><p>{text(one.long_name)}; test planets.</p>"
        yield _table(results, report.detail_table(results, one.name))
    yield "<h2>Tuning</h2>" + _table(results, report.cost_table(results))
    yield f"<p>Every number, also by level, is in {SCORES}.</p>"


def _intervals(results: Results) -> Iterator[str]:
    yield (
        "<h2>Are the intervals honest?</h2><p>The share of truth within the intervals of "
        f"{text(results.chosen.name)}, with 90 % intervals over planets; the calibration was learned from "
        "planets that the method had not seen, none of them shown here.</p>"
    )
    yield _table(results, report.coverage_table(results))


def _laws(results: Results) -> Iterator[str]:
    columns, rows = report.law_table(results)
    if not rows:
        return
    yield (
        "<h2>Conservation</h2><p>Residuals relative to each law's own scale, on the test planets, beside "
        "those of the climate model that was learned from: no surrogate is asked to keep a law better "
        "than its teacher. It is called worse where the whole interval of the mean difference says so.</p>"
    )
    yield _table(results, (columns, rows))
    columns, rows = report.projection_table(results)
    if rows:
        yield "<h2>What projecting changes</h2><p>Root mean square error without → with projections.</p>"
        yield _table(results, (columns, rows))


def _domain(results: Results) -> Iterator[str]:
    yield "<h2>The guard of the domain</h2>"
    flagged = {part: sum(one.flagged for one in judged) for part, judged in results.judged.items()}
    said = [
        f"{flagged[part]} of {len(results.judged[part])} {part} planets are called outside"
        for part in flagged
        if results.judged[part]
    ]
    told = report.number(results.told)
    yield (
        f"<p>{'; '.join(said)}. It tells the corner's planets from the test's with an area under the curve "
        f"of {told} (1 always, 0.5 not at all).</p>"
    )
    names = results.climates.names
    lines = [
        f"{names[i]}: {one.sentence}"
        for part in ("test", "corner")
        for i, one in zip(getattr(results.parts, part), results.judged[part], strict=True)
        if one.flagged
    ]
    if lines:
        yield details("planets that are called outside", lines)


def _table(results: Results, found: tuple[Sequence[str], Sequence[Sequence[str]]]) -> str:
    columns, rows = found
    return table(columns, [[text(cell) for cell in row] for row in rows], results.climates.mark)


def _shown(name: str, value: float, unit: str) -> str:
    if name in PARAMETERS:
        return PARAMETERS[name].shown(value)
    return f"{value:.4g} {unit}".rstrip(" 1")
