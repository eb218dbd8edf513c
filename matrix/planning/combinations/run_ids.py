"""Ids of runs, which are also the names of their folders."""

from __future__ import annotations

from bench.contract.base import AxisValue
from bench.contract.run import Run
from bench.contract.training import SETTINGS
from matrix.errors import as_text

LONGEST_NAME = 120
"""Longest run id, in characters, without purpose, repeat and digest: file names derived from it are longer."""


def run_id(run: Run, digest: str, first: dict[str, AxisValue]) -> str:
    """Return a readable id, unique in the sweep by its labels and across sweeps by its digest.

    It lists only the settings that differ from their axis's `first` value; with many axes the name would otherwise be
    too long for a file system.
    """
    labels = run.labels
    parts = [labels["model"], labels["strategy"], f"n{labels['nodes']}", f"b{labels['batch_size']}"]
    if run.cuda_streams > 1:
        parts.append(f"s{run.cuda_streams}")
    parts += [
        f"{axis}={as_text(value)}"
        for axis, value in labels.items()
        if axis in SETTINGS and value != first[axis] and axis != "start_from"  # a path is not valid in a name
    ]
    name = ".".join(str(part) for part in parts)
    last = f"r{run.repeat}" if run.purpose == "measure" else f"{run.purpose}.r{run.repeat}"
    if len(name) > LONGEST_NAME:
        return f"{name[:LONGEST_NAME]}.{last}-{digest}"
    return f"{name}.{last}-{digest[:6]}"
