"""What a CPU build of torch lacks and xFFL imports: nothing of it is ever called there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.cuda.nvtx
import torch.distributed


class _NoNccl:
    """Takes the place of `ProcessGroupNCCL`, whose options xFFL names in annotations and makes for every group."""

    class Options:
        """Options that nobody reads."""


@contextmanager
def _no_range(msg: Any, *args: Any, **kwargs: Any) -> Iterator[None]:  # noqa: ANN401 - torch's own signature
    yield


def prepare_import() -> None:
    """Put stand-ins where this build of torch has nothing; call before xFFL is imported. Nothing else of torch or xFFL
    is ever replaced. Touches no device, so that a process that called it can still fork ranks.
    """
    if not hasattr(torch.distributed, "ProcessGroupNCCL"):
        vars(torch.distributed)["ProcessGroupNCCL"] = _NoNccl
    try:
        with torch.cuda.nvtx.range("probe"):
            pass
    except RuntimeError:  # built without CUDA
        torch.cuda.nvtx.range = _no_range
