"""What the file has, without a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Caution, Outcome
from bench.contract.results.result import Result
from bench.contract.storage.files import write_document
from reports.render.exporters import exporters
from reports.render.formats import Format
from reports.render.html import failures, page, preflights, run_rows
from reports.render.html.row_looks import row_look
from reports.render.plotting.style import looks
from reports.render.write import write_report
from reports.tables.selection import Selection
from tests.reports.render.html.conftest import EVIL, REPEATS, a_preflight
from tests.support.documents import START, SweepDocuments, a_breakdown

SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)


def test_scripts_are_those_that_the_policy_allows_and_the_data_cannot_end_its_element(report: Path) -> None:
    text = report.read_text()
    (data, *scripts) = SCRIPT.findall(text)
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    assert "default-src 'none'" in policy
    assert "form-action 'none'" in policy
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    assert {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for _, script in scripts} == allowed
    assert len(scripts) == 3
    assert 'type="application/json"' in data[0]
    assert EVIL in str(json.loads(data[1])["preflights"])
    assert "<" not in data[1]
    assert EVIL not in text
    assert html.escape(EVIL, quote=False)[:20] in text


def test_the_answer_comes_first_and_then_tables_failures_runs_and_origin(report: Path) -> None:
    headings = re.findall(r"<h2>(.*?)</h2>", report.read_text())
    assert headings == [
        "What was found",
        "Show only",
        "Tables and plots",
        "Failed and skipped runs",
        "All runs",
        "Devices and links",
        "Provenance",
        "Definitions",
    ]


def test_terms_lead_to_their_definitions(report: Path) -> None:
    text = report.read_text()
    targets = set(re.findall(r'class="term" href="#([^"]+)"', text))
    assert {"metric-tokens_per_s", "caution-cpu-memory", "outcome-crashed", "column-commit", "part-forward"} <= targets
    assert targets <= set(re.findall(r'<dt id="([^"]+)"', text))
    assert html.escape(Caution.CPU_MEMORY.remedy) in text


def test_failed_runs_have_reason_and_evidence(report: Path) -> None:
    text = report.read_text()
    assert text.count("RuntimeError: &lt;b&gt;NCCL&lt;/b&gt;") == 2 * REPEATS
    assert re.search(r'href="#outcome-crashed">crashed</a>: rank 1 exited with status 1', text)


def test_what_is_not_in_the_page_is_said(
    sweep: SweepDocuments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_TABLES", 1)
    monkeypatch.setattr(page, "MOST_RUNS", 5)
    monkeypatch.setattr(run_rows, "MOST_RUNS", 5)
    monkeypatch.setattr(failures, "MOST_EVIDENCE", 2)
    sweep.axes["batch_size"] = [4, 8]
    for batch in (4, 8):
        for identity in sweep.run("fsdp", 1, batch=batch):
            evidence = ["x" * 5000]
            result = Result(
                run=identity, attempt=0, outcome=Outcome.HUNG, reason="", evidence=evidence, started=START.isoformat(),
                seconds=1,
            )  # fmt: skip
            write_document(sweep.folder(identity).result, result)
    written = write_report(sweep.write(), tmp_path / "report", [page])
    assert written.problems == [
        "report.html has the evidence of 2 of 6 failed runs; result.json has that of each",
        "report.html has the first 1 of 2 tables; report.md has all",
        "report.html lists the first 5 of 6 runs; runs.csv has all",
    ]
    text = (tmp_path / "report" / "report.html").read_text()
    assert text.count("x" * 3000) == 2
    assert "(2000 more characters)" in text
    assert all(problem in text for problem in written.problems)


def test_losses_and_preflights_that_are_not_in_the_page_are_said(
    sweep: SweepDocuments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_WITH_LOSSES", 1)
    monkeypatch.setattr(preflights, "MOST_JOBS", 2)
    sweep.axes["batch_size"] = [4, 8]
    for batch in (4, 8):
        for identity in sweep.run("fsdp", 1, batch=batch, speeds=[1000.0] * 3):
            sweep.steps(identity, [[5.0, 4.0, 3.0]], tokens=[400])
    for job in ("0099", "9999", "10000"):
        file = sweep.path / "jobs" / job / "preflight.json"
        file.parent.mkdir(parents=True)
        write_document(file, a_preflight())
    written = write_report(sweep.write(), tmp_path / "report", [page])
    assert written.problems == [
        "report.html has plots of losses of the first 1 of 2 tables; runs/*/steps.parquet has those of each run",
        "report.html plots the preflights of the last 2 of 3 jobs; jobs/*/preflight.json has that of each",
    ]
    data = json.loads(SCRIPT.search((tmp_path / "report" / "report.html").read_text())[2])
    assert [job["job"] for job in data["preflights"]] == ["9999", "10000"]


def test_what_is_not_named_is_where_the_page_says(
    sweep: SweepDocuments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST_NAMED", 1)
    ids = [*sweep.run("fsdp", 1, breakdowns=[a_breakdown(0.1, forward=0.04)]), *sweep.cells[0].breakdown_runs]
    sweep.end(ids[-1], Outcome.CRASHED, "rank 0 exited with status 1")
    for nodes in (1, 2):
        sweep.impossible("hsdp", nodes, "a reason")
    write_report(sweep.write(), tmp_path / "report", exporters([Format.CSV, Format.HTML]))
    text = (tmp_path / "report" / "report.html").read_text()
    files = {file: (tmp_path / "report" / file).read_text() for file in ("runs.csv", "breakdown.csv")}
    assert "and 2 more: runs.csv names all" in text
    assert all(run in files["runs.csv"] for run in ids[:3])
    assert "and 1 more: breakdown.csv names all" in text
    assert ids[3] in files["breakdown.csv"]
    assert "and 2 more: plan.json names all" in text


def test_times_of_steps_have_their_unit(sweep: SweepDocuments, tmp_path: Path) -> None:
    ids = sweep.run("fsdp", 1, speeds=[1000.0], breakdowns=[a_breakdown(1234.0, forward=1100.0, backward=0.0123)])
    sweep.steps(ids[0], [[5.0, 4.0]], tokens=[400], seconds=1234.0)
    write_report(sweep.write(), tmp_path, [page])
    text = (tmp_path / "report.html").read_text()
    assert re.search(r"<td[^>]*>1,234 s</td>", text)
    (table,) = json.loads(SCRIPT.search(text)[2])["tables"]
    assert table["steps"][0][0] == [1234000, 1234000, 1234000, "median 1,234 s, quartiles 1,234 s and 1,234 s"]
    texts = dict(zip(table["breakdown"]["parts"], table["breakdown"]["cells"][0]["texts"], strict=True))
    assert (texts["forward"], texts["backward"]) == ("1,100 s", "12.3 ms")


def test_a_sweep_that_has_not_started_has_a_page_too(sweep: SweepDocuments, tmp_path: Path) -> None:
    sweep.run("fsdp", 1)
    sweep.impossible("hsdp", 1, "a reason")
    assert write_report(sweep.write(), tmp_path / "report", [page]).problems == []
    text = (tmp_path / "report" / "report.html").read_text()
    assert "No run has a result yet." in text
    assert ": a reason <span>(1 combination)</span>" in text


def test_a_selection_has_the_plots_of_its_rows_nodes_and_metrics_alone(sweep: SweepDocuments, tmp_path: Path) -> None:
    for strategy in ("fsdp", "hsdp"):
        for nodes in (1, 2):
            parts = [a_breakdown(0.1, forward=0.04)]
            sweep.run(strategy, nodes, speeds=[1000.0 * nodes] * 3, breakdowns=parts)
    selection = Selection(lambda labels: labels["nodes"] == 2 and labels["strategy"] == "hsdp", ["efficiency"])
    write_report(sweep.write(), tmp_path, exporters([Format.PLOTS, Format.MARKDOWN, Format.HTML]), selection)
    (table,) = json.loads(SCRIPT.search((tmp_path / "report.html").read_text())[2])["tables"]
    assert (table["nodes"], [row["label"] for row in table["rows"]]) == ([2], ["hsdp"])
    assert list(table["metrics"]) == ["efficiency"]
    assert [(cell["row"], cell["nodes"]) for cell in table["breakdown"]["cells"]] == [(0, 2)]
    assert (tmp_path / "plots" / "llama-tiny.batch-size-4.scaling.svg").exists()
    assert "| **whole step** | hsdp | 100 ms |" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("count", [12, 100])
def test_any_number_of_strategies_have_the_colours_of_the_pictures_and_distinct_looks(count: int) -> None:
    names = [f"custom-{number}" for number in range(count)]
    found = looks(names)
    rows = [row_look(found[name], 0) for name in names]
    assert [row["colour"] for row in rows] == [look.colour for look in found.values()]
    assert len({str(row) for row in rows}) == count
    assert len({str(row_look(found["custom-0"], number)) for number in range(12)}) == 12
