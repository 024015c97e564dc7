"""The gallery's page, for a browser and for the docs, and the lines that the command prints.

All three are made of the same rows, so that none can say what the others do not.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from astrohpc.files import write_atomic
from astrohpc.gallery.exhibit import COLUMNS, Exhibit, Room, grade_of
from astrohpc.store.markup import figure, opening, pairs, table, text

PAGE = "gallery.html"
DOCS_PAGE, DOCS_PICTURES = "gallery.md", "gallery"
_TITLE = "Augmentation: what each transformation does and keeps"


def lines(room: Room) -> Iterator[str]:
    """A room as the command prints it."""
    yield f"{room.title}{f' ({room.mark})' if room.mark else ''}: grade {grade_of(room.exhibits)}"
    for one in room.exhibits:
        yield f"  {one.heading}. Keeps {one.keeps}."
        for kept in one.kept:
            yield f"    {as_line(kept.cells)}"


def as_line(cells: Sequence[str]) -> str:
    """A row in words."""
    what, before, wanted, after, relative, limit, verdict = cells
    judged = f" of {limit}" if limit else ""
    return f"{what}: {before} → {after}, wanted {wanted}, off {relative}{judged}, {verdict}"


def write_page(target: Path, rooms: Sequence[Room], facts: Mapping[str, str]) -> Path:
    """One HTML file that needs nothing else, and each picture as a PNG beside it."""
    target.mkdir(parents=True, exist_ok=True)
    parts = [opening("Augmentation", "gallery")]
    parts.append(pairs((name, text(value)) for name, value in facts.items()))
    for room in rooms:
        parts += _room(room)
        for one in room.exhibits:
            write_atomic(target / f"{one.key}.png", one.png)
    path = target / PAGE
    write_atomic(path, "\n".join([*parts, "</body></html>\n"]))
    return path


def _room(room: Room) -> Iterator[str]:
    yield f"<h2>{text(room.title)}</h2>"
    if room.mark:
        yield f'<p class="mark">{text(room.mark)}: this is no measurement</p>'
    yield f"<p>{text(room.source)}</p><p>Grade <b>{grade_of(room.exhibits)}</b>.</p>"
    for one in room.exhibits:
        yield f"<h3>{text(one.heading)}</h3><p>Keeps {text(one.keeps)}.</p>"
        yield figure(one.key, one.title, one.png)
        yield table(COLUMNS, [[text(cell) for cell in kept.cells] for kept in one.kept], room.mark)


def write_docs(folder: Path, rooms: Sequence[Room], command: str) -> Path:
    """``gallery.md`` with its pictures in ``gallery/``, for the docs."""
    pictures = folder / DOCS_PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for room in rooms:
        for one in room.exhibits:
            write_atomic(pictures / f"{one.key}.png", one.png)
    path = folder / DOCS_PAGE
    write_atomic(path, "\n".join(_markdown(rooms, command)) + "\n")
    return path


def _markdown(rooms: Sequence[Room], command: str) -> Iterator[str]:
    yield f"# {_TITLE}"
    yield ""
    yield f"Made by `{command}`, which writes such a page of any store or file."
    yield "*Wanted* is what a number had to become: of a mixture, the inputs' by their shares. *Relative* is"
    yield "by how much of its scale it was missed; what has a limit is judged by it."
    for room in rooms:
        yield ""
        yield f"## {room.title}"
        yield ""
        if room.mark:
            yield f"**{room.mark}: this is no measurement.** "
        yield f"{room.source}. Grade **{grade_of(room.exhibits)}**."
        for one in room.exhibits:
            yield from _section(one, room.mark)


def _section(one: Exhibit, mark: str) -> Iterator[str]:
    yield ""
    yield f"### {one.title}"
    yield ""
    yield f"{one.done}. Grade {one.grade}. Keeps {one.keeps}."
    yield ""
    yield f"![{one.title}{f', {mark}' if mark else ''}]({DOCS_PICTURES}/{one.key}.png)"
    yield ""
    head = (f"{COLUMNS[0]} ({mark})" if mark else COLUMNS[0], *COLUMNS[1:])
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(COLUMNS) + "|"
    for kept in one.kept:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in kept.cells) + " |"
