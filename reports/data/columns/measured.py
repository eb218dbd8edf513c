"""Columns for what a run measured. Times are in seconds, memory in GiB."""

from __future__ import annotations

from typing import Literal

from bench.contract.results.measured import Measured
from reports.data.columns.base import Scalar, gib, number
from reports.data.columns.recorded import MeasuredColumns, recorded, with_others

_KWH = 3.6e6
"""Joules."""


def _counted(joules: Scalar) -> Scalar:
    """Return no energy for 0 J: the window was shorter than the counter's period."""
    return joules or None


def _joules(found: Measured, part: Literal["gpu_joules", "processor_joules"]) -> float | None:
    joules: float | None = None if found.machine is None else getattr(found.machine, part)
    return joules or None


def _per_token(joules: float | None, found: Measured) -> float | None:
    return None if joules is None else joules / found.window.tokens


def _in_kwh(joules: float | None, scale: float = 1.0) -> float | None:
    return None if joules is None else joules / _KWH * scale


_SPEED: MeasuredColumns = (
    number("tokens_per_s", "`window_tokens / window_s` (tokens/s)", lambda found, _: found.window.tokens_per_s),
    number("tokens_per_s_per_device", "`tokens_per_s / world`", lambda found, world: found.window.tokens_per_s / world),
    recorded(
        "window_s",
        "from the first rank's start of the window's first step to the last rank's end of its last (s)",
        "window.seconds",
    ),
    recorded("window_tokens", "tokens trained in the window over all ranks: labels that are not -100", "window.tokens"),
    recorded("window_steps", "steps of the window, in whole blocks", "window.steps"),
    recorded("window_first_step", "index of the window's first step; earlier steps are warm-up", "window.first_step"),
    number(
        "block_tokens_per_s_min",
        "slowest block of the window (tokens/s): with the fastest, the spread inside a run",
        lambda found, _: min(found.window.block_tokens_per_s, default=None),
    ),
    number(
        "block_tokens_per_s_max",
        "fastest block of the window (tokens/s)",
        lambda found, _: max(found.window.block_tokens_per_s, default=None),
    ),
    number(
        "step_s_q1",
        "lower quartile of step times, each its group's slowest rank (s); a diagnostic, not the throughput",
        lambda found, _: found.window.step_s_quartiles[0],
    ),
    number(
        "step_s_median",
        "median of step times (s); a step that averages includes waiting for the other groups",
        lambda found, _: found.window.step_s_quartiles[1],
    ),
    number("step_s_q3", "upper quartile of step times (s)", lambda found, _: found.window.step_s_quartiles[2]),
    recorded("aggregations", "federated averagings in the window", "window.aggregations"),
    recorded(
        "aggregation_s_median",
        "median time of a federated averaging on the rank that spent most, waiting included (s); none with "
        "`engine: xffl`, which averages inside a step and does not report the time",
        "window.aggregation_s_median",
    ),
    recorded(
        "aggregation_wait_s_median",
        "the part of it in which the first rank to arrive waited for the last one, among ranks that hold the same "
        "shard (s): what unequal groups cost",
        "window.aggregation_wait_s_median",
    ),
    recorded(
        "aggregation_transfer_s_median",
        "the part of it after the last of these ranks arrived (s): what the averaging itself costs",
        "window.aggregation_transfer_s_median",
    ),
    recorded(
        "tokens_per_step",
        "tokens of one step over the world, without padding",
        "tokens_per_step",
    ),
    recorded(
        "tokens_per_update",
        "tokens that enter one optimizer update: `tokens_per_step / federation`",
        "tokens_per_update",
    ),
    recorded("trained_tokens", "tokens trained in the whole run, warm-up included", "trained_tokens"),
    recorded("distinct_tokens", "how many of these tokens are distinct", "distinct_tokens"),
    recorded("startup_rendezvous_s", "forming the process group, slowest rank (s)", "startup.rendezvous"),
    recorded("startup_model_s", "building the model, slowest rank (s)", "startup.model"),
    recorded("startup_data_s", "opening the data, slowest rank (s)", "startup.data"),
    recorded("startup_first_step_s", "the first step, slowest rank (s)", "startup.first_step"),
)
_MEMORY: MeasuredColumns = (
    recorded(
        "peak_memory_gib",
        "maximum over ranks. GPU: peak of the allocator's active bytes; CPU: peak of the process's anonymous memory "
        "beyond that of the imports, without the pages of mapped files (GiB)",
        "memory.peak",
        gib,
    ),
    recorded(
        "state_gib",
        "counted bytes of one rank's parameters, gradients and optimizer state, maximum over ranks (GiB)",
        "memory.state",
        gib,
    ),
    recorded("averaging_buffers_gib", "fp32 buffers of the federated averaging (GiB)", "memory.averaging_buffers", gib),
    recorded(
        "reserved_peak_gib", "GPU: peak of the memory reserved by the allocator (GiB)", "memory.reserved_peak", gib
    ),
    recorded(
        "device_used_peak_gib",
        "GPU: memory in use on the device after training, communication buffers and context included; the "
        "peak, provided that the allocator had no retries (GiB)",
        "memory.device_used_peak",
        gib,
    ),
    recorded(
        "allocator_retries", "GPU: how often the allocator freed its cache and retried", "memory.allocator_retries"
    ),
    recorded("allocator_ooms", "GPU: how often the allocator ran out of memory", "memory.allocator_ooms"),
)
_UTILISATION: MeasuredColumns = (
    recorded("parameters", "parameters of the model", "parameters"),
    recorded(
        "flops_per_token",
        "`6 (N - N_input_embedding) + 6 L heads (d_qk + d_v) sequence_length`, with N the active "
        "parameters (torchtitan; PaLM, appendix B). Recomputation never counts",
        "utilisation.flops_per_token",
    ),
    recorded(
        "flops_per_token_causal",
        "the same with half of the attention term: the part that a causal mask leaves",
        "utilisation.flops_per_token_causal",
    ),
    recorded(
        "peak_flops",
        "peak dense FLOP/s of a device in bf16, from the system file or the table of known devices; none for fp32",
        "utilisation.peak_flops",
    ),
    recorded(
        "mfu",
        "model FLOPs utilisation: `tokens_per_s_per_device x flops_per_token / peak_flops` (a fraction)",
        "utilisation.mfu",
    ),
    recorded("mfu_causal", "the same with `flops_per_token_causal`", "utilisation.mfu_causal"),
    recorded(
        "hfu",
        "hardware FLOPs utilisation: as `mfu`, with another forward pass of the decoder layers that recompute their "
        "activations added to `flops_per_token`: `2 N_layer + 2 heads (d_qk + d_v) sequence_length` for each. Equal to "
        "`mfu` without activation checkpointing",
        "utilisation.hfu",
    ),
    recorded("hfu_causal", "the same with half of the attention terms", "utilisation.hfu_causal"),
    recorded(
        "matmul_flops",
        "FLOP/s of a matrix product measured in the same run for half a second with all ranks busy, mean over ranks",
        "utilisation.matmul_flops",
    ),
    recorded(
        "matmul_flops_min",
        "the same of the slowest rank; with the fastest, the spread over ranks",
        "utilisation.matmul_flops_min",
    ),
    recorded("matmul_flops_max", "the same of the fastest rank", "utilisation.matmul_flops_max"),
    recorded(
        "matmul_fraction",
        "`tokens_per_s_per_device x flops_per_token / matmul_flops`: available on any processor",
        "utilisation.matmul_fraction",
    ),
)
_MACHINE: MeasuredColumns = (
    recorded(
        "others_cpu_fraction",
        "processor time in the window that others than this run's ranks used, as a fraction of that of all cores; the "
        "busiest machine",
        "machine.others",
    ),
    recorded(
        "load_average",
        "load average over the minute before the window's end, the ranks included; the largest of the machines",
        "machine.load",
    ),
    recorded(
        "throttled_cores",
        "cores that were thermally throttled in the window; none where the kernel does not count it",
        "machine.throttled_cores",
    ),
    recorded(
        "gpu_energy_j",
        "energy of all GPUs in the window, by NVML's counter of the whole board (J)",
        "machine.gpu_joules",
        _counted,
    ),
    recorded("gpu_power_w", "mean power of a GPU in the window (W)", "machine.gpu_watts"),
    number(
        "gpu_j_per_token",
        "`gpu_energy_j / window_tokens` (J): processors, network and cooling are not in it",
        lambda found, _: _per_token(_joules(found, "gpu_joules"), found),
    ),
    number(
        "gpu_kwh_per_billion_tokens",
        "the same in kWh per 10^9 tokens",
        lambda found, _: _in_kwh(_per_token(_joules(found, "gpu_joules"), found), 1e9),
    ),
    number(
        "gpu_energy_kwh",
        "`gpu_energy_j` in kWh: of the window, without start-up, warm-up and validation",
        lambda found, _: _in_kwh(_joules(found, "gpu_joules")),
    ),
    recorded(
        "processor_energy_j",
        "energy of all processor packages of the run's machines in the window, whatever else ran on them, by RAPL (J): "
        "memory modules, network and cooling are not in it; none where a machine does not count it, or lets only root "
        "read it",
        "machine.processor_joules",
        _counted,
    ),
    number(
        "processor_j_per_token",
        "`processor_energy_j / window_tokens` (J)",
        lambda found, _: _per_token(_joules(found, "processor_joules"), found),
    ),
    number(
        "processor_energy_kwh",
        "`processor_energy_j` in kWh: of the window, as `gpu_energy_kwh`",
        lambda found, _: _in_kwh(_joules(found, "processor_joules")),
    ),
    recorded(
        "throttled_gpus",
        "GPUs that were slowed down in the window by their temperature, or by a power brake of the host",
        "machine.throttled_gpus",
    ),
    recorded(
        "gpu_power_capped",
        "fraction of the window in which a GPU was slowed down by its power limit: the largest. Normal under full load",
        "machine.power_capped",
    ),
)
_LOSS: MeasuredColumns = (
    recorded(
        "loss_first",
        "training loss of the first step: mean over groups, weighted by tokens, before averaging",
        "loss.first",
    ),
    recorded("loss_final", "training loss, mean over the window's last block", "loss.final"),
    recorded(
        "loss_validation", "loss of the averaged model on the fixed validation samples, at the end", "loss.validation"
    ),
    number("perplexity", "`exp(loss_validation)`", lambda found, _: found.loss.perplexity),
    recorded(
        "entropy_rate",
        "entropy rate of a synthetic source: beyond noise, no loss can fall below it",
        "loss.entropy_rate",
    ),
)
_SAVING: MeasuredColumns = (
    recorded(
        "saved_model_s",
        "writing the model in Hugging Face format, slowest rank (s); none where it was not requested",
        "saved.model_s",
    ),
    recorded("saved_model_gib", "size of its files (GiB)", "saved.model_bytes", gib),
    recorded(
        "saved_checkpoint_s",
        "writing the sharded checkpoint, slowest rank (s); none where it was not requested",
        "saved.checkpoint_s",
    ),
    recorded("saved_checkpoint_gib", "size of its files (GiB)", "saved.checkpoint_bytes", gib),
)
SPEED = with_others(_SPEED, "window", "startup")
MEMORY = with_others(_MEMORY, "memory")
UTILISATION = with_others(_UTILISATION, "utilisation")
MACHINE = with_others(_MACHINE, "machine")
LOSS = with_others(_LOSS, "loss")
SAVING = with_others(_SAVING, "saved")
MEASURED: MeasuredColumns = (*SPEED, *MEMORY, *UTILISATION, *MACHINE, *LOSS, *SAVING)
