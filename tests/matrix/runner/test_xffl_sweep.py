"""A sweep over both engines: what the installed xFFL library does is looked at first, and what would mean nothing is
refused without a launch.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

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
        not_installable("the package xffl", "install xffl-bench[xffl] to sweep over both engines")
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
