"""A sweep over both engines: what the installed xFFL library does is looked at first, and what would mean nothing is
refused without a launch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from matrix.cli.planned.forecast import refused_runs
from matrix.cli.render import print_plan
from matrix.planning.prepare import prepare
from matrix.runner.session import with_library
from tests.support.interpreters import Interpreter
from tests.support.needs import not_installable
from tests.support.sweeps import SmallSweep


def both_engines(sweep: SmallSweep) -> None:
    sweep.write(["fsdp", "federated"])
    matrix = yaml.safe_load(sweep.matrix.read_text(encoding="utf-8"))
    matrix["axes"]["engine"] = ["native", "xffl"]
    sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")


def test_without_the_library_nothing_starts(tmp_path: Path, data: Path) -> None:
    if find_spec("xffl") is not None:
        pytest.skip("xFFL is installed here")
    sweep = SmallSweep(tmp_path, data)
    both_engines(sweep)
    said = sweep.run(expect=2)
    assert "engine xffl: " in said
    assert "docs/guides/xffl.md" in said
    assert not (sweep.results / "small" / "runs").exists()
    assert "0 runs" in sweep.run("--only", "engine=native", "--max-runs", "0")


def test_sums_are_refused_and_the_rest_is_trained(tmp_path: Path, data: Path) -> None:
    if find_spec("xffl") is None:
        not_installable("the package xffl", "install containers/xffl.txt to sweep over both engines")
    sweep = SmallSweep(tmp_path, data)
    both_engines(sweep)
    sweep.run(expect=1)
    found = {
        (run.engine, str(run.labels["strategy"])): run for run in map(sweep.folder.requested_run, sweep.outcomes())
    }
    results = {key: sweep.found()[run.id] for key, run in found.items()}
    outcomes = {key: str(result.outcome) for key, result in results.items()}
    refused = ("xffl", "federated")
    assert outcomes.pop(refused) == "invalid"
    assert set(outcomes.values()) == {"completed"}
    assert "sums the parameters of federated groups" in results[refused].reason
    assert not list(sweep.folder.run(found[refused].id).attempt(0).logs.iterdir()), "it was started"
    library = found["xffl", "fsdp"].library
    assert library is not None
    assert (library.averaging, library.streams) == ("sum", "inert")
    native, by_library = results["native", "fsdp"].measured, results["xffl", "fsdp"].measured
    assert native is not None
    assert by_library is not None
    assert by_library.loss.validation == pytest.approx(native.loss.validation, rel=1e-4)
    assert by_library.provenance.xffl


def test_the_probe_is_announced_when_it_runs_and_a_plan_counts_out_what_it_refuses(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sweep = SmallSweep(tmp_path, data)
    both_engines(sweep)
    prepared = prepare(sweep.matrix, None, [], [])
    interpreter = Interpreter.make(tmp_path / "venv")
    monkeypatch.setattr(sys, "executable", str(interpreter.path))

    def said(print_it: Callable[[Console], object]) -> str:
        screen = StringIO()
        print_it(Console(file=screen, width=200))
        return screen.getvalue()

    def plan() -> str:
        return said(lambda console: print_plan(prepared, refused_runs(prepared, sweep.folder), console))

    def probed() -> str:
        return said(lambda console: with_library(prepared.selected_runs, None, None, console))

    assert "4 runs of 4 combinations, 1 repeat" in plan()
    assert not interpreter.probed, "planning looks into the cache only"
    assert probed().count("probing the installed xFFL library") == 1
    assert probed() == ""
    assert (
        "3 runs of 3 combinations, 1 repeat; equivalent to another combination: 0; impossible: 0; refused: 1" in plan()
    )
    assert "refused [1]" in plan()
    assert "[1] xFFL 0.2.2 (digest abc) sums the parameters of federated groups" in plan()
    interpreter.answers(xffl=False)
    assert "4 runs of 4 combinations" in plan()
