"""The closed lists: what can become of a run, and what a reader of a number is warned of."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a run; exactly one."""

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
        """One sentence for tables and for `status`."""
        return _MEANINGS[self]

    @property
    def is_final(self) -> bool:
        """Whether a run that ended so is left alone when its sweep is continued."""
        return self is not Outcome.INTERRUPTED


_MEANINGS: dict[Outcome, str] = {
    Outcome.COMPLETED: "rank 0 wrote a whole result and every rank reached the end",
    Outcome.OOM: "a rank ran out of device or host memory",
    Outcome.OOM_INFERRED: "not run: a smaller batch of the same combination ran out of memory",
    Outcome.DIVERGED: "the loss was not finite",
    Outcome.TIMEOUT: "stopped at the run's time limit",
    Outcome.HUNG: "no rank made progress for the hang limit",
    Outcome.LAUNCH_FAILED: "no rank reached the first step",
    Outcome.CRASHED: "a rank ended before the training did",
    Outcome.INTERRUPTED: "stopped by the user or with the runner; it runs again when the sweep is continued",
    Outcome.INVALID: "the combination cannot exist, or its meaning is broken",
}


class Caution(StrEnum):
    """What a reader of a number must know; each says what to do about it."""

    OVERSUBSCRIBED = "oversubscribed"
    FEW_REPEATS = "few-repeats"
    FEW_BLOCKS = "few-blocks"
    CPU_MEMORY = "cpu-memory"
    BF16_LOSS = "bf16-loss"
    ALLOCATOR_RETRIES = "allocator-retries"
    SHARED_DATA = "shared-data"
    REPEATED_DATA = "repeated-data"
    INERT_STREAMS = "inert-streams"
    IGNORED_STREAMS = "ignored-streams"
    CROSSING_SHARDS = "crossing-shards"
    DETERMINISTIC = "deterministic"
    DEBUG_LEVEL = "debug-level"
    DIRTY_COMMIT = "dirty-commit"
    WANDB_FAILED = "wandb-failed"
    NOT_COMPARABLE = "not-comparable"
    NO_REFERENCE = "no-reference"
    DAMAGED_RESULT = "damaged-result"

    @property
    def meaning(self) -> str:
        """What it is."""
        return _CAUTIONS[self][0]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _CAUTIONS[self][1]


_CAUTIONS: dict[Caution, tuple[str, str]] = {
    Caution.OVERSUBSCRIBED: (
        "more threads ran than cores were there, so the times measure starvation",
        "run on a machine with a core for every thread, or read the table as a functional demonstration",
    ),
    Caution.FEW_REPEATS: (
        "fewer than 3 repeats give no interval",
        "set `repeats: 3` or more",
    ),
    Caution.FEW_BLOCKS: (
        "the window holds fewer than 3 blocks, so the spread inside a run is not known",
        "raise `training.steps`",
    ),
    Caution.CPU_MEMORY: (
        "the resident set of a CPU rank does not show sharding on small models",
        "do not rank strategies by it; compare the counted bytes of state",
    ),
    Caution.BF16_LOSS: (
        "in pure bf16 late updates and averaged differences fall below one unit in the last place",
        "use `precision: bf16-mixed` or `fp32` for a verdict on loss",
    ),
    Caution.ALLOCATOR_RETRIES: (
        "the CUDA allocator had to free its cache and try again, which costs time",
        "lower the batch size before trusting the throughput",
    ),
    Caution.SHARED_DATA: (
        "federated groups read the same samples, so tokens/s counts tokens more than once",
        "set `training.federated_data: partition`, or read the distinct tokens",
    ),
    Caution.REPEATED_DATA: (
        "the data set was shorter than the training, so samples were seen more than once",
        "prepare a larger data set, or lower `training.steps`",
    ),
    Caution.INERT_STREAMS: (
        "concurrent communicators are not expected to matter on a CPU",
        "compare `cuda_streams` on GPUs only",
    ),
    Caution.IGNORED_STREAMS: (
        "the installed xFFL averages over one communicator, whatever cuda_streams says",
        "read these rows as repetitions of the one with one stream, or use the native engine",
    ),
    Caution.CROSSING_SHARDS: (
        "a shard group has ranks on several nodes, so the shards of every layer go over the network",
        "choose a shard size that divides the ranks of a node, or read the row as a measure of the network too",
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
        "commit, then run the sweep again, so that the figures can be repeated",
    ),
    Caution.WANDB_FAILED: (
        "the run was not handed to Weights & Biases wholly; its figures here are whole",
        "see the log of rank 0; what it left under `wandb` can be uploaded with `wandb sync --include-online`",
    ),
    Caution.NOT_COMPARABLE: (
        "rows differ in an attribute that must agree",
        "compare them only after running them alike; the attribute is named",
    ),
    Caution.NO_REFERENCE: (
        "the reference has no figures (yet), so speed-up and efficiency are unknown",
        "run it (`run`; with `--retry-failed` where it failed), or declare another one",
    ),
    Caution.DAMAGED_RESULT: (
        "a result file could not be read and was left out",
        "delete the named run's folder and run the sweep again",
    ),
}
