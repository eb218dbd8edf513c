"""The script of a job, for sbatch and for people."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from bench.contract.files import write_whole
from matrix.config.slurm_settings import SlurmSettings
from matrix.config.system import SystemFile
from matrix.host.template import filled
from matrix.store.jobs import JobFolder, JobOrder

TEMPLATE = Path(__file__).parent / "job.sh.in"


def write_script(folder: JobFolder, order: JobOrder) -> None:
    """Write `job.sh`: what sbatch is told, the site's environment, and the harness in the job's first node."""
    settings = order.system.slurm
    place = folder.path.absolute()
    text = filled(
        TEMPLATE.read_text(encoding="utf-8"),
        {
            "options": "\n".join(f"#SBATCH {option}" for option in options(order, place)),
            "sweep": folder.sweep.path.name,
            "runs": str(len(order.runs)),
            "nodes": str(order.nodes),
            "site": site(settings),
            "variables": variables(),
            "folder": shlex.quote(str(Path.cwd())),
            "python": shlex.quote(sys.executable),
            "job": shlex.quote(str(place)),
        },
    )
    write_whole(folder.script, text)
    folder.script.chmod(0o755)


def site(settings: SlurmSettings) -> str:
    """Lines of shell that the site wants before anything starts."""
    loading = [f"module load {shlex.quote(module)}" for module in settings.modules]
    return "\n".join([*loading, *settings.setup]) or "# The site needs nothing."


def variables() -> str:
    """Lines by which a job finds the packages that this process runs from, where it was told so."""
    python_path = os.environ.get("PYTHONPATH")
    return f"export PYTHONPATH={shlex.quote(_absolute(python_path))}\n" if python_path else ""


def asked_for(settings: SlurmSettings) -> list[str]:
    """Options that a job and the report's job have in common."""
    chosen = {name: getattr(settings, name) for name in ("account", "partition", "qos", "constraint")}
    return [f"--{name}={value}" for name, value in chosen.items() if value is not None]


def options(order: JobOrder, place: Path) -> list[str]:
    """What sbatch is told, one option each."""
    system, settings = order.system, order.system.slurm
    return [
        f"--job-name={order.name}",
        f"--nodes={order.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={cores_per_node(system)}",
        *([f"--gres={gres}"] if (gres := gres_of(system)) else []),
        f"--time={order.minutes}",
        f"--signal=B:USR1@{settings.warn_seconds}",
        f"--output={shlex.quote(str(place / '%j.log'))}",
        "--open-mode=append",
        "--requeue",
        *(["--exclusive"] if settings.exclusive else []),
        *asked_for(settings),
        *settings.sbatch,
    ]


def cores_per_node(system: SystemFile) -> int:
    """Cores that are asked for on each node."""
    return system.slurm.cores_per_node or system.ranks_per_node * system.threads_per_rank


def gres_of(system: SystemFile) -> str | None:
    """Generic resources per node."""
    return system.slurm.gres or (f"gpu:{system.ranks_per_node}" if system.device == "cuda" else None)


def _absolute(search: str) -> str:
    return os.pathsep.join(map(os.path.abspath, search.split(os.pathsep)))
