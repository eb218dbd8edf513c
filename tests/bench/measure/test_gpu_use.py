"""What a run says of the energy and the slowdowns of its GPUs. tests/gpu reads real counters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.contract.results.outcomes import Caution
from bench.measure.gpu import GpuCounters, GpuUse, driver_version
from bench.measure.machine import MachineUse, machine_state

IDLE = MachineUse(cores=4, seconds=10.0, idle=40.0, own=0.0, load=0.0, throttled=None)


def rank(gpu: str, joules: float | None, slowed: float | None = 0.0, capped: float | None = 0.0) -> MachineUse:
    return replace(IDLE, gpu=GpuUse(gpu, 10.0, joules, slowed, capped))


def test_energy_is_that_of_every_gpu_once() -> None:
    uses = [("m", rank("a", 5000.0)), ("m", rank("b", 7000.0)), ("m", rank("b", 7000.0))]
    found = machine_state(uses)
    assert (found.gpu_joules, found.gpu_watts) == (12000.0, 600.0)


@pytest.mark.parametrize("other", [IDLE, rank("b", None)], ids=["no GPU", "no counter"])
def test_energy_of_some_gpus_is_not_that_of_the_run(other: MachineUse) -> None:
    found = machine_state([("m", rank("a", 5000.0)), ("m", other)])
    assert (found.gpu_joules, found.gpu_watts) == (None, None)


def test_slowdowns_are_of_the_gpu_that_has_most() -> None:
    uses = [("m", rank("a", 1.0, slowed=0.5, capped=2.5)), ("n", rank("b", 1.0, capped=10.04)), ("n", rank("c", 1.0))]
    found = machine_state(uses)
    assert (found.throttled_gpus, found.power_capped) == (1, 1.0), "10.04 of 10 s: the counter has steps"
    unknown = machine_state([("m", rank("a", 1.0, slowed=None, capped=None))])
    assert (unknown.throttled_gpus, unknown.power_capped) == (None, None)


def test_units_and_missing_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML counts energy in millijoules and slowdowns in nanoseconds, and says of every field whether there is one."""
    import pynvml

    counts = {
        pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: 2_500,
        pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN: 1_500_000_000,
        pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN: 500_000_000,
    }

    def values(_: object, fields: list[int]) -> list[SimpleNamespace]:
        missing = pynvml.NVML_ERROR_NOT_SUPPORTED
        return [
            SimpleNamespace(
                nvmlReturn=pynvml.NVML_SUCCESS if field in counts else missing,
                value=SimpleNamespace(ullVal=counts.get(field, 99)),
            )
            for field in fields
        ]

    monkeypatch.setattr(pynvml, "nvmlDeviceGetFieldValues", values)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    read = GpuCounters(pynvml, object(), torch.device("cuda", 0), "GPU-1").read()
    assert (read.joules, read.slowed, read.capped) == (2.5, 2.0, None)
    later = GpuUse("GPU-1", read.seconds + 2.0, 10.5, 2.25, None)
    assert read.until(later) == GpuUse("GPU-1", pytest.approx(2.0), 8.0, 0.25, None)


def test_a_cpu_has_no_counters() -> None:
    assert GpuCounters.of(torch.device("cpu")) is None


def test_the_caution_names_both_columns() -> None:
    assert "`throttled_gpus`" in Caution.THROTTLED.remedy


def test_a_driver_has_a_version_where_there_is_one() -> None:
    assert (driver_version() is not None) == Path("/proc/driver/nvidia/version").exists()
