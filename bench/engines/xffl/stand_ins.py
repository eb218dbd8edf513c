"""Stand-ins for names that xFFL imports and a CPU build of torch lacks; none of them is ever called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.cuda.nvtx
import torch.distributed


class _NoNccl:
    """Stand-in for `ProcessGroupNCCL`, whose options xFFL uses in annotations and creates for every group."""

    class Options:
        """Options that are never read."""


@contextmanager
def _no_range(msg: Any, *args: Any, **kwargs: Any) -> Iterator[None]:  # noqa: ANN401 - torch's own signature
    yield


def prepare_import() -> None:
    """Install the stand-ins that this build of torch needs; call before importing xFFL.

    Nothing else of torch or xFFL is replaced. Touches no device, so that the process can still fork ranks.
    """
    if not hasattr(torch.distributed, "ProcessGroupNCCL"):
        vars(torch.distributed)["ProcessGroupNCCL"] = _NoNccl
    try:
        with torch.cuda.nvtx.range("probe"):
            pass
    except RuntimeError:  # built without CUDA
        torch.cuda.nvtx.range = _no_range
