"""The real xFFL library as an engine: it trains what the native engine trains, or its account says why not."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bench.contract.run import System
from tests.support.needs import not_installable
from tests.support.runs import make_run
from tests.support.torchrun import trained

TEN_STEPS = {"steps": 10, "warmup_steps": 2, "lr_warmup_fraction": 0.2}


@pytest.fixture(autouse=True)
def _library() -> None:
    if find_spec("xffl") is None:
        not_installable("the package xffl", "install containers/xffl.txt to hold the engine against the native one")


def both(data: Path, folder: Path, layout: tuple[int, int, int], settings: Mapping[str, Any]) -> list[Any]:
    run = make_run(data, layout, **({"block": 2, "every": 2} | dict(settings)))
    return [trained(run.model_copy(update={"engine": engine}), folder / engine) for engine in ("native", "xffl")]


@pytest.mark.parametrize(
    ("layout", "settings"),
    [
        ((1, 1, 2), {}),
        ((1, 2, 2), {}),
        pytest.param((1, 1, 2), {"model": "mixtral-tiny"}, marks=pytest.mark.soak),
        pytest.param((1, 1, 2), {"precision": "bf16"}, marks=pytest.mark.soak),
        pytest.param((1, 1, 2), {"precision": "bf16-mixed"}, marks=pytest.mark.soak),
        pytest.param((1, 1, 2), {"activation_checkpointing": "full"}, marks=pytest.mark.soak),
        pytest.param((1, 1, 2), {"clip_norm": 0.5, "optimizer": "sgd"}, marks=pytest.mark.soak),
        pytest.param((1, 1, 2), {"deterministic": True, "workers": 1}, marks=pytest.mark.soak),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else ",".join(value) or "plain",
)
def test_both_engines_train_alike(
    data: Path, tmp_path: Path, layout: tuple[int, int, int], settings: dict[str, Any]
) -> None:
    """The same data order, first values, optimizer and schedule: the same losses, to 1e-4 (seen: to the bit)."""
    (native, of_native), (library, of_library) = both(data, tmp_path, layout, TEN_STEPS | settings)
    relative = (library["loss"] - native["loss"]).abs() / native["loss"]
    assert len(native) == 10
    assert relative.max() < 1e-4, relative
    assert (library["tokens"] == native["tokens"]).all()
    assert library["learning_rate"].tolist() == native["learning_rate"].tolist()
    assert of_library.loss.validation == pytest.approx(of_native.loss.validation, rel=1e-4)
    assert of_library.memory.state == pytest.approx(of_native.memory.state, rel=0.01)
    assert of_library.window.tokens == of_native.window.tokens
    assert (of_library.invalid, of_native.invalid) == ("", "")


@pytest.mark.parametrize("layout", [(2, 1, 1), pytest.param((2, 2, 2), marks=pytest.mark.soak)])
def test_groups_that_hold_a_sum_are_found_out(data: Path, tmp_path: Path, layout: tuple[int, int, int]) -> None:
    """On gloo the library sums: until the first averaging both engines agree, and the account names the fault."""
    (native, of_native), (library, of_library) = both(data, tmp_path, layout, TEN_STEPS)
    first = native["step"] < 2
    assert library["loss"][first].tolist() == pytest.approx(native["loss"][first].tolist(), rel=1e-4)
    assert of_native.invalid == ""
    assert "averaging 1 of 5 did not leave the mean" in of_library.invalid
    assert (of_library.window.aggregations, of_library.window.aggregation_s_median) == (4, None)


def test_a_system_without_gpus_needs_no_gpu_build(data: Path) -> None:
    """A configuration in the library's own words can be made anywhere, and holds what the run asks for."""
    from bench.engines.xffl.configuration import configuration

    run = make_run(data, (2, 2, 2), every=4, cuda_streams=3, batch_size=3, learning_rate=1e-3)
    run = run.model_copy(update={"system": System(name="test", device="cpu", threads_per_rank=1)})
    config = configuration(run)
    assert (config.hsdp, config.federated, config.federated_batches, config.cuda_streams) == (2, 4, 4, 3)
    assert (config.dataset_info.batch_sizes, config.seed, config.epochs) == (3, None, 1)
