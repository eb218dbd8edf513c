"""A port that another program takes between its choice and its use costs an attempt, not the run."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.launchers import base
from tests.support.in_process import run_in_process
from tests.support.sweeps import SmallSweep


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        yield other.getsockname()[1]


def chosen(monkeypatch: pytest.MonkeyPatch, module: str, port: int, times: int) -> None:
    """Let a launcher choose `port` the first `times` times."""
    left = [port] * times

    def choose(*, but: int | None = None) -> int:
        return left.pop() if left else base.free_port(but=but)

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
