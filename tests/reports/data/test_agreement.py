"""Documents that contradict each other: what a mistaken copy or a half-synchronised folder looks like.

The sweep is a real one, as version 0.1.0 left it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.markov import MarkovSource
from reports.data.frame import LoadedSweep, load
from reports.data.plausible import surprisal_deviation
from tests.support.earlier import unpack

FSDP, OTHER = "llama-tiny.fsdp.n1.b1.r0-3a5d87", "llama-tiny.fsdp.n1.b2.r0-6c7a7b"
DDP, DDP_AGAIN = "llama-tiny.ddp.n1.b1.r0-5c527c", "llama-tiny.ddp.n1.b1.r1-dd3181"


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A sweep with 5 completed runs."""
    return unpack(tmp_path)


def only(read: LoadedSweep, run: str = FSDP) -> str:
    """Return the sentence on the one run that was left out."""
    (problem,) = read.problems
    outcomes = read.frame.set_index("run")["outcome"]
    assert list(outcomes[outcomes == "damaged"].index) == [run]
    assert run not in read.results
    assert (outcomes == "completed").sum() == 4
    return problem


def edit(file: Path, *, at: str, to: Any) -> None:
    """Change the value at a dotted path of a JSON file; a function gets the old value."""
    content = json.loads(file.read_text())
    *path, last = at.split(".")
    inner = content
    for name in path:
        inner = inner[name]
    inner[last] = to(inner[last]) if callable(to) else to
    file.write_text(json.dumps(content))


def test_real_results_agree(real: Path) -> None:
    read = load(real)
    assert read.problems == []
    assert len(read.results) == 5


@pytest.mark.parametrize(
    ("file", "at", "to", "said"),
    [
        ("run", "id", OTHER, f"run.json: id: should be '{FSDP}', not '{OTHER}'"),
        ("run", "repeat", 1, "run.json: repeat: should be 0, not 1"),
        ("run", "sweep", "later", "run.json: sweep: should be 'earlier', not 'later'"),
        ("run", "labels.strategy", "ddp", "run.json: labels: should be {"),
        ("run", "layout", {"federation": 1, "replicate": 2, "shard": 1}, "run.json: layout: should be 'F=1 R=1 S=2'"),
        ("result", "run", OTHER, f"result.json: run: should be '{FSDP}', not '{OTHER}'"),
        ("result", "measured.parameters", 5, "measured.parameters: should be 125248, not 5"),
        ("result", "measured.window.steps", 2, "measured.window.steps: should be 4, not 2"),
        ("result", "measured.window.first_step", 4, "measured.window.first_step: should be 2, not 4"),
        ("result", "measured.window.block", 4, "measured.window.block: should be 2, not 4"),
        ("result", "measured.window.tokens", 128, "measured.window.tokens: 128, but steps.parquet gives 256"),
        ("result", "measured.trained_tokens", 256, "measured.trained_tokens: 256, but steps.parquet gives 384"),
        ("result", "measured.window.seconds", lambda old: old * 1.000_001, "measured.window.seconds: 0.18"),
        ("result", "measured.window.step_s_quartiles", [0.1, 0.2, 0.3], "measured.window.step_s_quartiles: [0.1, "),
        ("result", "measured.window.block_tokens_per_s", [1.0], "measured.window.block_tokens_per_s: 1.0, but"),
        ("result", "measured.loss.final", 5.4, "measured.loss.final: 5.4, but steps.parquet gives 5.47"),
        ("result", "measured.loss.first", 5.4, "measured.loss.first: 5.4, but steps.parquet gives 5.56"),
        ("result", "measured.invalid", "groups differ", "measured.invalid: 'groups differ', but the outcome is comp"),
        ("result", "seconds", 0.1, "measured.window.seconds: 0.1812 s, more than the whole attempt, which took 0.1 s"),
        ("result", "measured.loss.validation", 0.84, "measured.loss.validation: 0.8400 nats/token, below the data's"),
        ("result", "measured.utilisation.peak_flops", 1e6, "FLOP/s, more than the device's peak of 1e+06 FLOP/s"),
        ("result", "measured.utilisation.matmul_flops", 1e6, "more than 100 times the 1e+06 FLOP/s of a matrix pro"),
    ],
)
def test_a_contradiction_is_named_and_its_run_left_out(real: Path, file: str, at: str, to: Any, said: str) -> None:
    edit(real / "runs" / FSDP / f"{file}.json", at=at, to=to)
    problem = only(load(real))
    assert problem.startswith(str(real / "runs" / FSDP))
    assert said in problem


@pytest.mark.parametrize(
    ("at", "to"),
    [
        ("measured.utilisation.matmul_fraction", -1),
        ("measured.window.block_tokens_per_s", [0.0, 1.0]),
        ("measured.memory.peak", 10**400),
    ],
)
def test_a_rate_that_has_no_logarithm_is_damage(real: Path, at: str, to: Any) -> None:
    """Random damage to a result once ended the report with an error of mathematics."""
    edit(real / "runs" / FSDP / "result.json", at=at, to=to)
    assert FSDP in only(load(real))


def test_a_matrix_product_that_other_work_slowed_is_no_contradiction(real: Path) -> None:
    edit(real / "runs" / FSDP / "result.json", at="measured.utilisation.matmul_flops", to=1e7)  # a fiftieth
    assert load(real).problems == []


def test_a_result_or_steps_of_another_run_are_found(real: Path) -> None:
    shutil.copy(real / "runs" / OTHER / "steps.parquet", real / "runs" / FSDP / "steps.parquet")
    assert "but steps.parquet gives" in only(load(real))
    shutil.copy(real / "runs" / OTHER / "result.json", real / "runs" / FSDP / "result.json")
    assert only(load(real)).endswith(f"run: should be '{FSDP}', not '{OTHER}'")


def test_one_measurement_in_two_folders_counts_for_neither(real: Path) -> None:
    """A copy whose ids were made to fit: which one is the original cannot be seen."""
    for name in ("result.json", "steps.parquet"):
        shutil.copy(real / "runs" / DDP / name, real / "runs" / DDP_AGAIN / name)
    edit(real / "runs" / DDP_AGAIN / "result.json", at="run", to=DDP_AGAIN)
    read = load(real)
    assert len(read.problems) == 2
    assert all("the same measurement as in" in problem for problem in read.problems)
    assert {DDP, DDP_AGAIN}.isdisjoint(read.results)
    assert len(read.results) == 3


def without_a_row(table: pa.Table) -> pa.Table:
    return table.slice(1)


def with_a_step_twice(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 1), table.slice(0, table.num_rows - 1)])


@pytest.mark.parametrize("change", [without_a_row, with_a_step_twice])
def test_steps_that_are_not_whole_are_found(real: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = real / "runs" / FSDP / "steps.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    assert "steps.parquet: should have 6 steps of 1 groups" in only(load(real))


def test_half_a_file_of_steps_is_found(real: Path) -> None:
    path = real / "runs" / FSDP / "steps.parquet"
    path.write_bytes(path.read_bytes()[:200])
    assert f"{path} cannot be read" in only(load(real))


def test_the_digest_of_the_steps_is_checked_where_a_result_has_one(real: Path) -> None:
    folder = real / "runs" / FSDP
    digest = hashlib.sha256((folder / "steps.parquet").read_bytes()).hexdigest()
    edit(folder / "result.json", at="measured.steps_digest", to=digest)
    assert load(real).problems == []
    edit(folder / "result.json", at="measured.steps_digest", to=digest[::-1])
    assert "steps.parquet: not the file that" in only(load(real))
    (folder / "steps.parquet").unlink()
    assert "steps.parquet is missing, although" in only(load(real))
    edit(folder / "result.json", at="measured.steps_digest", to=None)
    assert load(real).problems == [], "older results may be without"


def test_a_run_whose_runner_died_has_no_duration_to_check(real: Path) -> None:
    edit(real / "runs" / FSDP / "result.json", at="seconds", to=0.0)
    assert load(real).problems == []


def test_axes_that_came_with_a_resume_do_not_contradict(real: Path) -> None:
    plan = json.loads((real / "plan.json").read_text())
    plan["axes"]["precision"] = ["fp32"]
    for cell in plan["cells"]:
        cell["labels"]["precision"] = "fp32"
    (real / "plan.json").write_text(json.dumps(plan))
    assert load(real).problems == []


def test_a_loss_within_the_noise_of_its_samples_passes(real: Path) -> None:
    """8 validation samples of 32 tokens, a vocabulary of 256: 3 x 2.95 / sqrt(256) = 0.55 nats."""
    edit(real / "runs" / FSDP / "result.json", at="measured.loss.validation", to=1.4031 - 0.55)
    assert load(real).problems == []


@pytest.mark.parametrize(("vocabulary", "branching"), [(2, 2), (32, 2), (256, 8), (256, 256)])
def test_the_noise_of_a_loss_is_below_its_bound(vocabulary: int, branching: int) -> None:
    """The source's own surprisal is the best model's loss; its tokens are not independent."""
    source = MarkovSource.from_seed(vocabulary, branching, seed=3)
    law = np.zeros((vocabulary, vocabulary))
    np.add.at(
        law, (np.repeat(np.arange(vocabulary), branching), source.successors.ravel()), source.probabilities.ravel()
    )
    tokens = source.sample(300 * 16, 65, seed=5)
    losses = -np.log(law[tokens[:, :-1], tokens[:, 1:]]).reshape(300, -1).mean(axis=1)
    assert losses.mean() == pytest.approx(source.entropy_rate, abs=0.02)
    assert losses.std() * np.sqrt(16 * 64) < 0.7 * surprisal_deviation(vocabulary)


@pytest.mark.parametrize("events", [2, 3, 32, 256, 100_000])
def test_no_distribution_has_more_noise_than_the_bound(events: int) -> None:
    """The variance is largest for one likely event among equally unlikely ones."""
    likely = np.linspace(0.001, 0.999, 2000)
    rest = (1 - likely) / (events - 1)
    first, others = -np.log(likely), -np.log(rest)
    mean = likely * first + (1 - likely) * others
    variance = likely * first**2 + (1 - likely) * others**2 - mean**2
    assert np.sqrt(variance.max()) < surprisal_deviation(events)
    assert np.sqrt(variance.max()) > 0.5 * surprisal_deviation(events) * (events > 3)
