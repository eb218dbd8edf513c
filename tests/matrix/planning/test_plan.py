"""What can run, under which id and in which order."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from matrix.errors import InputError
from matrix.planning.combinations.crossing import crossing
from matrix.planning.filters import parse_filter, select
from matrix.planning.plan import PlannedSweep
from matrix.planning.ready import check_data
from tests.support.planning import PlanText, describe_data


def reasons(planned: PlannedSweep) -> set[str]:
    return {cell.reason for cell in planned.plan.cells if cell.status == "impossible"}


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("[1, 2]", "[1, 3]", "3 nodes are more than the 2 of system toy"),
        ("[2, 4]", "[8, 12]\nregime: global-batch", "a global batch of 12 sequences is not divisible by 8 ranks"),
        ("[2, 4]", "2\n  sequence_length: [128, 4097]",
         "sequence_length 4097 is more than the model's 4096 positions"),
        ("[2, 4]", "2\n  steps: [24, 10]\nblock: 4",
         "training.steps 10 minus warmup_steps 8 is less than one block of 4 steps: use 12 steps or more"),
        ("[fsdp]", "[fsdp, {name: f, federated: {groups: 8, every: 4}}]",
         "4 ranks do not divide into 8 equal groups (unequal groups are not supported)"),
        ("[fsdp]", "[fsdp, {name: h, hsdp: {shard: 3}}]", None),
    ],
)  # fmt: skip
def test_what_cannot_be_says_why_and_the_sweep_goes_on(
    plan: PlanText, small: str, right: str, wrong: str, reason: str | None
) -> None:
    planned = plan(small.replace(right, wrong))
    assert planned.runs
    assert reasons(planned) == (
        {reason} if reason else {f"a world of {n} ranks does not divide into shard groups of 3" for n in (4, 8)}
    )


def test_a_sweep_of_nothing_is_refused(plan: PlanText, small: str) -> None:
    with pytest.raises(InputError, match=r"none of the 4 combinations can run: .* is less than one block"):
        plan(small + "training: {steps: 8}\n")
    with pytest.raises(InputError, match="exclude leaves no combination"):
        plan(small + "exclude: [{nodes: [1, 2]}]\n")


def test_the_global_batch_is_shared_among_the_ranks(plan: PlanText, small: str) -> None:
    planned = plan(small.replace("[2, 4]", "16\nregime: global-batch"))
    assert {(run.nodes, run.batch_size) for run in planned.runs.values()} == {(1, 4), (2, 2)}


def test_a_block_holds_every_interval(plan: PlanText, small: str) -> None:
    axis = "[{name: a, federated: {groups: 2, every: 4}}, {name: b, federated: {groups: 2, every: 6}}]"
    planned = plan(small.replace("[fsdp]", axis) + "training: {steps: 36}\n")
    assert {run.block for run in planned.runs.values()} == {12}


def test_ids_are_readable_unique_and_the_same_every_time(plan: PlanText, small: str) -> None:
    text = small + "repeats: 3\n"
    planned, again = plan(text), plan(text)
    assert list(planned.runs) == list(again.runs)
    assert len(planned.runs) == 4 * 3
    assert all(re.fullmatch(r"llama-tiny\.fsdp\.n[12]\.b[24]\.r[012]-[0-9a-f]{6}", run) for run in planned.runs)
    assert all(run.id == name and name.endswith(run.identity()[:6]) for name, run in planned.runs.items())


def test_each_repeat_is_a_shuffle_of_its_own(plan: PlanText, small: str) -> None:
    text = small.replace("[2, 4]", "[1, 2, 3, 4, 5, 6]") + "repeats: 2\nseed: 7\n"
    order = plan(text).plan.order
    first, second = order[:12], order[12:]
    assert all(".r0-" in run for run in first)
    assert all(".r1-" in run for run in second)
    assert [run.split(".r")[0] for run in first] != [run.split(".r")[0] for run in second]
    assert first != sorted(first)
    assert order == plan(text).plan.order
    assert order != plan(text.replace("seed: 7", "seed: 8")).plan.order


def test_the_reference_is_fsdp_at_the_fewest_nodes_unless_another_is_named(plan: PlanText, small: str) -> None:
    text = small.replace("[fsdp]", "[ddp, fsdp]").replace("[1, 2]", "[2, 1]")
    assert plan(text).plan.reference == {"strategy": "fsdp", "nodes": 1}
    assert plan(text + "reference: {strategy: ddp, nodes: 2}\n").plan.reference == {"strategy": "ddp", "nodes": 2}
    assert plan(text.replace("fsdp]", "{name: x, fsdp: {}}]")).plan.reference["strategy"] == "ddp"


def test_strategies_are_compared_unless_there_is_one_or_another_axis_is_named(plan: PlanText, small: str) -> None:
    several = small.replace("batch_size:", "precision: [bf16, fp32]\n  compile: [false, true]\n  batch_size:")
    one = plan(several).plan
    assert one.compare == ["precision", "compile", "batch_size"]
    assert one.reference == {"precision": "bf16", "compile": False, "batch_size": 2, "nodes": 1}
    strategies = plan(several.replace("[fsdp]", "[ddp, fsdp]")).plan
    assert (strategies.compare, strategies.reference) == (["strategy"], {"strategy": "fsdp", "nodes": 1})
    named = plan(several + "compare: precision\nreference: {precision: fp32}\n").plan
    assert (named.compare, named.reference) == (["precision"], {"precision": "fp32", "nodes": 1})
    assert plan(small.replace("[2, 4]", "2")).plan.compare == ["strategy"], "also where nothing varies"
    hole = several + "exclude: [{precision: bf16, compile: false}]\n"
    assert plan(hole).plan.reference == {"precision": "bf16", "compile": True, "batch_size": 2, "nodes": 1}
    with pytest.raises(InputError, match="reference: no combination of the sweep has precision bf16, compile False"):
        plan(hole + "reference: {precision: bf16, compile: false}\n")


def test_data_are_held_against_the_model(plan: PlanText, small: str, tmp_path: Path) -> None:
    source = tmp_path / "data" / "source.json"
    describe_data(source.parent)
    source.write_text(json.dumps({"vocab_size": 256, "sequence_length": 128, "entropy_rate": 2.0}))
    check_data(plan(small))
    planned = plan(small.replace("[2, 4]", "2\n  sequence_length: [128, 64, 256]"))
    assert reasons(planned) == {
        "sequence_length 256 is more than the 128 tokens of the data's samples: use `axes.sequence_length: 128`, or "
        "data made with `--sequence-length 256`"
    }
    source.write_text(json.dumps({"vocab_size": 256, "sequence_length": 64}))
    with pytest.raises(InputError, match=r"use `training\.sequence_length: 64`, or data made with .*length 128`$"):
        plan(small)
    source.write_text(json.dumps({"vocab_size": 257, "sequence_length": 128}))
    with pytest.raises(InputError, match="vocabulary of 257 is larger than the model's 256") as refused:
        plan(small)
    assert "(model: {name: ..., llama: {vocab_size: 257, ...}}, docs/guides/data.md), or other data" in str(
        refused.value
    )
    source.write_text('{"vocab_size":')
    with pytest.raises(InputError, match=r"source\.json: should give vocab_size and sequence_length"):
        plan(small)


@pytest.mark.parametrize(
    ("precision", "hidden", "wide", "reason"),
    [
        ("fp32", 64, 90, "intermediate_size 90 is not a multiple of 4"),
        ("bf16", 60, 96, "hidden_size 60 is not a multiple of 8"),
        ("fp32", 60, 92, None),
        ("bf16", 40, 88, None),
    ],
)
def test_experts_of_a_width_that_the_kernel_refuses(
    plan: PlanText, small: str, precision: str, hidden: int, wide: int, reason: str | None
) -> None:
    """Grouped products need rows of whole 16 bytes; tried with torch 2.13: strides should be multiple of 16 bytes."""
    model = (
        f"{{name: moe, mixtral: {{vocab_size: 256, hidden_size: {hidden}, intermediate_size: {wide}, layers: 1, "
        "heads: 2, kv_heads: 2, experts: 4, experts_per_token: 2}}"
    )
    text = small.replace("llama-tiny", model) + f"training: {{precision: {precision}, experts: %s}}\n"
    if reason is None:
        assert not reasons(plan(text % "grouped_mm"))
    else:
        with pytest.raises(InputError, match=f"grouped_mm needs rows of whole 16 bytes, and {reason}: choose eager"):
            plan(text % "grouped_mm")
    assert not reasons(plan(text % "eager"))


def test_filters(plan: PlanText, small: str) -> None:
    text = small.replace("[fsdp]", "[fsdp, {name: h, hsdp: {shard: node}}]").replace(
        "data:", "  learning_rate: [0.001, 2]\ndata:"
    )
    planned = plan(text)

    def chosen(only: Sequence[str] = (), excepted: Sequence[str] = ()) -> list[str]:
        return select(planned, [parse_filter(text) for text in only], [parse_filter(text) for text in excepted])

    assert chosen() == planned.plan.order
    assert {planned.runs[run].nodes for run in chosen(["nodes=2"])} == {2}
    assert {planned.runs[run].batch_size for run in chosen(excepted=["batch_size=4"])} == {2}
    assert chosen(["learning_rate=1e-3"]) == chosen(excepted=["learning_rate=2"])
    # On one node h is fsdp: its cell is stood for by the run of fsdp.
    assert all(".fsdp.n1." in run for run in chosen(["strategy=h", "nodes=1"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes", "filter 'nodes': should have the form axis=value or axis=value,value"),
        ("nodes=1,", "filter 'nodes=1,': should have the form axis=value or axis=value,value"),
        ("node=1", "filter node: is not an axis of this sweep (did you mean 'nodes'?)"),
        ("strategy=fspd", "filter strategy: fspd is not a value of this axis (did you mean 'fsdp'?)"),
    ],
)
def test_filters_that_are_wrong(plan: PlanText, small: str, text: str, message: str) -> None:
    planned = plan(small)
    with pytest.raises(InputError) as caught:
        select(planned, [parse_filter(text)], [])
    assert str(caught.value) == message


def test_filters_that_leave_nothing(plan: PlanText, small: str) -> None:
    with pytest.raises(InputError, match="leave no run"):
        select(plan(small), [parse_filter("nodes=1")], [parse_filter("batch_size=2,4")])


def test_filters_that_leave_what_is_impossible_say_why(plan: PlanText, small: str) -> None:
    planned = plan(small.replace("[1, 2]", "[1, 64]"))
    with pytest.raises(InputError, match=r"only impossible combinations: 64 nodes are more than the \d+ of"):
        select(planned, [parse_filter("nodes=64")], [])


def test_shard_groups_that_cross_nodes_are_said(plan: PlanText, small: str) -> None:
    text = small.replace("[1, 2]", "[1, 2, 4]").replace(
        "[fsdp]", "[fsdp, {name: h, hsdp: {shard: 8}}, {name: f, federated: {group: 2 nodes, every: 4}}]"
    )
    assert crossing(plan(text, nodes=4).runs.values()) == [
        "h on 4 nodes: shard groups of 8 ranks span nodes of 4 ranks, so the shards of every layer go over the network",
        "f on 4 nodes: shard groups of 8 ranks span nodes of 4 ranks, so the shards of every layer go over the network",
    ]
    assert crossing(plan(text.replace("shard: 8", "shard: 2").replace("2 nodes", "node"), nodes=4).runs.values()) == []


def test_the_time_of_a_plan_grows_with_the_combinations_and_no_faster(plan: PlanText, small: str) -> None:
    """Ten times as many values of an axis take about ten times as long, and not a hundred times."""

    def seconds(seeds: int) -> float:
        text = small.replace("[1, 2]", "[1, 2, 4, 8]").replace("[2, 4]", str(list(range(1, 51))))
        text = text.replace("data:", f"  seed: {list(range(seeds))}\ndata:")
        start = time.process_time()
        planned = plan(text, nodes=8)
        assert len(planned.plan.cells) == 200 * seeds
        return time.process_time() - start

    seconds(1)  # what is done once
    assert seconds(50) < 30 * seconds(5)


def test_planning_imports_nothing_heavy() -> None:
    script = "import sys, matrix.planning.plan, matrix.planning.filters, matrix.config.schema; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "pandas", "numpy"} & set(modules)
