"""The system file: the machine that a sweep runs on, and how ranks are started there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, PrivateAttr, WithJsonSchema

from bench.contract.base import Affinity, Document, LauncherName
from bench.contract.run import System
from matrix.config.reading.assignments import Assignment, assign
from matrix.config.reading.credentials import secrets_in
from matrix.config.reading.validation import Fault, refuse, refuse_another_kind, validate
from matrix.config.reading.yamlfile import WrittenFloat, WrittenInt, read_yaml
from matrix.config.settings.batch import BatchSettings
from matrix.config.settings.image import ImageSettings
from matrix.config.settings.shell import ShellSettings
from matrix.config.settings.slurm import SlurmSettings
from matrix.config.settings.xffl import XfflSettings
from matrix.config.sweep import MatrixFile
from matrix.config.values import Name
from matrix.errors import InputError, suggestion

BUILT_IN = ("local",)
"""Built-in systems, which a matrix file can name without a path."""

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
"""Variables that torchrun sets for every rank (docs.pytorch.org/docs/stable/elastic/run.html)."""


def _number_as_text(value: object) -> object:
    # `NCCL_DEBUG_LEVEL: 1` is common; a bool is still refused, since true, True and 1 are different texts.
    return value.text if isinstance(value, WrittenInt | WrittenFloat) else value


class SystemFile(Document):
    """A system file."""

    name: Name = Field(description="name of the system in tables")
    launcher: LauncherName = Field(
        "torchrun", description="program that starts the ranks of a node: torchrun, or `xffl exec` over ssh"
    )
    scheduler: Literal["local", "slurm", "shell"] = Field(
        "local",
        description="local runs all nodes on this machine; slurm submits jobs to a cluster, and inside an allocation "
        "uses that one; shell runs jobs as background processes of this machine",
    )
    device: Literal["cpu", "cuda"] = Field(description="device of a rank")
    nodes: PositiveInt = Field(
        description="largest number of nodes of a run; on one machine each node is a separate torchrun agent"
    )
    ranks_per_node: PositiveInt = Field(description="ranks per node; on GPUs one per device")
    threads_per_rank: PositiveInt = Field(1, description="intra-op threads per rank")
    start: Literal["auto", "warm", "exec"] = Field(
        "auto",
        description="how ranks are started: forked from a process that has already imported torch (warm), or executed "
        "by the launcher (exec); auto is warm on a CPU and exec on GPUs",
    )
    affinity: Affinity = Field(
        "none",
        description="cores pins each rank to its share of the node's CPU cores; none leaves placement to the operating "
        "system",
    )
    memory_per_rank: PositiveFloat | None = Field(
        None,
        description="GiB that a rank may use: on a CPU of heap and anonymous mappings (RLIMIT_DATA), unlimited if not "
        "given, and freed tensors are returned at once, which makes steps slower; on a GPU of what PyTorch's allocator "
        "reserves, if less than the device has",
    )
    environment: dict[
        str, Annotated[str, BeforeValidator(_number_as_text), WithJsonSchema({"type": ["string", "number"]})]
    ] = Field(
        default_factory=dict,
        description="environment variables for every rank; those that the launcher sets, and secrets, are refused",
    )
    peak_flops: PositiveFloat | None = Field(
        None, description="peak dense bf16 FLOP/s per device, if it differs from the standard model's"
    )
    xffl: XfflSettings = Field(default=XfflSettings(), description="settings of `xffl exec`, for the runs it starts")
    slurm: SlurmSettings = Field(default=SlurmSettings(), description="resources of jobs, with scheduler: slurm")
    shell: ShellSettings = Field(default=ShellSettings(), description="settings of jobs, with scheduler: shell")
    image: ImageSettings | None = Field(
        None, description="container image that every rank runs in (docs/guides/image.md)"
    )

    _source: str = PrivateAttr("")

    @property
    def source(self) -> str:
        """Text of the file as it was read; a second reading could give another."""
        return self._source

    @property
    def is_warm(self) -> bool:
        """True if ranks are forked from a process that has already imported torch."""
        if self.start != "auto":
            return self.start == "warm"
        # On a cluster the agent inside the image imports torch and forks.
        return self.device == "cpu" and (self.image is None or self.scheduler == "slurm")

    @property
    def batch(self) -> BatchSettings:
        """How jobs are packed and followed: the block of the scheduler in force."""
        return self.batch_blocks.get(self.scheduler, self.slurm)

    @property
    def batch_blocks(self) -> dict[str, BatchSettings]:
        """The blocks of all schedulers by name: a scheduler and its block have the same one."""
        return {name: block for name, block in self if isinstance(block, BatchSettings)}

    def on(self, hosts: list[str]) -> SystemFile:
        """Return a copy that uses the hosts of an allocation."""
        return self.model_copy(update={"xffl": self.xffl.model_copy(update={"hosts": hosts})})

    @property
    def facts(self) -> System:
        """The part of the system file that ranks and reports need."""
        return System(
            name=self.name,
            device=self.device,
            threads_per_rank=self.threads_per_rank,
            peak_flops=self.peak_flops,
            environment=self.environment,
            affinity=self.affinity,
            memory_per_rank=self.memory_per_rank,
        )


def built_in_path(name: str) -> Path:
    """Return the file of a built-in system."""
    return Path(__file__).parents[1] / "examples" / f"{name}.yaml"


def system_path(given: str) -> Path:
    """Return the file of a system that is given by its path, or by a built-in system's name.

    Raises:
        InputError: it is neither.

    """
    if given in BUILT_IN:
        return built_in_path(given)
    if (fault := system_fault(given)) and not Path(given).exists():
        raise InputError(f"system: {fault}")
    return Path(given)


def system_fault(given: str) -> str:
    """Return what is wrong with the word that names a system, "" if it is built in or may be a file."""
    if given in BUILT_IN or given.endswith((".yaml", ".yml")):
        return ""
    return f"{given!r} is neither the path of a .yaml file nor a built-in system{suggestion(given, BUILT_IN)}"


def load_system(path: Path, assignments: Iterable[Assignment] = ()) -> SystemFile:
    """Read a system file, with keys that are set on the command line.

    Raises:
        InputError: the file is invalid; one sentence per fault, with file, line, key and what would be valid.

    """
    file = assign(read_yaml(path), assignments)
    refuse_another_kind(file, SystemFile, MatrixFile, "a matrix file: --system takes a system file")
    refuse(file, secrets_in(file.data))
    system = validate(SystemFile, file)
    faults = [*_environment_faults(system), *_host_faults(system), *_image_faults(system), *_scheduler_faults(system)]
    refuse(file, faults)
    folder = path.absolute().parent
    image = system.image.from_folder(folder) if system.image else None
    system._source = file.text
    return system.model_copy(update={"xffl": system.xffl.from_folder(folder), "image": image})


def _environment_faults(system: SystemFile) -> Iterator[Fault]:
    for name in system.environment:
        if name in SET_BY_LAUNCHER or name.startswith("TORCHELASTIC_"):
            yield ("environment", name), "is set by the launcher for each rank: remove it"
        elif name == "OMP_NUM_THREADS":
            yield ("environment", name), "follows from 'threads_per_rank': set that instead"


def _host_faults(system: SystemFile) -> Iterator[Fault]:
    hosts = system.xffl.hosts
    if hosts and system.scheduler != "local":
        yield ("xffl", "hosts"), f"with scheduler: {system.scheduler} the hosts are those of the job: remove it"
    elif hosts and len(hosts) < system.nodes:
        yield (
            ("xffl", "hosts"),
            f"lists {len(hosts)} hosts for {system.nodes} nodes: list one per node, or lower 'nodes'",
        )


def _scheduler_faults(system: SystemFile) -> Iterator[Fault]:
    for block in system.batch_blocks:
        if block in system.model_fields_set and system.scheduler != block:
            yield (block,), f"applies only with scheduler: {block}: set that, or remove this block"
    named = ("account", "partition", "qos", "constraint", "gres")
    texts = {name: value for name in named if (value := getattr(system.slurm, name)) is not None}
    for name, text in texts.items():
        if not text or text != "".join(text.split()):
            yield ("slurm", name), f"{text!r} should be one word, as sbatch expects"
    for number, option in enumerate(system.slurm.sbatch):
        if not option.startswith("-"):
            yield ("slurm", "sbatch", number), f"{option!r} should be an option of sbatch, for example --mail-type=END"
    for number, cluster in system.slurm.clusters.items():
        if not re.fullmatch(r"(?!all$)[\w.-]+", cluster):
            yield (
                ("slurm", "sbatch", number),
                f"{cluster!r} should be one cluster, so that all jobs run on the same nodes",
            )


def _image_faults(system: SystemFile) -> Iterator[Fault]:
    if system.image is not None and system.scheduler != "slurm" and system.start == "warm":
        yield ("start",), "warm forks ranks from a process outside the image: choose exec, or remove 'image'"
