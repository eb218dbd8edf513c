from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Caution
from reports.render import latex
from reports.render.write import write_report
from reports.tables.selection import Selection
from tests.support.documents import SweepDocuments
from tests.support.needs import not_installable
from tests.support.reported import NASTY, fill

TABLE = "llama-tiny.batch-size-4.tex"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sweep = SweepDocuments(tmp_path / "sweep", streams=(1, 2))
    fill(sweep)
    write_report(sweep.write(), tmp_path / "out", [latex])
    return tmp_path / "out" / "latex"


def test_a_table_has_rules_values_and_notes_of_booktabs(folder: Path) -> None:
    text = (folder / TABLE).read_text()
    assert text.count("\\toprule") == text.count("\\bottomrule") == text.count("\\begin{tabular}") > 1
    assert "\\quad fsdp & 1,049 [932, 1,181] & 2,098 [1,864, 2,362] \\\\" in text
    assert "\\quad federated, 2 streams & impossible [2] & 2,550 [2,428, 2,677] \\\\" in text
    assert "50\\% \\& \\#1 \\_x\\_ \\textbackslash{} \\{a\\}" in (folder / "report.tex").read_text()


def test_only_letters_that_every_latex_has_are_left() -> None:
    assert latex.escaped("é ± ≥ \x1b[31m") == "e $\\pm$ ? [31m"
    assert latex.escaped(NASTY).isascii()


def test_a_table_alone_has_its_cautions(tmp_path: Path) -> None:
    """It is what goes into a paper."""
    sweep = SweepDocuments(tmp_path / "sweep", nodes=(1,))
    sweep.run("fsdp", 1, speeds=[1000.0], cautions=[Caution.OVERSUBSCRIBED, Caution.CPU_MEMORY])
    write_report(sweep.write(), tmp_path / "out", [latex], Selection(metrics=["efficiency"]))
    text = (tmp_path / "out" / "latex" / TABLE).read_text()
    row = "\\multicolumn{2}{l}{\\footnotesize cautions: oversubscribed, few-repeats, cpu-memory} \\\\\n\\bottomrule"
    assert row in text


def test_one_metric_is_one_table_for_a_paper(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep", streams=(1, 2))
    fill(sweep)
    write_report(sweep.write(), tmp_path / "out", [latex], Selection(metrics=["efficiency"]))
    text = (tmp_path / "out" / "latex" / TABLE).read_text()
    assert text.count("\\begin{tabular}") == 1
    assert "efficiency vs fsdp on 1 node" in text
    assert "tokens/s" not in text


def test_the_document_compiles(folder: Path) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        not_installable("pdflatex", "apt-get install texlive-latex-base texlive-latex-recommended (400 MB)")
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    log = (folder / "report.log").read_text(errors="replace")
    assert "Overfull \\vbox" not in log, "a table is higher than a page"
    assert "Missing character" not in log
