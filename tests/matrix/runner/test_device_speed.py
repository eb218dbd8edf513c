"""The runner compares the devices of its runs with the preflight of their job."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.results.outcomes import Caution
from bench.contract.results.preflight import Preflight
from bench.host.software import provenance
from tests.support.in_process import run_in_process
from tests.support.sweeps import SmallSweep


def cautions(sweep: SmallSweep, speed: float) -> list[Caution]:
    """Cautions of a run whose ranks had `speed` FLOP/s each in the preflight."""
    device = {"host": provenance.host(), "device": "cpu", "matmul_flops": speed}
    preflight = Preflight(
        seconds=1.0,
        computation="fp32",
        devices=[{"rank": rank, "local_rank": rank, **device} for rank in range(2)],
        nodes=[],
        between_nodes=None,
        links=[],
    )
    result = run_in_process(sweep, preflight)
    assert result.measured is not None
    return result.measured.cautions


@pytest.mark.soak  # the comparison itself: tests/bench/test_preflight.py
def test_a_run_is_compared_with_the_preflight_of_its_job(tmp_path: Path, data: Path) -> None:
    sweep = SmallSweep(tmp_path, data)
    sweep.write(["fsdp"])
    assert Caution.DEVICE_SPEED_CHANGED in cautions(sweep, speed=1e15)
