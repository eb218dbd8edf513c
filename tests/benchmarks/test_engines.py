"""The xFFL library's step beside the native engine's: the same run under both, in pairs that follow each other."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.support.needs import not_installable
from tests.support.pairs import paired_ratio
from tests.support.runs import make_run
from tests.support.torchrun import trained

PAIRS = 5
STEPS, WARMUP = 120, 20


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("layout", [(1, 1, 2), (1, 2, 2)], ids=["fsdp", "hsdp"])
def test_xffl_beside_native(
    benchmark: BenchmarkFixture, data: Path, tmp_path: Path, layout: tuple[int, int, int]
) -> None:
    """Ratios of the windows' seconds; the order of a pair changes from one to the next."""
    if find_spec("xffl") is None:
        not_installable("the package xffl", "install containers/xffl.txt to set its steps beside the native engine's")
    run = make_run(data, layout, batch_size=4, steps=STEPS, warmup_steps=WARMUP)
    numbers = itertools.count()

    def seconds(engine: str) -> float:
        asked = run.model_copy(update={"engine": engine})
        return trained(asked, tmp_path / f"{next(numbers)}-{engine}")[1].window.seconds

    def pairs() -> list[dict[str, float]]:
        orders = itertools.cycle((("native", "xffl"), ("xffl", "native")))
        return [{engine: seconds(engine) for engine in next(orders)} for _ in range(PAIRS)]

    measured = benchmark.pedantic(pairs, rounds=1)
    library, native = ([pair[engine] for pair in measured] for engine in ("xffl", "native"))
    benchmark.extra_info["xffl over native"] = paired_ratio(library, native)
