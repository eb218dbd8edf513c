"""Runs trained by torchrun, as a person would repeat them: for engines that make a process group themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

from bench.contract.results.measured import Measured
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from matrix.launchers.base import free_port


def trained(run: Run, folder: Path) -> tuple[pd.DataFrame, Measured]:
    """Train a run with torchrun; its steps and its account."""
    folder.mkdir()
    file = folder / "run.json"
    file.write_text(run.model_dump_json())
    common = ["--nnodes", str(run.nodes), "--nproc-per-node", str(run.ranks_per_node)]
    common += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    training = ["-m", "bench.training", str(file), str(folder)]
    agents = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--node-rank", str(node), *common, *training],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for node in range(run.nodes)
    ]
    said = [agent.communicate(timeout=200)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0] * run.nodes, said[0][-3000:]
    attempt = AttemptFolder(folder)
    return pd.read_parquet(attempt.steps), Measured.model_validate_json(attempt.measured.read_text())
