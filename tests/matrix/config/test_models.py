"""Models that lie elsewhere: their config.json becomes a shape, or a sentence that says why not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.contract.shapes import STOCK, Shape
from matrix.config.models.config_json import read_shape
from matrix.errors import InputError
from tests.support.planning import LoadText, PlanText

# What meta-llama/Llama-3.1-8B and mistralai/Mixtral-8x7B-v0.1 publish, in the words of transformers 4.
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.43.0.dev0",
    "use_cache": True,
    "vocab_size": 128256,
}
MIXTRAL = {
    "architectures": ["MixtralForCausalLM"],
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mixtral",
    "num_attention_heads": 32,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "output_router_logits": False,
    "rms_norm_eps": 1e-05,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.02,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
NEWER = {key: value for key, value in LLAMA.items() if key not in ("rope_theta", "rope_scaling", "torch_dtype")} | {
    "rope_parameters": LLAMA["rope_scaling"] | {"rope_theta": 500000.0},
    "head_dim": 128,
    "dtype": "bfloat16",
}
SMALL = {
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def written(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "config.json"


@pytest.mark.parametrize(
    ("config", "name"), [(LLAMA, "llama3.1-8b"), (NEWER, "llama3.1-8b"), (MIXTRAL, "mixtral-8x7b")]
)
def test_published_configurations_are_the_stock_shapes(tmp_path: Path, config: dict[str, Any], name: str) -> None:
    assert read_shape(written(tmp_path, config)) == STOCK[name]


def test_all_that_a_shape_knows_is_read(tmp_path: Path) -> None:
    more = {
        "head_dim": 32,
        "num_key_value_heads": 2,
        "attention_bias": True,
        "mlp_bias": True,
        "tie_word_embeddings": True,
        "initializer_range": 0.5,
        "rope_scaling": {"type": "linear", "factor": 2},
        "rms_norm_eps": 1e-3,
        "sliding_window": 7,  # not for a Llama: the library passes over it too
    }
    shape = read_shape(written(tmp_path, SMALL | more))
    assert shape == Shape(
        architecture="llama",
        vocab_size=256,
        hidden_size=64,
        intermediate_size=176,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=32,
        max_positions=2048,
        rope_theta=10_000.0,
        rope_scaling={"rope_type": "linear", "factor": 2.0},
        rms_norm_eps=1e-3,
        initializer_range=0.5,
        tie_embeddings=True,
        attention_bias=True,
        mlp_bias=True,
    )
    windowed = read_shape(written(tmp_path, MIXTRAL | {"sliding_window": 4096}))
    assert windowed == STOCK["mixtral-8x7b"].model_copy(update={"sliding_window": 4096})


@pytest.mark.parametrize("kind", ["llama", "mixtral"])
def test_what_a_file_does_not_say_is_the_librarys_default(tmp_path: Path, kind: str) -> None:
    from transformers import AutoConfig

    from bench.models.model import configuration

    file = written(tmp_path, SMALL | {"model_type": kind, "num_attention_heads": 8})
    library = AutoConfig.from_pretrained(file.parent)
    ours = configuration(read_shape(file)).to_dict()
    ignored = {"_name_or_path", "architectures", "bos_token_id", "eos_token_id", "use_cache", "head_dim"}
    differing = {key for key, value in library.to_dict().items() if key not in ignored and ours[key] != value}
    assert not differing


EMPTY = (2).to_bytes(8, "little") + b"{}"
"""A safetensors file without tensors."""


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"hidden_act": "gelu"}, "hidden_act: should be \"silu\", not 'gelu'"),
        ({"model_type": "qwen2"}, "model_type: should be one of llama, mixtral, not 'qwen2'"),
        ({"model_type": ["llama"]}, "model_type: should be one of llama, mixtral, not ['llama']"),
        ({"model_type": None}, "model_type: should be one of llama, mixtral, not None"),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            "architectures: should be [LlamaForCausalLM], not ['LlamaForSequenceClassification']",
        ),
        ({"quantization_config": {"bits": 4}}, "quantization_config: is not supported: give the model before "
         "quantisation"),
        ({"auto_map": {}}, "auto_map: is not supported: models with custom code are not trained here"),
        ({"attention_dropout": 0.1}, "attention_dropout: should be 0, not 0.1"),
        ({"router_jitter_noise": 0.1}, "router_jitter_noise: should be 0, not 0.1"),
        ({"output_router_logits": True}, "output_router_logits: should be false, not True"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor: should be 1, not 0.5"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4}},
         "rope_scaling.rope_type: should be one of default, linear, llama3, not 'yarn'"),
        ({"rope_scaling": {"rope_type": "linear"}}, "the key 'rope_scaling.factor' is missing"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}},
         "rope_parameters: should apply to all layers: one mapping without nested mappings"),
        ({"rope_parameters": [1]}, "rope_parameters: should be a mapping, not [1]"),
        ({"num_hidden_layers": None}, "num_hidden_layers: should have a value, not null"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers: should be a valid integer, not '2'"),
        ({"num_attention_heads": 5}, "hidden_size 64 is not a multiple of heads 5"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    file = written(tmp_path, SMALL | changes)
    with pytest.raises(InputError) as caught:
        read_shape(file)
    assert str(caught.value) == f"{file}: {fault}"


@pytest.mark.parametrize(("text", "fault"), [("{", "should be JSON: "), ("[]", "should be a mapping"), ("\xff", "")])
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=rf"config\.json: {fault}"):
        read_shape(tmp_path / "config.json")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder beside the matrix file, with a model that has weights, and one that has none."""
    written(tmp_path / "models" / "whole", SMALL)
    (tmp_path / "models" / "whole" / "model.safetensors").write_bytes(EMPTY)
    written(tmp_path / "models" / "bare", SMALL)
    return tmp_path / "models"


def with_models(small: str, *values: str) -> str:
    return small.replace("llama-tiny", f"[{', '.join(values)}]").replace("[1, 2]", "1").replace("[2, 4]", "2")


def test_a_folder_or_a_file_gives_the_shape_and_on_request_the_weights(
    plan: PlanText, small: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", str(models))
    values = [
        "{name: anew, path: models/bare}",
        "{name: same, path: models/whole/config.json}",
        "{name: from, path: $WHERE/whole, weights: true}",
        "{name: too, path: models/whole/config.json, weights: true}",
    ]
    planned = plan(with_models(small, *values))
    cells = {cell.labels["model"]: cell for cell in planned.plan.cells}
    assert [cell.status for cell in cells.values()] == ["run", "same", "run", "same"]
    assert cells["same"].reason == "same has the shape of anew"
    assert cells["too"].reason == "too has the shape and weights of from"
    runs = {run.model: run for run in planned.runs.values()}
    assert runs["anew"].shape.parameters == runs["from"].shape.parameters > 0
    assert (runs["anew"].weights, runs["from"].weights) == (None, str(models / "whole"))


def test_a_model_that_only_an_include_has_is_found(plan: PlanText, small: str, models: Path) -> None:
    text = with_models(small, "llama-tiny") + "include: [{model: {name: bare, path: models/bare}}]\n"
    assert [run.model for run in plan(text).runs.values()] == ["llama-tiny", "bare"]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("{name: m, path: models/none}",
         "axes.model[0].path: {models}/none does not exist: give a folder with a config.json, or such a file"),
        ("{name: m, path: models}",
         "axes.model[0].path: {models}/config.json does not exist: give a folder with a config.json, or such a file"),
        ("{name: m, path: $NOT_SET/m}",
         "axes.model[0].path: uses $NOT_SET, which is not set in the environment: $NOT_SET/m"),
        ("{name: m, path: models/bare, weights: true}",
         "axes.model[0].path: {models}/bare: contains neither model.safetensors nor model.safetensors.index.json: "
         "weights should be safetensors"),
        ("{name: m}", "axes.model[0]: should have one of the keys 'llama' and 'mixtral' (a shape), 'path' and 'hub'"),
        ("{name: m, path: models/bare, hub: a/b}",
         "axes.model[0]: should have one of the keys 'llama' and 'mixtral' (a shape), 'path' and 'hub'"),
        ("{name: m, path: models/bare, revision: v1}", "axes.model[0]: does not use 'revision' without a hub"),
        ("{name: m, path: models/bare, online: true}", "axes.model[0]: does not use 'online' without a hub"),
        ("{name: m, weights: true, llama: {vocab_size: 8, hidden_size: 8, intermediate_size: 8, layers: 1, heads: 2, "
         "kv_heads: 2}}", "axes.model[0]: does not use 'weights' without a path or a hub"),
        ("{name: m, hub: a/b/c}", "axes.model[0].hub: 'a/b/c' is not a valid repository name: write owner/name"),
    ],
)  # fmt: skip
def test_mistakes_in_naming_a_model(load: LoadText, small: str, models: Path, value: str, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        load(with_models(small, value))
    place, _, sentence = str(caught.value).partition(": ")
    assert Path(place).name == "sweep.yaml:3"
    assert sentence == fault.replace("{models}", str(models))


def test_faults_of_a_configuration_are_told_with_the_place_that_names_it(
    load: LoadText, small: str, models: Path
) -> None:
    written(models / "odd", SMALL | {"hidden_act": "gelu", "attention_dropout": 0.5})
    with pytest.raises(InputError) as caught:
        load(with_models(small, "{name: m, path: models/odd}"))
    lines = [line.partition("axes.model")[2] for line in str(caught.value).splitlines()]
    odd = models / "odd" / "config.json"
    assert lines == [
        f"[0].path: {odd}: hidden_act: should be \"silu\", not 'gelu'",
        f"[0].path: {odd}: attention_dropout: should be 0, not 0.5",
    ]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache as the library lays it out, with one revision of one repository, and no way to the hub."""
    from huggingface_hub import constants

    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    repository = folder / "models--some--llama"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123456789abcdef0123456789abcdef01234567")
    written(repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567", SMALL)
    return repository


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Addresses that something tried to reach; nothing is reached."""
    addresses: list[object] = []

    def connect(_: socket.socket, address: object) -> None:
        addresses.append(address)
        raise ConnectionRefusedError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_, **__: connect(None, (host, port)))
    return addresses


def test_the_network_is_used_only_where_online_asks_for_it(
    load: LoadText, small: str, cache: Path, asked: list[object]
) -> None:
    load(with_models(small, "{name: m, hub: some/llama}"))
    with pytest.raises(InputError, match="add `online: true`"):
        load(with_models(small, "{name: m, hub: some/other}"))
    assert not asked
    with pytest.raises(
        InputError, match=r"some/other \(revision main\) cannot be downloaded: the hub could not be reached$"
    ):
        load(with_models(small, "{name: m, hub: some/other, online: true}"))
    assert asked


def test_a_model_of_the_hub_comes_from_its_cache(plan: PlanText, load: LoadText, small: str, cache: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    (run,) = plan(with_models(small, "{name: m, hub: some/llama}")).runs.values()
    assert run.weights is None
    assert run.shape.hidden_size == 64
    with pytest.raises(
        InputError, match=rf"axes\.model\[0\]\.hub: .*{commit}: contains neither model\.safetensors nor"
    ):
        load(with_models(small, "{name: m, hub: some/llama, weights: true}"))
    (cache / "snapshots" / commit / "model.safetensors").write_bytes(EMPTY)
    (run,) = plan(with_models(small, f"{{name: m, hub: some/llama, revision: {commit}, weights: true}}")).runs.values()
    assert run.weights == str(cache / "snapshots" / commit)
    with pytest.raises(InputError) as caught:
        load(with_models(small, "{name: m, hub: some/llama, revision: v2}"))
    assert str(caught.value).endswith(
        "axes.model[0].hub: some/llama (revision v2) is missing or incomplete in the hub's cache, "
        f"{cache.parent}: add `online: true` to download it"
    )


def test_a_sweep_does_not_go_on_with_another_model(tmp_path: Path, small: str, models: Path) -> None:
    from matrix.planning.prepare import prepare
    from matrix.store.sweep_folder import SweepFolder

    (tmp_path / "sweep.yaml").write_text(with_models(small, "{name: m, path: models/bare}"))
    (tmp_path / "results").mkdir()

    def begin() -> None:
        prepared = prepare(tmp_path / "sweep.yaml", None, [], [])
        SweepFolder(tmp_path / "results").begin(prepared.record(), prepared.planned.plan, accept_changes=False)

    begin()
    begin()
    written(models / "bare", SMALL | {"num_hidden_layers": 3})
    with pytest.raises(InputError, match=r"with different inputs \(the models' configurations or weights: m\):"):
        begin()


def test_a_sweep_does_not_go_on_with_other_weights(tmp_path: Path, small: str, models: Path) -> None:
    from matrix.planning.prepare import prepare
    from matrix.store.sweep_folder import SweepFolder

    weights = models / "whole" / "model.safetensors"
    (tmp_path / "sweep.yaml").write_text(with_models(small, "{name: m, path: models/whole, weights: true}"))

    def begin(results: str, *, accept_changes: bool = False) -> None:
        (tmp_path / results).mkdir(exist_ok=True)
        prepared = prepare(tmp_path / "sweep.yaml", None, [], [])
        SweepFolder(tmp_path / results).begin(prepared.record(), prepared.planned.plan, accept_changes=accept_changes)

    def lay(header: bytes, values: bytes, changed: int) -> None:
        weights.write_bytes(len(header).to_bytes(8, "little") + header + values)
        os.utime(weights, (changed, changed))

    def header(name: str, size: int) -> bytes:
        return json.dumps({name: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()

    first = header("a", 1)
    others = {"size": (header("a", 2), b"01", 1), "time": (first, b"1", 2), "header": (header("b", 1), b"0", 1)}
    for results, other in others.items():
        lay(first, b"0", 1)
        begin(results)
        begin(results)
        lay(*other)
        with pytest.raises(InputError, match=r"the models' configurations or weights: m/model\.safetensors\)"):
            begin(results)
        begin(results, accept_changes=True)
        begin(results)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\nsize 500000\n",
            "is a Git LFS pointer: fetch the file itself wi",
        ),
        (b"<html>404</html>", "not a safetensors file: copy or download it again"),
        (b"", "not a safetensors file"),
        ((2).to_bytes(8, "little") + b"[]", "not a safetensors file"),
        (EMPTY + b"more", "has 14 bytes, but its header describes 10: copy or download it again"),
        (b"\xff" * 40, "not a safetensors file"),
    ],
)
def test_weights_that_are_not_whole_are_refused_while_planning(
    load: LoadText, small: str, models: Path, content: bytes, fault: str
) -> None:
    (models / "whole" / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=rf"model\.safetensors: {fault}"):
        load(with_models(small, "{name: m, path: models/whole, weights: true}"))


PLAN = """
import sys
from pathlib import Path
from matrix.planning.plan import make_plan
from matrix.config.load import load_sweep
from matrix.config.system import load_system
sweep = load_sweep(Path(sys.argv[1]))
assert make_plan(sweep, load_system(Path(sweep.system))).runs
print(*sorted({"torch", "transformers", "datasets", "huggingface_hub"} & set(sys.modules)))
"""


@pytest.mark.parametrize(("value", "imported"), [("path: models/whole", ""), ("hub: some/llama", "huggingface_hub")])
def test_planning_imports_nothing_heavy(
    tmp_path: Path, small: str, models: Path, cache: Path, value: str, imported: str
) -> None:
    (tmp_path / "sweep.yaml").write_text(with_models(small, f"{{name: m, {value}}}"))
    done = subprocess.run(
        [sys.executable, "-c", PLAN, str(tmp_path / "sweep.yaml")],
        cwd=Path(__file__).parents[3],
        env={"HF_HUB_CACHE": str(cache.parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == imported, done.stderr
