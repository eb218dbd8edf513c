"""With what and where a run was made. Environment variables get in by an allow-list, and never a secret."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.host.xffl_package import xffl_package

PACKAGES = ("xffl-bench", "torch", "transformers", "datasets", "numpy", "pyarrow", "pydantic")

_ALLOWED = re.compile(
    r"(NCCL|GLOO|TORCH|PYTORCH|OMP|MKL|OPENBLAS|KMP|GOMP|CUDA|HIP|ROCR|UCX|FI)(_\w+)?"
    r"|MALLOC_\w+|LD_PRELOAD|TOKENIZERS_PARALLELISM"
)
_SECRET = re.compile(r"KEY|TOKEN(?!IZERS)|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a variable's name says that its value is nobody's business."""
    return _SECRET.search(name) is not None


def allowed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that can change a measurement, sorted by name."""
    return {
        name: value for name, value in sorted(environment.items()) if _ALLOWED.fullmatch(name) and not is_secret(name)
    }


def package_versions() -> dict[str, str]:
    """Versions of the packages that a result depends on; of xFFL, which is installed from its repository, also the
    commit.
    """
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree that was not installed
            found[name] = "not installed"
    found["xffl"] = _xffl()
    return found


def _xffl() -> str:
    package = xffl_package()
    return f"{package.version} ({package.commit or package.digest})" if package else "not installed"


ROOT = Path(__file__).resolve().parents[2]
"""Folder of the code that runs: a checkout, or where it was installed."""


def commit() -> tuple[str | None, bool | None]:
    """Return (commit, dirty) of the code that runs; (None, None) where it was installed without its checkout.

    The launcher tells its ranks through XFFL_BENCH_COMMIT, so that git runs once a sweep and not once a run. It is
    believed only if it is about the folder that this very code lies in.
    """
    match os.environ.get("XFFL_BENCH_COMMIT", "").split(" ", maxsplit=2):
        case [name, state, root] if Path(root).resolve() == ROOT:
            return name, state == "dirty"
    return commit_of(ROOT)


def commit_text(commit: str | None, dirty: bool | None, root: Path = ROOT) -> str:
    """Return a commit in the format of `XFFL_BENCH_COMMIT`, or "" without one.

    It has the commit, its state, and the folder of its code as ranks see that.
    """
    return f"{commit} {'dirty' if dirty else 'clean'} {root}" if commit else ""


CODE = ("bench", "matrix", "reports", "pyproject.toml")
"""What of a checkout is the harness: a change to it, or a file that git does not know among it, makes a commit dirty; a
matrix file of the user's own beside it does not.
"""


def commit_of(root: Path) -> tuple[str | None, bool | None]:
    """(commit, dirty) of a checkout; (None, None) where it is none that git can be asked about."""
    status = ["git", "status", "--porcelain", "--", *CODE]
    if not (root / ".git").exists():
        return None, None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        changes = subprocess.run(status, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout that git trusts
        return None, None
    return head.stdout.strip(), bool(changes.stdout.strip())


def image() -> str | None:
    """SHA-256 of the image that this process runs in, as its launcher says; None where it runs in none."""
    return os.environ.get("XFFL_BENCH_IMAGE")


def host() -> str:
    """Name of the host."""
    return socket.gethostname()


def machine() -> str:
    """Identity of this boot of this machine: virtual hosts of one machine share it, and its cores."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def cores() -> int:
    """Processor cores that this process may use: its affinity, or a smaller quota of its control group (version 2)."""
    granted = len(os.sched_getaffinity(0))
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        limit, period = quota.read_text(encoding="ascii").split()
        if limit != "max":
            granted = min(granted, max(1, int(limit) // int(period)))
    return granted


def python() -> str:
    """Version of the interpreter."""
    return platform.python_version()
