"""What commands print is no markup, whatever a file holds."""

from __future__ import annotations

import pytest

from bench.contract.results.outcomes import Outcome
from matrix.cli.screen import screen
from matrix.runner.progress import SweepDisplay
from tests.support.documents import a_measurement, a_result


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
