"""Weights & Biases: upload of a finished run's steps, figures and configuration from the files that rank 0 wrote.

    python -m bench.saving.wandb FOLDER --seconds 120 < RUN.json

uploads the attempt in FOLDER. Rank 0 starts it as a separate process after the last collective, when every figure is on
disk: no step waits for it, wandb is never imported into a rank, and it can be killed when it takes too long. All its
files go into FOLDER/wandb.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.contract.measured import Measured
from bench.contract.outcomes import Caution
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, write_document
from bench.host.process import end_with, print_stack_on_request
from bench.host.software.provenance import allowed_environment
from bench.measure.window import mean_loss

if TYPE_CHECKING:
    import wandb

    from bench.measure.progress import Progress

logger = logging.getLogger(__name__)

LONGEST = 120.0  # seconds; below the 300 s that the agents of other nodes wait for rank 0's agent (torch)
LOOK_EVERY = 0.05  # seconds between polls of the process

Mode = Literal["disabled", "offline", "online"]

WHO_AND_WHERE = frozenset(
    {
        "WANDB_API_KEY",
        "WANDB_BASE_URL",
        "WANDB_CONFIG_DIR",
        "WANDB_CREDENTIALS_FILE",
        "WANDB_IDENTITY_TOKEN_FILE",
        "WANDB_INSECURE_DISABLE_SSL",
    }
)
"""wandb's variables that are passed to it. Others, such as WANDB_MODE, could contradict the matrix file."""

MISSING = "the package wandb is not installed: install xffl-bench[wandb]"


def hand_over(run: Run, folder: AttemptFolder, progress: Progress, longest: float = LONGEST) -> None:
    """Upload a run within `longest` seconds.

    A failure is logged and recorded as the caution `wandb-failed`; it never fails the run.

    Raises:
        OSError: the caution could not be written.

    """
    if run.wandb.mode == "disabled":
        return
    progress.enter("tracking")
    failure = _run_apart(run, folder, progress, longest)
    if failure is None:
        return
    logger.error("the upload to Weights & Biases is incomplete: %s", failure)
    measured = Measured.model_validate_json(folder.measured.read_text(encoding="utf-8"))
    cautions = [*measured.cautions, Caution.WANDB_FAILED]
    write_document(folder.measured, measured.model_copy(update={"cautions": cautions}))


def _run_apart(run: Run, folder: AttemptFolder, progress: Progress, longest: float) -> str | None:
    """Upload in a separate process; return what failed, None if nothing did."""
    command = [sys.executable, "-P", "-m", "bench.saving.wandb", str(folder.path.absolute())]
    command += ["--seconds", str(longest), "--parent", str(os.getpid())]
    deadline = time.monotonic() + longest
    with tempfile.TemporaryFile("w+", encoding="utf-8") as asked:
        asked.write(run.model_dump_json())
        asked.seek(0)
        try:
            process = subprocess.Popen(command, stdin=asked, env=_environment(folder))
        except OSError as error:
            return f"cannot start its process: {error}"
    while process.poll() is None:
        progress.alive()
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            return f"it took longer than {longest:g} s"
        time.sleep(LOOK_EVERY)
    return None if process.returncode == 0 else f"its process ended with status {process.returncode}"


def _environment(folder: AttemptFolder) -> dict[str, str]:
    """Return the rank's environment with folders of the attempt, without variables that could contradict the matrix."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_") or name in WHO_AND_WHERE}
    cache = str(folder.wandb.absolute() / "cache")
    own = {"WANDB_CACHE_DIR": cache, "WANDB_DATA_DIR": cache, "WANDB_ERROR_REPORTING": "false"}
    return {**kept, **own, "PYTHONSAFEPATH": "1"}  # for wandb's subprocesses too: the working directory holds no code


def track(run: Run, folder: AttemptFolder, seconds: float) -> None:
    """Create the run at Weights & Biases, or on disk only (mode offline).

    A run that cannot be created online is written to disk, from where `wandb sync` uploads it. W&B's own step is the
    optimizer step.

    Raises:
        ModuleNotFoundError: wandb is not installed.
        wandb.Error: the run could not be created in the requested mode.
        TimeoutError: the upload did not finish within `seconds` / 3.

    """
    import wandb  # noqa: PLC0415 - optional

    measured = Measured.model_validate_json(folder.measured.read_text(encoding="utf-8"))
    table = pq.read_table(folder.steps)
    identity = secrets.token_hex(4)  # not the run's id: other sweeps of the project may use the same
    failure: wandb.Error | None = None
    try:
        tracked = _begin(run, measured, folder, identity, run.wandb.mode, seconds)
    except wandb.Error as error:
        if run.wandb.mode == "offline":
            raise
        failure = error
        wandb.teardown()  # its service otherwise reserves the id for the failed attempt
        tracked = _begin(run, measured, folder, identity, "offline", seconds)
    with tracked:
        validated = {each.step - 1: {"validation/loss": each.loss} for each in measured.validations}
        for step, metrics in enumerate(step_metrics(table)):
            tracked.log(metrics | validated.get(step, {}), step=step)
        tracked.summary.update(summary(run, measured))
    if failure is not None:
        raise failure


def _begin(run: Run, measured: Measured, folder: AttemptFolder, identity: str, mode: Mode, seconds: float) -> wandb.Run:
    import wandb  # noqa: PLC0415 - optional

    asked = run.wandb
    return wandb.init(
        mode=mode,
        id=identity,
        dir=folder.path,
        entity=asked.entity,
        project=asked.project,
        group=asked.group or run.sweep,
        name=asked.name or run.id[-128:],  # the longest that W&B takes; the end tells runs apart
        notes=asked.notes,
        tags=asked.tags,
        config=configuration(run, measured),
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


def configuration(run: Run, measured: Measured) -> dict[str, Any]:
    """Return the run's settings and provenance, with the allowed environment variables only."""
    asked = run.model_dump(mode="json", exclude={"wandb": True, "system": {"environment"}})
    asked["system"]["environment"] = allowed_environment(run.system.environment)
    return {**asked, "provenance": measured.provenance.model_dump(mode="json")}


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


def main() -> int:
    """Run the command line of this module; return an exit status."""
    parser = argparse.ArgumentParser(
        description="Upload an attempt to Weights & Biases; the run is read from standard input."
    )
    parser.add_argument("folder", type=Path, help="the attempt's folder")
    parser.add_argument("--seconds", type=float, default=LONGEST, help="time limit in seconds")
    parser.add_argument("--parent", type=int, help="pid of the parent; exit when it dies")
    arguments = parser.parse_args()
    print_stack_on_request()
    if arguments.parent is not None:
        end_with(arguments.parent)
    run = Run.model_validate_json(sys.stdin.read())
    folder = AttemptFolder(arguments.folder.absolute())
    os.chdir(folder.path)  # wandb's settings files in the user's current folder must not apply
    try:
        track(run, folder, arguments.seconds)
    except ModuleNotFoundError as error:
        if error.name != "wandb":
            raise
        print(MISSING, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
