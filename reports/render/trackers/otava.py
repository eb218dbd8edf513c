"""Files for Apache Otava: a CSV per cell with one line a night, and the configuration that names them.

Otava reads a history from one CSV. A report has one night, with the columns of its own metrics; docs/guides/reports.md
joins nights by column, because Otava takes no empty cells.
"""

from __future__ import annotations

import csv
import re
from io import StringIO

import yaml

from reports.render.base import Export, Report
from reports.render.trackers.series import Point, Series, series, shortfalls

FOLDER = "otava"


def export(report: Report) -> Export:
    """Return otava/otava.yaml, and otava/<test>.csv for each cell with a figure."""
    started = report.sweep.began
    commits = dict.fromkeys(
        result.measured.provenance.commit or "unknown" for result in report.sweep.results.values() if result.measured
    )
    files: dict[str, str | bytes] = {}
    tests = {}
    for each in series(report) if started else ():
        name = _test_name(report.sweep.plan.sweep, each.name)
        file = f"{FOLDER}/{name}.csv"
        files[file] = _lines(each, started, "+".join(commits))
        tests[name] = {
            "type": "csv",
            "file": file,
            "time_column": "time",
            "attributes": ["commit"],
            "metrics": {point.metric.key: {"direction": _direction(point)} for point in each.points},
        }
    configuration = yaml.safe_dump({"tests": tests}, sort_keys=False, allow_unicode=True)
    files[f"{FOLDER}/otava.yaml"] = configuration
    return Export(files, problems=shortfalls(report))


def _direction(point: Point) -> int:
    return -1 if point.metric.better == "lower" else 1


def _test_name(sweep: str, name: str) -> str:
    """Return the name of a test, which is a file's name too."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{sweep}.{name.replace(' / ', '.')}")


def _lines(each: Series, started: str, commit: str) -> str:
    content = StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["time", "commit", *(point.metric.key for point in each.points)])
    writer.writerow([started, commit, *(repr(point.estimate.value) for point in each.points)])
    return content.getvalue()
