"""What commands print at 80 and 140 columns, on a terminal and piped: nothing is cut off, no line is too long."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.contract.results.outcomes import Outcome
from matrix.cli.progress.display import print_status
from matrix.cli.progress.look import look
from matrix.cli.render import print_plan
from matrix.cli.screen import screen
from matrix.planning.prepare import prepare
from matrix.runner.progress import Detail, SweepDisplay
from matrix.store.sweep_folder import SweepFolder
from tests.support.documents import SweepDocuments, a_measurement, a_result

EXAMPLES = Path(__file__).parents[3] / "matrix" / "examples"
LONG = "llama-of-a-name-that-is-as-long-as-a-name-may-be-60-characters"[:60]
WIDE = f"""\
name: wide
axes:
  model: [llama-tiny, {{name: {LONG}, llama: {{vocab_size: 256, hidden_size: 64, intermediate_size: 128, layers: 2,
    heads: 4, kv_heads: 4}}}}]
  strategy: [fsdp, hsdp, {{name: federated-with-hsdp-and-8-steps, federated-hsdp: {{groups: 2, shard: 2, every: 8}}}}]
  nodes: [1, 2]
  batch_size: [2, 4]
  cuda_streams: [1, 2]
  precision: [fp32, bf16-mixed]
  activation_checkpointing: [none, full]
  lr_scaling: [none, linear]
strategies: {{hsdp: {{shard: node}}}}
training: {{sequence_length: 64}}
data: {{path: data}}
"""


@pytest.mark.parametrize("width", [80, 88, 89, 140])
@pytest.mark.parametrize("which", ["demo", "wide"])
def test_a_plan_loses_nothing(width: int, which: str, tmp_path: Path) -> None:
    matrix = EXAMPLES / "demo.yaml"
    if which == "wide":
        matrix = tmp_path / "wide.yaml"
        matrix.write_text(WIDE)
    prepared = prepare(matrix, None, [], [])
    out = StringIO()
    print_plan(prepared, {}, Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in out.getvalue()
    if which == "demo":
        rows = [line for line in lines if line.startswith(("llama-tiny", "mixtral-tiny"))]
        assert len(rows) == len(prepared.planned.plan.cells), "one line each"
        assert sum("= federated [2]" in row for row in rows) == 3
        narrow = ["batch_", "cuda_", "F", "x"], ["model", "strategy", "nodes", "size", "streams", "R", "x", "S", "runs"]
        wide = (["model", "strategy", "nodes", "batch_size", "cuda_streams", "F", "x", "R", "x", "S", "runs"],)
        heads = lines[1 : lines.index(rows[0])]
        assert [line.split() for line in heads] == list(narrow if width < 89 else wide)


def test_what_is_piped_has_whole_sentences(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    screen().print("word " * 40)
    assert capsys.readouterr().out == "word " * 40 + "\n"


@pytest.mark.parametrize("width", [80, 140])
def test_a_status_fits(width: int, tmp_path: Path) -> None:
    made = SweepDocuments(tmp_path / "sweep", nodes=(1,))
    _, two, _ = made.run("fsdp", 1, speeds=[100.0])
    made.end(two, Outcome.CRASHED, "rank 1 of host node0123 exited with status 1: " + "RuntimeError: no memory; " * 5)
    made.write()
    out = StringIO()
    print_status(look(SweepFolder(made.path)), Console(file=out, width=width))
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert "rank 0 wrote a complete result and every rank finished" in " ".join(out.getvalue().split())


def progress(width: int, detail: Detail = Detail.OUTCOMES, *, terminal: bool = True) -> list[str]:
    """The lines of a run that completes and one that fails."""
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    display = SweepDisplay(console, 2, detail)
    good = a_result("llama-tiny.federated-hsdp.n2.b4.r0-0a1b2c", a_measurement(9141.0, 1))
    display.ended(good)
    bad = {"outcome": Outcome.CRASHED, "reason": "rank 1: KeyError", "measured": None}
    display.ended(good.model_copy(update=bad))
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue()).splitlines()


def test_the_line_of_a_run_is_broken_where_it_reads_well() -> None:
    name = "completed     llama-tiny.federated-hsdp.n2.b4.r0-0a1b2c"
    facts = "12.5 s  9,141 tokens/s, validation loss 2.600"
    assert progress(80)[:2] == [name, f"              {facts}"]
    assert progress(140)[0] == progress(80, terminal=False)[0] == f"{name}  {facts}"


def test_quiet_prints_failures_only() -> None:
    assert [line.partition(" ")[0] for line in progress(140)] == ["completed", "crashed"]
    assert [line.partition(" ")[0] for line in progress(140, Detail.FAILURES)] == ["crashed"]
