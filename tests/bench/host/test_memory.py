"""The memory of a CPU rank: its peak is what it allocated, and not what it read from files; it has a limit."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.contract.storage.files import AttemptFolder
from bench.host.memory import MemoryMeter
from bench.measure.machine import MachineMeter
from bench.measure.progress import Progress
from bench.training import Watched, is_out_of_memory
from tests.support.runs import CPU

MIB = 2**20
SIZE = 256 * MIB


def peak(meter: MemoryMeter) -> int:
    found = meter.read()["peak"]
    assert found is not None
    return found


def allocate_and_free() -> None:
    torch.ones(SIZE // 4)  # above malloc's threshold for mmap: returned to the kernel at once


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(bytes(range(256)) * (MIB // 256))
    return path


def read_mapped(path: Path) -> mmap.mmap:
    """Every page, so that all of them are resident."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert mapped[:: mmap.PAGESIZE] == bytes(len(mapped) // mmap.PAGESIZE)
    return mapped


def test_a_mapped_file_is_not_in_the_peak(file: Path) -> None:
    meter = MemoryMeter(CPU)
    mapped = read_mapped(file)
    assert peak(meter) < SIZE / 10
    mapped.close()
    assert peak(meter) < SIZE / 10, "pages that went away had not become memory"


def test_memory_that_was_freed_is_in_the_peak() -> None:
    meter = MemoryMeter(CPU)
    allocate_and_free()
    assert peak(meter) == pytest.approx(SIZE, rel=0.1)


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_peak_beside_a_mapped_file(file: Path, order: str, tmp_path: Path) -> None:
    """A training reports every step, which divides what was allocated in one from what is read in the next."""
    meter = MemoryMeter(CPU)
    watched = Watched(Progress(AttemptFolder(tmp_path), 1, 2, 64), meter, MachineMeter(0, 1))
    if order == "after":
        allocate_and_free()
        watched.finished(0, torch.zeros(1))
    mapped = read_mapped(file)
    if order == "before":
        allocate_and_free()
    assert peak(meter) == pytest.approx(SIZE, rel=0.1)
    mapped.close()


def test_a_new_meter_begins_anew() -> None:
    allocate_and_free()
    held = torch.ones(SIZE // 4)
    assert peak(MemoryMeter(CPU)) < SIZE / 10
    del held


LIMITED = """
import json, mmap, sys, torch
from pathlib import Path
from bench.host.memory import GIB, is_full, limit_memory

def refused(size):
    try:
        kept.append(torch.ones(size // 4))
    except RuntimeError as error:
        return str(error)
    return ""

room, margin = map(int, sys.argv[1:])
kept, found = [], {"full without a limit": is_full()}
mapped = mmap.mmap(-1, GIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # never touched, so it does not count
used = int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024
limit_memory(torch.device("cpu"), (used + room) / 0.5 / GIB, 0.5)
found["full at first"] = is_full()
found["less"] = refused(room - margin)
kept.clear()
found["more"] = refused(room + margin)
while not refused(2**20):
    pass
found["full at last"] = is_full()
print(json.dumps(found))
"""
"""By a process of its own: the limit stays, and a fork of this one, whose threads it lacks, would wait for them."""


def test_an_allocation_beyond_the_limit_is_out_of_memory() -> None:
    command = [sys.executable, "-c", LIMITED, str(SIZE), str(64 * MIB)]
    found = json.loads(subprocess.check_output(command, text=True))
    assert not found["less"]
    assert is_out_of_memory(RuntimeError(found["more"]))
    assert not found["full without a limit"]
    assert not found["full at first"]
    assert found["full at last"]
