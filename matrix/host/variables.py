"""Variables that processes of ours get, whatever starts them."""

from __future__ import annotations

from bench.contract.run import System
from bench.host.process import OWNER


def marks(owner: str, commit: str) -> dict[str, str]:
    """What tells a process of ours from others, and from which commit it was started."""
    return {OWNER: owner, "XFFL_BENCH_COMMIT": commit}


def environment(system: System, more: dict[str, str]) -> dict[str, str]:
    """What ranks get on top of the caller's environment, whatever starts them: threads, the system's variables, and
    `more`.
    """
    # xFFL takes a GPU where it finds one, whatever it is asked for.
    hidden = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""} if system.device == "cpu" else {}
    return {
        **hidden,
        "OMP_NUM_THREADS": str(system.threads_per_rank),
        "OPENBLAS_NUM_THREADS": "1",  # numpy's own pool would only compete with torch's
        "TOKENIZERS_PARALLELISM": "false",
        **system.environment,
        "PYTHONSAFEPATH": "1",  # nothing in the working directory is code
        **more,
    }
