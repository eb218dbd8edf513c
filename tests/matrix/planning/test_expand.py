"""The product of the axes, exclusions, inclusions and overrides."""

from __future__ import annotations

from matrix.planning.combinations.expand import expand
from tests.support.planning import PlanText

AXES = {"model": ["llama", "mixtral"], "nodes": [1, 2]}


def test_the_product_is_in_the_order_of_the_axes() -> None:
    assert [tuple(point.values()) for point in expand(AXES, [], [])] == [
        ("llama", 1), ("llama", 2), ("mixtral", 1), ("mixtral", 2),
    ]  # fmt: skip


def test_all_keys_of_an_exclusion_must_match() -> None:
    points = expand(AXES, [{"model": ["mixtral"], "nodes": [2, 4]}], [])
    assert {"model": "mixtral", "nodes": 2} not in points
    assert len(points) == 3


def test_an_include_adds_values_of_its_own_and_takes_the_whole_list_of_other_axes() -> None:
    assert [tuple(point.values()) for point in expand(AXES, [], [{"nodes": [4]}])] == [
        ("llama", 1), ("llama", 2), ("llama", 4), ("mixtral", 1), ("mixtral", 2), ("mixtral", 4),
    ]  # fmt: skip


def test_an_include_comes_after_the_exclusions_and_duplicates_are_one_point() -> None:
    points = expand(AXES, [{"model": ["mixtral"]}], [{"model": ["mixtral"], "nodes": [1]}, {"model": ["llama"]}])
    assert [tuple(point.values()) for point in points] == [("llama", 1), ("llama", 2), ("mixtral", 1)]


def test_overrides_change_what_they_match_and_the_last_one_holds(plan: PlanText, small: str) -> None:
    overrides = """\
overrides:
  - {when: {nodes: 2}, set: {steps: 48, weight_decay: 0}}
  - {when: {nodes: 2, batch_size: [4, 2]}, set: {steps: 36}}
"""
    trainings = {run.nodes: run.training for run in plan(small + overrides).runs.values()}
    assert (trainings[1].steps, trainings[1].weight_decay) == (24, 0.1)
    assert (trainings[2].steps, trainings[2].weight_decay) == (36, 0)


def test_a_field_of_training_is_an_axis(plan: PlanText, small: str) -> None:
    planned = plan(small.replace("data:", "  learning_rate: [1e-3, 1]\ndata:"))
    assert list(planned.plan.axes) == ["model", "strategy", "nodes", "batch_size", "learning_rate", "cuda_streams"]
    assert planned.plan.axes["learning_rate"] == [0.001, 1.0]
    assert {run.training.learning_rate for run in planned.runs.values()} == {0.001, 1.0}
    assert {".learning_rate=1" in run for run in planned.runs} == {True, False}
    assert not any("0.001" in run for run in planned.runs), "a first value goes without saying"
    many = ["sequence_length: [16, 32]", "val_samples: [8, 16]", "weight_decay: [0.1, 0.2]", "workers: [0, 1]"]
    many += ["deterministic: [false, true]", "federated_data: [partition, share]", "subsample: [100, 200]"]
    planned = plan(small.replace("data:", "".join(f"  {axis}\n" for axis in many) + "data:"))
    assert max(map(len, planned.runs)) <= 150
    assert len(planned.runs) == 4 * 2**6
