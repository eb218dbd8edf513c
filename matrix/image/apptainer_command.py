"""How a rank gets into an image: the words before its command, and nothing that is executed here."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.host.provenance import allowed_environment, is_secret
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
    """A folder or file of the host that ranks see, at the same path unless another is named."""

    path: Path
    writable: bool = False
    at: Path | None = None

    @property
    def place(self) -> Path:
        """Where it is inside."""
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
    """The words before a rank's command.

    The rank sees the image, the binds, /tmp and /dev, and of variables those given. These are set by `env` inside,
    word for word: Apptainer's own --env splits values at commas and expands `$`. A caller's list of processes shows
    them, so no secret belongs among them; `hidden` has a way for these.

    Args:
        image: SIF.
        device: what the image was built for.
        binds: what ranks read and write; where two overlap, the inner one counts for what it holds.
        environment: variables, such as `carried` picks and the system file names.
        workdir: the working directory, which must lie in a bind.
        program: Apptainer or Singularity.

    """
    words = [program, "exec", "--cleanenv", "--no-home", *GPU_OPTION[device]]
    for bind in sorted(binds, key=lambda bind: bind.place.parts):  # what holds others is mounted before them
        words += ["--mount", _mount(bind)]
    words += ["--pwd", str(workdir), str(image)]
    if environment:
        words += ["/usr/bin/env", *(f"{name}={value}" for name, value in sorted(environment.items()))]
    return words


def scratch(folder: Path) -> dict[str, str]:
    """Variables that send what libraries keep for themselves to a folder, where the home folder stays outside."""
    inner = PurePosixPath(folder)
    return {
        "TMPDIR": str(inner),
        "XDG_CACHE_HOME": str(inner / "cache"),
        "TRITON_CACHE_DIR": str(inner / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(inner / "inductor"),
    }


def carried(environment: Mapping[str, str]) -> dict[str, str]:
    """Of a host's variables those that ranks must know: of the launcher, the scheduler, and what changes a figure.

    Never a key or a token, and neither what holds for the host's files only (LD_PRELOAD) nor the launcher's commit:
    the image's code has its own.
    """
    chosen = {name: value for name, value in environment.items() if _LAUNCH.fullmatch(name)}
    chosen |= allowed_environment(environment)
    return {name: value for name, value in sorted(chosen.items()) if name not in _LEFT_OUT and not is_secret(name)}


def hidden(environment: Mapping[str, str], *, program: str = "apptainer") -> dict[str, str]:
    """Keys and tokens that ranks may need, as variables for the process that enters the image: no list of processes
    shows these.
    """
    return crossing(program, {name: environment[name] for name in _SECRETS if name in environment})


def _mount(bind: Bind) -> str:
    fields = ["type=bind", f"src={bind.path}", f"dst={bind.place}"] + ([] if bind.writable else ["ro"])
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)  # paths may hold commas
    return text.getvalue()
