"""The report as one HTML file that needs nothing else: report.html."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from reports.data.frame import records
from reports.data.words import counted, shown
from reports.render.base import Export, Report
from reports.render.html.axis_places import AxisPlaces
from reports.render.html.charts import chart_data
from reports.render.html.definitions import definitions
from reports.render.html.failures import ENDING, failures
from reports.render.html.losses import loss_data
from reports.render.html.numbers import short
from reports.render.html.preflights import preflight_data
from reports.render.html.run_rows import MOST_RUNS, ORIGINS, origins, run_rows
from reports.render.markdown import HOW_TO_READ, WHERE_TIME_GOES
from reports.render.plotting.style import looks
from reports.tables.parts import time_text
from reports.tables.tables import Table

FILE = "report.html"
MOST_TABLES = 150
"""Tables that the page has; tables.csv has all."""
MOST_WITH_LOSSES = 12
"""Tables with plots of losses, which take reading every run's steps."""
MOST_ANSWERS = 30
"""Findings above the tables; a click shows the others."""
MOST_OPEN = 6
"""Tables whose plots and figures show without a click."""
_SCRIPTS = ("state.js", "terms.js", "filters.js", "tables.js", "runs.js", "plots.js")
"""In the order in which they use each other; they make the page usable before plotly is there."""
_DRAWING = "draw.js"
_CODE = re.compile(r"`([^`]+)`")


def export(report: Report) -> Export:
    """Return report.html, and a sentence on what it leaves out."""
    places = AxisPlaces(report.sweep.plan)
    shown_tables = report.tables[:MOST_TABLES]
    charts, problems = _charts(report, shown_tables, places)
    timed, breakdown = report.sweep.frame, report.sweep.breakdown
    ended = [record for frame in (timed, breakdown) if len(frame) for record in records(frame[list(ENDING)])]
    failed, left_out = failures(report.sweep, ended, places)
    preflights, unplotted = preflight_data(report.folder)
    problems += [*left_out, *unplotted]
    if len(shown_tables) < len(report.tables):
        problems.append(f"report.html has the first {MOST_TABLES} of {len(report.tables)} tables; report.md has all")
    if len(timed) > MOST_RUNS:
        problems.append(f"report.html lists the first {MOST_RUNS} of {len(timed)} runs; runs.csv has all")
    runs = run_rows(records(timed.head(MOST_RUNS)), places)
    provenance = origins(records(timed[list(ORIGINS)]))
    scripts = ["\n".join(map(_asset, _SCRIPTS)), _plotly(), _asset(_DRAWING)]
    page = _environment().get_template("report.html.j2")
    text = page.render(
        report=report,
        tables=shown_tables,
        most_open=MOST_OPEN,
        most_answers=MOST_ANSWERS,
        problems=[*report.problems, *problems],
        axes=places.axes,
        failures=failed,
        origins=provenance,
        definitions=definitions({*runs["columns"], *(origin.name for origin in provenance)}),
        has_preflights=bool(preflights),
        how_to_read=HOW_TO_READ,
        where_time_goes=WHERE_TIME_GOES,
        data={"axes": list(places.axes), "tables": charts, "runs": runs, "preflights": preflights},
        style=Markup(_asset("report.css")),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
    )
    return Export({FILE: text}, problems=problems)


def _charts(report: Report, tables: Sequence[Table], places: AxisPlaces) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the data of the plots, a sentence for each unreadable file that no exporter has named yet, and one on
    tables without losses.
    """
    strategies = looks([row.look for table in tables for row in table.grid.rows])
    charts, problems = [], []
    for place, table in enumerate(tables):
        data = chart_data(table, strategies, places)
        if place < MOST_WITH_LOSSES:
            data["losses"], unread = loss_data(table, report.folder, report.sweep.results)
            problems += [sentence for sentence in unread if sentence not in report.problems]
        charts.append(data)
    cells = (cell for table in tables[MOST_WITH_LOSSES:] for cell in table.grid.cells)
    if any(record["run"] in report.sweep.courses for cell in cells for record in cell.completed):
        problems.append(
            f"report.html has plots of losses of the first {MOST_WITH_LOSSES} of {len(tables)} tables; "
            "runs/*/steps.parquet has those of each run"
        )
    return charts, list(dict.fromkeys(problems))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports.render.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "code": _with_code,
        "shown": shown,
        "counted": counted,
        "short": short,
        "time_text": time_text,
    }
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment


def _with_code(text: str) -> Markup:
    """Return text as HTML, what is between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _asset(name: str) -> str:
    return (files("reports.render.html") / "assets" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Return plotly's script; what would end the script element is escaped, which no other part of JavaScript minds."""
    return str(get_plotlyjs()).replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: Sequence[str]) -> str:
    """Return a content security policy: these scripts run and no other, and nothing is fetched."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    nothing_else = "default-src 'none'; form-action 'none'; base-uri 'none'"
    return f"{nothing_else}; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"
