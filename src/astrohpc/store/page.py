"""The report page of a conversion: one HTML file that needs nothing else, beside the store's journal.

What was left out comes first; then what there is, what it took, every array in numbers and every
variable in a picture. Made of the store as it stands on disk, so that what it shows is what was stored.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrohpc.clock import duration
from astrohpc.files import digest, size, write_atomic
from astrohpc.store.convert import Report
from astrohpc.store.glance import Glance, open_store
from astrohpc.store.journal import FOLDER, Done, read_journal
from astrohpc.store.markup import details, figure, listed, opening, pairs, text
from astrohpc.store.pictures import draw, drawing
from astrohpc.store.scenes import axes_of, is_pictured, scene
from astrohpc.store.settings import StoreSettings
from astrohpc.store.tally import Statistics
from astrohpc.store.target import Request
from astrohpc.version import VERSION

PAGE = "report.html"
_TOLD = (
    "title",
    "source",
    "comment",
)  # attributes in which a file says that it is no model's output
_COLUMNS = (
    "array",
    "shape",
    "type",
    "chunk",
    "shards",
    "values",
    "stored",
    "ratio",
    "made",
    "least",
    "greatest",
    "mean",
    "missing",
)


@dataclass(frozen=True)
class Circumstances:
    """What the page says of its making, which the store does not know."""

    when: str
    commit: str  # empty where the code is no checkout


def write_page(
    request: Request, report: Report, made: Circumstances, stop: Callable[[], bool]
) -> Path | None:
    """Write the page; None where we are asked to stop before it is done.

    A page that was made of the very same store and findings stays, with its figures of speed.
    """
    store = request.target
    root, arrays = open_store(store)
    noted = read_journal(store)
    path = store / FOLDER / PAGE
    stamp = _stamp(report, root, noted)
    if path.is_file() and stamp in path.read_text(encoding="utf-8", errors="replace"):
        return path
    mark = mark_of(root["attributes"])
    helpers = str(root["attributes"].get("coordinates", "")).split()
    shown = [array for array in arrays.values() if is_pictured(array, arrays, helpers)]
    pictures = []
    with drawing():
        for array in shown:
            if stop():
                return None
            pictures.append(_picture(array, arrays, mark))
    parts = [
        *_head(request, report, made, root["attributes"], mark),
        *_findings(report),
        *_facts(request, report, made, root["attributes"]),
        *_table(arrays, noted, {array.array.name for array in shown}, mark),
        f"<h2>Pictures</h2><p>{len(shown)} variables; hatched: no value.</p>",
        *pictures,
        f"<!-- {stamp} --></body></html>\n",
    ]
    write_atomic(path, "\n".join(parts))
    return path


def _stamp(report: Report, root: Mapping[str, Any], noted: Mapping[str, Done]) -> str:
    """What the page is made of, as a digest; time and speed do not count."""
    shards = sorted((done.key, done.digest) for done in noted.values())
    refused = [one.sentence for one in report.refused]
    return digest([VERSION, root, shards, refused, list(report.notes), report.complete])


def mark_of(attributes: Mapping[str, Any]) -> str:
    """``synthetic`` where the sources say so of themselves."""
    of_members = attributes.get("per_member", {})
    said = [attributes.get(name, "") for name in _TOLD]
    said += [one for name in _TOLD for one in of_members.get(name, [])]
    return "synthetic" if any("synthetic" in str(text).lower() for text in said) else ""


# ------------------------------------------------------------------------------------ words
def _head(
    request: Request, report: Report, made: Circumstances, root: Mapping[str, Any], mark: str
) -> Iterator[str]:
    title = str(root.get("title", request.target.name))
    yield opening(title, "store")
    if mark:
        yield f'<p class="mark">{mark}: the sources say so themselves; this is no result</p>'
    state = "stopped before its end" if report.stopped else "partial"
    yield (
        f"<p>{text(request.identity)} → {text(request.target)}, {text(made.when)}: "
        f"{'complete, every shard proved against its source' if report.complete else state}.</p>"
    )


def _findings(report: Report) -> Iterator[str]:
    """What was left out, and what is to be known of the rest."""
    if report.refused:
        yield f"<h2>Left out ({len(report.refused)})</h2>"
        yield listed([one.sentence for one in report.refused], "out")
    else:
        yield "<h2>Left out</h2><p>Nothing.</p>"
    if report.notes:
        yield "<h2>Notes</h2>" + listed(report.notes)


def _facts(
    request: Request, report: Report, made: Circumstances, root: Mapping[str, Any]
) -> Iterator[str]:
    """From what, by which code, in what time."""
    usual = StoreSettings().decides()
    chosen = [
        f"{name}: {value}"
        for name, value in request.settings.decides().items()
        if value != usual[name]
    ]
    files = [str(path) for member in request.members for path in member.files]
    names = [member.name for member in request.members if member.name]
    whose = root.get("astrohpc_sweep")
    commit = made.commit or "unknown (installed, not a checkout)"
    yield "<h2>What and from what</h2>"
    yield pairs(
        [
            ("source", text(f"sweep {whose}" if whose else request.identity)),
            ("sweep's commit", text(root["astrohpc_commit"]))
            if root.get("astrohpc_commit")
            else ("files", details(f"{len(files)} files", files)),
            ("members", details(f"{report.members} members", names) if names else "one run"),
            ("made by", text(f"astrohpc {VERSION}, commit {commit}")),
            ("settings", text("; ".join(chosen) or "as by default")),
        ]
    )
    rate = report.value_bytes / max(report.seconds, 1e-9)
    speed = f", {size(int(rate))}/s" if not report.kept else f"; {report.kept} shards were there"
    yield "<h2>What it took</h2>"
    yield pairs(
        [
            ("time", text(f"{duration(report.seconds)} ({report.seconds:.2f} s){speed}")),
            ("CPU", text(f"{report.cpu_s:.2f} s")),
            ("memory", f"at most {size(report.peak_memory_bytes)} a rank, this page not counted"),
            ("ranks", f"{report.ranks} × {report.threads} threads"),
            ("encoder", "C kernel" if report.native else "wheels alone, no C kernel"),
            (
                "shards",
                f"{report.shards}: {report.made} made, {report.kept} kept; {report.direct} straight "
                "from source bytes",
            ),
            ("values", f"{size(report.value_bytes)} in {size(report.stored_bytes)}"),
        ]
    )


# ------------------------------------------------------------------------------------ numbers
def _table(
    arrays: Mapping[str, Glance], noted: Mapping[str, Done], shown: set[str], mark: str
) -> Iterator[str]:
    of_array: dict[str, list[Done]] = {}
    for done in noted.values():
        of_array.setdefault(done.path, []).append(done)
    yield '<h2>Arrays</h2><div class="wide"><table>'
    if mark:
        yield f'<caption class="mark">{mark}</caption>'
    yield "<tr>" + "".join(f"<th>{name}</th>" for name in _COLUMNS) + "</tr>"
    for array in arrays.values():
        cells = _row(array, of_array.get(array.array.name, []))
        name = text(array.array.name)
        if array.array.name in shown:
            name = f'<a href="#{_anchor(array.array.name)}">{name}</a>'
        said = array.array.attrs.get("long_name") or array.array.attrs.get("standard_name") or ""
        unit = array.array.attrs.get("units")
        words = text(f"{said} [{unit}]" if unit else said)
        yield (
            f'<tr><td title="{words}">{name}{" [" + text(unit) + "]" if unit else ""}</td>'
            + "".join(f"<td>{text(cell)}</td>" for cell in cells)
            + "</tr>"
        )
    yield "</table></div>"


def _row(array: Glance, shards: Sequence[Done]) -> list[str]:
    stored = sum(done.nbytes for done in shards)
    if array.array.shard is None:
        made = "with the metadata"
        stored = array.stored_bytes()
    else:
        straight = sum(done.direct for done in shards)
        made = "source bytes" if straight == len(shards) else "through numpy"
        if 0 < straight < len(shards):
            made = f"{straight} of {len(shards)} source bytes"
    return [
        " × ".join(f"{dim} {n}" for dim, n in zip(array.array.dims, array.array.shape, strict=True))
        or "1",
        "text" if array.array.stored.kind == "O" else str(array.array.dtype),
        "×".join(map(str, array.array.chunk)) or "1",
        f"{len(shards)} of {math.prod(array.array.grid)}" if array.array.shard else "—",
        size(array.nbytes),
        size(stored),
        f"{array.nbytes / stored:.2f}" if stored else "—",
        made,
        *_statistics(array, shards),
    ]


def _statistics(array: Glance, shards: Sequence[Done]) -> tuple[str, str, str, str]:
    """Least, greatest, mean and missing, of what numbers mean; dashes where nothing was counted."""
    nothing = ("—", "—", "—", "—")
    unsigned = str(array.array.attrs.get("_Unsigned", "")).lower() == "true"
    if array.array.stored.kind not in "iuf":
        return nothing
    if array.array.shard is None:
        values = array.meant(array.whole())
        there = values[np.isfinite(values)]
        if not there.size:
            return ("—", "—", "—", _share(values.size, values.size))
        bounds = float(there.min()), float(there.max()), float(there.mean())
        return (*(f"{one:.6g}" for one in bounds), _share(values.size - there.size, values.size))  # type: ignore[return-value]
    total = sum((done.statistics for done in shards), Statistics())
    if not total.count or unsigned:
        return nothing
    kept = total.count - total.missing
    if not kept:
        return ("—", "—", "—", _share(total.missing, total.count))
    scale = float(array.array.attrs.get("scale_factor", 1.0))
    offset = float(array.array.attrs.get("add_offset", 0.0))
    low, high = sorted(scale * one + offset for one in (total.minimum, total.maximum))
    mean = scale * total.total / kept + offset
    return f"{low:.6g}", f"{high:.6g}", f"{mean:.6g}", _share(total.missing, total.count)


def _share(missing: int, count: int) -> str:
    return f"{missing} ({100 * missing / count:.2g} %)" if missing else "0"


# ------------------------------------------------------------------------------------ pictures
def _anchor(path: str) -> str:
    return "p-" + "".join(one if one.isalnum() else "-" for one in path)


def _picture(array: Glance, arrays: Mapping[str, Glance], mark: str) -> str:
    """One picture; what cannot be drawn says why, and the page goes on."""
    name = text(array.array.name)
    try:
        png = draw(scene(array, axes_of(array, arrays)), mark)
    except Exception as error:  # noqa: BLE001 - a picture is not worth a page
        return (
            f'<figure id="{_anchor(array.array.name)}"><figcaption>{name}: could not be drawn '
            f"({text(type(error).__name__)}: {text(error)})</figcaption></figure>"
        )
    return figure(_anchor(array.array.name), array.array.name, png)
