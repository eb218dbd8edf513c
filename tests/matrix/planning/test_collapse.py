"""Points that are executed alike are one run, and the plan says which and why."""

from __future__ import annotations

import pytest

from bench.contract.base import AxisValue
from bench.contract.plan import Cell
from tests.support.planning import PlanText

SETTINGS = """\
strategies:
  hsdp: {shard: 4}
  federated: {group: 4, every: 4}
  federated-hsdp: {group: 4, shard: 2, every: 4}
training: {steps: 24}
"""


def cells_by_strategy(
    plan: PlanText, small: str, strategies: str, settings: str = SETTINGS, **system: int
) -> dict[AxisValue, Cell]:
    text = small.replace("[fsdp]", strategies).replace("[1, 2]", "1").replace("[2, 4]", "2")
    return {cell.labels["strategy"]: cell for cell in plan(text + settings, **system).plan.cells}


@pytest.mark.parametrize(
    ("strategy", "simpler", "reason"),
    [
        ("hsdp: {shard: 4}", "fsdp", "with one replica is fsdp"),
        ("hsdp: {shard: 1}", "ddp", "with shard groups of one rank is ddp"),
        ("federated: {groups: 1, every: 4}", "fsdp", "with one group is fsdp"),
        ("federated-hsdp: {groups: 2, shard: 2, every: 4}", "federated", "with one replica is federated"),
        ("federated-hsdp: {group: node, shard: 2, every: 4}", "hsdp", "with one group is hsdp"),
        ("federated-hsdp: {group: 4, shard: 4, every: 4}", "fsdp", "with one group and one replica is fsdp"),
    ],
)
def test_a_strategy_that_is_a_simpler_one_here(
    plan: PlanText, small: str, strategy: str, simpler: str, reason: str
) -> None:
    # The simpler one stands last: it is run all the same, since it goes by its own name.
    simple = {"fsdp": "{}", "ddp": "{}", "hsdp": "{shard: 2}", "federated": "{groups: 2, every: 4}"}[simpler]
    axis = f"[{{name: special, {strategy}}}, {{name: simple, {simpler}: {simple}}}]"
    cells = cells_by_strategy(plan, small, axis, settings="")
    assert cells["simple"].status == "run"
    assert cells["special"].status == "same"
    assert cells["special"].canonical == simpler
    assert cells["special"].same_as == {"strategy": "simple"}
    assert cells["special"].reason == f"special {reason} here"
    assert cells["special"].runs == cells["simple"].runs


def test_two_that_are_both_a_third(plan: PlanText, small: str) -> None:
    cells = cells_by_strategy(plan, small, "[hsdp, federated]")
    assert cells["hsdp"].status == "run"
    assert cells["federated"].reason == "federated with one group is fsdp here, and so is hsdp"


def test_two_names_of_one_layout(plan: PlanText, small: str) -> None:
    cells = cells_by_strategy(plan, small, "[{name: a, hsdp: {shard: 2}}, {name: b, hsdp: {shard: 2}}]")
    assert cells["b"].reason == "b has the layout of a here (F=1 R=2 S=2)"


def test_on_one_rank_everything_is_fsdp(plan: PlanText, small: str) -> None:
    cells = cells_by_strategy(plan, small, "[ddp, fsdp]", ranks_per_node=1)
    assert cells["ddp"].reason == "ddp on one rank is fsdp here"


def test_what_only_a_federation_uses(plan: PlanText, small: str) -> None:
    text = small.replace("[fsdp]", "[fsdp, federated]").replace(
        "data:", "  cuda_streams: [1, 2]\n  federated_data: [partition, share]\ndata:"
    )
    planned = plan(text + SETTINGS)
    two_nodes = [c for c in planned.plan.cells if c.labels["nodes"] == 2 and c.labels["batch_size"] == 2]
    federated = [cell for cell in two_nodes if cell.labels["strategy"] == "federated"]
    assert [cell.status for cell in federated] == ["run"] * 4
    fsdp = [cell for cell in two_nodes if cell.labels["strategy"] == "fsdp"]
    assert [cell.status for cell in fsdp] == ["run", "same", "same", "same"]
    assert fsdp[2].reason == "cuda_streams is not used without a federation"
    run = planned.runs[fsdp[3].runs[0]]
    assert (run.every, run.cuda_streams, run.training.federated_data) == (0, 1, "partition")


def test_what_differs_is_not_collapsed(plan: PlanText, small: str) -> None:
    axis = "[{name: a, federated: {groups: 2, every: 2}}, {name: b, federated: {groups: 2, every: 4}}]"
    assert [cell.status for cell in cells_by_strategy(plan, small, axis).values()] == ["run", "run"]
