"""The examples can be planned; options.yaml turns every option on once, and all of it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import yaml

from bench.contract.results.measured import Measured
from bench.contract.training import Training
from matrix.config.load import load_sweep
from matrix.config.system import load_system
from matrix.planning.plan import make_plan
from tests.support.sweeps import SmallSweep

EXAMPLE = Path(__file__).parents[3] / "matrix" / "examples" / "options.yaml"
ELSEWHERE = {("attention", "flash")}
"""Choices that a CPU does not have."""


def options(data: Path) -> str:
    """The example on a data set of samples of 32 tokens, beside a system file."""
    matrix = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    matrix |= {"name": "small", "system": "system.yaml", "data": {"path": str(data)}}
    matrix["axes"]["sequence_length"] = 32
    matrix["training"]["subsample"] = 64  # on two ranks the same number of steps as the example's on four
    return yaml.safe_dump(matrix, sort_keys=False)


@pytest.mark.parametrize("example", ["demo", "options", "one-gpu"])
def test_examples_can_be_planned(example: str, tmp_path: Path, data: Path) -> None:
    file = EXAMPLE.with_name(f"{example}.yaml")
    if example == "options":  # it counts in epochs, and so in samples of its data
        SmallSweep(tmp_path, data).write()
        file = tmp_path / "sweep.yaml"
        file.write_text(options(data), encoding="utf-8")
    sweep = load_sweep(file)
    planned = make_plan(sweep, load_system(Path(sweep.system)))
    assert planned.runs
    assert not [cell for cell in planned.plan.cells if cell.status == "impossible"]


def choices(annotation: object) -> set[object]:
    """All values of a setting that has few; none of one that has many."""
    if annotation is bool:
        return {True, False}
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {choice for member in get_args(annotation) for choice in choices(member)}


def test_every_choice_is_there() -> None:
    given = load_sweep(EXAMPLE).all_labels
    missing = {
        (name, choice)
        for name, field in Training.model_fields.items()
        for choice in choices(field.annotation)
        if choice not in given.get(name, [])
    }
    assert missing - {("log_level", "warning"), ("log_level", "error")} == ELSEWHERE


def test_every_setting_is_there() -> None:
    sweep = load_sweep(EXAMPLE)
    usual = Training().model_dump()
    changed = {name for name, value in sweep.training.model_dump().items() if value != usual[name]}
    changed |= {name for name, labels in sweep.all_labels.items() if len(labels) > 1}
    # steps follow from epochs, start_from needs another run, and two are what an include goes with.
    assert set(usual) - changed == {"steps", "start_from", "sequence_length", "checkpointed_layers"}


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_every_option_runs(tmp_path: Path, data: Path) -> None:
    sweep = SmallSweep(tmp_path, data)
    sweep.write()
    sweep.matrix.write_text(options(data), encoding="utf-8")
    sweep.run(timeout=900)
    found = {run_id: result.measured for run_id, result in sweep.found().items()}
    assert all(found.values())
    usual = one(found, "llama-tiny.fsdp.n1.b2.r0")
    saved = one(found, "save_model")
    assert saved.saved.model_bytes
    assert saved.saved.checkpoint_bytes
    assert usual.saved.model_bytes is None
    compiled = one(found, "compile=true")
    assert compiled.loss.validation == pytest.approx(usual.loss.validation, rel=1e-5)
    assert compiled.startup.first_step > 10 * usual.startup.first_step, "no compiler was at work"
    levels = {run_id: "step 3 of " in log(sweep, run_id) for run_id in found}
    assert [run_id for run_id, told in levels.items() if told] == [run_id for run_id in found if "debug" in run_id]
    assert all("training" in log(sweep, run_id) for run_id in found)
    same = ["workers", "preload", "validate_every", "activation_checkpointing=full", "prefetch", "reshard"]
    changed = ["clip_norm", "precision=bf16-mixed.r0", "lr_scaling=linear", "optimizer=sgd"]
    assert {name: one(found, name).loss for name in same} == dict.fromkeys(same, usual.loss)
    assert not [name for name in changed if one(found, name).loss.validation == usual.loss.validation]


def one(found: dict[str, Measured | None], name: str) -> Measured:
    (measured,) = [measured for run_id, measured in found.items() if name in run_id]
    assert measured is not None
    return measured


def log(sweep: SmallSweep, run_id: str) -> str:
    return sweep.folder.run(run_id).attempt(0).rank_log(0).read_text(encoding="utf-8")
