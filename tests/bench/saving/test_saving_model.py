"""What is written in Hugging Face's form is read back by `from_pretrained`, from every strategy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from bench.contract.results.measured import Saved
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.models.build import build
from bench.models.optim import build_optimizer
from bench.parallel.mesh import Groups
from bench.saving.export import write_model
from bench.saving.save import save
from tests.support.ranks import Ranks
from tests.support.runs import CPU, NoProgress, full_parameters, make_run, one_by_one, prepare, train_rank

ALONE = Groups(None, None, [])


@pytest.fixture
def saving_run(data: Path) -> Run:
    return make_run(data, (1, 1, 1), save_model=True)


def trained_and_saved(rank: int, run: Run, folder: Path) -> tuple[Saved, torch.Tensor, dict[str, torch.Tensor]]:
    """Saved; logits before that, which leave the root of a sharded model gathered; parameters."""
    folder.mkdir(exist_ok=True)
    _, model = train_rank(run, rank)
    with torch.no_grad():
        logits = model(input_ids=tokens(), use_cache=False).logits
    optimizer = build_optimizer(model, run.training)
    saved = save(run, AttemptFolder(folder), model, optimizer, rank, 0, NoProgress().alive)
    return saved, logits, full_parameters(model)


def tokens() -> torch.Tensor:
    return torch.arange(64).view(2, 32)


def read_back(folder: Path) -> tuple[torch.nn.Module, torch.Tensor]:
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    with torch.no_grad():
        return model, model(input_ids=tokens(), use_cache=False).logits


LAYOUTS: dict[int, list[tuple[int, int, int]]] = {
    1: [(1, 1, 1)],
    3: [(1, 1, 3)],
    4: [(1, 1, 4), (1, 2, 2), (1, 4, 1), (2, 1, 2), (2, 2, 1), (4, 1, 1)],
    8: [(2, 2, 2)],
}


@pytest.mark.parametrize("world", [1, 3, 4, pytest.param(8, marks=pytest.mark.soak)])
def test_every_strategy_is_read_back_with_the_same_logits(ranks: Ranks, data: Path, tmp_path: Path, world: int) -> None:
    settings = {"steps": 2, "every": 2, "block": 2, "warmup_steps": 0, "save_model": True}
    jobs = [
        (make_run(data, layout, model=name, **settings), tmp_path / f"{layout}{name}")
        for layout in LAYOUTS[world]
        for name in ("llama-tiny", "mixtral-tiny")
    ]
    answers = ranks(world, one_by_one, trained_and_saved, jobs)
    for place, (_, folder) in enumerate(jobs):
        model, logits = read_back(folder / "model")
        saved, _, expected = answers[0][place]
        assert_same(model, expected)
        assert all(torch.equal(logits, of_rank[place][1]) for of_rank in answers)
        assert saved.model_bytes == sum(file.stat().st_size for file in (folder / "model").iterdir())
        assert saved.model_s > 0
        assert [path.name for path in folder.iterdir()] == ["model"]


PRECISIONS = [
    ((1, 1, 2), "bf16", torch.bfloat16),
    ((1, 1, 2), "bf16-mixed", torch.float32),
    ((1, 2, 1), "bf16-mixed", torch.float32),
]


def test_weights_have_the_type_that_the_training_keeps(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    settings = {"steps": 2, "block": 2, "warmup_steps": 0, "save_model": True}
    jobs = [
        (make_run(data, layout, precision=precision, **settings), tmp_path / f"{layout}{precision}")
        for layout, precision, _ in PRECISIONS
    ]
    answers = ranks(2, one_by_one, trained_and_saved, jobs)[0]
    for (_, folder), (_, _, dtype), (_, _, expected) in zip(jobs, PRECISIONS, answers, strict=True):
        model, _ = read_back(folder / "model")
        assert {value.dtype for value in model.parameters()} == {dtype}
        assert_same(model, expected)
        config = json.loads((folder / "model" / "config.json").read_text())
        assert config["dtype"] == str(dtype).removeprefix("torch.")


def assert_same(model: torch.nn.Module, expected: dict[str, torch.Tensor]) -> None:
    read = dict(model.named_parameters())
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], value) for name, value in expected.items())


@pytest.mark.parametrize("name", ["llama-tiny", "mixtral-tiny"])
def test_files_hold_what_the_library_would_write(data: Path, tmp_path: Path, name: str) -> None:
    run = make_run(data, (1, 1, 1), model=name)
    model = build(run, ALONE, CPU, NoProgress().alive)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    write_model(run, ours, model, 0, NoProgress().alive)
    model.save_pretrained(theirs)
    own, others = contents(ours / "model.safetensors"), contents(theirs / "model.safetensors")
    assert own.keys() == others.keys()
    assert all(torch.equal(own[key], value) for key, value in others.items())
    expected = json.loads((theirs / "config.json").read_text()) | {"use_cache": True}
    assert json.loads((ours / "config.json").read_text()) == expected
    if name == "mixtral-tiny":
        assert "model.layers.0.block_sparse_moe.experts.0.w1.weight" in own, "not the published layout"


def contents(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping


def test_a_large_model_comes_in_files_of_the_size_and_an_index(data: Path, tmp_path: Path) -> None:
    run = make_run(data, (1, 1, 1), model="mixtral-tiny")
    model = build(run, ALONE, CPU, NoProgress().alive)
    limit = 64 * 1024
    write_model(run, tmp_path, model, 0, NoProgress().alive, limit)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 2
    assert all(file.stat().st_mode & 0o044 for file in files), "others of the project read the model too"
    assert files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    sizes = {file.name: sum(t.numel() * t.element_size() for t in contents(file).values()) for file in files}
    assert max(sizes.values()) <= limit
    assert index["metadata"]["total_size"] == sum(sizes.values()) == 4 * run.shape.parameters
    assert index["weight_map"] == {name: file.name for file in files for name in contents(file)}
    assert_same(read_back(tmp_path)[0], dict(model.named_parameters()))


def saved_at_once(rank: int, run: Run, folder: Path) -> dict[str, torch.Tensor]:
    _, model = prepare(run, rank)
    save(run, AttemptFolder(folder), model, build_optimizer(model, run.training), rank, 0, NoProgress().alive)
    return full_parameters(model)


def test_tied_embeddings_are_saved_once(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    run = make_run(data, (1, 1, 2), save_model=True)
    tied = run.model_copy(update={"shape": run.shape.model_copy(update={"tie_embeddings": True})})
    ranks(2, saved_at_once, tied, tmp_path)
    assert "lm_head.weight" not in contents(tmp_path / "model" / "model.safetensors")
    model, _ = read_back(tmp_path / "model")
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_the_tokenizer_of_the_data_comes_with_the_model(ranks: Ranks, saving_run: Run, tmp_path: Path) -> None:
    tokenizer = tmp_path / "data" / "tokenizer"
    tokenizer.mkdir(parents=True)
    (tokenizer / "tokenizer.json").write_text("{}")
    run = saving_run.model_copy(update={"data": str(tmp_path / "data")})
    ranks(1, saved_at_once, run, tmp_path)
    assert (tmp_path / "model" / "tokenizer.json").read_text() == "{}"
    assert (tmp_path / "model" / "config.json").exists()


def cut_off(rank: int, run: Run, folder: Path) -> str:
    """The error of a rank whose second tensor cannot be written."""
    calls = iter(range(2))

    def alive() -> None:
        if next(calls, None) is None:
            raise OSError("no space left")

    _, model = prepare(run, rank)
    try:
        save(run, AttemptFolder(folder), model, build_optimizer(model, run.training), rank, 0, alive)
    except OSError as error:
        return str(error)
    return ""


def test_what_was_cut_off_does_not_appear_and_the_next_one_takes_its_place(
    ranks: Ranks, saving_run: Run, tmp_path: Path
) -> None:
    assert ranks(1, cut_off, saving_run, tmp_path) == ["no space left"]
    assert not (tmp_path / "model").exists()
    assert (tmp_path / ".model.part").is_dir()
    ranks(1, saved_at_once, saving_run, tmp_path)
    other = saving_run.model_copy(update={"repeat": 1})
    second = ranks(1, saved_at_once, other, tmp_path)[0]  # repeated by hand: the newer one is there
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    assert_same(read_back(tmp_path / "model")[0], second)
