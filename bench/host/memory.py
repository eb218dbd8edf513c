"""Memory of a rank: its limit, and its peak from the CUDA allocator or the process's anonymous memory."""

from __future__ import annotations

import ctypes
import os
import resource
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

GIB = 2**30

_M_MMAP_THRESHOLD = -3
"""Of mallopt(3)."""

STACK = 16 * 2**20
"""Bytes below the limit at which a process counts as full: a thread's stack takes 8 MiB (ulimit -s) with its guard."""


def limit_memory(device: torch.device, gib: float | None, share: float) -> None:
    """Limit the memory of this process to a share of `gib`, or of its GPU's memory if that is less or `gib` is None.

    On a GPU the limit is of what the caching allocator reserves. On a CPU it is of anonymous memory, of which what was
    mapped before and never touched (libraries reserve a GiB) does not count, and what is mapped from now on does
    (RLIMIT_DATA, which data loading processes inherit, each for itself). Without `gib` a CPU's is not limited.

    A limited heap gives freed tensors back at once: else it grows for dozens of steps, by more than what a trial leaves
    free, and a batch that fits a short run does not fit a long one. Steps take longer for it.
    """
    if device.type == "cuda":
        whole = torch.cuda.get_device_properties(device).total_memory
        part = share * min(1.0, gib * GIB / whole if gib else 1.0)
        if part < 1:
            torch.cuda.set_per_process_memory_fraction(part, device)
    elif gib is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        status = Path("/proc/self/status").read_bytes()
        untouched = _bytes_of(status, b"VmData:") - _bytes_of(status, b"RssAnon:")
        _give_back_at_once()
        soft = int(share * gib * GIB) + untouched
        resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _give_back_at_once() -> None:
    """Have glibc map blocks of 128 KiB and more one by one; by default that size grows with blocks that are freed."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:  # other C libraries have none
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def is_full() -> bool:
    """Return True if this process has no room for a thread's stack below the limit of `limit_memory` on a CPU.

    Not every library reports that memory was refused: a thread that cannot be started is "Resource temporarily
    unavailable".
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY:
        return False
    return _bytes_of(Path("/proc/self/status").read_bytes(), b"VmData:") + STACK > soft


class AnonymousPeak:
    """Peak of a process's anonymous memory (heap, stacks, tensors), without the pages of files that it has mapped.

    Linux has a peak of the resident set only (VmHWM), which includes mapped files and which a write to clear_refs
    resets. So `note` cuts the time into intervals: the anonymous peak of an interval is VmHWM less the mapped pages at
    its begin or its end, whichever are more. That is exact as long as the mapped pages do not change. A file read in an
    interval after the peak makes it too small by the file's pages, one mapped and unmapped within an interval makes it
    too large. A call takes about 12 microseconds.
    """

    def __init__(self) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY)
        self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY)
        for file in (self._status, self._reset):
            weakref.finalize(self, os.close, file)
        self._peak = 0
        self._mapped = 0
        self.note()
        self._peak = self._base = self._anonymous

    def note(self) -> None:
        """End an interval and begin the next one."""
        status = os.pread(self._status, 8192, 0)
        mapped = _bytes_of(status, b"RssFile:") + _bytes_of(status, b"RssShmem:")
        self._anonymous = _bytes_of(status, b"RssAnon:")
        at_least = _bytes_of(status, b"VmHWM:") - max(mapped, self._mapped)
        self._peak, self._mapped = max(self._peak, self._anonymous, at_least), mapped
        os.pwrite(self._reset, b"5", 0)  # sets VmHWM to the current resident set (proc(5))

    def skip(self) -> None:
        """End an interval that does not count, and begin the next one."""
        peak = self._peak
        self.note()
        self._peak = peak

    @property
    def growth(self) -> int:
        """Bytes of the peak beyond what there was at the start."""
        return self._peak - self._base


def _bytes_of(status: bytes, field: bytes) -> int:
    begin = status.index(field) + len(field)
    return int(status[begin : status.index(b" kB", begin)]) * 1024


_PEAKS = ("active_bytes.all.peak", "reserved_bytes.all.peak")
"""Figures of torch's allocator."""


class MemoryMeter:
    """Peak memory between construction and `read`. Create it after the imports and before the model."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._peaks: dict[str, int] = {}
        self._host = None if device.type == "cuda" else AnonymousPeak()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            torch.cuda.reset_accumulated_memory_stats(device)  # earlier retries and failures do not count

    def note(self) -> None:
        """On a CPU, call this after every step and every loaded part: see `AnonymousPeak`."""
        if self._host is not None:
            self._host.note()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave out the peak of what happens within the block; what a GPU's allocator reserves in it stays reserved."""
        if self._host is not None:
            self._host.note()
            yield
            self._host.skip()
            return
        self._peaks = self._cuda_peaks()
        yield
        torch.cuda.reset_peak_memory_stats(self._device)

    def _cuda_peaks(self) -> dict[str, int]:
        """Return the largest of each peak so far."""
        stats = torch.cuda.memory_stats(self._device)
        return {name: max(stats[name], self._peaks.get(name, 0)) for name in _PEAKS}

    def read(self) -> dict[str, int | None]:
        """Return this rank's fields of `bench.contract.results.measured.Memory`, in bytes."""
        if self._host is not None:
            self._host.note()
            return {"peak": self._host.growth}
        stats = torch.cuda.memory_stats(self._device)
        peaks = self._cuda_peaks()
        free, total = torch.cuda.mem_get_info(self._device)
        return {
            "peak": peaks["active_bytes.all.peak"],
            "reserved_peak": peaks["reserved_bytes.all.peak"],
            # Includes communicators and the CUDA context, which the allocator does not see. The allocator keeps
            # reserved memory, so this is the peak unless there were retries, which return memory.
            "device_used_peak": total - free,
            "allocator_retries": stats["num_alloc_retries"],
            "allocator_ooms": stats["num_ooms"],
        }
