"""Options of sbatch for a job."""

from __future__ import annotations

import shlex
from pathlib import Path

from matrix.config.settings.slurm import SlurmSettings
from matrix.config.system import SystemFile
from matrix.errors import InputError
from matrix.schedulers.base import JobRequest
from matrix.store.jobs import number_of


def options(request: JobRequest, system: SystemFile) -> list[str]:
    """Return the options of sbatch for a job, one per item."""
    log = f"--output={shlex.quote(_pattern(request.log))}"
    if request.nodes is None:
        after = [f"--dependency=afterany:{':'.join(map(number_of, request.after))}"] if request.after else []
        few = [f"--job-name={request.name}", "--nodes=1", "--ntasks=1", f"--time={request.minutes}"]
        few += [f"--clusters={cluster}"] if (cluster := system.slurm.cluster) else []  # that of the jobs before
        return [*few, *after, log, *_asked_for(system.slurm)]
    settings = system.slurm
    return [
        f"--job-name={request.name}",
        f"--nodes={request.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={cores_per_node(system)}",
        *([f"--gres={gres}"] if (gres := _gres(system)) else []),
        f"--time={request.minutes}",
        f"--signal=B:USR1@{settings.warn_seconds}",
        log,
        "--open-mode=append",
        "--requeue",
        *(["--exclusive"] if settings.exclusive else []),
        *_asked_for(settings),
        *settings.sbatch,
    ]


def _pattern(log: Path) -> str:
    """Return a path for sbatch, which reads `%` as the begin of a pattern and a backslash as the end of all patterns.

    Raises:
        InputError: the folder's path cannot be passed.

    """
    if "\\" in str(log) or "\n" in str(log):
        raise InputError(
            f"{log.parent}: sbatch cannot write a log into a folder with a backslash or a line break in "
            "its path: choose another folder with --results"
        )
    return f"{str(log.parent).replace('%', '%%')}/{log.name}"


def cores_per_node(system: SystemFile) -> int:
    """Return the number of cores requested per node."""
    return system.slurm.cores_per_node or system.ranks_per_node * system.threads_per_rank


def _asked_for(settings: SlurmSettings) -> list[str]:
    """Return the options common to all jobs of a system."""
    chosen = {name: getattr(settings, name) for name in ("account", "partition", "qos", "constraint")}
    return [f"--{name}={value}" for name, value in chosen.items() if value is not None]


def _gres(system: SystemFile) -> str | None:
    return system.slurm.gres or (f"gpu:{system.ranks_per_node}" if system.device == "cuda" else None)
