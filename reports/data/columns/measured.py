"""Columns for what a run measured. Times are in seconds, memory in GiB."""

from __future__ import annotations

from bench.contract.measured import Measured
from reports.data.columns.base import Column, gib

MeasuredColumns = tuple[Column[[Measured, int]], ...]
"""Of a measurement and the run's number of ranks."""


def _kwh_per_billion(found: Measured) -> float | None:
    if found.machine is None or found.machine.gpu_joules is None:
        return None
    return found.machine.gpu_joules / found.window.tokens * 1e9 / 3.6e6


SPEED: MeasuredColumns = (
    Column("tokens_per_s", "`window_tokens / window_s` (tokens/s)", lambda found, _: found.window.tokens_per_s),
    Column("tokens_per_s_per_device", "`tokens_per_s / world`", lambda found, world: found.window.tokens_per_s / world),
    Column(
        "window_s",
        "from the first rank's start of the window's first step to the last rank's end of its last (s)",
        lambda found, _: found.window.seconds,
    ),
    Column(
        "window_tokens",
        "tokens trained in the window over all ranks: labels that are not -100",
        lambda found, _: found.window.tokens,
    ),
    Column("window_steps", "steps of the window, in whole blocks", lambda found, _: found.window.steps),
    Column(
        "window_first_step",
        "index of the window's first step; earlier steps are warm-up",
        lambda found, _: found.window.first_step,
    ),
    Column(
        "block_tokens_per_s_min",
        "slowest block of the window (tokens/s): with the fastest, the spread inside a run",
        lambda found, _: min(found.window.block_tokens_per_s, default=None),
    ),
    Column(
        "block_tokens_per_s_max",
        "fastest block of the window (tokens/s)",
        lambda found, _: max(found.window.block_tokens_per_s, default=None),
    ),
    Column(
        "step_s_q1",
        "lower quartile of step times, each its group's slowest rank (s); a diagnostic, not the throughput",
        lambda found, _: found.window.step_s_quartiles[0],
    ),
    Column(
        "step_s_median",
        "median of step times (s); a step that averages includes waiting for the other groups",
        lambda found, _: found.window.step_s_quartiles[1],
    ),
    Column("step_s_q3", "upper quartile of step times (s)", lambda found, _: found.window.step_s_quartiles[2]),
    Column("aggregations", "federated averagings in the window", lambda found, _: found.window.aggregations),
    Column(
        "aggregation_s_median",
        "median time of a federated averaging on the rank that spent most, waiting included (s); none with "
        "`engine: xffl`, which averages inside a step and does not report the time",
        lambda found, _: found.window.aggregation_s_median,
    ),
    Column(
        "aggregation_wait_s_median",
        "the part of it in which the first rank to arrive waited for the last one, among ranks that hold the same "
        "shard (s): what unequal groups cost",
        lambda found, _: found.window.aggregation_wait_s_median,
    ),
    Column(
        "aggregation_transfer_s_median",
        "the part of it after the last of these ranks arrived (s): what the averaging itself costs",
        lambda found, _: found.window.aggregation_transfer_s_median,
    ),
    Column("tokens_per_step", "tokens of one step over the world", lambda found, _: found.tokens_per_step),
    Column(
        "tokens_per_update",
        "tokens that enter one optimizer update: `tokens_per_step / federation`",
        lambda found, _: found.tokens_per_update,
    ),
    Column(
        "trained_tokens", "tokens trained in the whole run, warm-up included", lambda found, _: found.trained_tokens
    ),
    Column("distinct_tokens", "how many of these tokens are distinct", lambda found, _: found.distinct_tokens),
    Column(
        "startup_rendezvous_s", "forming the process group, slowest rank (s)", lambda found, _: found.startup.rendezvous
    ),
    Column("startup_model_s", "building the model, slowest rank (s)", lambda found, _: found.startup.model),
    Column("startup_data_s", "opening the data, slowest rank (s)", lambda found, _: found.startup.data),
    Column("startup_first_step_s", "the first step, slowest rank (s)", lambda found, _: found.startup.first_step),
)
MEMORY: MeasuredColumns = (
    Column(
        "peak_memory_gib",
        "maximum over ranks. GPU: peak of the allocator's active bytes; CPU: peak of the process's anonymous memory "
        "beyond that of the imports, without the pages of mapped files (GiB)",
        lambda found, _: gib(found.memory.peak),
    ),
    Column(
        "state_gib",
        "counted bytes of one rank's parameters, gradients and optimizer state, maximum over ranks (GiB)",
        lambda found, _: gib(found.memory.state),
    ),
    Column(
        "averaging_buffers_gib",
        "fp32 buffers of the federated averaging (GiB)",
        lambda found, _: gib(found.memory.averaging_buffers),
    ),
    Column(
        "reserved_peak_gib",
        "GPU: peak of the memory reserved by the allocator (GiB)",
        lambda found, _: gib(found.memory.reserved_peak),
    ),
    Column(
        "device_used_peak_gib",
        "GPU: memory in use on the device after training, communication buffers and context included; the "
        "peak, provided that the allocator had no retries (GiB)",
        lambda found, _: gib(found.memory.device_used_peak),
    ),
    Column(
        "allocator_retries",
        "GPU: how often the allocator freed its cache and retried",
        lambda found, _: found.memory.allocator_retries,
    ),
    Column(
        "allocator_ooms", "GPU: how often the allocator ran out of memory", lambda found, _: found.memory.allocator_ooms
    ),
)
UTILISATION: MeasuredColumns = (
    Column("parameters", "parameters of the model", lambda found, _: found.parameters),
    Column(
        "flops_per_token",
        "`6 (N - N_input_embedding) + 6 L heads (d_qk + d_v) sequence_length`, with N the active "
        "parameters (torchtitan; PaLM, appendix B). Recomputation never counts",
        lambda found, _: found.utilisation.flops_per_token,
    ),
    Column(
        "flops_per_token_causal",
        "the same with half of the attention term: the part that a causal mask leaves",
        lambda found, _: found.utilisation.flops_per_token_causal,
    ),
    Column(
        "peak_flops",
        "peak dense FLOP/s of a device in bf16, from the system file or the table of known devices; none for fp32",
        lambda found, _: found.utilisation.peak_flops,
    ),
    Column(
        "mfu",
        "model FLOPs utilisation: `tokens_per_s_per_device x flops_per_token / peak_flops` (a fraction)",
        lambda found, _: found.utilisation.mfu,
    ),
    Column("mfu_causal", "the same with `flops_per_token_causal`", lambda found, _: found.utilisation.mfu_causal),
    Column(
        "matmul_flops",
        "FLOP/s of a matrix product measured in the same run for half a second with all ranks busy, mean over ranks",
        lambda found, _: found.utilisation.matmul_flops,
    ),
    Column(
        "matmul_flops_min",
        "the same of the slowest rank; with the fastest, the spread over ranks",
        lambda found, _: found.utilisation.matmul_flops_min,
    ),
    Column("matmul_flops_max", "the same of the fastest rank", lambda found, _: found.utilisation.matmul_flops_max),
    Column(
        "matmul_fraction",
        "`tokens_per_s_per_device x flops_per_token / matmul_flops`: available on any processor",
        lambda found, _: found.utilisation.matmul_fraction,
    ),
)
MACHINE: MeasuredColumns = (
    Column(
        "others_cpu_fraction",
        "processor time in the window that others than this run's ranks used, as a fraction of that of all cores; the "
        "busiest machine",
        lambda found, _: found.machine.others if found.machine else None,
    ),
    Column(
        "load_average",
        "load average over the minute before the window's end, the ranks included; the largest of the machines",
        lambda found, _: found.machine.load if found.machine else None,
    ),
    Column(
        "throttled_cores",
        "cores that were thermally throttled in the window; none where the kernel does not count it",
        lambda found, _: found.machine.throttled_cores if found.machine else None,
    ),
    Column(
        "gpu_energy_j",
        "energy of all GPUs in the window, by NVML's counter of the whole board (J)",
        lambda found, _: found.machine.gpu_joules if found.machine else None,
    ),
    Column(
        "gpu_power_w",
        "mean power of a GPU in the window (W)",
        lambda found, _: found.machine.gpu_watts if found.machine else None,
    ),
    Column(
        "gpu_kwh_per_billion_tokens",
        "`gpu_energy_j / window_tokens`, in kWh per 10^9 tokens: processors, network and cooling are not in it",
        lambda found, _: _kwh_per_billion(found),
    ),
    Column(
        "throttled_gpus",
        "GPUs that were slowed down in the window by their temperature, or by a power brake of the host",
        lambda found, _: found.machine.throttled_gpus if found.machine else None,
    ),
    Column(
        "gpu_power_capped",
        "fraction of the window in which a GPU was slowed down by its power limit: the largest. Normal under full load",
        lambda found, _: found.machine.power_capped if found.machine else None,
    ),
)
LOSS: MeasuredColumns = (
    Column(
        "loss_first",
        "training loss of the first step: mean over groups, weighted by tokens, before averaging",
        lambda found, _: found.loss.first,
    ),
    Column("loss_final", "training loss, mean over the window's last block", lambda found, _: found.loss.final),
    Column(
        "loss_validation",
        "loss of the averaged model on the fixed validation samples, at the end",
        lambda found, _: found.loss.validation,
    ),
    Column("perplexity", "`exp(loss_validation)`", lambda found, _: found.loss.perplexity),
    Column(
        "entropy_rate",
        "entropy rate of a synthetic source: beyond noise, no loss can fall below it",
        lambda found, _: found.loss.entropy_rate,
    ),
)
SAVING: MeasuredColumns = (
    Column(
        "saved_model_s",
        "writing the model in Hugging Face format, slowest rank (s); none where it was not requested",
        lambda found, _: found.saved.model_s,
    ),
    Column("saved_model_gib", "size of its files (GiB)", lambda found, _: gib(found.saved.model_bytes)),
    Column(
        "saved_checkpoint_s",
        "writing the sharded checkpoint, slowest rank (s); none where it was not requested",
        lambda found, _: found.saved.checkpoint_s,
    ),
    Column("saved_checkpoint_gib", "size of its files (GiB)", lambda found, _: gib(found.saved.checkpoint_bytes)),
)
MEASURED: MeasuredColumns = (*SPEED, *MEMORY, *UTILISATION, *MACHINE, *LOSS, *SAVING)
