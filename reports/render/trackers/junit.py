"""JUnit XML: a test case for each run, for continuous integration services that show tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from bench.contract.results.outcomes import Outcome
from reports.data.columns.status import DAMAGED, NEWER, NOT_RUN
from reports.data.frame import Record, records
from reports.render.base import Export, Report

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_TRIED = (NOT_RUN, str(Outcome.OOM_INFERRED))
"""Outcomes of runs that were not started: they are skipped."""
_NO_RESULT = (DAMAGED, NEWER, str(Outcome.INTERRUPTED))
"""Outcomes of runs that were started and say nothing about the program: they are errors."""
_PROPERTIES = ("tokens_per_s", "peak_memory_gib", "loss_final", "loss_validation", "cautions", "session", "hosts")


def export(report: Report) -> Export:
    """Return junit.xml: completed runs pass, runs that ended otherwise fail, what was not tried is skipped."""
    cases = list(_cases(report))
    kinds = Counter(child.tag for case in cases for child in case)
    totals = {
        "tests": str(len(cases)),
        "failures": str(kinds["failure"]),
        "errors": str(kinds["error"]),
        "skipped": str(kinds["skipped"]),
        "time": f"{sum(float(case.get('time', '0')) for case in cases):.3f}",
    }
    root = ET.Element("testsuites", {"name": "xffl-bench"} | totals)
    started = report.sweep.began
    suite = ET.SubElement(
        root,
        "testsuite",
        {"name": _xml(report.sweep.plan.sweep)} | totals | ({"timestamp": started} if started else {}),
    )
    suite.extend(cases)
    ET.indent(root)
    return Export({"junit.xml": ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"})


def _cases(report: Report) -> Iterator[ET.Element]:
    by_id = {str(record["run"]): record for record in records(report.sweep.frame)} | report.sweep.breakdown_records
    cells = report.sweep.plan.cells
    shown = {run for cell in cells if cell.status == "run" for run in cell.all_runs}
    for cell in cells:
        name = f"{report.sweep.plan.sweep}.{'.'.join(f'{axis}={label}' for axis, label in cell.labels.items())}"
        if cell.status == "impossible":
            case = ET.Element("testcase", {"classname": _xml(name), "name": "plan", "time": "0"})
            ET.SubElement(case, "skipped", {"message": _xml(f"impossible: {cell.reason}")})
            yield case
        elif cell.status == "run":
            yield from _of_runs(cell.all_runs, name, by_id, report)
        else:  # A selection may leave out the cell that this one equals, and keeps its runs.
            left = [run for run in cell.all_runs if run not in shown]
            shown.update(left)
            yield from _of_runs(left, name, by_id, report)


def _of_runs(runs: Sequence[str], name: str, by_id: dict[str, Record], report: Report) -> Iterator[ET.Element]:
    for run in runs:
        record = by_id[run]
        seconds = record.get("elapsed_s") or 0.0
        case = ET.Element("testcase", {"classname": _xml(name), "name": _xml(run), "time": f"{seconds:.3f}"})
        outcome = str(record["outcome"])
        if outcome != Outcome.COMPLETED:
            tag = "skipped" if outcome in _NOT_TRIED else "error" if outcome in _NO_RESULT else "failure"
            ended = ET.SubElement(case, tag, {"type": outcome, "message": _xml(f"{outcome}: {record['reason']}")})
            result = report.sweep.results.get(run)
            ended.text = _xml("\n".join(result.evidence)) if result and result.evidence else None
        values = {key: record[key] for key in _PROPERTIES if record.get(key) not in (None, "")}
        if values:
            properties = ET.SubElement(case, "properties")
            for key, value in values.items():
                ET.SubElement(properties, "property", {"name": key, "value": _xml(str(value))})
        yield case


def _xml(text: str) -> str:
    """Return a text without the characters that XML 1.0 forbids, such as the escapes of a log's colours."""
    return _NOT_XML.sub("�", text)
