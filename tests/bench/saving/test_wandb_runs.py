"""A real run is handed to a real W&B in mode offline, and read back from what that wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.saving.wandb import step_metrics
from tests.support.tracked import ASKED, STEPS, Tracked, cautions, hand, with_mode


@pytest.fixture(scope="module")
def tracked(trained: AttemptFolder) -> Tracked:
    return Tracked(trained)


def test_a_run_is_named_as_the_matrix_file_says(tracked: Tracked) -> None:
    run = tracked.run
    assert (run.entity, run.project, run.notes, list(run.tags)) == ("us", "ours", "Why it ran.", ["tiny", "gloo"])
    assert (run.run_group, run.display_name) == ("sweep", "llama-tiny.r0-1a2b3c")
    assert (run.job_type, run.run_id == "same") == ("", False)  # as only the environment said
    assert tracked.is_whole


def test_names_that_are_given_take_the_place_of_defaults(wandb_run: Run, attempt: AttemptFolder) -> None:
    named = ASKED.model_copy(update={"group": "mine", "name": "a name"})
    hand(wandb_run.model_copy(update={"wandb": named}), attempt)
    found = Tracked(attempt).run
    assert (found.run_group, found.display_name) == ("mine", "a name")
    assert Caution.WANDB_FAILED not in cautions(attempt)


def test_the_configuration_is_the_run(tracked: Tracked, wandb_run: Run, trained: AttemptFolder) -> None:
    config = {key: value for key, value in tracked.config.items() if key != "_wandb"}
    made = json.loads(trained.measured.read_text())["provenance"]
    asked = json.loads(wandb_run.model_dump_json(exclude={"wandb"}))
    asked["system"]["environment"] = {"NCCL_DEBUG": "WARN"}  # without the key, which is no one's business
    assert config == {**asked, "provenance": made}


def test_metrics_are_those_of_the_step_table(tracked: Tracked, trained: AttemptFolder) -> None:
    assert tracked.numbers == list(range(STEPS))
    rows = pq.read_table(trained.steps).to_pylist()
    trained_tokens = 0
    for step, found in enumerate(tracked.steps):
        groups = [row for row in rows if row["step"] == step]
        tokens = sum(row["tokens"] for row in groups)
        trained_tokens += tokens
        loss = sum(row["loss"] * row["tokens"] for row in groups) / tokens
        assert found.pop("train/loss") == pytest.approx(loss, rel=1e-12)
        assert found == {
            "train/learning_rate": groups[0]["learning_rate"],
            "train/step_seconds": max(row["seconds"] for row in groups),
            "train/aggregation_seconds": max(row["aggregation_s"] for row in groups),
            "train/tokens": tokens,
            "train/trained_tokens": trained_tokens,
            "train/loss_of_group/0": groups[0]["loss"],
            "train/loss_of_group/1": groups[1]["loss"],
        }
    assert groups[0]["loss"] != groups[1]["loss"]
    assert groups[0]["aggregation_s"] > 0


def test_groups_weigh_by_their_tokens() -> None:
    rows = {"group": [0, 1], "tokens": [30, 10], "loss": [1.0, 5.0], "learning_rate": [0.1, 0.1]}
    table = pa.table(rows | {"seconds": [1.0, 2.0], "aggregation_s": [0.0, 0.5]})
    (found,) = step_metrics(table)
    assert found["train/loss"] == 2.0
    assert (found["train/step_seconds"], found["train/aggregation_seconds"]) == (2.0, 0.5)


def test_the_summary_is_what_was_measured(tracked: Tracked, wandb_run: Run, trained: AttemptFolder) -> None:
    summary = {key: value for key, value in tracked.summary.items() if not key.startswith(("train/", "_"))}
    measured = Measured.model_validate_json(trained.measured.read_text())
    written = json.loads(trained.measured.read_text())
    del written["provenance"], written["validations"]  # the configuration, and metrics of their steps
    assert summary == {
        **written,
        "run": wandb_run.id,
        "tokens_per_s": measured.window.tokens_per_s,
        "perplexity": measured.loss.perplexity,
    }
    assert Caution.WANDB_FAILED not in measured.cautions
    assert Caution.CPU_MEMORY in summary["cautions"]


def test_all_files_are_in_the_attempts_folder(trained: AttemptFolder) -> None:
    assert not Path("wandb").exists()
    assert not list(trained.wandb.glob("offline-run-*/files/*")), "code, requirements or console were saved"


def test_the_ranks_last_word_comes_before_it(trained: AttemptFolder) -> None:
    """So that a run whose handing over is cut off, by its time limit say, is a completed run."""
    (file,) = trained.wandb.glob("offline-run-*/*.wandb")
    assert file.stat().st_mtime_ns > trained.rank_end(0).stat().st_mtime_ns


def test_disabled_writes_nothing(wandb_run: Run, attempt: AttemptFolder) -> None:
    before = sorted(attempt.path.rglob("*"))
    hand(with_mode(wandb_run, "disabled"), attempt)
    assert sorted(attempt.path.rglob("*")) == before


def test_a_rank_never_imports_wandb() -> None:
    program = "import sys, bench.saving.wandb; print({'wandb', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
