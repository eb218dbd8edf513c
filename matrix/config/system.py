"""The system file: the machine that a sweep runs on, and how ranks come to life there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from bench.contract.base import Affinity, Document, LauncherName
from bench.contract.run import System
from matrix.config.batch_settings import BatchSettings
from matrix.config.image_settings import ImageSettings
from matrix.config.shell_settings import ShellSettings
from matrix.config.slurm_settings import SlurmSettings
from matrix.config.validation import Fault, refuse, validate
from matrix.config.values import Name
from matrix.config.xffl_settings import XfflSettings
from matrix.config.yamlfile import read_yaml

BUILT_IN = ("local",)
"""Systems that a matrix file can name without a path."""

SET_BY_LAUNCHER = frozenset(
    {
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "ROLE_RANK",
        "ROLE_WORLD_SIZE",
        "ROLE_NAME",
        "MASTER_ADDR",
        "MASTER_PORT",
    }
)
"""torchrun gives these to every rank (docs.pytorch.org/docs/stable/elastic/run.html)."""


def _number_as_text(value: object) -> object:
    # `NCCL_DEBUG_LEVEL: 1` is what people write; a bool stays refused, since true, True and 1 are different texts.
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class SystemFile(Document):
    """A system file."""

    name: Name = Field(description="what tables call the system")
    launcher: LauncherName = Field(
        "torchrun", description="what starts the ranks of a node: torch's own agents, or `xffl exec` over ssh"
    )
    scheduler: Literal["local", "slurm", "shell"] = Field(
        "local",
        description="what grants nodes: none, this machine plays them all (local); Slurm, in jobs or in the allocation "
        "that xffl-bench runs in (slurm); or jobs that are background processes of this machine (shell)",
    )
    device: Literal["cpu", "cuda"] = Field(description="what a rank computes on")
    nodes: PositiveInt = Field(
        description="most nodes that a run can have; on one machine a node is a torchrun agent of its own"
    )
    ranks_per_node: PositiveInt = Field(description="processes per node, one per device on GPUs")
    threads_per_rank: PositiveInt = Field(1, description="intra-op threads of a rank")
    start: Literal["auto", "warm", "exec"] = Field(
        "auto",
        description="how ranks come to life: forked from a process that has imported torch (warm), or started by the "
        "launcher (exec); auto is warm on a CPU and exec on GPUs",
    )
    affinity: Affinity = Field(
        "none",
        description="cores binds each rank to its own share of the node's processor cores; none leaves it to the "
        "operating system",
    )
    environment: dict[str, Annotated[str, BeforeValidator(_number_as_text)]] = Field(
        default_factory=dict, description="variables for every rank; those that the launcher sets are refused"
    )
    peak_flops: PositiveFloat | None = Field(
        None, description="peak dense bf16 FLOP/s per device, where it is not the stock part's"
    )
    xffl: XfflSettings = Field(default=XfflSettings(), description="how `xffl exec` is called, for the runs it starts")
    slurm: SlurmSettings = Field(default=SlurmSettings(), description="what jobs ask for, with scheduler: slurm")
    shell: ShellSettings = Field(default=ShellSettings(), description="how jobs are run, with scheduler: shell")
    image: ImageSettings | None = Field(None, description="image that every rank runs in (docs/guides/image.md)")

    @property
    def is_warm(self) -> bool:
        """Whether ranks are forked from a process that has imported torch."""
        if self.start != "auto":
            return self.start == "warm"
        # On a cluster it is the agent, inside the image, that imports torch and forks.
        return self.device == "cpu" and (self.image is None or self.scheduler == "slurm")

    @property
    def batch(self) -> BatchSettings:
        """How jobs are packed and followed: the block of the scheduler in force."""
        return self.shell if self.scheduler == "shell" else self.slurm

    def on(self, hosts: list[str]) -> SystemFile:
        """The same on the hosts of an allocation."""
        return self.model_copy(update={"xffl": self.xffl.model_copy(update={"hosts": hosts})})

    @property
    def facts(self) -> System:
        """What a rank or a report needs of it."""
        return System(
            name=self.name,
            device=self.device,
            threads_per_rank=self.threads_per_rank,
            peak_flops=self.peak_flops,
            environment=self.environment,
            affinity=self.affinity,
        )


def built_in_path(name: str) -> Path:
    """The file of a built-in system."""
    return Path(__file__).parents[1] / "examples" / f"{name}.yaml"


def load_system(path: Path) -> SystemFile:
    """Read a system file.

    Raises:
        InputError: one sentence for each thing that is wrong, with file, line, key and what would be right.

    """
    file = read_yaml(path)
    system = validate(SystemFile, file)
    faults = [*_environment_faults(system), *_host_faults(system), *_image_faults(system), *_scheduler_faults(system)]
    refuse(file, faults)
    folder = path.absolute().parent
    image = system.image.from_folder(folder) if system.image else None
    return system.model_copy(update={"xffl": system.xffl.from_folder(folder), "image": image})


def _environment_faults(system: SystemFile) -> Iterator[Fault]:
    for name in system.environment:
        if name in SET_BY_LAUNCHER or name.startswith("TORCHELASTIC_"):
            yield ("environment", name), "is set by the launcher for each rank: leave it out"
        elif name == "OMP_NUM_THREADS":
            yield ("environment", name), "follows from 'threads_per_rank': set that instead"


def _host_faults(system: SystemFile) -> Iterator[Fault]:
    hosts = system.xffl.hosts
    if hosts and system.scheduler != "local":
        yield ("xffl", "hosts"), f"with scheduler: {system.scheduler} the hosts are those of a job: leave it out"
    elif hosts and len(hosts) < system.nodes:
        yield (
            ("xffl", "hosts"),
            f"names {len(hosts)} hosts for {system.nodes} nodes: name one for each node, or lower 'nodes'",
        )


def _scheduler_faults(system: SystemFile) -> Iterator[Fault]:
    for block in ("slurm", "shell"):
        if block in system.model_fields_set and system.scheduler != block:
            yield (block,), f"holds with scheduler: {block} only: set that, or leave this block out"
    named = ("account", "partition", "qos", "constraint", "gres")
    texts = {name: value for name in named if (value := getattr(system.slurm, name)) is not None}
    for name, text in texts.items():
        if not text or text != "".join(text.split()):
            yield ("slurm", name), f"{text!r} should be one word, as sbatch takes it"
    for number, option in enumerate(system.slurm.sbatch):
        if not option.startswith("-"):
            yield ("slurm", "sbatch", number), f"{option!r} should be an option of sbatch, for instance --mail-type=END"


def _image_faults(system: SystemFile) -> Iterator[Fault]:
    if system.image is not None and system.scheduler != "slurm" and system.start == "warm":
        yield ("start",), "forks ranks from a process outside of the image: choose exec, or leave 'image' out"
