"""Documents of a newer version: refused by name, listed, and left where and as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from matrix.store.sweep_record import SweepRecord
from tests.support.sweeps import SmallSweep, everything_in


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Results of a sweep of two runs, of which one has completed: to be copied, as a start of ranks takes seconds."""
    sweep = SmallSweep(tmp_path_factory.mktemp("half-done"), data)
    sweep.write(["fsdp"], repeats=2)
    sweep.run("--max-runs", "1")
    return sweep.results


@pytest.fixture
def small_sweep(half_done: Path, tmp_path: Path, data: Path) -> SmallSweep:
    """A sweep of two runs, of which one has completed."""
    sweep = SmallSweep(tmp_path, data)
    sweep.write(["fsdp"], repeats=2)
    shutil.copytree(half_done, sweep.results)
    return sweep


def make_newer(file: Path) -> bytes:
    """Give a document the next version and a key that this one does not know; returns the file's new content."""
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 2, "colour": "blue"}))
    return file.read_bytes()


def test_run_refuses_and_status_lists_a_result_of_a_newer_version(small_sweep: SmallSweep) -> None:
    (first,) = small_sweep.outcomes()
    folder = small_sweep.folder.run(first)
    make_newer(folder.result)
    before = everything_in(small_sweep.folder.path / "runs")
    sentence = f"{folder.result}: written by a newer xffl-bench (version 2, this one reads 1): use that xffl-bench"
    for options in ([], ["--retry-failed"], ["--max-runs", "0"]):
        said = small_sweep.run(*options, expect=2)
        assert f"xffl-bench: {sentence}\n" in said
        assert "Traceback" not in said
    assert everything_in(small_sweep.folder.path / "runs") == before, "nothing was run, replaced or set aside"

    said = small_sweep.call("status", str(small_sweep.folder.path))
    assert sentence in said
    assert "newer version" in said
    assert "not run" in said, "the other run"
    said = small_sweep.call("report", str(small_sweep.folder.path))
    assert sentence in " ".join(said.split())


@pytest.mark.parametrize("name", ["run.json", "sweep.json", "plan.json"])
def test_run_replaces_no_document_of_a_newer_version(small_sweep: SmallSweep, name: str) -> None:
    (open_run,) = set(small_sweep.folder.plan().order) - set(small_sweep.outcomes())
    place = small_sweep.folder.run(open_run).path if name == "run.json" else small_sweep.folder.path
    if name == "run.json":
        (done,) = small_sweep.outcomes()
        place.mkdir()
        (place / name).write_bytes(small_sweep.folder.run(done).run.read_bytes())
    newer = make_newer(place / name)
    small_sweep.write(["fsdp"], repeats=3)  # what is accepted would be written
    said = small_sweep.run("--accept-changes", expect=2)
    assert f"{place / name}: written by a newer xffl-bench (version 2, this one reads 1)" in said
    assert (place / name).read_bytes() == newer


def test_a_record_without_a_version_is_of_the_first(small_sweep: SmallSweep) -> None:
    file = small_sweep.folder.record_file
    found = json.loads(file.read_text())
    assert found.pop("version") == 1
    file.write_text(json.dumps(found))
    record = small_sweep.folder.record()
    assert isinstance(record, SweepRecord)
    assert record.version == 1
