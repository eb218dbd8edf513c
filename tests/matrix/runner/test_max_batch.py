"""The largest batch size under a real limit of memory: what is called fitting does not die, and a little more does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.data.synthetic import SyntheticData, make_synthetic
from matrix.store.trials import HEADROOM
from reports.data.frame import load
from tests.support.sweeps import SmallSweep

GIB = 0.5
"""Of which two thirds are taken by what a rank imports."""

LONGEST = 512


@pytest.fixture
def sweep(tmp_path: Path) -> SmallSweep:
    data = SyntheticData(vocab_size=256, sequence_length=LONGEST, train_samples=512, val_samples=64)
    make_synthetic(tmp_path / "data", data)
    return SmallSweep(tmp_path, tmp_path / "data")


def write(sweep: SmallSweep, sizes: dict[int, int], gib: float, *, steps: int = 12, **more: object) -> None:
    """Write a sweep that trains each sequence length with its batch size on two ranks of so much memory."""
    (length, size), *others = sizes.items()
    matrix = {
        "name": "small",
        "system": sweep.system.name,
        "axes": {
            "model": "llama-tiny",
            "strategy": "federated",
            "nodes": 1,
            "sequence_length": length,
            "batch_size": size,
        },
        "include": [{"sequence_length": length, "batch_size": size} for length, size in others],
        "strategies": {"federated": {"groups": 2, "every": 4}},
        "training": {"steps": steps, "warmup_steps": 4, "val_samples": 64},
        "data": {"path": "data"},
        **more,
    }
    system = {"name": "test", "device": "cpu", "nodes": 1, "ranks_per_node": 2, "memory_per_rank": gib}
    sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")
    sweep.system.write_text(yaml.safe_dump(system), encoding="utf-8")


def found(sweep: SmallSweep) -> dict[int, int]:
    """The batch size of every sequence length, which is the same in all repeats; every run has completed."""
    frame = load(sweep.folder.path).frame
    assert set(frame["outcome"]) == {"completed"}, frame["reason"]
    assert frame["batch_size"].equals(frame["largest_batch_size"])
    sizes = frame.groupby("sequence_length")["batch_size"]
    assert (sizes.nunique() == 1).all()
    return {int(length): int(size) for length, size in sizes.first().items()}


def assert_no_more_fits(sweep: SmallSweep, sizes: dict[int, int]) -> None:
    """Train with a little more than the sizes found, in the memory of a trial.

    The heap of a process differs by some MiB from one start to the next, and a sequence takes no more than that.
    """
    more = {length: size + 2 + size // 16 for length, size in sizes.items()}
    write(sweep, more, (1 - HEADROOM) * GIB, name="more")
    sweep.run(expect=1)
    frame = load(sweep.results / "more").frame
    assert set(frame["outcome"]) == {"oom"}, frame[["sequence_length", "batch_size", "outcome", "reason"]]


@pytest.mark.soak
def test_the_largest_batch_under_a_limit_of_memory(sweep: SmallSweep) -> None:
    write(sweep, {LONGEST: 8}, GIB, repeats=2, regime="max-batch", max_batch={"limit": 32})
    assert "max-batch: at most 7 trials of 3 steps are ahead" in sweep.call("plan", str(sweep.matrix))
    printed = sweep.run()
    sizes = found(sweep)
    assert "fits" in printed
    assert "does not fit" in printed
    assert 1 <= sizes[LONGEST] < 32
    assert "all batch sizes are known" in sweep.call("plan", str(sweep.matrix), "--results", str(sweep.results))
    assert "up to 32 sequences per rank" in sweep.call("report", str(sweep.folder.path))
    assert_no_more_fits(sweep, sizes)
    sweep.assert_nothing_left()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_batch_that_was_called_fitting_dies(sweep: SmallSweep) -> None:
    """Twenty searches, each followed by a longer training."""
    lengths = range(LONGEST - 19 * 8, LONGEST + 1, 8)
    write(sweep, dict.fromkeys(lengths, 8), GIB, steps=32, regime="max-batch", max_batch={"limit": 64})
    sweep.run(timeout=3000)
    sizes = found(sweep)
    assert len(sizes) == 20
    assert_no_more_fits(sweep, sizes)
