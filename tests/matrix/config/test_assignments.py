"""Keys set on the command line: read as in a file, faults named, frozen with the sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.config.load import load_both
from matrix.config.reading.assignments import assign, parse_assignments
from matrix.config.reading.yamlfile import parse_yaml
from matrix.errors import InputError
from matrix.planning.prepare import PreparedSweep, prepare
from matrix.store.key_changes import Files, key_changes
from matrix.store.sweep_folder import SweepFolder

SYSTEM = "{name: here, device: cpu, nodes: 2, ranks_per_node: 4}\n"


@pytest.fixture
def matrix(tmp_path: Path, small: str) -> Path:
    """A matrix file with a system file."""
    (tmp_path / "here.yaml").write_text(SYSTEM)
    (tmp_path / "sweep.yaml").write_text(small + "system: here.yaml\ntraining: {steps: 16}\n")
    return tmp_path / "sweep.yaml"


def prepared(matrix: Path, *assignments: str) -> PreparedSweep:
    return prepare(matrix, None, [], [], assignments)


def faults(matrix: Path, *assignments: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        prepared(matrix, *assignments)
    return [line.replace(f"{matrix.parent}/", "") for line in str(caught.value).splitlines()]


def test_any_key_can_be_set(matrix: Path) -> None:
    made = prepared(
        matrix, "training.steps=64", "training.learning_rate=1e-2", "axes.nodes=[2]", "axes.batch_size[1]=8",
        "axes.compile=[false,true]", "wandb.notes=", "wandb.tags=[no, 1e3x]", "system.threads_per_rank=2",
        "system.environment.NCCL_DEBUG_LEVEL=0027", "repeats=2", "repeats=3",
    )  # fmt: skip
    assert (made.sweep.training.steps, made.sweep.training.learning_rate) == (64, 0.01)
    assert made.sweep.labels["nodes"] == [2]
    assert made.sweep.labels["batch_size"] == [2, 8]
    assert list(made.sweep.axes.labels)[-1] == "compile"
    assert (made.sweep.wandb.notes, made.sweep.wandb.tags) == (None, ["no", "1e3x"])
    assert made.system.threads_per_rank == 2
    assert made.system.environment == {"NCCL_DEBUG_LEVEL": "0027"}
    assert made.sweep.repeats == 3, "the last one counts"


def test_what_is_aliased_is_set_once() -> None:
    file = parse_yaml(Path("a.yaml"), "a: &x {b: 1}\nc: *x\n")
    assert assign(file, parse_assignments(["c.b=2"])).data == {"a": {"b": 1}, "c": {"b": 2}}


def test_faults_name_the_command_line_and_come_at_once(matrix: Path) -> None:
    assert faults(
        matrix, "training.stepz=64", "axes.nodes=[1,0]", "system.nodez=3", "system.threads_per_rank=two",
        "repaets.x=1", "repeats=0",
    ) == [
        "command line: axes.nodes[1]: should be greater than 0, not 0",
        "command line: training.stepz: is not a known key (did you mean 'steps'?)",
        "command line: repeats: should be greater than 0, not 0",
        "command line: repaets: is not a known key (did you mean 'repeats'?)",
        "command line: system.threads_per_rank: should be a whole number, not 'two'",
        "command line: system.nodez: is not a known key (did you mean 'nodes'?)",
    ]  # fmt: skip
    assert faults(matrix, "steps", "a..b=1", "training.seed=[1", "data.path={a: 1, a: 2}") == [
        "command line: 'steps' should have the form KEY=VALUE, for example training.steps=64",
        "command line: 'a..b=1' should have the form KEY=VALUE, for example training.steps=64",
        "command line: training.seed: cannot be read: expected ',' or ']', but got '<stream end>'",
        "command line: data.path: the key 'a' is already given on line 1: keep one of them",
    ]
    assert faults(matrix, "axes.nodes[2]=1", "name.x=1") == [
        "command line: axes.nodes[2]: [2] does not exist: the value has 2 values, counted from 0",
        "command line: name.x: 'x' does not exist: the value above it is not a mapping",
    ]
    assert faults(matrix, "axes.strategy=[fspd]", "system.environment.RANK=1") == [
        "command line: axes.strategy[0]: 'fspd' is not a known strategy (did you mean 'fsdp'?)",
        "command line: system.environment.RANK: is set by the launcher for each rank: remove it",
    ]


def test_a_secret_is_not_printed(matrix: Path) -> None:
    (said,) = faults(matrix, "system.environment.HF_TOKEN=abcdefgh")
    assert said.startswith("command line: system.environment.HF_TOKEN: looks like a secret")
    assert "abcdefgh" not in said


def test_faults_of_both_files_come_at_once(matrix: Path) -> None:
    matrix.write_text(matrix.read_text().replace("steps", "stepz"))
    (matrix.parent / "here.yaml").write_text(SYSTEM.replace("cpu", "tpu"))
    said = faults(matrix)
    assert [line.partition(":")[0] for line in said] == ["sweep.yaml", "here.yaml"]
    with pytest.raises(InputError, match=r"(?s)sweep\.yaml.*other\.yaml"):
        load_both(matrix, str(matrix.parent / "other.yaml"), [])


def test_a_sweep_freezes_what_was_set(matrix: Path, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "results" / "small")
    (tmp_path / "results" / "small").mkdir(parents=True)
    words = ("training.steps=64", "system.threads_per_rank=2")

    def begin(*words: str) -> None:
        made = prepared(matrix, *words)
        folder.begin(made.record(), made.planned.plan, accept_changes=False)

    begin(*words)
    begin(*words)
    copy = (folder.path / "matrix.yaml").read_text()
    assert (
        copy == '# set on the command line: ["training.steps=64", "system.threads_per_rank=2"]\n' + matrix.read_text()
    )
    with pytest.raises(InputError) as caught:
        begin()
    assert "different inputs (training.steps: 64 -> 16; system.threads_per_rank: 2 -> not set): give" in str(
        caught.value
    )
    with pytest.raises(InputError, match=r"\(training\.steps: 64 -> 12\)"):
        begin("training.steps=12", words[1])
    matrix.write_text(matrix.read_text().replace("steps: 16}", "steps: 64} # as on the command line"))
    begin(words[1])


def test_changes_are_shown_key_by_key() -> None:
    old = "axes: {nodes: [1, 2], model: [a, {name: b, path: c}]}\ntraining: {steps: 8}\nname: x # old\n"
    new = "name: x\naxes: {nodes: [1, 4], model: [a, {name: b, path: d}]}\ntraining: {steps: '8', seed: 0x10}\n"
    assert key_changes(Files(old, "{a: 1.10}", ()), Files(new, "{a: 1.1}", ())) == [
        "axes.nodes: [1, 2] -> [1, 4]",
        "axes.model[1].path: 'c' -> 'd'",
        "training.steps: 8 -> '8'",
        "training.seed: not set -> 0x10",
        "system.a: 1.10 -> 1.1",
    ]
    many = "{" + ", ".join(f"k{number}: 1" for number in range(20)) + "}"
    assert key_changes(Files("{}", "", ()), Files(many, "", ()))[-1] == "12 more keys of the matrix file"
    assert key_changes(Files("a: [", "", ()), Files("a: 1", "", ())) == ["the matrix file"]
    assert key_changes(Files("a: &x [*x]", "", ()), Files("b: 1", "", ()))
