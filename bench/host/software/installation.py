"""Versions installed in an environment, found without importing torch or xFFL.

    python -m bench.host.software.installation

prints them as JSON, so that the interpreter of another environment or host can be queried.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from bench.contract.base import Document
from bench.host.software.code_state import code_state
from bench.host.software.provenance import python
from bench.host.software.xffl_package import XfflPackage, xffl_package


class Installation(Document):
    """Versions of an environment; None: not installed."""

    python: str
    xffl_bench: str
    commit: str | None
    dirty: bool | None
    torch: str | None
    xffl: XfflPackage | None
    wandb: str | None = None


def installation() -> Installation:
    """Return the versions of the calling interpreter's environment."""
    code = code_state()
    return Installation(
        python=python(),
        xffl_bench=_version("xffl-bench") or "not installed",
        commit=code.commit,
        dirty=code.dirty,
        torch=_version("torch"),
        xffl=xffl_package(),
        wandb=_version("wandb"),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(installation().model_dump_json())
