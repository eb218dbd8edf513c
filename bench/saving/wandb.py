"""Weights & Biases: the process that uploads a run's steps, figures and configuration from the files of rank 0.

    python -m bench.saving.wandb FOLDER --seconds 120

uploads the attempt in FOLDER. Rank 0 starts it (bench.saving.tracking), leaves the run in FOLDER/wandb.run.json, and
writes the word `complete` to its standard input once all figures are on disk; until then it sends what the heartbeats
tell. All its files go into FOLDER/wandb.
"""

from __future__ import annotations

import argparse
import os
import queue
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.contract.results.measured import Measured
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.host.process import print_stack_on_request
from bench.host.software.provenance import allowed_environment
from bench.measure.window import mean_loss

if TYPE_CHECKING:
    import wandb


Mode = Literal["disabled", "offline", "online"]

Words = queue.SimpleQueue[str]
"""Lines of standard input; an empty one at its end."""

COMPLETE = "complete\n"
"""What the process reads once all figures are on disk. If the pipe ends without it, rank 0 has died."""

LOOK_EVERY = 1.0
"""Seconds between two looks at the heartbeat."""

MISSING = "the package wandb is not installed: install xffl-bench[wandb]"


def track(run: Run, folder: AttemptFolder, words: Words, seconds: float) -> bool:
    """Create the run at Weights & Biases, or on disk only (mode offline), and fill it once rank 0 says so.

    A run that cannot be created online is written to disk, from where `wandb sync` uploads it. W&B's own step is the
    optimizer step, but for a run that was followed: its steps are on the axis `train/step`. Of runs for each federated
    group the first is followed, since its rank 0 writes the heartbeats, and the others come when it is finished.

    Returns:
        False if rank 0 died before the run was complete.

    Raises:
        ModuleNotFoundError: wandb is not installed.
        wandb.Error: the run could not be created in the requested mode.
        TimeoutError: the upload did not finish within `seconds` / 3.

    """
    first, *others = range(run.layout.federation) if run.wandb.per_group else (None,)
    tracked, failure = _begin(run, folder, first, run.wandb.mode, seconds)
    folder.tracking_ready.touch()
    with tracked:
        sent = _follow(tracked, run, folder, words)
        if sent is None:
            tracked.finish(exit_code=1)
            return False
        if sent:
            tracked.define_metric("train/*", step_metric="train/step")
            tracked.define_metric("validation/*", step_metric="train/step")
        measured = Measured.model_validate_json(folder.measured.read_text(encoding="utf-8"))
        steps = pq.read_table(folder.steps)
        _fill(tracked, run, measured, steps, first, followed=sent > 0)
    for group in others:
        tracked, failed = _begin(run, folder, group, "offline" if failure else run.wandb.mode, seconds)
        failure = failure or failed
        with tracked:
            _fill(tracked, run, measured, steps, group, followed=False)
    if failure is not None:
        raise failure
    return True


def _fill(
    tracked: wandb.Run, run: Run, measured: Measured, steps: pa.Table, group: int | None, *, followed: bool
) -> None:
    """Send what was measured; of the steps those of one federated group, if any."""
    tracked.config["provenance"] = measured.provenance.model_dump(mode="json")
    validated = {each.step - 1: {"validation/loss": each.loss} for each in measured.validations}
    own = steps if group is None else steps.filter(pc.equal(steps["group"], group))
    for step, metrics in enumerate(step_metrics(own)):
        figures = metrics | validated.get(step, {})
        if followed:
            tracked.log(figures | {"train/step": step})
        else:
            tracked.log(figures, step=step)
    tracked.summary.update(summary(run, measured))


def _follow(tracked: wandb.Run, run: Run, folder: AttemptFolder, words: Words) -> int | None:
    """Send what the heartbeats tell until rank 0 has a word; return how many were sent, None if it died."""
    sent, last = 0, -1
    word: str | None = None
    while word is None:
        with suppress(queue.Empty):
            word = words.get(timeout=LOOK_EVERY)
        beat = folder.last_heartbeat()  # also after the word: the last step of a run that died
        if run.wandb.follows and beat is not None and beat.step > last:
            last = beat.step
            figures = {"live/loss": beat.loss, "live/tokens_per_s": beat.tokens_per_s}
            # Without `commit` a row would wait for that of the next step, which a run that hangs or dies never has.
            tracked.log({name: each for name, each in figures.items() if each is not None}, step=beat.step, commit=True)
            sent += 1
    return sent if word == COMPLETE else None


def _begin(
    run: Run, folder: AttemptFolder, group: int | None, mode: Mode, seconds: float
) -> tuple[wandb.Run, wandb.Error | None]:
    """Create a run of W&B, and on disk where that fails online; return it with why it failed.

    Raises:
        wandb.Error: it could not be created on disk.

    """
    import wandb  # noqa: PLC0415 - optional

    try:
        return _created(run, folder, group, mode, seconds), None
    except wandb.Error as error:
        if mode == "offline":
            raise
        wandb.teardown()  # its service otherwise reserves the id for the failed attempt
        return _created(run, folder, group, "offline", seconds), error


def _created(run: Run, folder: AttemptFolder, group: int | None, mode: Mode, seconds: float) -> wandb.Run:
    """Create a run of W&B with the settings of a run."""
    import wandb  # noqa: PLC0415 - optional

    asked = run.wandb
    of_group = "" if group is None else f", group {group}"
    longest = 128 - len(of_group)  # that W&B takes; the end tells runs apart
    return wandb.init(
        mode=mode,
        id=secrets.token_hex(4),  # not the run's id: other sweeps of the project may use the same
        dir=folder.path,
        entity=asked.entity,
        project=asked.project,
        group=asked.group or (run.sweep if group is None else run.id[-128:]),
        name=(asked.name or run.id)[-longest:] + of_group,
        notes=asked.notes,
        tags=asked.tags,
        config=configuration(run) | ({} if group is None else {"federated_group": group}),
        settings=wandb.Settings(
            console="off",
            silent=True,
            disable_code=True,
            disable_git=True,
            init_timeout=seconds / 3,
            finish_timeout=seconds / 3,
            finish_timeout_raises=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        ),
    )


def configuration(run: Run) -> dict[str, Any]:
    """Return the run's settings, with the allowed environment variables only."""
    asked = run.model_dump(mode="json", exclude={"wandb": True, "system": {"environment"}})
    asked["system"]["environment"] = allowed_environment(run.system.environment)
    return asked


def summary(run: Run, measured: Measured) -> dict[str, Any]:
    """Return the measured figures (`measured.json` without provenance) and those derived from them."""
    return {
        **measured.model_dump(exclude={"provenance", "cautions", "validations"}),
        "cautions": [str(caution) for caution in measured.cautions],
        "run": run.id,
        "tokens_per_s": measured.window.tokens_per_s,
        "perplexity": measured.loss.perplexity,
    }


def step_metrics(table: pa.Table) -> Iterator[dict[str, float]]:
    """Yield the metrics of each step from the step table, whose rows are sorted by step, then group.

    The loss is the token-weighted mean over groups; times are those of the slowest group.
    """
    groups = len(table["group"].unique())
    columns = {name: table[name].to_numpy().reshape(-1, groups) for name in table.column_names}
    trained = np.cumsum(columns["tokens"].sum(axis=1))
    for step, (losses, tokens) in enumerate(zip(columns["loss"], columns["tokens"], strict=True)):
        metrics = {
            "train/loss": mean_loss(losses, tokens),
            "train/learning_rate": float(columns["learning_rate"][step, 0]),
            "train/step_seconds": float(columns["seconds"][step].max()),
            "train/aggregation_seconds": float(columns["aggregation_s"][step].max()),
            "train/tokens": int(tokens.sum()),
            "train/trained_tokens": int(trained[step]),
        }
        of_groups = {f"train/loss_of_group/{group}": float(loss) for group, loss in enumerate(losses)}
        yield metrics | (of_groups if groups > 1 else {})


def _listen(words: Words) -> None:
    """Put the lines of standard input into a queue, which unlike a file can be looked at without waiting."""
    while line := sys.stdin.readline():
        words.put(line)
    words.put("")


def main() -> int:
    """Run the command line of this module; return an exit status."""
    parser = argparse.ArgumentParser(
        description="Upload an attempt to Weights & Biases, as rank 0 says on standard input."
    )
    parser.add_argument("folder", type=Path, help="the attempt's folder")
    parser.add_argument("--seconds", type=float, required=True, help="time limit in seconds")
    arguments = parser.parse_args()
    print_stack_on_request()
    folder = AttemptFolder(arguments.folder.absolute())
    run = Run.model_validate_json(folder.tracking_run.read_text(encoding="utf-8"))
    folder.tracking_run.unlink()  # the run's folder has it
    words = Words()
    threading.Thread(target=_listen, args=[words], daemon=True).start()
    os.chdir(folder.path)  # wandb's settings files in the user's current folder must not apply
    try:
        return 0 if track(run, folder, words, arguments.seconds) else 1
    except ModuleNotFoundError as error:
        if error.name != "wandb":
            raise
        print(MISSING, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
