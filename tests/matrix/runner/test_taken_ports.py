"""A port that another program takes between its choice and its use costs an attempt, not the run."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.contract.results.result import Allocation
from bench.contract.run import Run
from bench.contract.storage.files import RunFolder
from matrix.batch.preflight import look_before
from matrix.host.processes import owned
from matrix.launchers import base
from matrix.planning.prepare import prepare
from matrix.runner.execute import waiting_at
from matrix.runner.session import Here
from matrix.schedulers.base import HeldAllocation
from matrix.store.claim import claim
from matrix.store.jobs import JobFolder, new_job
from tests.support.in_process import run_in_process
from tests.support.sweeps import SmallSweep


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        yield other.getsockname()[1]


def chosen(monkeypatch: pytest.MonkeyPatch, module: str, port: int, times: int, after: int = 0) -> None:
    """Let a launcher choose `port` `times` times, once it has chosen `after` others."""
    left: list[int | None] = [None] * after + [port] * times

    def choose(*, but: int | None = None) -> int:
        return (left.pop(0) if left else None) or base.free_port(but=but)

    monkeypatch.setattr(f"matrix.launchers.{module}.free_port", choose)


@pytest.mark.parametrize(
    ("start", "nodes", "module"),
    [
        pytest.param("exec", 1, "torchrun", id="an agent's"),
        pytest.param("warm", 2, "torchrun", id="an agent's of two", marks=pytest.mark.soak),
        pytest.param("warm", 1, "warm", id="rank 0's", marks=pytest.mark.soak),
    ],
)
def test_a_run_is_started_again_on_another_port(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, taken: int, start: str, nodes: int, module: str
) -> None:
    sweep = SmallSweep(tmp_path, data, start=start, nodes=nodes, ranks_per_node=2 // nodes)
    sweep.write(["fsdp"])
    chosen(monkeypatch, module, taken, times=1)
    found = run_in_process(sweep)
    assert (found.outcome, found.attempt, found.position) == ("completed", 1, 2), found
    logs = sweep.folder.run(found.run).attempt(0).logs
    assert "EADDRINUSE" in "".join(file.read_text(encoding="utf-8") for file in logs.iterdir())


@pytest.mark.soak
def test_after_three_ports_the_run_has_failed(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    sweep = SmallSweep(tmp_path, data)
    sweep.write(["fsdp"])
    chosen(monkeypatch, "torchrun", taken, times=9)
    found = run_in_process(sweep)
    assert (found.outcome, found.attempt) == ("launch-failed", 2)
    assert found.reason == (
        "another program has the port of the rendezvous on the first node, as in 2 attempts before with other ports"
    )
    assert any("EADDRINUSE" in line for line in found.evidence)


SRUN = """\
#!{python}
import os, sys
words = sys.argv[1:]
log = next((word.partition("=")[2] for word in words if word.startswith("--output=")), None)
if log:
    os.dup2(os.dup2(os.open(log.replace("%4n", "0000"), os.O_CREAT | os.O_WRONLY), 1), 2)
os.environ["SLURMD_NODENAME"] = "localhost"
os.execv(sys.executable, words[words.index(sys.executable):])
"""
"""Srun of one node, which is this machine: it becomes its task."""


@pytest.fixture
def in_a_job(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Here, JobFolder, Run]]:
    """A job of Slurm on this machine, and its run."""
    program = tmp_path / "bin" / "srun"
    program.parent.mkdir()
    program.write_text(SRUN.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    sweep = SmallSweep(tmp_path, data, ranks_per_node=1, system={"scheduler": "slurm"})
    sweep.write(["ddp"])
    prepared, folder, console = prepare(sweep.matrix, None, [], []), sweep.folder, Console(quiet=True)
    record, job = prepared.record(), new_job(folder)
    held = HeldAllocation(Allocation(job="1", hosts=["localhost"], switches={}), ends=time.time() + 600)
    with claim(job.runners, waiting_at(folder, console)) as own:
        here = Here(folder, record, prepared.system, None, own, job.owner(record), held, console)
        yield here, job, prepared.selected_runs[0]


@pytest.mark.parametrize(
    ("start", "others"),
    [
        pytest.param("exec", 0, id="an agent's"),
        pytest.param("warm", 1, id="rank 0's", marks=pytest.mark.soak),
    ],
)
def test_a_preflight_is_started_again_on_another_port(
    in_a_job: tuple[Here, JobFolder, Run], monkeypatch: pytest.MonkeyPatch, taken: int, start: str, others: int
) -> None:
    here, job, run = in_a_job
    here = replace(here, system=here.system.model_copy(update={"start": start}))
    chosen(monkeypatch, "srun", taken, times=1, after=others)
    found, lines = look_before(here, job, run)
    assert found is not None, lines
    assert [device.rank for device in found.devices] == [0]
    assert len(RunFolder(job.path / "preflight").attempts()) == 2
    assert not list(owned(here.owner))


@pytest.mark.soak
def test_after_three_ports_there_is_no_preflight(
    in_a_job: tuple[Here, JobFolder, Run], monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    """The runs are made all the same."""
    here, job, run = in_a_job
    here = replace(here, system=here.system.model_copy(update={"start": "exec"}))
    chosen(monkeypatch, "srun", taken, times=9)
    logs = RunFolder(job.path / "preflight").attempt(2).logs
    reason = "another program has the port of the rendezvous on the first node"
    said = f"preflight: no measurement: {reason}, as in 2 attempts before with other ports, see {logs}"
    assert look_before(here, job, run) == (None, [said])
    assert not job.preflight.exists()
