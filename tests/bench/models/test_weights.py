"""Weights from safetensors: the same logits as `from_pretrained`, from every layout of files and of ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from bench.contract.run import Run
from bench.contract.storage.weightfiles import INDEX, SINGLE, weight_files
from bench.host.memory import MemoryMeter
from bench.models.build import build
from bench.models.model import configuration
from bench.models.region import inside
from bench.models.weights import Checkpoint
from bench.parallel.mesh import Groups
from tests.support.ranks import Ranks
from tests.support.runs import CPU, SMALL, NoProgress, full_parameters, make_run, prepare

ALONE = Groups(None, None, [])
LAYOUTS = [(1, 1, 4), (1, 2, 2), (1, 1, 3), (2, 1, 2), (1, 2, 1)]
MIB = 2**20


def tokens() -> torch.Tensor:
    return torch.arange(64).view(2, 32)


def saved(folder: Path, name: str, **changes: object) -> PreTrainedModel:
    """A model of the library with random weights (norms too), written by `save_pretrained` into several files."""
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(configuration(SMALL[name].model_copy(update=changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.5, 0.5)
    model.save_pretrained(folder, max_shard_size="40KB")
    return model


def stacked(folder: Path, name: str) -> PreTrainedModel:
    """The same in one file, with the names that the model has in memory."""
    model = saved(folder, name)
    for file in folder.glob("model*"):
        file.unlink()
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / SINGLE)
    return model


def by_hand(folder: Path, name: str) -> PreTrainedModel:
    """The same as published on the hub, with every expert by itself, in half the types and two files."""
    model = saved(folder, name).to(torch.bfloat16)
    for file in folder.glob("model*"):
        file.unlink()
    tensors: dict[str, torch.Tensor] = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    for key, value in model.state_dict().items():
        layer = key.partition(".mlp.")[0]
        for expert in range(len(value) if ".mlp.experts." in key else 0):
            stem = f"{layer}.block_sparse_moe.experts.{expert}"
            if key.endswith("gate_up_proj"):
                tensors[f"{stem}.w1.weight"], tensors[f"{stem}.w3.weight"] = value[expert].chunk(2)
            else:
                tensors[f"{stem}.w2.weight"] = value[expert]
        if ".mlp.experts." not in key:
            tensors[key.replace(".mlp.gate.", ".block_sparse_moe.gate.")] = value
    names = sorted(tensors)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({key: tensors[key].contiguous() for key in part}, folder / file)
    where = {key: file for file, part in halves.items() for key in part}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return model.float()


def built(rank: int, run: Run) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Parameters, whole, and logits of a run's model."""
    _, model = prepare(run, rank)
    with torch.no_grad():
        logits = model(input_ids=tokens(), use_cache=False).logits
    return full_parameters(model), logits


def starting_from(folder: Path, run: Run, **changes: object) -> Run:
    shape = run.shape.model_copy(update=changes)
    return run.model_copy(update={"weights": str(folder), "shape": shape})


@pytest.mark.parametrize(
    ("name", "write"),
    [("llama-tiny", saved), ("mixtral-tiny", saved), ("mixtral-tiny", stacked), ("mixtral-tiny", by_hand)],
)
def test_the_same_logits_as_the_library(
    ranks: Ranks, data: Path, tmp_path: Path, name: str, write: Callable[[Path, str], PreTrainedModel]
) -> None:
    parameters = dict(write(tmp_path, name).named_parameters())
    library = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        expected = library(input_ids=tokens()).logits
    for layout in LAYOUTS:
        run = starting_from(tmp_path, make_run(data, layout, model=name))
        for found, logits in ranks(run.world, built, run):
            assert found.keys() == parameters.keys()
            assert all(torch.equal(found[key], value) for key, value in parameters.items()), layout
            torch.testing.assert_close(logits, expected)


def test_a_tied_head_is_not_in_the_files(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    model = saved(tmp_path, "llama-tiny", tie_embeddings=True)
    with torch.no_grad():
        expected = model(input_ids=tokens()).logits
    for layout in [(1, 1, 1), (1, 1, 2)]:
        run = make_run(data, layout)
        for _, logits in ranks(run.world, built, starting_from(tmp_path, run, tie_embeddings=True)):
            torch.testing.assert_close(logits, expected)
    with pytest.raises(ValueError, match=r"not this model's: lm_head\.weight is missing$"):
        build(starting_from(tmp_path, make_run(data, (1, 1, 1))), ALONE, CPU, NoProgress().alive)


def test_a_tied_head_in_the_files_is_the_embedding_once_more(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    model = saved(tmp_path, "llama-tiny", tie_embeddings=True)
    index, name = json.loads((tmp_path / INDEX).read_text()), "lm_head.weight"
    head = model.get_input_embeddings().weight.detach().clone()

    def write(values: torch.Tensor) -> None:
        save_file({name: values}, tmp_path / "head.safetensors")
        index["weight_map"][name] = "head.safetensors"
        (tmp_path / INDEX).write_text(json.dumps(index))

    with torch.no_grad():
        expected = model(input_ids=tokens()).logits
    write(head)
    for layout in [(1, 1, 1), (1, 1, 2)]:
        run = make_run(data, layout)
        for _, logits in ranks(run.world, built, starting_from(tmp_path, run, tie_embeddings=True)):
            torch.testing.assert_close(logits, expected)
    alone = starting_from(tmp_path, make_run(data, (1, 1, 1)), tie_embeddings=True)
    write(head[:-1].contiguous())
    with pytest.raises(ValueError, match=r"lm_head\.weight is not a parameter of the model$"):
        build(alone, ALONE, CPU, NoProgress().alive)
    head[-1, -1] += 1
    write(head)
    with pytest.raises(
        ValueError, match=r"head\.safetensors: lm_head\.weight differs from model\.embed_tokens\.weight"
    ):
        build(alone, ALONE, CPU, NoProgress().alive)


def changed(folder: Path, name: str, value: torch.Tensor | None) -> None:
    """Another tensor in the place of one, or none."""
    if (folder / INDEX).exists():
        file = folder / json.loads((folder / INDEX).read_text())["weight_map"][name]
    else:
        file = folder / SINGLE
    tensors = load_file(file)
    tensors |= {name: value} if value is not None else {}
    save_file({key: each for key, each in tensors.items() if key != name or value is not None}, file)


@pytest.mark.parametrize(
    ("model", "name", "value", "fault"),
    [
        ("llama-tiny", "model.norm.weight", None, "model.norm.weight is missing"),
        ("llama-tiny", "model.norm.weight", torch.ones(31), "model.norm.weight has shape [31] but should have [32]"),
        (
            "llama-tiny",
            "model.norm.weight",
            torch.ones(32, dtype=torch.int8),
            "model.norm.weight has type I8 but should have one of F64, F32, F16, BF16",
        ),
        (
            "mixtral-tiny",
            "model.layers.1.block_sparse_moe.experts.2.w3.weight",
            None,
            "model.layers.1.block_sparse_moe.experts.2.w3.weight is missing",
        ),
        (
            "mixtral-tiny",
            "model.layers.1.block_sparse_moe.experts.2.w2.weight",
            torch.ones(48, 32),
            "model.layers.1.block_sparse_moe.experts.2.w2.weight has shape [48, 32] but should have [32, 48]",
        ),
    ],
)
def test_a_tensor_that_is_not_right_is_named(
    data: Path, tmp_path: Path, model: str, name: str, value: torch.Tensor | None, fault: str
) -> None:
    saved(tmp_path, model)
    changed(tmp_path, name, value)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        build(starting_from(tmp_path, make_run(data, (1, 1, 1), model=model)), ALONE, CPU, NoProgress().alive)
    assert str(caught.value) == f"{tmp_path}: the weights are not this model's: {fault}"


def test_what_the_model_does_not_have_is_named(data: Path, tmp_path: Path) -> None:
    stacked(tmp_path, "llama-tiny")
    for place in range(7):
        changed(tmp_path, f"model.layers.{place + 2}.extra", torch.ones(2))
    with pytest.raises(ValueError, match=r"layers\.2\.extra is not a parameter of the model; .*\(and 2 more\)$"):
        build(starting_from(tmp_path, make_run(data, (1, 1, 1))), ALONE, CPU, NoProgress().alive)


def test_files_that_are_not_there_or_not_whole(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"contains neither model\.safetensors nor"):
        weight_files(tmp_path)
    for text in ("{", "[]", "{}", '{"weight_map": []}'):
        (tmp_path / INDEX).write_text(text)
        with pytest.raises(ValueError, match="weight_map: should give the file of every tensor"):
            weight_files(tmp_path)
    (tmp_path / INDEX).write_text('{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}')
    (tmp_path / "one.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileNotFoundError, match=r"two\.safetensors is missing"):
        weight_files(tmp_path)
    (tmp_path / SINGLE).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model\.safetensors: not a complete safetensors file"):
        Checkpoint(tmp_path, {})


def peak_of_reading(rank: int, folder: Path, shape: torch.Size) -> tuple[int, bool]:
    """Peak of a rank that reads its quarter of each of 8 parameters, and whether it got the right one."""
    meter = MemoryMeter(CPU)
    checkpoint = Checkpoint(folder, {str(i): shape for i in range(8)})
    rows = range(rank * shape[0] // 4, (rank + 1) * shape[0] // 4)
    own, mine, right = (rows, range(shape[1])), torch.empty(len(rows), shape[1]), True
    for i in range(8):
        for part, value in checkpoint.within(str(i), shape, own):
            mine[inside(part, own)].copy_(value)
            del value
        right &= mine[:, -1].tolist() == [row + i for row in rows]
    return meter.read()["peak"], right


def test_a_rank_reads_its_own_part_of_one_tensor_at_a_time(ranks: Ranks, tmp_path: Path) -> None:
    shape = torch.Size((1024, 8192))  # 32 MiB each, 256 in all
    rows = torch.arange(1024, dtype=torch.float32)[:, None].expand(shape)
    save_file({str(i): (rows + i).contiguous() for i in range(8)}, tmp_path / SINGLE)
    for peak, right in ranks(4, peak_of_reading, tmp_path, shape):
        assert right
        # A quarter of a tensor in memory, as much of the mapped file, and 16 MiB for all else; 8 quarters are 64.
        assert peak < 32 * MIB
