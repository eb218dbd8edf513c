"""The closed lists of outcomes (how a run ended) and cautions (what a reader must know about a figure)."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Self


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


class Bearing(Enum):
    """What a caution says of a speed."""

    NONE = 0
    DOUBTFUL = 1
    """The speed may be another one than that asked for, in the same way on another day."""
    CHANGEABLE = 2
    """The same, and on another day it may not be so: it may explain another speed."""


class Caution(StrEnum):
    """What a reader must know about a figure; each has a meaning and a remedy. Reports list them in this order."""

    meaning: str
    """What is wrong with the figure."""
    remedy: str
    """What to do about it."""
    speed: Bearing

    def __new__(cls, name: str, meaning: str, remedy: str, speed: Bearing = Bearing.NONE) -> Self:
        """Make a member."""
        made = str.__new__(cls, name)
        made._value_, made.meaning, made.remedy, made.speed = name, meaning, remedy, speed
        return made

    OVERSUBSCRIBED = (
        "oversubscribed",
        "more threads ran than cores were available, so the times measure starvation",
        "use a machine with a core for every thread, or read the table as a functional test",
        Bearing.CHANGEABLE,
    )
    SLOW_HOST = (
        "slow-host",
        "the preflight found a device, node or link of the run's hosts slower than its peers (column `slow_hosts`)",
        "delete the folders of these runs and run them again without the host (`slurm.sbatch: [--exclude=HOST]`)",
        Bearing.CHANGEABLE,
    )
    FEW_REPEATS = (
        "few-repeats",
        "fewer than 3 repeats give no interval",
        "set `repeats: 3` or more",
    )
    FEW_BLOCKS = (
        "few-blocks",
        "the window has fewer than 3 blocks, so the spread within a run is unknown",
        "raise `training.steps`",
    )
    NO_WARM_UP = (
        "no-warm-up",
        "the window holds the first step, in which memory is allocated and communicators are set up",
        "set `training.warmup_steps` to 1 or more",
        Bearing.DOUBTFUL,
    )
    BUSY_MACHINE = (
        "busy-machine",
        "others used more than 5 % of a machine's processor time during the window",
        "reserve whole nodes, or stop what else runs there, and run it again",
        Bearing.CHANGEABLE,
    )
    THROTTLED = (
        "throttled",
        "processor cores or GPUs were throttled during the window, because of their temperature or by a power brake",
        "find the hosts (`throttled_cores`, `throttled_gpus` and `hosts` in runs.csv), look after their cooling, and "
        "run it again",
        Bearing.CHANGEABLE,
    )
    CPU_MEMORY = (
        "cpu-memory",
        "the peak memory of a CPU rank does not show sharding on small models",
        "do not rank strategies by it; compare the counted state",
    )
    BF16_LOSS = (
        "bf16-loss",
        "in pure bf16, late updates and averaged differences fall below one unit in the last place",
        "use `precision: bf16-mixed` or `fp32` to compare losses",
    )
    ALLOCATOR_RETRIES = (
        "allocator-retries",
        "the CUDA allocator freed its cache and retried, which costs time",
        "lower the batch size before trusting the throughput",
        Bearing.CHANGEABLE,
    )
    SHARED_DATA = (
        "shared-data",
        "federated groups read the same samples, so tokens/s counts tokens more than once",
        "set `training.federated_data: partition`, or compare the distinct tokens",
        Bearing.DOUBTFUL,
    )
    REPEATED_DATA = (
        "repeated-data",
        "the data set was shorter than the training, so samples were seen more than once",
        "prepare a larger data set, or lower `training.steps`",
    )
    INERT_STREAMS = (
        "inert-streams",
        "concurrent communicators are not expected to make a difference on a CPU",
        "compare `cuda_streams` on GPUs only",
    )
    IGNORED_STREAMS = (
        "ignored-streams",
        "the installed xFFL averages over one communicator, whatever the value of cuda_streams",
        "read these rows as repeats of the row with one stream, or use the native engine",
    )
    CROSSING_SHARDS = (
        "crossing-shards",
        "shard groups span several nodes, so every layer is gathered over the network",
        "choose a shard size that divides the ranks per node, or read the row as a measurement of the network too",
    )
    DEVICE_SPEED_CHANGED = (
        "device-speed-changed",
        "the devices' speed in a matrix product was more than 20 % off that of the job's preflight",
        "look for other work on the nodes, throttling, or a device that fails; then run it again",
        Bearing.CHANGEABLE,
    )
    DETERMINISTIC = (
        "deterministic",
        "deterministic algorithms were forced, which costs speed",
        "set `training.deterministic: false` for timings",
        Bearing.DOUBTFUL,
    )
    DEBUG_LEVEL = (
        "debug-level",
        "TORCH_DISTRIBUTED_DEBUG was set, which slows every collective",
        "unset it for timings",
        Bearing.CHANGEABLE,
    )
    DIRTY_COMMIT = (
        "dirty-commit",
        "the harness ran from a working tree with uncommitted changes",
        "commit, then run the sweep again, so that the figures can be reproduced",
    )
    SLOW_FOLDER = (
        "slow-folder",
        "each small file took long to write to the results folder, so logs and start-up may have cost time",
        "keep the results on a local disk or on a less busy file system",
        Bearing.CHANGEABLE,
    )
    WANDB_FAILED = (
        "wandb-failed",
        "the upload to Weights & Biases is incomplete; the figures here are complete",
        "see the log of rank 0; upload the files under `wandb` with `wandb sync --include-online`",
    )
    NOT_COMPARABLE = (
        "not-comparable",
        "cells that are compared differ in an attribute that must agree",
        "make the named attribute agree and run them again before comparing them",
    )
    UNEQUAL_TOKENS = (
        "unequal-tokens",
        "losses of one row or column are after different numbers of trained tokens",
        "read each loss with its trained tokens; for equal ones over node counts, use `regime: global-batch`",
    )
    NOISY_REPEATS = (
        "noisy-repeats",
        "repeats differ by 5 % or more, and by more than the spread of the blocks within them explains",
        "look for other work on the nodes, or for hosts that differ (`hosts`, `started` in runs.csv); run them again",
        Bearing.DOUBTFUL,
    )
    FEW_SESSIONS = (
        "few-sessions",
        "the repeats of a cell ran in fewer than 3 allocations, so nothing is known of how allocations differ, and its "
        "tokens/s has a range and no interval",
        "read it as that of these allocations' nodes, or divide the repeats over 3 jobs or more (`allocations`)",
    )
    FEW_PAIRS = (
        "few-pairs",
        "a ratio has fewer than 3 pairs of runs of one session, or compares fewer than 3 sessions with others, so it "
        "has no interval",
        "run more repeats in one session, those of each node count in at least 3 jobs (`allocations`), or all node "
        "counts in one job (`nested`)",
    )
    SELECTED = (
        "selected",
        "each cell's configuration was chosen by the same repeats that its figures are of, so they are too high, the "
        "more so the more configurations there were",
        "set `repeats` to 4 or more, of which half choose and half are measured (6 for intervals)",
    )
    NO_REFERENCE = (
        "no-reference",
        "the reference has no figures yet, so speed-up and efficiency are unknown",
        "run it (`run`, with `--retry-failed` if it failed), or declare another one",
    )
    DAMAGED_RESULT = (
        "damaged-result",
        "a run's files could not be read, or contradict each other, and were left out",
        "copy the named run's whole folder again, or delete it and run the sweep again",
    )
