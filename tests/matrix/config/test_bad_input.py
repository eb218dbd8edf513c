"""Typical mistakes, and what is said about them: file, line, key and what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from matrix.config.system import load_system
from matrix.errors import InputError
from matrix.planning.prepare import PreparedSweep, prepare
from tests.support.planning import LoadText, PlanText

T = TypeVar("T")


def faults(call: Callable[[T], object], argument: T) -> list[str]:
    with pytest.raises(InputError) as caught:
        call(argument)
    places = (line.partition(": ") for line in str(caught.value).splitlines())
    return [f"{Path(place).name}: {sentence}" for place, _, sentence in places]


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("[1, 2]", "[1, 0]", "sweep.yaml:5: axes.nodes[1]: should be greater than 0, not 0"),
        ("[1, 2]", "true", "sweep.yaml:5: axes.nodes: should be a whole number, not true"),
        ("[1, 2]", "[]", "sweep.yaml:5: axes.nodes: should have at least one value"),
        ("[1, 2]", "[2, 2]", "sweep.yaml:5: axes.nodes: lists 2 twice: keep one of them"),
        ("  nodes: [1, 2]\n", "", "sweep.yaml:2: axes: the key 'nodes' is missing"),
        ("llama-tiny", "llama-tyni", "sweep.yaml:3: axes.model: 'llama-tyni' is not a known model "
         "(did you mean 'llama-tiny'?)"),
        ("[fsdp]", "[fspd]", "sweep.yaml:4: axes.strategy[0]: 'fspd' is not a known strategy (did you mean 'fsdp'?)"),
        ("[fsdp]", "[FSDP]", "sweep.yaml:4: axes.strategy[0]: 'FSDP' is not a known strategy (did you mean 'fsdp'?)"),
        ("[fsdp]", "[DiLoCo]",
         "sweep.yaml:4: axes.strategy[0]: 'DiLoCo' is not a known strategy (did you mean 'federated'?)"),
        ("[fsdp]", "[fsdp, hsdp]", "sweep.yaml:4: axes.strategy[1]: hsdp needs the setting 'shard': "
         "give it under strategies.hsdp"),
        ("[fsdp]", "[{name: f, federated: {groups: 2, evry: 4}}]",
         "sweep.yaml:4: axes.strategy[0].federated.evry: is not a known key (did you mean 'every'?)"),
        ("[fsdp]", "[{name: f, federated: {groups: 2, every: 0}}]",
         "sweep.yaml:4: axes.strategy[0].federated.every: should be greater than 0, not 0"),
        ("[fsdp]", "[{name: f, federated: {every: 4}}]",
         "sweep.yaml:4: axes.strategy[0].federated: federated needs the setting 'group' (a size) "
         "or 'groups' (a count)"),
        ("[fsdp]", "[{name: fsdp, hsdp: {shard: 2}}]",
         "sweep.yaml:4: axes.strategy[0].name: 'fsdp' already names another strategy: choose another name"),
        ("[fsdp]", "[{name: h, hsdp: {shard: 3 nodes of mine}}]",
         "sweep.yaml:4: axes.strategy[0].hsdp.shard: '3 nodes of mine' is not a group size: "
         "write a number of ranks, 'node' or e.g. '2 nodes'"),
        ("llama-tiny", "{name: m, llama: {vocab_size: 8, hidden_size: 9, intermediate_size: 8, layers: 1, heads: 2, "
         "kv_heads: 2}}", "sweep.yaml:3: axes.model.llama: hidden_size 9 is not a multiple of heads 2"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_sentence(load: LoadText, small: str, right: str, wrong: str, fault: str) -> None:
    assert faults(load, small.replace(right, wrong)) == [fault]


def test_a_misspelt_value_is_not_reported_again_where_the_reference_names_it(load: LoadText, small: str) -> None:
    text = small.replace("[fsdp]", "[FSDP]") + "reference: {strategy: fsdp}\n"
    assert faults(load, text) == [
        "sweep.yaml:4: axes.strategy[0]: 'FSDP' is not a known strategy (did you mean 'fsdp'?)"
    ]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("exclude: [{node: 1}]", "8: exclude[0].node: is not an axis of this sweep (did you mean 'nodes'?)"),
        ("exclude: [{nodes: 3}]", "8: exclude[0].nodes: 3 is not a value of the axis nodes (known: 1, 2)"),
        ("include: [{steps: 48}]",
         "8: include[0].steps: is not an axis of this sweep: give its usual value under axes.steps"),
        ("overrides: [{when: {nodes: 1}, set: {stepz: 48}}]",
         "8: overrides[0].set.stepz: is not a known key (did you mean 'steps'?)"),
        ("overrides: [{when: {nodes: 1}, set: {beta1: 1}}]", "8: overrides[0].set.beta1: should be less than 1, not 1"),
        ("strategies: {fsdp: {shard: 2}}",
         "8: strategies.fsdp.shard: is not a setting of fsdp, which has no settings: remove it"),
        ("strategies: {federated: {groups: 2, every: 3}}\nblock: 4\ninclude: [{strategy: federated}]",
         "9: block: should be a multiple of every interval of the sweep: 4 is not a multiple of 3"),
        ("compare: nodes", "8: compare: nodes cannot be compared, because node counts are the columns of a table: "
         "remove it"),
        ("compare: [strategy, precison]", "8: compare[1]: precison is not an axis of this sweep "
         "(known: model, strategy, nodes, batch_size, cuda_streams)"),
        ("compare: cuda_streams", "8: compare: cuda_streams has one value in this sweep: name an axis with several"),
        ("best_of: [batch_size, strategy]", "8: best_of[1]: strategy is nothing to tune within a row of a table: "
         "remove it"),
        ("best_of: compile", "8: best_of: compile is not an axis of this sweep "
         "(known: model, strategy, nodes, batch_size, cuda_streams)"),
        ("best_of: cuda_streams", "8: best_of: cuda_streams has one value in this sweep: name an axis with several"),
        ("compare: batch_size\nbest_of: batch_size",
         "9: best_of: batch_size is compared: remove it here, or from `compare`"),
        ("target_loss: 0", "8: target_loss: should be greater than 0, not 0"),
        ("block: 8\ntraining: {validate_every: 12}",
         "9: training.validate_every: 12 is not a multiple of the block (8), at whose end all federated groups have "
         "one model: use 8"),
        ("block: 8\noverrides: [{when: {nodes: 1}, set: {validate_every: 4}}]",
         "9: overrides[0].set.validate_every: 4 is not a multiple of the block (8), at whose end all federated groups "
         "have one model: use 8"),
        ("reference: {precision: fp32}", "8: reference.precision: is not an axis of this sweep "
         "(known: model, strategy, nodes, batch_size, cuda_streams)"),
        ("reference: {strategy: ddp}", "8: reference.strategy: ddp is not a value of the axis strategy (known: fsdp)"),
        ("system: ~nobody-at-all/a.yaml",
         "8: system: uses an unknown home folder: ~nobody-at-all/a.yaml"),
        ("system: locale", "8: system: 'locale' is neither the path of a .yaml file nor a built-in system "
         "(did you mean 'local'?)"),
        ("system: ${NO_WORK}/a.yaml",
         "8: system: uses ${NO_WORK}, which is not set in the environment: ${NO_WORK}/a.yaml"),
        ("training: {lr: 1e-3}", "8: training.lr: is not a known key (did you mean 'learning_rate'?)"),
        ("training: {learning-rate: 1e-3}",
         "8: training.learning-rate: is not a known key (did you mean 'learning_rate'?)"),
        ("lr: 1e-3", "8: lr: is not a known key (did you mean 'training.learning_rate'?)"),
        ("batchsize: 3", "8: batchsize: is not a known key (did you mean 'axes.batch_size'?)"),
        ("Repeats: 3", "8: Repeats: is not a known key (did you mean 'repeats'?)"),
        ("repaets: 3", "8: repaets: is not a known key (did you mean 'repeats'?)"),
        ("name: again", "8: the key 'name' is already given on line 1: keep one of them"),
        ("training: {learning_rate: .inf}", "8: cannot be read: .inf should be a finite number"),
        ("max_batch: {limit: 8}", "8: max_batch: applies only with regime: max-batch, not micro-batch: remove it"),
        ("limits: {trial_seconds: 8}",
         "8: limits.trial_seconds: applies only with regime: max-batch, not micro-batch: remove it"),
        ("regime: max-batch\nmax_batch: {limit: 3}",
         "6: axes.batch_size[1]: 4 is more than max_batch.limit, 3: raise that, or start lower"),
        ("regime: max-batch\ntraining: {epochs: 2}",
         "9: training.epochs: cannot be turned into steps before the batch size is found: give `steps` instead"),
        ("regime: max-batch\noverrides: [{when: {nodes: 1}, set: {start_from: a}}]",
         "9: overrides[0].set.start_from: continues with its checkpoint's batch size, and regime: max-batch finds "
         "another: remove it"),
        ("seed: [1", "9: cannot be read: expected ',' or ']', but got '<stream end>'"),
    ],
)  # fmt: skip
def test_keys_that_do_not_agree(load: LoadText, small: str, more: str, fault: str) -> None:
    assert faults(load, small + more + "\n") == [f"sweep.yaml:{fault}"]


def test_a_cpu_has_no_largest_batch_without_a_limit_of_its_memory(tmp_path: Path, small: str) -> None:
    (tmp_path / "sweep.yaml").write_text(f"{small}regime: max-batch\nsystem: system.yaml\n", encoding="utf-8")
    system = "name: toy\ndevice: cpu\nnodes: 2\nranks_per_node: 1\n"
    (tmp_path / "system.yaml").write_text(system, encoding="utf-8")

    def prepared(path: Path) -> PreparedSweep:
        return prepare(path, None, [], [])

    assert faults(prepared, tmp_path / "sweep.yaml") == [
        "system.yaml: memory_per_rank is missing: regime: max-batch needs the GiB that a rank of a CPU may use"
    ]
    (tmp_path / "system.yaml").write_text(f"{system}memory_per_rank: 1.5\n", encoding="utf-8")
    runs = prepared(tmp_path / "sweep.yaml").selected_runs
    assert {(run.search.start, run.search.limit) for run in runs if run.search} == {(2, 256), (4, 256)}
    assert {run.system.memory_per_rank for run in runs} == {1.5}
    (tmp_path / "system.yaml").write_text(system.replace("cpu", "cuda"), encoding="utf-8")
    assert prepared(tmp_path / "sweep.yaml").selected_runs, "a GPU has its own"


@pytest.mark.parametrize(
    ("lengths", "remedy"),
    [
        ("steps: 24, warmup_steps: 8", "use 20 or 25"),
        ("steps: 14, warmup_steps: 8", "use 15"),
        ("steps: 16, warmup_steps: 12", "use 20 steps or more"),
    ],
)
def test_a_number_of_steps_is_proposed(plan: PlanText, small: str, lengths: str, remedy: str) -> None:
    text = small.replace("[fsdp]", "[fsdp, {name: f, federated: {groups: 2, every: 5}}]")
    with pytest.raises(InputError, match=f"{remedy}(;|$)"):
        plan(f"{text}training: {{{lengths}}}\n")
    (proposed, *_) = re.findall(r"\d+", remedy)
    assert plan(f"{text}training: {{{lengths.replace(lengths[7:9], proposed, 1)}}}\n").runs


def test_an_axis_is_set_nowhere_else(load: LoadText, small: str) -> None:
    text = small.replace("data:", "  steps: [24, 48]\ndata:")
    text += "training: {steps: 12}\noverrides: [{when: {nodes: 1}, set: {steps: 9}}]\n"
    assert faults(load, text) == [
        "sweep.yaml:10: overrides[0].set.steps: is an axis of this sweep, which an override cannot change",
        "sweep.yaml:9: training.steps: is also an axis: give it here or under axes.steps",
    ]


def test_all_mistakes_are_told_at_once(load: LoadText, small: str) -> None:
    text = small.replace("[1, 2]", "two").replace("[2, 4]", "[2.5]") + "repeats: 0\n"
    assert faults(load, text) == [
        "sweep.yaml:5: axes.nodes: should be a whole number, not 'two'",
        "sweep.yaml:6: axes.batch_size[0]: should be a whole number, not 2.5",
        "sweep.yaml:8: repeats: should be greater than 0, not 0",
    ]


@pytest.mark.parametrize("text", ["", "[1, 2]", "? {a: 1}\n: 2", "a: &a [*a]", "1: 2", "\x00", "null: {}"])
def test_what_is_no_matrix_file_is_refused(load: LoadText, text: str) -> None:
    assert all(fault.startswith("sweep.yaml") for fault in faults(load, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert faults(load_system, tmp_path / "none.yaml") == ["none.yaml: cannot be read: No such file or directory"]


def test_one_kind_of_file_in_the_place_of_the_other_is_one_sentence(tmp_path: Path, small: str) -> None:
    matrix, system = tmp_path / "sweep.yaml", tmp_path / "system.yaml"
    matrix.write_text(small, encoding="utf-8")
    system.write_text("name: toy\ndevice: cpu\nnodes: 2\nranks_per_node: 1\n", encoding="utf-8")
    given_first = "system.yaml: is a system file: give it with --system, after a matrix file"
    assert faults(lambda path: prepare(path, None, [], []), system) == [given_first]
    given_second = "sweep.yaml: is a matrix file: --system takes a system file"
    assert faults(lambda path: prepare(matrix, str(path), [], []), matrix) == [given_second]
    assert faults(load_system, matrix) == [given_second], "as of `check`, which reads no matrix file"


LONG = "x" * 150


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        (
            "wandb: {per_group: true}",
            "wandb.per_group: needs `mode: online` (or offline): nothing is sent with `mode: disabled`",
        ),
        ("wandb: {live: true}", "wandb.live: needs `mode: online` (or offline): nothing is sent with `mode: disabled`"),
        (f"wandb: {{name: {LONG}}}", "wandb.name: should be 1 to 128 characters, not 150"),
        (f"wandb: {{group: {LONG}}}", "wandb.group: should be 1 to 128 characters, not 150"),
        (f"wandb: {{tags: [{LONG}]}}", f"wandb.tags[0]: should be 1 to 64 characters, not '{LONG}'"),
        ("overrides: [{when: {nodes: 1}, set: {seed: 18446744073709551616}}]",
         "overrides[0].set.seed: should be at most 18446744073709551614, for 2 repeats below 2^64, not "
         "18446744073709551616"),
        ("repeats: 9", None),
    ],
)  # fmt: skip
def test_what_a_service_or_a_generator_would_refuse_later(
    load: LoadText, small: str, block: str, fault: str | None
) -> None:
    text = f"{small}\nrepeats: 2\n{block}\n" if "repeats" not in block else f"{small}\n{block}\n"
    if fault is None:
        load(text)
    else:
        assert [said.partition(": ")[2] for said in faults(load, text)] == [fault]


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        ("RANK: 1", "environment.RANK: is set by the launcher for each rank: remove it"),
        ("OMP_NUM_THREADS: 4", "environment.OMP_NUM_THREADS: follows from 'threads_per_rank': set that instead"),
        ("DEBUG: true", "environment.DEBUG: should be text, not true: put it in quotes, as 'true'"),
    ],
)
def test_variables_that_a_system_file_cannot_set(tmp_path: Path, environment: str, fault: str) -> None:
    path = tmp_path / "system.yaml"
    path.write_text(f"{{name: x, device: cpu, nodes: 1, ranks_per_node: 2, environment: {{{environment}}}}}")
    assert faults(load_system, path) == [f"system.yaml:1: {fault}"]
