"""The page of a check: one HTML file that needs nothing else, beside the report.

What was left out comes first; then the grade of the whole, how each law is kept, and each member's grade.
"""

from collections.abc import Iterator
from pathlib import Path

from astrohpc.files import digest, write_atomic
from astrohpc.quality.grades import GRADES
from astrohpc.quality.plots import draw_law
from astrohpc.quality.report import COLUMNS, FILE, law_rows, unchecked
from astrohpc.quality.request import Request
from astrohpc.quality.results import MemberResult, Report
from astrohpc.store.markup import figure, listed, opening, pairs, table, text
from astrohpc.store.pictures import drawing

PAGE = "check.html"
_FORM = 1  # of the page; another one is made anew
_ROWS = 2000  # members; of more the worst


def write_page(request: Request, report: Report) -> Path:
    """Write the page, and a sweep's copy of it; one that was made of the same report stays."""
    path = request.place / PAGE
    stamp = digest([_FORM, report.key])
    if not (path.is_file() and stamp in path.read_text(encoding="utf-8", errors="replace")):
        write_atomic(path, "\n".join([*_parts(report), f"<!-- {stamp} --></body></html>\n"]))
    if request.copy is not None:
        request.copy.mkdir(exist_ok=True)
        write_atomic(request.copy / PAGE, path.read_bytes())
    return path


def _parts(report: Report) -> Iterator[str]:
    yield opening(report.title, "budgets")
    if report.mark:
        yield f'<p class="mark">{report.mark}: the data say so themselves; this is no result</p>'
    yield (
        f"<p>Grade <b>{report.grade}</b>: {report.passed} of {report.judged} pairs of sample and law are "
        f"within tolerance, in {len(report.members)} members of {text(report.source)}.</p>"
    )
    yield from _findings(report)
    yield from _facts(report)
    yield "<h2>Laws</h2>" + table(
        (COLUMNS[0], "what", *COLUMNS[1:]),
        _laws(report),
        report.mark,
    )
    missing = [
        f"{laws}: needs {needs} ({members} of {len(report.members)} members)"
        for laws, needs, members in unchecked(report)
    ]
    yield "<h2>Not checked</h2>" + (listed(missing) if missing else "<p>Nothing.</p>")
    yield (
        "<h2>Pictures</h2><p>Up to the red line a law is kept. What is only reported has no line, and its "
        "own unit.</p>"
    )
    with drawing():
        for law in report.laws:
            found = report.of_law(law.name)
            if found:
                yield figure(f"p-{law.name}", law.name, draw_law(law, found, report.mark))
    yield from _members(report)


def _findings(report: Report) -> Iterator[str]:
    """What was left out, and values that are no numbers."""
    for what, sentences in (
        ("Left out", [t for one in report.members for t in one.left_out]),
        ("No numbers", [t for one in report.members for t in one.faults]),
    ):
        yield f"<h2>{what}</h2>" + (
            listed(sentences, "out", FILE) if sentences else "<p>Nothing.</p>"
        )
    if report.notes:
        yield "<h2>Notes</h2>" + listed(report.notes)


def _facts(report: Report) -> Iterator[str]:
    of = {name: value for name, value in report.provenance.items() if name != "settings"}
    settings = report.provenance.get("settings")
    chosen = {k: v for k, v in settings.items() if v} if isinstance(settings, dict) else {}
    yield "<h2>What and from what</h2>"
    yield pairs(
        [
            *(
                (name, text(value or "unknown (installed, not a checkout)"))
                for name, value in of.items()
            ),
            ("settings", text("; ".join(f"{k}: {v}" for k, v in chosen.items()))),
            (
                "grades",
                text(", ".join(f"{name} from {100 * least:.0f} %" for name, least in GRADES)),
            ),
        ]
    )


def _laws(report: Report) -> Iterator[tuple[str, ...]]:
    titles = {law.name: law.title for law in report.laws}
    for name, *cells in law_rows(report):
        link = f'<a href="#p-{text(name)}">{text(name)}</a>'
        yield (link, text(titles[name]), *map(text, cells))


def _members(report: Report) -> Iterator[str]:
    """The worst first, so that who looks for trouble need not scroll."""

    def order(one: MemberResult) -> tuple[float, str]:
        return (one.passed / one.judged if one.judged else -1.0, one.name)

    shown = sorted(report.members, key=order)[:_ROWS]
    names = [law.name for law in report.laws if any(k.judged for _, k in report.of_law(law.name))]
    rows = []
    for member in shown:
        by_law = {kept.law: kept for kept in member.laws}
        cells = [
            f"{by_law[name].passed}/{by_law[name].judged}" if name in by_law else "—"
            for name in names
        ]
        rows.append([text(member.name or report.title), member.grade, str(member.samples), *cells])
    if len(report.members) > 1:
        totals = []
        for name in names:
            of_law = report.of_law(name)
            totals.append(f"{sum(k.passed for _, k in of_law)}/{sum(k.judged for _, k in of_law)}")
        samples = sum(one.samples for one in report.members)
        rows.insert(0, ["<b>all</b>", f"<b>{report.grade}</b>", str(samples), *totals])
    yield "<h2>Members</h2><p>Samples within tolerance of those judged, by law.</p>"
    yield table(("member", "grade", "samples", *names), rows, report.mark)
    if len(report.members) > len(shown):
        yield f"<p>… and {len(report.members) - len(shown)} more, in {FILE}</p>"
