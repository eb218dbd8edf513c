"""torchtitan's step beside the native engine's on one GPU: the same shape, data, types, optimizer and clipping."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.run import Run, System
from bench.contract.shapes import STOCK
from bench.data.synthetic import SyntheticData, make_synthetic
from tests.support.needs import not_installable
from tests.support.pairs import paired_ratio
from tests.support.runs import make_run
from tests.support.torchrun import trained

MODEL, LENGTH = "llama3.1-8b", 4096
PAIRS = 3
PROGRAM = Path(__file__).with_name("torchtitan_steps.py")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Llama-3.1-8B in pure bf16, which needs 80 GB."""
    if not torch.cuda.is_available():
        not_installable("a GPU", "measure this on a machine with a GPU of 80 GB or more")
    if find_spec("torchtitan") is None:
        not_installable(
            "the package torchtitan", "install torchtitan 0.2.2 to set its steps beside the native engine's"
        )
    shape = STOCK[MODEL]
    data = tmp_path_factory.mktemp("data") / "synthetic"
    make_synthetic(
        data, SyntheticData(vocab_size=shape.vocab_size, sequence_length=LENGTH, train_samples=64, val_samples=8)
    )
    settings = {"precision": "bf16", "clip_norm": 1.0, "steps": 24, "warmup_steps": 8, "val_samples": 2}
    small = make_run(data, (1, 1, 1), batch_size=1, sequence_length=LENGTH, **settings)
    gpu = System(name="gpu", device="cuda", threads_per_rank=8)
    return small.model_copy(update={"model": MODEL, "shape": shape, "system": gpu})


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_torchtitan_beside_native(benchmark: BenchmarkFixture, run: Run, tmp_path: Path, compiled: bool) -> None:
    """Ratios of tokens/s and of peak memory; the order of a pair changes from one to the next."""
    asked = run.model_copy(update={"training": run.training.model_copy(update={"compile": compiled})})
    numbers = itertools.count()

    def native() -> tuple[float, float]:
        found = trained(asked, tmp_path / f"native-{next(numbers)}")[1]
        return found.window.tokens_per_s, found.memory.peak / 2**30

    def torchtitan() -> tuple[float, float]:
        file, result = tmp_path / "run.json", tmp_path / f"torchtitan-{next(numbers)}.json"
        file.write_text(asked.model_dump_json())
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", str(PROGRAM)]
        subprocess.run([*command, str(file), str(result)], check=True, timeout=300)
        found = json.loads(result.read_text())
        return found["tokens_per_s"], found["peak_gib"]

    def pairs() -> list[tuple[tuple[float, float], tuple[float, float]]]:
        measured = []
        for pair in range(PAIRS):
            if pair % 2:
                theirs, ours = torchtitan(), native()
            else:
                ours, theirs = native(), torchtitan()
            measured.append((ours, theirs))
        return measured

    ours, theirs = zip(*benchmark.pedantic(pairs, rounds=1), strict=True)
    for place, what in enumerate(("tokens/s", "peak GiB")):
        own, other = ([figures[place] for figures in side] for side in (ours, theirs))
        benchmark.extra_info[what] = {
            "native": own,
            "torchtitan": other,
            "native over torchtitan": paired_ratio(own, other),
        }
