"""Speed of a device: its published peak, and a matrix product measured in the same run."""

from __future__ import annotations

import time

import torch
import torch.distributed as dist

from bench.contract.base import DType
from bench.contract.measured import Utilisation
from bench.contract.run import Run
from bench.host.dtypes import DTYPES

PEAK_BF16 = {
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
}
"""Dense bf16 FLOP/s of stock parts by their full name, from NVIDIA's data sheets. Custom parts, MIG slices and PCIe
cards have other names and peaks, which the system file gives."""


def published_peak(run: Run, device: torch.device) -> float | None:
    """Return the peak dense FLOP/s per device: the system file's, else the stock part's; None except for bf16."""
    if run.training.computation != "bf16":
        return None
    if run.system.peak_flops is not None:
        return run.system.peak_flops
    return PEAK_BF16.get(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def device_name(device: torch.device) -> str:
    """Return a device's name for reports: the part's name, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def measure_matmul(dtype: DType, device: torch.device) -> float:
    """Return this rank's FLOP/s in a square matrix product in `dtype`, with all ranks busy at once.

    The median of five, so that one interruption does not count. Collective: all ranks must call it.
    """
    size = 8192 if device.type == "cuda" else 384
    left = torch.randn(size, size, device=device).to(DTYPES[dtype])
    right = torch.randn(size, size, device=device).to(DTYPES[dtype])
    product = left @ right
    times = []
    for _ in range(5):
        if device.type == "cuda":
            torch.cuda.synchronize()
        dist.barrier()
        begin = time.perf_counter()
        torch.matmul(left, right, out=product)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return 2.0 * size**3 / sorted(times)[2]


def utilisation(run: Run, tokens_per_s: float, peak: float | None, matmul: float) -> Utilisation:
    """Return MFU by both conventions: FLOP/s per device over the peak. Recomputed activations never count."""
    length = run.training.sequence_length
    full, causal = run.shape.flops_per_token(length), run.shape.flops_per_token(length, causal=True)
    per_device = tokens_per_s / run.world
    return Utilisation(
        flops_per_token=full,
        flops_per_token_causal=causal,
        peak_flops=peak,
        mfu=None if peak is None else per_device * full / peak,
        mfu_causal=None if peak is None else per_device * causal / peak,
        matmul_flops=matmul,
        matmul_fraction=per_device * full / matmul,
    )
