"""Provenance of a run: software, host and environment. Variables are recorded by an allow-list, secrets never."""

from __future__ import annotations

import os
import platform
import re
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.host.software.xffl_package import xffl_package

PACKAGES = ("xffl-bench", "torch", "transformers", "datasets", "numpy", "pyarrow", "pydantic")

_ALLOWED = re.compile(
    r"(NCCL|GLOO|TORCH|PYTORCH|OMP|MKL|OPENBLAS|KMP|GOMP|CUDA|HIP|ROCR|UCX|FI)(_\w+)?"
    r"|MALLOC_\w+|LD_PRELOAD|TOKENIZERS_PARALLELISM"
)
_SECRET = re.compile(r"KEY|TOKEN(?!IZERS)|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Return True if a variable's name suggests that its value is secret."""
    return _SECRET.search(name) is not None


def allowed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that can change a measurement, sorted by name."""
    return {
        name: value for name, value in sorted(environment.items()) if _ALLOWED.fullmatch(name) and not is_secret(name)
    }


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that a result depends on.

    For xFFL, which is installed from its repository, the commit is included.
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


def image() -> str | None:
    """Return the SHA-256 of the image of this process as passed by its launcher; None if it runs in none."""
    return os.environ.get("XFFL_BENCH_IMAGE")


def host() -> str:
    """Return the name of this host."""
    return socket.gethostname()


def machine() -> str:
    """Return the boot id of this machine; virtual hosts that share a machine and its cores share it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's model: its name, or on ARM, where Linux has none, the codes of its maker and part."""
    lines = (line.partition(":") for line in cpuinfo.read_text(encoding="utf-8").splitlines())
    fields = {name.strip(): value.strip() for name, _, value in lines}
    if "model name" in fields:
        return fields["model name"]
    codes = [f"{field} {fields[f'CPU {field}']}" for field in ("implementer", "part") if f"CPU {field}" in fields]
    return " ".join([platform.machine(), *codes])


def cores() -> int:
    """Return the number of cores that this process may use: its affinity, or a smaller quota of its cgroup (v2)."""
    granted = len(os.sched_getaffinity(0))
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.exists():
        limit, period = quota.read_text(encoding="ascii").split()
        if limit != "max":
            granted = min(granted, max(1, int(limit) // int(period)))
    return granted


def python() -> str:
    """Return the version of the interpreter."""
    return platform.python_version()
