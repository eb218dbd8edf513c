"""The experiment of the Euro-Par paper, on the nodes it was made on and on a laptop's."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.contract.run import Run
from bench.contract.shapes import STOCK
from matrix.batch.submit import write_jobs
from matrix.planning.prepare import PreparedSweep, prepare
from matrix.store.jobs import JobFolder
from matrix.store.sweep_folder import SweepFolder

EXAMPLES = Path(__file__).parents[3] / "matrix" / "examples"


def prepared(name: str) -> PreparedSweep:
    return prepare(EXAMPLES / f"{name}.yaml", None, [], [])


def first_of_each(sweep: PreparedSweep) -> dict[str, Run]:
    """The first run of each strategy, of which there is one on one node count."""
    assert not [cell for cell in sweep.planned.plan.cells if cell.status != "run"]
    return {str(run.labels["strategy"]): run for run in sweep.planned.runs.values() if run.repeat == 0}


@pytest.mark.parametrize(
    ("example", "nodes", "layouts"),
    [
        ("europar26", 128, {
            "fsdp": "F=1 R=1 S=512", "hsdp": "F=1 R=128 S=4",
            "federated": "F=128 R=1 S=4", "federated-hsdp": "F=16 R=8 S=4",
        }),
        ("europar26-tiny", 4, {
            "fsdp": "F=1 R=1 S=8", "hsdp": "F=1 R=4 S=2",
            "federated": "F=4 R=1 S=2", "federated-hsdp": "F=2 R=2 S=2",
        }),
    ],
)  # fmt: skip
def test_the_four_strategies_as_federation_replicate_and_shard(
    example: str, nodes: int, layouts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORK", "/nowhere")
    runs = first_of_each(prepared(example))
    assert {strategy: str(run.layout) for strategy, run in runs.items()} == layouts
    assert {strategy: run.every for strategy, run in runs.items()} == {
        "fsdp": 0, "hsdp": 0, "federated": 8, "federated-hsdp": 8,
    }  # fmt: skip
    assert {run.nodes for run in runs.values()} == {nodes}
    assert {run.layout.shard for name, run in runs.items() if name != "fsdp"} == {
        run.ranks_per_node for run in runs.values()
    }


def test_every_run_trains_what_the_paper_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORK", "/nowhere")
    for run in first_of_each(prepared("europar26")).values():
        training = run.training
        assert run.shape == STOCK["llama3.1-8b"]
        assert run.world == 512
        assert run.batch_size * training.accumulation * run.world == 1024
        assert 1024 * training.steps == training.subsample == 65536
        assert (training.precision, training.optimizer, training.seed) == ("bf16", "adamw", 42)
        assert (training.learning_rate, training.beta1, training.beta2, training.weight_decay) == (3e-4, 0.9, 0.95, 0.1)
        assert (training.lr_warmup_fraction, training.lr_decay_ratio) == (0.1, 0)
        assert training.federated_data == "partition"


def test_the_laptop_differs_from_the_cluster_in_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORK", "/nowhere")
    large, tiny = (first_of_each(prepared(name))["fsdp"].training for name in ("europar26", "europar26-tiny"))
    differing = {name for name, value in large.model_dump().items() if value != tiny.model_dump()[name]}
    for_gpus = {"precision", "deterministic", "preload", "workers"}
    assert differing == for_gpus | {"sequence_length", "subsample", "learning_rate", "val_samples"}


def test_a_dry_run_writes_its_jobs_and_their_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job for each repeat: 4 runs of at most 30 minutes and 4 minutes around them, on 128 nodes."""
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")  # nothing of Slurm is asked
    monkeypatch.chdir(tmp_path)
    screen = StringIO()
    console = Console(file=screen, width=200)
    scripts = write_jobs(prepared("europar26"), SweepFolder(Path("results/europar26")), console, accept_changes=False)
    assert f"12 runs in 3 jobs: at most {3 * 128 * (4 * 30 + 4) / 60:.2f} node-hours" in screen.getvalue()
    assert [JobFolder(script.parent).order().nodes for script in scripts] == [128] * 3
    assert [sorted(run.labels["strategy"] for run in JobFolder(script.parent).order().runs) for script in scripts] == [
        ["federated", "federated-hsdp", "fsdp", "hsdp"]
    ] * 3
    text = scripts[0].read_text()
    assert "#SBATCH --nodes=128" in text
    assert "#SBATCH --gres=gpu:4" in text
    assert re.search(r"^#SBATCH --qos=\S+$", text, re.MULTILINE)


def test_the_babylm_model_has_the_parameters_that_its_name_says() -> None:
    """Layers of 768 x 768 x 4 + 768 x 2048 x 3 and two norms, twelve times, and two matrices of the vocabulary."""
    sweep = prepared("babylm-130m")
    runs = [run for run in sweep.planned.runs.values() if run.repeat == 0]
    layer = 4 * 768 * 768 + 3 * 768 * 2048 + 2 * 768
    assert {run.shape.parameters for run in runs} == {12 * layer + 768 + 2 * 32000 * 768} == {134_105_856}
    assert not [cell for cell in sweep.planned.plan.cells if cell.status == "impossible"]
    assert {run.nodes for run in runs} == {1, 2, 4}
    assert {run.batch_size * run.training.accumulation * run.world for run in runs} == {512}
