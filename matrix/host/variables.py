"""Environment variables of our processes, independent of the launcher."""

from __future__ import annotations

from bench.contract.run import System
from bench.host.process import OWNER


def ownership_variables(owner: str, commit: str) -> dict[str, str]:
    """Return the variables that identify a process as ours: its owner and the commit that started it."""
    return {OWNER: owner, "XFFL_BENCH_COMMIT": commit}


def environment(system: System, more: dict[str, str]) -> dict[str, str]:
    """Return the variables that ranks get in addition to the caller's: threads, the system file's and `more`."""
    # xFFL uses a GPU if it finds one, regardless of the configured device.
    hidden = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""} if system.device == "cpu" else {}
    return {
        **hidden,
        "OMP_NUM_THREADS": str(system.threads_per_rank),
        "OPENBLAS_NUM_THREADS": "1",  # numpy's thread pool would only compete with torch's
        "TOKENIZERS_PARALLELISM": "false",
        **system.environment,
        "PYTHONSAFEPATH": "1",  # nothing in the working directory is code
        **more,
    }
