"""Energy and slowdowns of a rank's GPU, from the counters of NVIDIA's management library (NVML)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # reports read what ranks write, and need no torch
    import torch

_NANO, _MILLI = 1e-9, 1e-3


@dataclass(frozen=True)
class GpuUse:
    """A GPU's counters at a moment, or what they rose by between two; None for a counter that the GPU lacks.

    Attributes:
        gpu: the GPU's UUID.
        seconds: time by the host's monotonic clock, or between the moments.
        joules: energy of the whole board, memory included.
        slowed: seconds with lowered clocks because of the temperature, or of a brake by the host's power supply.
        capped: seconds with lowered clocks to keep the power limit, which is normal under full load.

    """

    gpu: str
    seconds: float
    joules: float | None
    slowed: float | None
    capped: float | None

    def until(self, later: GpuUse) -> GpuUse:
        """Return what the counters rose by from this moment to a later one."""
        return GpuUse(
            gpu=self.gpu,
            seconds=later.seconds - self.seconds,
            joules=_risen(self.joules, later.joules),
            slowed=_risen(self.slowed, later.slowed),
            capped=_risen(self.capped, later.capped),
        )

    def plus(self, other: GpuUse) -> GpuUse:
        """Return what the counters rose by in two spans together."""
        return GpuUse(
            gpu=self.gpu,
            seconds=self.seconds + other.seconds,
            joules=_sum(self.joules, other.joules),
            slowed=_sum(self.slowed, other.slowed),
            capped=_sum(self.capped, other.capped),
        )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _risen(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


class GpuCounters:
    """The counters of one GPU.

    Args:
        nvml: the module pynvml, initialised.
        handle: NVML's handle of the GPU.
        device: the same GPU for torch.
        gpu: its UUID.

    """

    def __init__(self, nvml: Any, handle: object, device: torch.device, gpu: str) -> None:  # noqa: ANN401 - untyped
        self._nvml, self._handle, self._device, self._gpu = nvml, handle, device, gpu

    @classmethod
    def of(cls, device: torch.device) -> GpuCounters | None:
        """Open the counters; None on a CPU, and for devices that NVML does not know: AMD's, slices by MIG.

        Found by the UUID, because CUDA_VISIBLE_DEVICES changes torch's numbers and not NVML's.
        """
        import torch  # noqa: PLC0415

        if device.type != "cuda" or torch.version.hip:
            return None
        import pynvml  # noqa: PLC0415 - only for ranks with a GPU

        gpu = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        try:
            pynvml.nvmlInit()
            return cls(pynvml, pynvml.nvmlDeviceGetHandleByUUID(gpu), device, gpu)
        except pynvml.NVMLError:
            return None

    def read(self) -> GpuUse:
        """Wait for the work that is queued, and read the counters."""
        import torch  # noqa: PLC0415

        torch.cuda.synchronize(self._device)
        nvml = self._nvml
        return GpuUse(
            gpu=self._gpu,
            seconds=time.perf_counter(),
            joules=self._sum(_MILLI, nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION),
            slowed=self._sum(
                _NANO,
                nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN,
                nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN,
                nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
            ),
            capped=self._sum(_NANO, nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP),
        )

    def _sum(self, unit: float, *fields: int) -> float | None:
        """Return the sum of the fields that the GPU has, None if it has none of them. All are 64-bit counts.

        None as well if NVML does not answer: what a run measured is not lost for that.
        """
        try:
            values = self._nvml.nvmlDeviceGetFieldValues(self._handle, list(fields))
        except self._nvml.NVMLError:
            return None
        counts = [int(value.value.ullVal) for value in values if value.nvmlReturn == self._nvml.NVML_SUCCESS]
        return sum(counts) * unit if counts else None


def driver_version() -> str | None:
    """Return the version of NVIDIA's driver on this host; None without one."""
    import pynvml  # noqa: PLC0415 - only for ranks with a GPU

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return None
