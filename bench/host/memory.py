"""Peak memory of a rank, from the CUDA allocator or the process's resident set."""

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
    """Peak memory between construction and `read`. Create it after the imports and before the model."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            torch.cuda.reset_accumulated_memory_stats(device)  # earlier retries and failures do not count
            return
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak resident set (VmHWM)
        self._base = _status_bytes("VmRSS")

    def read(self) -> dict[str, int | None]:
        """Return this rank's fields of `bench.contract.measured.Memory`, in bytes."""
        if self._device.type == "cpu":
            return {"peak": max(0, _status_bytes("VmHWM") - self._base)}
        stats = torch.cuda.memory_stats(self._device)
        free, total = torch.cuda.mem_get_info(self._device)
        return {
            "peak": stats["active_bytes.all.peak"],
            "reserved_peak": stats["reserved_bytes.all.peak"],
            # Includes communicators and the CUDA context, which the allocator does not see. The allocator keeps
            # reserved memory, so this is the peak unless there were retries, which return memory.
            "device_used_peak": total - free,
            "allocator_retries": stats["num_alloc_retries"],
            "allocator_ooms": stats["num_ooms"],
        }
