"""Small real sweeps for tests: a matrix file, the command that runs it, and what it left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import yaml

from bench.contract.results.result import Heartbeat, Result
from bench.host.process import OWNER
from matrix.host.processes import owned
from matrix.store.sweep_folder import SweepFolder

FOREVER = 1_000_000
PATIENCE = 200.0  # seconds until a test gives up: a busy machine must not fail it
COMMAND = [sys.executable, "-m", "matrix"]


class SmallSweep:
    """A sweep of tiny runs, by default on one node of two ranks."""

    def __init__(
        self,
        folder: Path,
        data: Path,
        *,
        start: str = "warm",
        nodes: int = 1,
        ranks_per_node: int = 2,
        system: dict[str, object] | None = None,
        variables: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.matrix = folder / "sweep.yaml"
        self.system = folder / "system.yaml"
        self.results = folder / "results"
        self.folder = SweepFolder(self.results / "small")
        self._data = data
        self._start = start
        self._nodes = nodes
        self._ranks_per_node = ranks_per_node
        self._more = system or {}
        self.cwd = cwd
        self.variables = {**os.environ, "COLUMNS": "200", **(variables or {})}

    def write(
        self,
        strategies: list[str] | None = None,
        *,
        repeats: int = 1,
        limits: dict[str, float] | None = None,
        **training: object,
    ) -> None:
        """Write both files."""
        settings = {"sequence_length": 32, "steps": 6, "warmup_steps": 2, "val_samples": 8} | training
        matrix = {
            "name": "small",
            "system": self.system.name,
            "axes": {
                "model": "llama-tiny",
                "strategy": strategies or ["fsdp", "ddp"],
                "nodes": self._nodes,
                "batch_size": 1,
            },
            "strategies": {"federated": {"groups": 2, "every": 2}},
            "training": settings,
            "repeats": repeats,
            "limits": limits or {},
            "data": {"path": str(self._data)},
        }
        system = {"name": "test", "device": "cpu", "nodes": self._nodes, "start": self._start}
        system |= {"ranks_per_node": self._ranks_per_node, **self._more}
        self.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")
        self.system.write_text(yaml.safe_dump(system), encoding="utf-8")

    def command(self, *options: str) -> list[str]:
        return [*COMMAND, "run", str(self.matrix), "--results", str(self.results), *options]

    def run(self, *options: str, expect: int = 0, timeout: float = PATIENCE) -> str:
        """Run to the end; returns what was printed."""
        return self._printed(self.command(*options), expect, timeout)

    def call(self, *words: str, expect: int = 0) -> str:
        """Call another command; returns what was printed."""
        return self._printed([*COMMAND, *words], expect, timeout=PATIENCE)

    def _printed(self, command: list[str], expect: int, timeout: float) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=self.variables, cwd=self.cwd, check=False
        )
        assert done.returncode == expect, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def begin(self, *options: str) -> subprocess.Popen[str]:
        """Start a runner and leave it running."""
        return subprocess.Popen(
            self.command(*options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.variables,
            cwd=self.cwd,
        )

    def outcomes(self) -> dict[str, str]:
        """By run id, of those that have one."""
        return {run_id: result.outcome for run_id, result in self.found().items()}

    def found(self) -> dict[str, Result]:
        order = self.folder.plan().order
        return {run_id: result for run_id in order if (result := self.folder.result(run_id)) is not None}

    def training_run(self, not_in: Collection[str] = (), *, attempt: int = 0) -> str:
        """Wait until an attempt at a run (but for those in `not_in`) has taken a step; returns the run's id."""

        def look() -> str | None:
            for file in self.results.glob(f"small/runs/*/attempts/{attempt}/heartbeat.json"):
                run_id = file.parents[2].name
                if self.folder.result(run_id) is not None:
                    continue
                beat = Heartbeat.model_validate_json(file.read_text(encoding="utf-8"))
                if beat.phase == "training" and beat.step >= 0 and run_id not in not_in:
                    return run_id
            return None

        found = wait_for(look, PATIENCE)
        assert found is not None
        return found

    def processes(self) -> dict[int, str]:
        """Living processes that belong to this sweep: pid and command line."""
        record = self.folder.record()
        assert record is not None
        return {pid: _command_line(pid) for pid, _ in owned(self.folder.owner(record))}

    def ranks(self) -> list[int]:
        """Pids of the ranks of the run under way, and not of agents or the warm process."""
        pids = set(self.processes())
        parents = {pid: parent(pid) for pid in pids}
        agents = {pid for pid in pids if any(parent == pid for parent in parents.values())}
        return sorted(pids - agents)

    def agents(self) -> list[int]:
        """Pids of the agents: parents of ranks."""
        return sorted({parent(pid) for pid in self.ranks()})

    def assert_nothing_left(self) -> None:
        assert wait_for(lambda: not self.processes()), f"left behind: {self.processes()}"


def odd_data(data: Path, folder: Path) -> Path:
    """Copy a data set that ranks cannot open, for a reason that nobody looks for before the start."""
    shutil.copytree(data, folder)
    state = folder / "train" / "state.json"
    content = json.loads(state.read_text(encoding="utf-8")) | {"_format_type": "nonsense"}
    state.write_text(json.dumps(content), encoding="utf-8")
    return folder


def wait_for(condition: Callable[[], object], timeout: float = PATIENCE) -> object:
    """What the condition becomes once it is true, or what it is after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def environment_of(pid: int) -> dict[str, str]:
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(each.partition("=")[::2] for each in text.split("\0") if each)


def pids_by_rank(sweep: SmallSweep) -> dict[int, int]:
    """Pids of the ranks of a run under way, by rank, however they were launched."""
    found = {pid: environment_of(pid).get("RANK") for pid in sweep.processes()}
    return {int(rank): pid for pid, rank in found.items() if rank is not None}


def bystander(owner: str) -> subprocess.Popen[bytes]:
    """A process that carries an owner's mark and does not end with its parent."""
    return subprocess.Popen(["sleep", "300"], env={**os.environ, OWNER: owner}, start_new_session=True)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def everything_in(folder: Path) -> dict[Path, bytes]:
    """Every file of a folder, with its content."""
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
