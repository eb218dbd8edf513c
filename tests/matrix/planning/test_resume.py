"""Checkpoints to resume from, named in a matrix file and checked by the plan."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.contract.layout import Layout
from bench.contract.resume import Reached
from bench.contract.shapes import STOCK
from bench.contract.storage.files import write_document
from matrix.errors import InputError
from matrix.planning.plan import PlannedSweep
from matrix.planning.ready import check_data
from tests.support.planning import LoadText, PlanText, describe_data

ONE_NODE = Layout(federation=1, replicate=1, shard=4)


def checkpoint(folder: Path, layout: Layout = ONE_NODE, step_samples: int = 8, **other: object) -> None:
    """What planning reads of a checkpoint."""
    folder.mkdir(parents=True)
    (folder / ".metadata").write_bytes(b"")
    reached = Reached(
        run="before",
        data=None,
        sequence_length=128,
        step=24,
        schedule_steps=48,
        step_samples=step_samples,
        seed=1,
        shape=STOCK["llama-tiny"],
        layout=layout,
        held="fp32",
        optimizer="adamw",
    )
    write_document(folder / "checkpoint.json", reached.model_copy(update=other))


def starts(planned: PlannedSweep) -> set[str]:
    return {str(run.training.start_from) for run in planned.runs.values()}


def test_paths_are_relative_to_the_matrix_file_wherever_they_stand(
    plan: PlanText, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARLIER", "before")
    there = str(tmp_path / "before" / "checkpoint")
    setting = "{schedule_steps: 48, start_from: $EARLIER/checkpoint}"
    assert starts(plan(small + f"training: {setting}\n")) == {there}
    override = f"overrides: [{{when: {{nodes: 1}}, set: {setting}}}]\n"
    assert starts(plan(small + override)) == {there, "None"}
    axis = small.replace("data:", "  start_from: [before/checkpoint, /elsewhere/checkpoint]\ndata:")
    planned = plan(axis)
    assert starts(planned) == {there, "/elsewhere/checkpoint"}
    assert len(planned.runs) == 8
    assert all("/" not in run_id for run_id in planned.runs), "an id is the name of a folder"
    assert {cell.labels["start_from"] for cell in planned.plan.cells} == {"before/checkpoint", "/elsewhere/checkpoint"}


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("training: {start_from: $NOT_SET_AT_ALL/checkpoint}", "8: training.start_from"),
        (
            "overrides: [{when: {nodes: 1}, set: {start_from: $NOT_SET_AT_ALL/checkpoint}}]",
            "8: overrides[0].set.start_from",
        ),
        ("include: [{start_from: $NOT_SET_AT_ALL/checkpoint}]", "8: include[0].start_from"),
    ],
)
def test_a_variable_that_is_not_set_is_named(load: LoadText, small: str, more: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        load(small + more + "\n")
    assert (
        f"sweep.yaml:{place}: uses $NOT_SET_AT_ALL, which is not set in the environment: $NOT_SET_AT_ALL/checkpoint"
        in str(caught.value)
    )


def test_planning_needs_no_checkpoint_and_running_does(plan: PlanText, small: str, tmp_path: Path) -> None:
    describe_data(tmp_path / "data")
    text = small + "training: {schedule_steps: 48, start_from: before/checkpoint}\n"
    with pytest.raises(
        InputError, match=r"training\.start_from: .*/before/checkpoint is not a folder: name one written"
    ):
        check_data(plan(text))
    checkpoint(tmp_path / "before" / "checkpoint")
    check_data(plan(text.replace("[2, 4]", "2").replace("[1, 2]", "1")))
    (tmp_path / "before" / "checkpoint" / "checkpoint.json").unlink()
    with pytest.raises(InputError, match=r"none of the 4 combinations .* contains no complete checkpoint"):
        plan(text)


def test_what_would_be_another_training_is_impossible(plan: PlanText, small: str, tmp_path: Path) -> None:
    checkpoint(tmp_path / "before" / "checkpoint")
    federated = "[fsdp, {name: f, federated: {groups: 2, every: 4}}]"
    text = small.replace("[2, 4]", "[8, 16]\nregime: global-batch").replace("[fsdp]", federated)
    planned = plan(text + "training: {schedule_steps: 48, start_from: before/checkpoint}\n")
    assert {(run.nodes, str(run.labels["strategy"]), run.batch_size) for run in planned.runs.values()} == {
        (1, "fsdp", 2),
        (2, "fsdp", 1),
    }
    why = f"cannot resume from {tmp_path}/before/checkpoint: "
    groups = "it stores the optimizer states of 1 federated group(s), the run has 2: each group needs its own"
    assert {cell.reason.removeprefix(why).partition(",")[0] for cell in planned.plan.cells if cell.reason} == {
        "its steps read 8 samples and the run's 16",
        groups.partition(",")[0],
    }
    with pytest.raises(InputError, match=r"its training has done 24 steps, so training\.schedule_steps must give"):
        plan(text.replace("[8, 16]", "8") + "training: {start_from: before/checkpoint}\n")
    steps = "training: {steps: 24, schedule_steps: 24, start_from: before/checkpoint}\n"
    assert plan(text.replace("[8, 16]", "8") + steps).runs, "the schedule's length was said"


def test_another_data_set_or_sequence_length_is_another_training(plan: PlanText, small: str, tmp_path: Path) -> None:
    text = small.replace("[2, 4]", "2").replace("[1, 2]", "1")
    text += "training: {schedule_steps: 48, start_from: before/checkpoint}\n"
    there = tmp_path / "before" / "checkpoint"
    checkpoint(there)
    assert plan(text).runs
    for other in ({"data": "0123"}, {"sequence_length": 64}):
        shutil.rmtree(there)
        checkpoint(there, **other)
        with pytest.raises(InputError, match="trained on another data set or sequence length"):
            plan(text)
