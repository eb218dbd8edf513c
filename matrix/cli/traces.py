"""Print where the traces of profile runs are, and how Nsight Systems makes another."""

from __future__ import annotations

import shlex
import shutil

from rich.console import Console

from bench.contract.storage.files import AttemptFolder
from matrix.launchers.torchrun import agent_command, orders
from matrix.planning.prepare import PreparedSweep
from matrix.store.sweep_folder import SweepFolder


def print_traces(prepared: PreparedSweep, folder: SweepFolder, console: Console) -> None:
    """Print the newest traces of the selected runs; where nsys is installed, also its command for the same run.

    The command starts the agents of a run's nodes on this machine; inside an image or with `xffl exec` there is none.
    """
    for run_id in prepared.selected:
        run, run_folder = prepared.planned.runs[run_id], folder.run(run_id)
        traces = [file for attempt in run_folder.attempts()[-1:] for file in sorted(attempt.traces.glob("*.json.gz"))]
        for file in traces:
            console.print(f"trace: {file}", highlight=False, soft_wrap=True)
        if not traces or shutil.which("nsys") is None or run.launcher != "torchrun" or prepared.image is not None:
            continue
        apart = AttemptFolder(run_folder.path / "nsys")
        for order in orders(run, run_folder, apart):
            output = apart.path / f"node{order.node:04d}"
            command = ["nsys", "profile", "--trace=cuda,nvtx,osrt", f"--output={output}", *agent_command(order)]
            console.print(f"with Nsight Systems: {shlex.join(command)}", highlight=False, soft_wrap=True)
