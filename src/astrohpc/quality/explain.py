"""What a check would do, for who wants to see it before: laws, members, and what must be read."""

from collections import Counter

from astrohpc.errors import ConfigError
from astrohpc.files import size
from astrohpc.quality.check import laws_of, needs_of, open_subject, tolerance
from astrohpc.quality.request import Opened, Request

_LOOKED_AT = 20  # members; the headers of more take long, and most are alike
COLUMNS = ("law", "what", "unit", "tolerance", "checked", "needs")


def explained(request: Request) -> tuple[tuple[str, ...], list[tuple[str, ...]], list[str]]:
    """Columns and rows of a table of laws, and what else is to be said."""
    laws = laws_of(request.settings.laws)
    opened = Opened(request, 1, None)
    lacking: dict[str, Counter[str]] = {law.name: Counter() for law in laws}
    notes: list[str] = []
    samples = nbytes = fit = 0
    try:
        names = opened.names().names
        looked = range(min(_LOOKED_AT, len(names)))
        for number in looked:
            try:
                subject = open_subject(opened, number, names[number], laws)
            except (ConfigError, OSError) as error:
                notes.append(f"left out: {error}")
                continue
            fit += 1
            samples += subject.samples
            nbytes += subject.samples * subject.sample_bytes
            notes += [f"left out: {text}" for text in subject.left_out]
            for law in laws:
                needs = needs_of(subject, law, request.settings.laws, before=True)
                lacking[law.name][needs] += 1
            subject.holder.close()
    finally:
        opened.close()
    rows: list[tuple[str, ...]] = []
    for law in laws:
        counts = lacking[law.name]
        checked = counts.pop("", 0)
        rows.append(
            (
                law.name,
                law.title,
                law.unit,
                tolerance(law, law.tolerance.limit),
                f"{checked} of {fit}",
                "; ".join(counts) or "—",
            )
        )
    of = "" if len(looked) == len(names) else f", of which the first {len(looked)} were looked at"
    notes.append(f"{len(names)} members{of}: {samples} samples, {size(nbytes)} to be read")
    notes.append(f"the report would be {request.place}/check.json")
    return COLUMNS, rows, notes
