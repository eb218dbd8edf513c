"""Large sweeps: planned in linear time, and refused by arithmetic beyond what can be planned."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from matrix.config.sweep import LARGEST_SWEEP
from matrix.errors import InputError
from tests.support.planning import LoadText, PlanText


@pytest.fixture
def no_collections() -> Iterator[None]:
    """No garbage collection, whose time depends on the objects of earlier tests."""
    gc.disable()
    yield
    gc.enable()


def numbers(count: int) -> str:
    return f"[{', '.join(map(str, range(1, count + 1)))}]"


def large(small: str, seeds: int, sizes: int) -> str:
    """A product of 4 times so many seeds and batch sizes."""
    return small.replace("[2, 4]", f"{numbers(sizes)}\n  seed: {numbers(seeds)}\n  optimizer: [adamw, sgd]")


def test_a_product_beyond_the_limit_is_refused_before_it_is_expanded(load: LoadText, small: str) -> None:
    assert load(large(small, 500, 500)).combinations == LARGEST_SWEEP
    with pytest.raises(InputError) as refused:
        load(large(small, 501, 500))
    assert str(refused.value).endswith(
        "sweep.yaml:2: axes: has 1,002,000 combinations, more than 1,000,000: shorten the longest lists (seed 501, "
        "batch_size 500, nodes 2), or add the combinations that matter with `include` rather than as a product"
    )


def test_combinations_of_includes_count(load: LoadText, small: str) -> None:
    with pytest.raises(InputError, match=r"axes: has 1,000,004 combinations, .* \(nodes 1,000, batch_size 1,000\)"):
        load(f"{small}include: [{{batch_size: {numbers(1000)}, nodes: {numbers(1000)}}}]\n")


def test_too_many_runs_are_refused(plan: PlanText, small: str) -> None:
    with pytest.raises(InputError, match="250,001 repeats of 4 combinations are 1,000,004 runs, more than 1,000,000: "):
        plan(f"{small}repeats: 250001\n")


@pytest.mark.usefixtures("no_collections")
def test_the_time_of_a_plan_is_linear_in_the_values_of_an_axis(plan: PlanText, small: str) -> None:
    def seconds(count: int) -> float:
        text = small.replace("[2, 4]", f"2\n  seed: {numbers(count)}").replace("[1, 2]", "1")
        begin = time.process_time()
        plan(text)
        return time.process_time() - begin

    few, many = (min(seconds(count) for _ in range(4)) for count in (500, 2000))
    assert many < 6 * few
