"""`status` and `report` read a sweep of somebody else: they need no right to write in its folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.contract.storage.files import write_document
from matrix.store.claim import LOST_AFTER, Runner
from tests.support.documents import SweepDocuments
from tests.support.sweeps import PATIENCE

READ_ONLY = """
import errno, os, sys
folder = sys.argv.pop(1)
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.utime", "os.link", "os.symlink", "os.truncate",
          "os.chmod", "os.chown", "os.setxattr", "os.removexattr"}

def refuse(event, arguments):
    if event == "open":
        writes = bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    else:
        writes = event in WRITES
    if writes and any(os.path.abspath(os.fsdecode(name)).startswith(folder)
                      for name in arguments[:2] if isinstance(name, (str, bytes, os.PathLike))):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(arguments[0]))

sys.addaudithook(refuse)
from matrix.cli.app import main
main()
"""
"""A program that refuses to change anything below a folder; permission bits do not hold root back."""


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDocuments:
    """A sweep of which another host has completed one run of three."""
    made = SweepDocuments(tmp_path / "results" / "sweep")
    made.run("fsdp", 1, speeds=[100.0])
    made.write()
    (made.path / "runners").mkdir()
    runner = Runner.this().model_copy(update={"host": "elsewhere"})
    write_document(made.path / "runners" / "000001.json", runner)
    return made


def call(sweep: SweepDocuments, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", READ_ONLY, str(sweep.path.parent), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_status_writes_nothing(sweep: SweepDocuments) -> None:
    done = call(sweep, "status", str(sweep.path))
    assert (done.returncode, done.stderr) == (0, "")
    assert " on elsewhere has been running this sweep since" in done.stdout.replace("\n", " ")
    past = time.time() - LOST_AFTER - 1
    os.utime(sweep.path / "runners" / "000001.json", (past, past))
    assert "no process is running this sweep" in call(sweep, "status", str(sweep.path)).stdout


def test_a_report_is_written_elsewhere(sweep: SweepDocuments, tmp_path: Path) -> None:
    done = call(sweep, "report", str(sweep.path), "--out", str(tmp_path / "report"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "report.md").exists()
    done = call(sweep, "report", str(sweep.path))
    assert done.returncode == 2
    assert "Read-only file system: choose another folder with --out" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert {entry.name for entry in sweep.path.iterdir()} == {"plan.json", "runners", "runs"}
