"""What people see: tables and bars on a terminal, plain lines in a pipe."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Highlighting would colour numbers inside sentences; width follows the terminal, or is wide in a pipe.
_terminal = (
    sys.stdout is not None and sys.stdout.isatty()
)  # none where it was closed; main() refuses
console = Console(highlight=False, soft_wrap=True, width=None if _terminal else 160)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line to a person."""
    console.print(text, markup=False)


def note(text: str) -> None:
    """One line beside the result: to stderr, so that a pipe gets results only."""
    errors.print(text, markup=False, style="dim")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table: drawn on a terminal, aligned plain lines in a pipe."""
    cells = [[str(cell) for cell in row] for row in rows]
    if console.is_terminal:
        drawn = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            # Headings may wrap between words, so that a narrow terminal cuts neither them nor numbers.
            drawn.add_column(column.replace("_", " "), justify="left", no_wrap=column == "id")
        for row in cells:
            drawn.add_row(*map(escape, row))
        console.print(drawn)
        return
    if title:
        say(f"# {title}")
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in [list(columns), *cells]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 task``, ``2 tasks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def many(notes: Sequence[str], limit: int = 5) -> None:
    """Print notes; of a long list the first few and how many more there are."""
    for text in notes[:limit]:
        note(text)
    if len(notes) > limit:
        note(f"… and {len(notes) - limit} more; 'explain MEMBER' tells each story")
