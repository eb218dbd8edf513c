"""Compose the command prefix that runs a rank in an image. Nothing is executed here."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.host.software.provenance import allowed_environment, is_secret
from matrix.image.apptainer import crossing
from matrix.image.base import GPU_OPTION, Device

_LAUNCH = re.compile(
    r"(RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|GROUP_\w+|ROLE_\w+|MASTER_ADDR|MASTER_PORT|TORCHELASTIC_\w+"
    r"|SLURM_\w+|SLURMD_NODENAME|PMI_\w+|PMIX_\w+|XFFL_\w+|HF_\w+|TRANSFORMERS_\w+|HSA_\w+|IBV_\w+|WANDB_\w+"
    r"|VISIBLE_DEVICES)"
)
_LEFT_OUT = ("LD_PRELOAD", "XFFL_BENCH_COMMIT", "XFFL_IMAGE", "SLURM_JWT")
_SECRETS = ("HF_TOKEN", "WANDB_API_KEY")


@dataclass(frozen=True)
class Bind:
    """A folder or file of the host mounted into the container, at the same path unless `at` is given."""

    path: Path
    writable: bool = False
    at: Path | None = None

    @property
    def place(self) -> Path:
        """The path inside the container."""
        return self.at or self.path


def enter(
    image: Path,
    device: Device,
    binds: Iterable[Bind],
    environment: Mapping[str, str],
    *,
    workdir: Path,
    program: str = "apptainer",
) -> list[str]:
    """Return the command prefix that runs a rank in an image.

    The rank sees the image, the binds, /tmp and /dev, and only the given variables. `env` sets them inside, because
    Apptainer's --env splits values at commas and expands `$`. The host's process list shows them, so they must not
    contain secrets, which `hidden` passes.

    Args:
        image: SIF.
        device: kind of device to give access to.
        binds: what ranks read and write; where two overlap, the inner one applies to its content.
        environment: variables, such as those from `carried` and the system file.
        workdir: working directory, which must be inside a bind.
        program: Apptainer or Singularity.

    """
    words = [program, "exec", "--cleanenv", "--no-home", *GPU_OPTION[device]]
    for bind in sorted(binds, key=lambda bind: bind.place.parts):  # parents are mounted before their children
        words += ["--mount", _mount(bind)]
    words += ["--pwd", str(workdir), str(image)]
    if environment:
        words += ["/usr/bin/env", *(f"{name}={value}" for name, value in sorted(environment.items()))]
    return words


def scratch(folder: Path) -> dict[str, str]:
    """Return variables that make libraries keep temporary files and caches in a folder, as there is no home inside."""
    inner = PurePosixPath(folder)
    return {
        "TMPDIR": str(inner),
        "XDG_CACHE_HOME": str(inner / "cache"),
        "TRITON_CACHE_DIR": str(inner / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(inner / "inductor"),
    }


def carried(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the host's variables that ranks need: the launcher's, the scheduler's and those that change a figure.

    Leaves out keys and tokens, variables valid only for the host's files (LD_PRELOAD), and the launcher's commit: the
    code in the image has its own.
    """
    chosen = {name: value for name, value in environment.items() if _LAUNCH.fullmatch(name)}
    chosen |= allowed_environment(environment)
    return {name: value for name, value in sorted(chosen.items()) if name not in _LEFT_OUT and not is_secret(name)}


def hidden(environment: Mapping[str, str], *, program: str = "apptainer") -> dict[str, str]:
    """Return keys and tokens that ranks may need, as environment variables of the container program.

    Unlike arguments, these do not appear in a process list.
    """
    return crossing(program, {name: environment[name] for name in _SECRETS if name in environment})


def _mount(bind: Bind) -> str:
    fields = ["type=bind", f"src={bind.path}", f"dst={bind.place}"] + ([] if bind.writable else ["ro"])
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)  # paths may contain commas
    return text.getvalue()
