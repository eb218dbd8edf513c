"""The closed lists of outcomes (how a run ended) and cautions (what a reader must know about a figure)."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a run ended; every run has exactly one."""

    COMPLETED = "completed"
    OOM = "oom"
    OOM_INFERRED = "oom-inferred"
    DIVERGED = "diverged"
    TIMEOUT = "timeout"
    HUNG = "hung"
    LAUNCH_FAILED = "launch-failed"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    INVALID = "invalid"

    @property
    def meaning(self) -> str:
        """Explanation for tables and for `status`."""
        return _MEANINGS[self]

    @property
    def is_final(self) -> bool:
        """True if a resumed sweep does not run such a run again."""
        return self is not Outcome.INTERRUPTED


_MEANINGS: dict[Outcome, str] = {
    Outcome.COMPLETED: "rank 0 wrote a complete result and every rank finished",
    Outcome.OOM: "a rank ran out of device or host memory",
    Outcome.OOM_INFERRED: "not run: a smaller batch of the same combination ran out of memory",
    Outcome.DIVERGED: "the loss was not finite",
    Outcome.TIMEOUT: "stopped at the run's time limit",
    Outcome.HUNG: "no rank made progress within the hang limit",
    Outcome.LAUNCH_FAILED: "no rank reached the first step",
    Outcome.CRASHED: "a rank exited before the training finished",
    Outcome.INTERRUPTED: "stopped by the user or together with the runner; it runs again when the sweep is resumed",
    Outcome.INVALID: "the combination is impossible, or its figures would be meaningless",
}


class Caution(StrEnum):
    """What a reader must know about a figure; each has a meaning and a remedy."""

    OVERSUBSCRIBED = "oversubscribed"
    SLOW_HOST = "slow-host"
    FEW_REPEATS = "few-repeats"
    FEW_BLOCKS = "few-blocks"
    NO_WARM_UP = "no-warm-up"
    BUSY_MACHINE = "busy-machine"
    THROTTLED = "throttled"
    CPU_MEMORY = "cpu-memory"
    BF16_LOSS = "bf16-loss"
    ALLOCATOR_RETRIES = "allocator-retries"
    SHARED_DATA = "shared-data"
    REPEATED_DATA = "repeated-data"
    INERT_STREAMS = "inert-streams"
    IGNORED_STREAMS = "ignored-streams"
    CROSSING_SHARDS = "crossing-shards"
    DEVICE_SPEED_CHANGED = "device-speed-changed"
    DETERMINISTIC = "deterministic"
    DEBUG_LEVEL = "debug-level"
    DIRTY_COMMIT = "dirty-commit"
    SLOW_FOLDER = "slow-folder"
    WANDB_FAILED = "wandb-failed"
    NOT_COMPARABLE = "not-comparable"
    UNEQUAL_TOKENS = "unequal-tokens"
    NOISY_REPEATS = "noisy-repeats"
    FEW_SESSIONS = "few-sessions"
    FEW_PAIRS = "few-pairs"
    SELECTED = "selected"
    NO_REFERENCE = "no-reference"
    DAMAGED_RESULT = "damaged-result"

    @property
    def meaning(self) -> str:
        """What is wrong with the figure."""
        return _CAUTIONS[self][0]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _CAUTIONS[self][1]


_CAUTIONS: dict[Caution, tuple[str, str]] = {
    Caution.OVERSUBSCRIBED: (
        "more threads ran than cores were available, so the times measure starvation",
        "use a machine with a core for every thread, or read the table as a functional test",
    ),
    Caution.SLOW_HOST: (
        "the preflight found a device, node or link of the run's hosts slower than its peers (column `slow_hosts`)",
        "delete the folders of these runs and run them again without the host (`slurm.sbatch: [--exclude=HOST]`)",
    ),
    Caution.FEW_REPEATS: (
        "fewer than 3 repeats give no interval",
        "set `repeats: 3` or more",
    ),
    Caution.FEW_BLOCKS: (
        "the window has fewer than 3 blocks, so the spread within a run is unknown",
        "raise `training.steps`",
    ),
    Caution.NO_WARM_UP: (
        "the window holds the first step, in which memory is allocated and communicators are set up",
        "set `training.warmup_steps` to 1 or more",
    ),
    Caution.THROTTLED: (
        "processor cores or GPUs were throttled during the window, because of their temperature or by a power brake",
        "find the hosts (`throttled_cores`, `throttled_gpus` and `hosts` in runs.csv), look after their cooling, and "
        "run it again",
    ),
    Caution.BUSY_MACHINE: (
        "others used more than 5 % of a machine's processor time during the window",
        "reserve whole nodes, or stop what else runs there, and run it again",
    ),
    Caution.CPU_MEMORY: (
        "the peak memory of a CPU rank does not show sharding on small models",
        "do not rank strategies by it; compare the counted state",
    ),
    Caution.BF16_LOSS: (
        "in pure bf16, late updates and averaged differences fall below one unit in the last place",
        "use `precision: bf16-mixed` or `fp32` to compare losses",
    ),
    Caution.ALLOCATOR_RETRIES: (
        "the CUDA allocator freed its cache and retried, which costs time",
        "lower the batch size before trusting the throughput",
    ),
    Caution.SHARED_DATA: (
        "federated groups read the same samples, so tokens/s counts tokens more than once",
        "set `training.federated_data: partition`, or compare the distinct tokens",
    ),
    Caution.REPEATED_DATA: (
        "the data set was shorter than the training, so samples were seen more than once",
        "prepare a larger data set, or lower `training.steps`",
    ),
    Caution.INERT_STREAMS: (
        "concurrent communicators are not expected to make a difference on a CPU",
        "compare `cuda_streams` on GPUs only",
    ),
    Caution.IGNORED_STREAMS: (
        "the installed xFFL averages over one communicator, whatever the value of cuda_streams",
        "read these rows as repeats of the row with one stream, or use the native engine",
    ),
    Caution.CROSSING_SHARDS: (
        "shard groups span several nodes, so every layer is gathered over the network",
        "choose a shard size that divides the ranks per node, or read the row as a measurement of the network too",
    ),
    Caution.DEVICE_SPEED_CHANGED: (
        "the devices' speed in a matrix product was more than 20 % off that of the job's preflight",
        "look for other work on the nodes, throttling, or a device that fails; then run it again",
    ),
    Caution.DETERMINISTIC: (
        "deterministic algorithms were forced, which costs speed",
        "set `training.deterministic: false` for timings",
    ),
    Caution.DEBUG_LEVEL: (
        "TORCH_DISTRIBUTED_DEBUG was set, which slows every collective",
        "unset it for timings",
    ),
    Caution.DIRTY_COMMIT: (
        "the harness ran from a working tree with uncommitted changes",
        "commit, then run the sweep again, so that the figures can be reproduced",
    ),
    Caution.SLOW_FOLDER: (
        "each small file took long to write to the results folder, so logs and start-up may have cost time",
        "keep the results on a local disk or on a less busy file system",
    ),
    Caution.WANDB_FAILED: (
        "the upload to Weights & Biases is incomplete; the figures here are complete",
        "see the log of rank 0; upload the files under `wandb` with `wandb sync --include-online`",
    ),
    Caution.NOT_COMPARABLE: (
        "cells that are compared differ in an attribute that must agree",
        "make the named attribute agree and run them again before comparing them",
    ),
    Caution.UNEQUAL_TOKENS: (
        "losses of one row or column are after different numbers of trained tokens",
        "read each loss with its trained tokens; for equal ones over node counts, use `regime: global-batch`",
    ),
    Caution.NOISY_REPEATS: (
        "repeats differ by 5 % or more, and by more than the spread of the blocks within them explains",
        "look for other work on the nodes, or for hosts that differ (`hosts`, `started` in runs.csv); run them again",
    ),
    Caution.FEW_SESSIONS: (
        "the repeats of a cell ran in fewer than 3 allocations, so nothing is known of how allocations differ, and its "
        "tokens/s has a range and no interval",
        "read it as that of these allocations' nodes, or divide the repeats over 3 jobs or more (`allocations`)",
    ),
    Caution.FEW_PAIRS: (
        "a ratio has fewer than 3 pairs of runs of one session, or compares fewer than 3 sessions with others, so it "
        "has no interval",
        "run more repeats in one session, those of each node count in at least 3 jobs (`allocations`), or all node "
        "counts in one job (`nested`)",
    ),
    Caution.SELECTED: (
        "each cell's configuration was chosen by the same repeats that its figures are of, so they are too high, the "
        "more so the more configurations there were",
        "set `repeats` to 4 or more, of which half choose and half are measured (6 for intervals)",
    ),
    Caution.NO_REFERENCE: (
        "the reference has no figures yet, so speed-up and efficiency are unknown",
        "run it (`run`, with `--retry-failed` if it failed), or declare another one",
    ),
    Caution.DAMAGED_RESULT: (
        "a run's files could not be read, or contradict each other, and were left out",
        "copy the named run's whole folder again, or delete it and run the sweep again",
    ),
}
