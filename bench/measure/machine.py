"""State of the machines during the window: what else used their cores, throttling, energy. Linux.

Read twice per rank, before the window's first step and after its last, so the window itself has no readings, except of
the processors' energy: every half minute by one rank of a host, since these counters start again from 0.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import psutil

from bench.contract.results.measured import Machine
from bench.measure.gpu import GpuCounters, GpuUse
from bench.measure.rapl import ProcessorEnergy

_TICKS = os.sysconf("SC_CLK_TCK")
_THROTTLES = "cpu[0-9]*/thermal_throttle/*_throttle_count"


@dataclass(frozen=True)
class MachineUse:
    """What a rank read of its machine.

    Attributes:
        cores: number of the machine's cores.
        seconds: time between the two readings.
        idle: seconds of all cores without work, or with interrupts, between the readings.
        own: CPU seconds of this rank and the processes that load its data between the readings.
        load: load average over the minute before the second reading.
        throttled: cores whose counts of thermal throttling rose; None if the machine has no such counts.
        gpu: what the rank's GPU used; None without one, or without counters.
        processor_joules: energy of all processors of the machine; None where they do not count it, or from a rank that
            does not read it.

    """

    cores: int
    seconds: float
    idle: float
    own: float
    load: float
    throttled: int | None
    gpu: GpuUse | None = None
    processor_joules: float | None = None


@dataclass(frozen=True)
class _Reading:
    seconds: float
    idle: float
    own: float
    load: float
    throttles: dict[str, int]
    gpu: GpuUse | None

    @classmethod
    def now(cls, counters: GpuCounters | None) -> _Reading:
        """Read the counters, those of a GPU once it has done all queued work.

        Interrupts count as idle: kernels differ in whether a process's time includes those that it handles, such as
        the packets of a collective.
        """
        gpu = None if counters is None else counters.read()
        columns = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=8)  # cpu user nice system idle ...
        idle = sum(int(columns[place]) for place in (4, 5, 6, 7)) / _TICKS  # idle, iowait, irq, softirq: proc(5)
        folder = Path("/sys/devices/system/cpu")
        throttles = {str(file): int(file.read_text(encoding="ascii")) for file in folder.glob(_THROTTLES)}
        return cls(time.perf_counter(), idle, _own_seconds(), os.getloadavg()[0], throttles, gpu)


def _own_seconds() -> float:
    """Return the CPU seconds of this process, its finished children and those that load its data."""
    loading = (psutil.Process(child.pid).cpu_times() for child in multiprocessing.active_children())
    return sum(os.times()[:4]) + sum(times.user + times.system for times in loading)


class MachineMeter:
    """Use of the machine by this rank and by others in the window.

    Args:
        first: index of the window's first step.
        last: index of its last step.
        counters: those of the rank's GPU, if it has one.
        processors: energy of the machine's processors, if this rank reads it.

    """

    def __init__(
        self, first: int, last: int, counters: GpuCounters | None = None, processors: ProcessorEnergy | None = None
    ) -> None:
        self._first, self._last, self._counters, self._processors = first, last, counters, processors
        self._before = self._after = _Reading.now(counters)
        self._updated = math.inf
        self._earlier: list[tuple[_Reading, _Reading]] = []

    def finished(self, step: int) -> None:
        """Read the counters if the window begins or ends after this step."""
        if step == self._first - 1:
            self._before, self._earlier = _Reading.now(self._counters), []
            if self._processors is not None:
                self._processors.start()
                self._updated = time.monotonic()
        elif self._processors is not None and time.monotonic() - self._updated > UPDATE_EVERY:
            self._processors.update()
            self._updated = time.monotonic()
        if step == self._last:
            self._after = _Reading.now(self._counters)
            if self._processors is not None:
                self._processors.update()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave out what is used within the block."""
        if self._processors is not None:
            self._processors.update()
        self._earlier.append((self._before, _Reading.now(self._counters)))
        yield
        self._before = _Reading.now(self._counters)
        if self._processors is not None:
            self._processors.skip()

    def read(self) -> MachineUse:
        """Return what was used between the readings."""
        spans = [*self._earlier, (self._before, self._after)]
        risen = {
            Path(file).parents[1].name
            for before, after in spans
            for file, count in after.throttles.items()
            if count > before.throttles.get(file, count)
        }
        gpus = [before.gpu.until(after.gpu) for before, after in spans if before.gpu and after.gpu]
        return MachineUse(
            cores=os.sysconf("SC_NPROCESSORS_ONLN"),
            seconds=sum(after.seconds - before.seconds for before, after in spans),
            idle=sum(after.idle - before.idle for before, after in spans),
            own=sum(after.own - before.own for before, after in spans),
            load=self._after.load,
            throttled=len(risen) if self._after.throttles else None,
            gpu=reduce(GpuUse.plus, gpus) if len(gpus) == len(spans) else None,
            processor_joules=None if self._processors is None else self._processors.joules,
        )


UPDATE_EVERY = 30.0
"""Seconds between two readings of the processors' energy within the window."""


BUSY, RESOLUTION = 0.05, 0.1
"""Fraction of a machine's CPU time beyond which others disturb a run, and the least core-seconds that are told from the
kernel's rounding to ticks of 10 ms and from readings of ranks at different moments."""

SLOWED = 0.01
"""Fraction of the time for which a GPU must have been slowed down to count as throttled."""

Uses = Sequence[tuple[str, MachineUse]]
"""The machine's id and the use of every rank. Ranks that share a machine, also as other hosts, are all of this run."""


def machine_state(uses: Uses) -> Machine:
    """Return each figure of the machine that has the largest, and those of all GPUs."""
    throttled = [use.throttled for _, use in uses if use.throttled is not None]
    gpus = list({use.gpu.gpu: use.gpu for _, use in uses if use.gpu}.values())
    joules = [gpu.joules for gpu in gpus if gpu.joules is not None]
    slowed = [is_slowed(gpu) for gpu in gpus if gpu.slowed is not None]
    known = bool(gpus) and len(joules) == len(gpus) and all(use.gpu for _, use in uses)
    return Machine(
        others=max(_others(ranks) for ranks in _machines(uses)),
        load=max(use.load for _, use in uses),
        throttled_cores=max(throttled, default=None),
        processor_joules=_processor_joules(uses),
        gpu_joules=sum(joules) if known else None,
        gpu_watts=sum(joules) / sum(gpu.seconds for gpu in gpus) if known else None,
        throttled_gpus=sum(slowed) if slowed else None,
        power_capped=max((min(1.0, gpu.capped / gpu.seconds) for gpu in gpus if gpu.capped is not None), default=None),
    )


def _processor_joules(uses: Uses) -> float | None:
    """Return the energy of all machines' processors, each machine's once; None if one of them does not count it.

    Hosts that share a machine each have a rank that read the same counters.
    """
    of_machines = [
        max((use.processor_joules for use in ranks if use.processor_joules is not None), default=None)
        for ranks in _machines(uses)
    ]
    counted = [joules for joules in of_machines if joules is not None]
    return sum(counted) if len(counted) == len(of_machines) else None


def is_slowed(gpu: GpuUse | None) -> bool:
    """Return True if a GPU was slowed down for more than SLOWED of the time."""
    return gpu is not None and gpu.slowed is not None and gpu.slowed > SLOWED * gpu.seconds


def any_busy(uses: Uses) -> bool:
    """Return True if others used more than BUSY of some machine's CPU time."""
    return any(
        (others := _others(ranks)) > BUSY and others * ranks[0].cores * ranks[0].seconds > RESOLUTION
        for ranks in _machines(uses)
    )


def _machines(uses: Uses) -> list[list[MachineUse]]:
    ranks = defaultdict[str, list[MachineUse]](list)
    for machine, use in uses:
        ranks[machine].append(use)
    return list(ranks.values())


def _others(ranks: Sequence[MachineUse]) -> float:
    """Return the fraction of a machine's CPU time that others than these ranks used.

    Rates, because the readings of ranks are not simultaneous: the mean of what they saw of the machine, and the sum of
    what each used itself.
    """
    busy = sum(1 - use.idle / (use.cores * use.seconds) for use in ranks) / len(ranks)
    own = sum(use.own / (use.cores * use.seconds) for use in ranks)
    return max(0.0, busy - own)
