"""Peak memory of a rank, by what its device can tell."""

from __future__ import annotations

import re
from pathlib import Path

import torch


def _status_bytes(field: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    if match is None:
        raise RuntimeError(f"/proc/self/status has no {field}")
    return int(match[1]) * 1024


class MemoryMeter:
    """Measures from its making to `read`. Make it after the imports and before the model."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            torch.cuda.reset_accumulated_memory_stats(device)  # retries and failures before this do not count
            return
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak resident set (VmHWM)
        self._base = _status_bytes("VmRSS")

    def read(self) -> dict[str, int | None]:
        """Fields of `bench.contract.measured.Memory`, in bytes, for this rank."""
        if self._device.type == "cpu":
            return {"peak": max(0, _status_bytes("VmHWM") - self._base)}
        stats = torch.cuda.memory_stats(self._device)
        free, total = torch.cuda.mem_get_info(self._device)
        return {
            "peak": stats["active_bytes.all.peak"],
            "reserved_peak": stats["reserved_bytes.all.peak"],
            # Includes what the allocator cannot see: communicators and the CUDA context. The allocator keeps what it
            # has reserved, so this is the peak as long as there were no retries, which give memory back.
            "device_used_peak": total - free,
            "allocator_retries": stats["num_alloc_retries"],
            "allocator_ooms": stats["num_ooms"],
        }
