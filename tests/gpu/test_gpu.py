"""What only a GPU can show: NCCL, CUDA events, the allocator's and the board's counters. One GPU is enough."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from bench.contract.results.measured import Measured
from bench.contract.run import Run, System
from bench.host.matmul import GPU_SIZE
from bench.measure.clock import CudaMarks
from bench.measure.gpu import GpuCounters
from bench.training import is_out_of_memory
from tests.support.needs import not_installable
from tests.support.runs import make_run
from tests.support.torchrun import trained


@pytest.fixture(scope="module")
def gpu() -> torch.device:
    """The first GPU."""
    if not torch.cuda.is_available():
        not_installable("a GPU", "run these tests on a machine with one NVIDIA GPU")
    return torch.device("cuda", 0)


def busy(gpu: torch.device, seconds: float) -> float:
    """Multiply for at least so long; FLOP/s by the host's clock."""
    left = torch.randn(GPU_SIZE, GPU_SIZE, device=gpu, dtype=torch.bfloat16)
    left @ left
    torch.cuda.synchronize(gpu)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        for _ in range(10):
            left @ left
        torch.cuda.synchronize(gpu)
        count += 10
    return count * 2.0 * GPU_SIZE**3 / (time.perf_counter() - begin)


def on_gpu(data: Path, **settings: object) -> Run:
    """A small run on one GPU."""
    run = make_run(data, (1, 1, 1), batch_size=4, **settings)
    return run.model_copy(update={"system": System(name="gpu", device="cuda", threads_per_rank=2)})


@pytest.fixture(scope="module")
def measured(gpu: torch.device, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """The account of a run in pure bf16, whose window takes a second or more."""
    run = on_gpu(data, precision="bf16", steps=420, warmup_steps=20, block=20)
    return trained(run, tmp_path_factory.mktemp("gpu") / "bf16")[1]


def test_a_run_says_what_it_used(gpu: torch.device, measured: Measured) -> None:
    assert measured.provenance.devices == [torch.cuda.get_device_name(gpu)]
    memory = measured.memory
    assert memory.reserved_peak is not None
    assert memory.device_used_peak is not None
    assert memory.state <= memory.peak <= memory.reserved_peak <= memory.device_used_peak
    assert (memory.allocator_retries, memory.allocator_ooms) == (0, 0)
    assert measured.provenance.driver is not None
    assert measured.provenance.driver.replace(".", "").isdigit()
    assert measured.machine is not None
    assert measured.machine.gpu_joules is not None
    assert measured.machine.gpu_watts is not None
    assert measured.machine.gpu_joules == pytest.approx(measured.machine.gpu_watts * measured.window.seconds, rel=0.25)


def test_the_matrix_product_is_as_fast_as_the_host_sees_it(gpu: torch.device, measured: Measured) -> None:
    assert measured.utilisation.matmul_flops == pytest.approx(busy(gpu, 1.0), rel=0.25)


def test_precisions_and_the_compiler_train_alike(gpu: torch.device, data: Path, tmp_path: Path) -> None:
    curves = {
        name: trained(on_gpu(data, **settings), tmp_path / name)[0]["loss"]
        for name, settings in {
            "fp32": {},
            "compiled": {"compile": True},
            "mixed": {"precision": "bf16-mixed"},
        }.items()
    }
    assert list(curves["compiled"]) == pytest.approx(list(curves["fp32"]), rel=1e-4)
    assert list(curves["mixed"]) == pytest.approx(list(curves["fp32"]), rel=1e-2)


def test_events_and_the_hosts_clock_agree(gpu: torch.device) -> None:
    marks = CudaMarks()
    torch.cuda.synchronize(gpu)
    begin = time.perf_counter()
    marks.mark()
    busy(gpu, 0.5)
    marks.mark()
    before, after = marks.seconds(0)
    assert before == 0
    assert after == pytest.approx(time.perf_counter() - begin, rel=0.05)


def test_counters_of_the_board_rise_with_the_load(gpu: torch.device) -> None:
    counters = GpuCounters.of(gpu)
    assert counters is not None, "NVML does not know the GPU"
    first = counters.read()
    time.sleep(2.0)
    idle = counters.read()
    busy(gpu, 2.0)
    loaded = counters.read()
    resting, working = first.until(idle), idle.until(loaded)
    assert resting.joules is not None
    assert working.joules is not None
    assert 0 < resting.joules / resting.seconds < 0.7 * working.joules / working.seconds
    for use in (resting, working):
        assert use.slowed is None or 0 <= use.slowed <= 3 * use.seconds
        assert use.capped is None or 0 <= use.capped <= 1.1 * use.seconds


def test_memory_that_runs_out_is_told_apart(gpu: torch.device) -> None:
    with pytest.raises(torch.OutOfMemoryError) as found:
        torch.empty(2**45, dtype=torch.uint8, device=gpu)
    assert is_out_of_memory(found.value)
