"""The house's pages: their style, and words made fit for HTML. No script runs, nothing is fetched."""

import base64
import html
from collections.abc import Iterable, Sequence

_LISTED = 500  # files and members; more would hide what matters
_CSS = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1400px;padding:0 1em;color:#222}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}
.mark{color:#c22;font-weight:bold}.out li{color:#a00}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1em}dt{color:#666}dd{margin:0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px}caption{text-align:left;padding:.3em 0}
th,td{padding:.2em .6em;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
figure{display:inline-block;margin:.4em;padding:.3em;border:1px solid #ddd;vertical-align:top}
figure img{display:block;max-width:100%}figcaption{color:#a00}
"""


def text(value: object) -> str:
    """Words as HTML has them."""
    return html.escape(str(value))


def opening(title: str, subject: str) -> str:
    """The beginning of a page, up to its heading."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{text(title)}: {text(subject)}</title><style>{_CSS}</style></head><body>"
        f"<h1>{text(title)}</h1>"
    )


def listed(items: Sequence[str], name: str = "", more: str = "report.json") -> str:
    """A list; what is beyond a few hundred is only counted, and stands in the file ``more``."""
    lines = [f"<li>{text(one)}</li>" for one in items[:_LISTED]]
    if len(items) > _LISTED:
        lines.append(f"<li>… and {len(items) - _LISTED} more, in {text(more)}</li>")
    return f'<ul class="{name}">' + "".join(lines) + "</ul>"


def pairs(of: Iterable[tuple[str, str]]) -> str:
    """Names and what they are, the second in HTML already."""
    return "<dl>" + "".join(f"<dt>{text(a)}</dt><dd>{b}</dd>" for a, b in of) + "</dl>"


def details(summary: str, items: Sequence[str]) -> str:
    """A list that opens when one wants it."""
    return f"<details><summary>{text(summary)}</summary>{listed(items)}</details>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], mark: str = "") -> str:
    """A table whose cells are in HTML already; ``mark`` stands over it."""
    caption = f'<caption class="mark">{text(mark)}</caption>' if mark else ""
    head = "<tr>" + "".join(f"<th>{text(name)}</th>" for name in columns) + "</tr>"
    body = ("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>{caption}{head}{"".join(body)}</table></div>'


def figure(anchor: str, name: str, png: bytes) -> str:
    """A picture inside of the page."""
    data = base64.standard_b64encode(png).decode()
    return f'<figure id="{anchor}"><img alt="{text(name)}" src="data:image/png;base64,{data}"></figure>'
