"""Points that the xFFL library cannot train are impossible, with a reason that docs/guides/xffl.md gives too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.contract.layout import Layout
from bench.contract.training import Training
from matrix.planning.xffl_limits import LIMITS, unsupported
from tests.support.planning import PlanText

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "xffl.md").read_text()
FSDP = Layout(federation=1, replicate=1, shard=4)

REFUSED: list[tuple[dict[str, Any], tuple[int, int, int]]] = [
    ({}, (1, 1, 1)),
    ({}, (1, 4, 1)),
    ({}, (2, 2, 1)),
    ({"accumulation": 2}, (1, 1, 4)),
    ({"activation_checkpointing": "selective"}, (1, 1, 4)),
    ({"compile": True}, (1, 1, 4)),
    ({"reshard_after_forward": False}, (1, 1, 4)),
    ({"prefetch": 1}, (1, 1, 4)),
    ({"save_model": True}, (1, 1, 4)),
    ({"save_checkpoint": True}, (1, 1, 4)),
    ({"start_from": "elsewhere"}, (1, 1, 4)),
    ({"log_level": "debug"}, (1, 1, 4)),
    ({"validate_every": 8}, (1, 1, 4)),
]


def layout(numbers: tuple[int, int, int]) -> Layout:
    return Layout(federation=numbers[0], replicate=numbers[1], shard=numbers[2])


@pytest.mark.parametrize(("settings", "numbers"), REFUSED)
def test_what_it_cannot_train_is_refused(settings: dict[str, Any], numbers: tuple[int, int, int]) -> None:
    assert unsupported(Training.model_validate(settings), layout(numbers))


@pytest.mark.parametrize("numbers", [(1, 1, 4), (1, 2, 2), (2, 1, 2), (2, 2, 2), (4, 1, 1)])
def test_what_it_can_train_is_not(numbers: tuple[int, int, int]) -> None:
    training = Training(activation_checkpointing="full", precision="bf16-mixed", clip_norm=1.0, workers=2)
    assert unsupported(training, layout(numbers)) == ""


def test_every_limit_is_tried_and_documented() -> None:
    tried = {unsupported(Training.model_validate(settings), layout(numbers)) for settings, numbers in REFUSED}
    assert tried == {limit.reason for limit in LIMITS}
    assert [limit.reason for limit in LIMITS if f"| {limit.reason} |" not in PAGE] == []


def test_engine_and_launcher_are_axes(plan: PlanText, small: str) -> None:
    """The plan names both where they vary; what the library cannot train stands there with its reason."""
    both = small.replace("[fsdp]", "[fsdp, ddp]").replace("nodes: [1, 2]", "nodes: 1").replace("[2, 4]", "2")
    both = both.replace("  batch_size: 2", "  batch_size: 2\n  engine: [native, xffl]\n  launcher: [torchrun, xffl]")
    planned = plan(both)
    found = {(run.engine, run.launcher, run.labels["strategy"]) for run in planned.runs.values()}
    assert found == {
        ("native", "torchrun", "fsdp"),
        ("native", "xffl", "fsdp"),
        ("xffl", "torchrun", "fsdp"),
        ("xffl", "xffl", "fsdp"),
        ("native", "torchrun", "ddp"),
        ("native", "xffl", "ddp"),
    }
    impossible = [cell for cell in planned.plan.cells if cell.status == "impossible"]
    assert {cell.labels["strategy"] for cell in impossible} == {"ddp"}
    assert all("the xFFL library has no replicas" in cell.reason for cell in impossible)
    assert any("engine=xffl" in run_id and "launcher=xffl" in run_id for run_id in planned.plan.order)
    assert planned.plan.settings(planned.plan.cells[0].labels) == {"engine": "native", "launcher": "torchrun"}
