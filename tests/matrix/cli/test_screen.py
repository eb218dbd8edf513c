"""What commands print is no markup, whatever a file holds."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.contract.results.outcomes import Outcome
from bench.contract.storage.files import write_document
from matrix.cli.screen import screen
from matrix.runner.progress import SweepDisplay
from matrix.runner.runner import SweepRunner
from matrix.store.claim import claim
from matrix.store.sweep_folder import SweepFolder
from tests.support.documents import a_measurement, a_result
from tests.support.launched import Simulated
from tests.support.planning import PlanText


def test_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console = screen()
    console.print("process 7 on [/x]")
    with SweepDisplay(console, 1) as display:
        failed = a_result("a.[/b]", a_measurement(1.0, 1)).model_copy(
            update={"outcome": Outcome.CRASHED, "reason": "[bold]loud[/c]"}
        )
        display.ended(failed)
    said = capsys.readouterr().out
    assert "process 7 on [/x]" in said
    assert "a.[/b]  12.5 s  [bold]loud[/c]" in said


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_sweep_begins_with_its_size_and_its_folder(
    plan: PlanText, small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_terminal: bool
) -> None:
    """On stdout if that is a terminal, else on stderr."""
    runs, sweep = list(plan(small).runs.values()), SweepFolder(tmp_path / ("long-" * 20) / "small")
    said = []
    for made in (0, 1):
        for run in runs[:made]:
            sweep.run(run.id).path.mkdir(parents=True)
            write_document(sweep.run(run.id).result, a_result(run.id, a_measurement(1.0, 1)))
        console = Console(file=StringIO(), width=80, force_terminal=is_terminal, color_system=None)
        with claim(sweep.runners, lambda _: None) as own, SweepDisplay(console, len(runs)) as display:
            runner = SweepRunner(sweep, Simulated(ends=True), own, display)
            runner.run_all(runs, max_runs=0, retry_failed=False)
        beside = capsys.readouterr().err
        said.append(console.file.getvalue() if is_terminal else beside)
        assert is_terminal == (beside == "")
    assert f"4 runs, results in {sweep.path}\n" in said[0].replace("\r", "")
    assert f"4 runs, 3 left, results in {sweep.path}\n" in said[1]
