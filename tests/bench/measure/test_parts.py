"""The parts of a step, of real steps of two ranks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.contract.results.breakdown import Breakdown, Part
from bench.contract.run import Run
from bench.measure import parts
from bench.measure.window import Steps, Trained, window
from tests.support.ranks import Ranks
from tests.support.runs import make_run, train_rank

NAP = 0.02


def trained(rank: int, run: Run) -> Trained:
    """Each averaging takes a while longer, on rank 1 twice as long."""

    def slow(average: Callable[[], None]) -> Callable[[], None]:
        def averaging() -> None:
            time.sleep(NAP * (1 + rank))
            average()

        return averaging

    return train_rank(run, rank, slow)[0]


def broken_down(run: Run, found: list[Trained]) -> Breakdown:
    made = parts.breakdown(run, window(run, Steps.of(found)), found)
    assert made is not None
    return made


def test_the_parts_of_real_steps_add_up_to_the_whole(ranks: Ranks, data: Path) -> None:
    run = make_run(data, (2, 1, 1), every=2, block=2, accumulation=2, clip_norm=1.0).model_copy(
        update={"purpose": "breakdown"}
    )
    made = broken_down(run, ranks(2, trained, run))
    assert sum(part.mean for part in made.parts.values()) == pytest.approx(made.step, rel=0.05)
    assert made.parts.keys() == set(Part)
    assert all(0 < part.mean <= part.slowest for part in made.parts.values())
    assert made.parts[Part.AVERAGING].mean >= 2 * NAP / run.every, "both wait for rank 1, in every second step"
    assert made.parts[Part.BACKWARD].mean > made.parts[Part.DATA].mean


def test_a_timed_run_notes_no_parts(ranks: Ranks, data: Path) -> None:
    run = make_run(data, (2, 1, 1))
    found = ranks(2, trained, run)
    assert [each.parts for each in found] == [{}, {}]
    assert parts.breakdown(run, window(run, Steps.of(found)), found) is None


def test_parts_by_hand(data: Path) -> None:
    """Two ranks of 20 steps, 4 of them warm-up: a rank waits in its backward pass for the other's forward pass."""
    run = make_run(data, (1, 1, 2)).model_copy(update={"purpose": "breakdown"})
    others = {part: [0.0] * 20 for part in Part}
    times = ((0.1, 0.3), (0.2, 0.2))
    found = [
        Trained(
            losses=[1.0] * 20,
            tokens=[64] * 20,
            begins=[0.4 * step - 1.6 for step in range(20)],
            ends=[0.4 * step - 1.2 for step in range(20)],
            arrivals=[float("nan")] * 20,
            aggregations=[0.0] * 20,
            averaged=[],
            parts=others | {Part.FORWARD: [9.0] * 4 + [forward] * 16, Part.BACKWARD: [9.0] * 4 + [backward] * 16},
        )
        for forward, backward in times
    ]
    made = broken_down(run, found)
    assert made.step == pytest.approx(0.4)
    assert (made.parts[Part.FORWARD].mean, made.parts[Part.FORWARD].slowest) == pytest.approx((0.15, 0.2))
    assert (made.parts[Part.BACKWARD].mean, made.parts[Part.BACKWARD].slowest) == pytest.approx((0.25, 0.3))
    assert made.parts[Part.AVERAGING].mean == 0
