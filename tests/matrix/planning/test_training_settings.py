"""Settings of the training at planning: those that a run does not use collapse, and epochs become steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.contract.plan import Cell
from matrix.errors import InputError
from tests.support.planning import PlanText

TWO_BATCHES = "[2, 4]"


def cells(
    plan: PlanText,
    small: str,
    axis: str,
    values: list[str],
    *,
    model: str = "llama-tiny",
    strategy: str = "fsdp",
    training: str = "",
    ranks: int = 4,
) -> list[Cell]:
    """The cells of one axis, in the order of its values."""
    text = small.replace("llama-tiny", model).replace("[fsdp]", f"[{strategy}]").replace("[1, 2]", "1")
    text = text.replace(TWO_BATCHES, f"2\n  {axis}: [{', '.join(values)}]")
    return plan(text + training, ranks_per_node=ranks).plan.cells


@pytest.mark.parametrize(
    ("axis", "values", "where", "reason"),
    [
        ("experts", ["grouped_mm", "eager"], {}, "experts is not used by a dense model"),
        ("checkpointed_layers", ["2", "3"], {},
         "checkpointed_layers is used only by selective activation checkpointing"),
        ("adamw_kernels", ["fused", "loop"], {"training": "training: {optimizer: sgd}\n"},
         "adamw_kernels is not used by sgd"),
        ("prefetch", ["0", "2"], {"strategy": "ddp"}, "prefetch is not used without sharding"),
        ("reshard_after_forward", ["true", "false"], {"strategy": "ddp"},
         "reshard_after_forward is not used without sharding"),
        ("lr_scaling", ["none", "linear"], {"ranks": 1}, "lr_scaling is not used by a group of one rank"),
        ("reshard_after_forward", ["true", "false"],
         {"strategy": "ddp", "training": "training: {precision: bf16, reduce_dtype: fp32}\n"}, None),
        ("val_batch_size", ["2", "1"], {}, None),
        ("checkpointed_layers", ["2", "3"], {"training": "training: {activation_checkpointing: selective}\n"}, None),
        ("prefetch", ["0", "2"], {}, None),
        ("experts", ["grouped_mm", "eager"], {"model": "mixtral-tiny"}, None),
    ],
)  # fmt: skip
def test_what_a_run_does_not_use_is_no_difference(
    plan: PlanText, small: str, axis: str, values: list[str], where: dict[str, Any], reason: str | None
) -> None:
    first, second = cells(plan, small, axis, values, **where)
    assert first.status == "run"
    assert (second.status, second.reason) == (("same", reason) if reason else ("run", ""))


def test_what_is_said_twice_is_one_run(plan: PlanText, small: str) -> None:
    fp32, bf16 = cells(plan, small, "reduce_dtype", ["fp32", "bf16"])
    assert (fp32.status, bf16.status) == ("run", "run")
    text = small.replace("[1, 2]", "1").replace(TWO_BATCHES, "2\n  precision: [fp32, bf16]")
    said, implied = (set(plan(text + more).runs) for more in ("", "training: {val_batch_size: 2}\n"))
    assert said == implied


def test_flash_attention_is_refused_on_a_cpu(plan: PlanText, small: str) -> None:
    sdpa, flash = cells(plan, small, "attention", ["sdpa", "flash"])
    assert (sdpa.status, flash.status) == ("run", "impossible")
    assert flash.reason == "flash attention needs a GPU and computes in bf16: choose sdpa here"


def test_a_global_batch_holds_all_micro_batches(plan: PlanText, small: str) -> None:
    planned = plan(small.replace(TWO_BATCHES, "16\nregime: global-batch\ntraining: {accumulation: 2}"))
    assert {(run.nodes, run.batch_size) for run in planned.runs.values()} == {(1, 2), (2, 1)}
    with pytest.raises(InputError, match="a global batch of 12 sequences is not divisible by 4 ranks in 2 micro"):
        plan(small.replace(TWO_BATCHES, "12\nregime: global-batch\ntraining: {accumulation: 2}"))


def epochs(small: str, data: Path, value: str, more: str = "") -> str:
    return small.replace("path: data", f"path: {data}") + f"training: {{epochs: {value}, warmup_steps: 4{more}}}\n"


def test_epochs_become_steps_in_whole_blocks(plan: PlanText, small: str, data: Path) -> None:
    """2048 samples: a step of 4 ranks x batch 2 reads 8 of them, of 8 ranks x batch 4 it reads 32."""
    text = epochs(small, data, "1.5", ", sequence_length: 32") + "block: 10\n"
    steps = {(run.nodes, run.batch_size): run.training.steps for run in plan(text).runs.values()}
    assert steps == {(1, 2): 380, (1, 4): 190, (2, 2): 190, (2, 4): 90}
    fewer = epochs(small, data, "1.5", ", sequence_length: 32, subsample: 1024, accumulation: 2") + "block: 10\n"
    assert {run.training.steps for run in plan(fewer).runs.values()} == {90, 40, 20}


def test_epochs_of_as_many_steps_are_one_run(plan: PlanText, small: str, data: Path) -> None:
    text = small.replace("path: data", f"path: {data}").replace("[1, 2]", "1").replace(TWO_BATCHES, "2")
    axis = text.replace("data:", "  epochs: [1, 1.01]\ndata:", 1)
    first, second = plan(axis + "training: {sequence_length: 32}\nblock: 8\n").plan.cells
    assert (first.status, second.status, second.reason) == ("run", "same", "epochs makes no difference here")


def test_epochs_that_cannot_be_counted(plan: PlanText, small: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"training\.epochs needs the data set while planning, and .*none: make it first"
    ):
        plan(epochs(small, tmp_path / "none", "1"))
    with pytest.raises(InputError, match=r"0\.01 of 2048 samples are 2 steps of 8 sequences, fewer than a block of 10"):
        plan(epochs(small, data, "0.01", ", sequence_length: 32") + "block: 10\n")
    with pytest.raises(
        InputError, match="should give its length in `steps` or in `epochs`, not both: keep one of them"
    ):
        plan(epochs(small, data, "1", ", steps: 20"))


def test_epochs_of_a_damaged_data_set(plan: PlanText, small: str, data: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    (damaged / "train").mkdir(parents=True)
    (damaged / "train" / "state.json").write_text("{}")
    with pytest.raises(InputError, match=r"state\.json: should list the data files: create the data again"):
        plan(epochs(small, damaged, "1"))
