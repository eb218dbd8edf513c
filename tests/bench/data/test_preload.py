"""The preload brings a run's files into the page cache, and no more than fits; what it cannot read it says."""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.contract.run import Run
from bench.data import preload as module
from bench.data.preload import Preload, files, preload
from tests.support.runs import NoProgress, make_run


def resident(path: Path) -> float:
    """Part of a file's pages that are in the page cache (mincore)."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        held = (ctypes.c_ubyte * pages)()
        start = ctypes.addressof(anchor := ctypes.c_char.from_buffer(mapped))
        failed = ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(start), ctypes.c_size_t(size), held)
        del anchor  # a mapping that is pointed to cannot be closed
        assert not failed, os.strerror(ctypes.get_errno())
    return sum(page & 1 for page in held) / pages


def is_in(path: Path) -> bool:
    """But for pages that the kernel has taken back meanwhile."""
    return resident(path) > 0.9


def is_out(path: Path) -> bool:
    return resident(path) < 0.1


def evict(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if not is_out(path):
        sentence = "not tested: files under the temporary folder stay in memory; set TMPDIR to a folder on a disk"
        warnings.warn(sentence, stacklevel=2)
        pytest.skip(sentence)


@pytest.fixture
def uncached_run(data: Path, tmp_path: Path) -> Run:
    """A run with weights of 8 MiB in two files and a data set of its own, none of it in the page cache."""
    shutil.copytree(data, tmp_path / "data")
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in ("b", "a"):
        (weights / f"{name}.safetensors").write_bytes(os.urandom(4 * 2**20 + 5))
    (weights / "model.safetensors.index.json").write_text(
        '{"weight_map": {"x": "b.safetensors", "y": "a.safetensors"}}'
    )
    made = make_run(tmp_path / "data", (1, 1, 1), preload=True).model_copy(update={"weights": str(weights)})
    for path in files(made):
        evict(path)
    return made


def test_weights_and_training_samples_come_into_the_page_cache(
    uncached_run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    read = files(uncached_run)
    assert [path.name for path in read] == ["a.safetensors", "b.safetensors", "data-00000-of-00001.arrow"]
    unread = Path(uncached_run.data) / "val" / read[2].name
    evict(unread)
    beats: list[int] = []
    Preload(uncached_run).wait(lambda: beats.append(1))
    assert all(is_in(path) for path in read)
    assert is_out(unread)
    assert f"preload: {sum(path.stat().st_size for path in read)} bytes in" in caplog.text


def test_no_more_is_read_than_memory_is_available(
    uncached_run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: SimpleNamespace(available=5 * 2**20))
    Preload(uncached_run).wait(NoProgress().alive)
    first, second, _ = files(uncached_run)
    assert is_in(first)
    assert is_out(second)
    assert f"preload stops before {second}" in caplog.text


def test_a_file_that_cannot_be_read_is_logged_and_no_more(uncached_run: Run, caplog: pytest.LogCaptureFixture) -> None:
    *weights, data = files(uncached_run)
    data.unlink()
    data.mkdir()
    Preload(uncached_run).wait(NoProgress().alive)
    assert f"preload ended after {sum(path.stat().st_size for path in weights)} bytes" in caplog.text
    assert str(data) in caplog.text
    weights[0].unlink()
    Preload(uncached_run).wait(NoProgress().alive)
    assert f"{weights[0].name} is missing" in caplog.text


def test_local_rank_0_alone_and_only_where_it_is_asked_for(uncached_run: Run) -> None:
    assert preload(uncached_run, 1) is None
    settings = uncached_run.training.model_copy(update={"preload": False})
    assert preload(uncached_run.model_copy(update={"training": settings}), 0) is None
    reading = preload(uncached_run, 0)
    assert reading is not None
    reading.wait(NoProgress().alive)
    assert is_in(files(uncached_run)[0])
