"""Torch's number types by their names in a run."""

from __future__ import annotations

import torch

from bench.contract.base import DType

DTYPES: dict[DType, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
