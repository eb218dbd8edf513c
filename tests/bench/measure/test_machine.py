"""Who used the cores of the machines during the window: this run, or others."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.measure.machine import MachineMeter, MachineUse, any_busy, machine_state


def use(
    own: float, idle: float, *, seconds: float = 10.0, load: float = 1.0, throttled: int | None = None
) -> MachineUse:
    """A rank on a machine of 4 cores."""
    return MachineUse(cores=4, seconds=seconds, idle=idle, own=own, load=load, throttled=throttled)


def test_all_ranks_on_a_machine_are_the_runs_own() -> None:
    """Of 40 core-seconds, 20 idle: two ranks used 9 each, so others used 2. On the other machine, of 40 none."""
    uses = [("m", use(9, 20)), ("m", use(9, 20)), ("n", use(8, 32, load=3.0, throttled=2))]
    found = machine_state(uses)
    assert found.others == pytest.approx(2 / 40)
    assert (found.load, found.throttled_cores) == (3.0, 2)
    assert machine_state(uses[:1]).others == pytest.approx(11 / 40), "the other rank, if it was not of this run"
    assert machine_state([("m", use(30, 20))]).others == 0, "readings are not exact"
    assert machine_state(uses[:2]).throttled_cores is None


def test_ranks_are_not_read_at_the_same_moments() -> None:
    """One rank's window is half as long: it had the same share of the machine, and saw the same of it."""
    uses = [("m", use(9, 20)), ("m", use(4.5, 10, seconds=5.0))]
    assert machine_state(uses).others == pytest.approx(2 / 40)


@pytest.mark.parametrize(
    ("others", "seconds", "warned"),
    [(0.04, 10.0, False), (0.06, 10.0, True), (0.06, 0.3, False), (0.5, 0.3, True)],
)
def test_a_busy_machine_is_told_unless_rounding_could_be_it(others: float, seconds: float, warned: bool) -> None:
    half = 4 * seconds / 2
    free = use(half, half, seconds=seconds)
    assert not any_busy([("n", free)])
    assert any_busy([("n", free), ("m", use(half, half - others * 4 * seconds, seconds=seconds))]) == warned


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.mark.alone
def test_processes_that_load_data_are_the_ranks_own() -> None:
    loader = multiprocessing.get_context("spawn").Process(target=spin, args=(60.0,), daemon=True)
    loader.start()
    assert loader.pid is not None
    while cpu_seconds(loader.pid) < 0.5:  # it imports this module first
        time.sleep(0.05)
    meter = MachineMeter(1, 2)
    meter.finished(0)
    before = cpu_seconds(loader.pid)
    time.sleep(1.0)
    theirs = cpu_seconds(loader.pid) - before
    meter.finished(2)
    loader.kill()
    loader.join()
    own = meter.read().own
    assert own - 0.2 < theirs < own + 0.05, "theirs was read between the meter's readings"
    assert theirs > 0.5


@pytest.mark.alone
def test_what_others_use_is_seen_and_what_the_rank_uses_is_not_theirs() -> None:
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        meter = MachineMeter(4, 7)
        spin(0.3)  # warm-up, which does not count
        meter.finished(3)
        theirs, own = cpu_seconds(other.pid), time.process_time()
        spin(1.0)
        theirs, own = cpu_seconds(other.pid) - theirs, time.process_time() - own
        meter.finished(7)
        spin(0.3)
    finally:
        other.kill()
        other.wait()
    found = meter.read()
    assert found.own == pytest.approx(own, abs=0.05)
    assert found.seconds < 1.3
    seen = machine_state([("m", found)]).others * found.cores * found.seconds
    assert seen > 0.8 * theirs > 0
    assert seen <= found.cores * found.seconds - own + 0.1, "the time of the rank is not that of others"
    assert any_busy([("m", found)])


def test_what_is_used_aside_does_not_count() -> None:
    meter = MachineMeter(first=0, last=0)
    meter.finished(-1)
    with meter.aside():
        begin = time.process_time()
        while time.process_time() - begin < 0.3:
            pass
    meter.finished(0)
    used = meter.read()
    assert used.own < 0.2
