"""Speed of a device, and how much of it a run used."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.contract.results.measured import Utilisation
from bench.contract.run import Run

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


def utilisation(run: Run, tokens_per_s: float, peak: float | None, matmul: Sequence[float]) -> Utilisation:
    """Return MFU and HFU by both conventions: FLOP/s per device over the peak.

    MFU = tokens/s per device x flops_per_token / peak. HFU adds to flops_per_token another forward pass of the decoder
    layers whose activations are recomputed: of all with full checkpointing, of every n-th with selective.

    `matmul` has each rank's FLOP/s in a matrix product.
    """
    shape, length = run.shape, run.training.sequence_length
    full, causal = shape.flops_per_token(length), shape.flops_per_token(length, causal=True)
    layers = sum(map(run.training.is_checkpointed, range(shape.layers)))
    more = shape.recomputed_flops_per_token(length, layers)
    more_causal = shape.recomputed_flops_per_token(length, layers, causal=True)
    per_device = tokens_per_s / run.world
    mean = sum(matmul) / len(matmul)
    return Utilisation(
        flops_per_token=full,
        flops_per_token_causal=causal,
        peak_flops=peak,
        mfu=None if peak is None else per_device * full / peak,
        mfu_causal=None if peak is None else per_device * causal / peak,
        hfu=None if peak is None else per_device * (full + more) / peak,
        hfu_causal=None if peak is None else per_device * (causal + more_causal) / peak,
        matmul_flops=mean,
        matmul_flops_min=min(matmul),
        matmul_flops_max=max(matmul),
        matmul_fraction=per_device * full / mean,
    )
