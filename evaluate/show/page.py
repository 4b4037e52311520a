"""One self-contained HTML page of results: tables and pictures, no downloads, no scripts."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from evaluate.score.results import Result
from evaluate.score.standing import comparable
from evaluate.show.board import comparisons, content
from evaluate.show.plots import attempt, figures
from evaluate.show.table import Content
from writing.files import write_text

#: Captions of the pictures, by the start of their names.
CAPTIONS = {
    "loss_by_seconds": "Loss against time on the clock. Thick with marks: test loss of the repeat "
    "with the median number of steps; thin: those of the others; pale: training loss, a running "
    "median; star: target reached, at the loss of the fresh test.",
    "loss_by_steps": "Loss against steps, likewise.",
    "performance_profile": "The share of the pairs on which a method is within a factor of the "
    "best method there. Higher and further left is better; a miss never counts.",
    "speed_up_by_scale": "Speed-up on each pair against how long the baseline takes there, and how "
    "large the networks are. Bars span the repeats.",
    "learning_rates": "Learning rates that the submission reports, by tensor of task.state.",
}
STYLE = """
:root { color-scheme: light; --line: #d8dde3; --soft: #5b6570; --shade: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 82rem; color: #1b1f24;
  background: #fff; font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { max-width: 48rem; margin: .5rem 0; }
.soft, figcaption, .caption { color: var(--soft); font-size: .875rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px;
  width: fit-content; max-width: 100%; }
table { border-collapse: collapse; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { background: var(--shade); font-weight: 600; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
th:first-child { background: var(--shade); }
td:nth-child(2) { font-weight: 600; }
tr:last-child td { border-bottom: 0; }
tr.baseline td { background: var(--shade); }
figure { margin: 0 0 2rem; }
details { margin: .5rem 0; }
details .wide { margin: .5rem 0; }
details td:nth-child(2) { font-weight: 400; }
figure img { max-width: 100%; height: auto; display: block; }
"""


def write_page(folder: Path, results: Sequence[Result]) -> Path:
    """Write `report.html` into the folder and return its path. `results` are oldest first."""
    path = folder / "report.html"
    write_text(path, page(results))
    return path


def page(results: Sequence[Result]) -> str:
    """Return the page's HTML."""
    groups = "".join(_section(group) for group in comparable(results))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Evaluation</h1>
<p class="soft">How fast each method reaches a test loss, against Adam with learning rate 1e-3.
Speed-ups above 1 are faster than the baseline.</p>
{groups}</body>
</html>
"""


def _section(group: Sequence[Result]) -> str:
    drawn = [attempt(name, partial(_picture, name, one)) for name, one in figures(group).items()]
    pictures = "".join(filter(None, drawn))
    scores = content(group)
    against = "".join(_folded(table.title, _with_details(table)) for table in comparisons(group))
    return (
        f"<h2>{escape(scores.title)}</h2>\n{_with_details(scores)}"
        f"{_misses(group)}{against}{pictures}"
    )


def _with_details(table: Content) -> str:
    caption = f"<p class='caption'>{escape(table.caption)}</p>\n"
    details = "".join(_folded(one.title, _table(one)) for one in table.details)
    return f"{_table(table)}\n{caption}{details}"


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary>\n{body}</details>\n"


def _table(table: Content) -> str:
    # Allow line breaks after underscores in long names.
    names = [escape(cell).replace("_", "_<wbr>") for cell in table.header]
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    rows = "".join(
        f"<tr{' class=baseline' if number == 0 else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>\n"
        for number, row in enumerate(table.rows)
    )
    body = f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>"
    return f"<div class='wide'><table>{body}</table></div>"


def _misses(group: Sequence[Result]) -> str:
    told = [
        f"<li>{escape(f'{one.submission} on {one.pair}, repeat {one.repeat}: {one.outcome}')}"
        f"{escape(': ' + one.message if one.message else '')}</li>"
        for one in group
        if not one.reached
    ]
    if not told:
        return ""
    return _folded(f"Runs that missed: {len(told)}", f"<ul>{''.join(told)}</ul>")


def _picture(name: str, figure: Figure) -> str:
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    kind = next(start for start in CAPTIONS if name.startswith(start))
    caption = escape(CAPTIONS[kind])
    alternative = escape(name.removeprefix(kind).strip("_"))
    alternative = kind.replace("_", " ").capitalize() + (f": {alternative}" if alternative else "")
    return (
        f"<h3>{alternative}</h3>\n<figure>"
        f"<img src='data:image/svg+xml;base64,{data}' alt='{alternative}'>"
        f"<figcaption>{caption}</figcaption></figure>\n"
    )
