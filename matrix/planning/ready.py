"""Check that what runs need beside their plan exists: the data set, and checkpoints to start from."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.contract.resume import CheckpointError, read_checkpoint
from bench.contract.run import Run
from matrix.config import synthetic
from matrix.config.saved_data import SPLITS, DataNeeds, check_count, check_description, check_rows, similar
from matrix.config.source import read_source
from matrix.errors import InputError
from matrix.planning.plan import PlannedSweep
from matrix.planning.prepare import PreparedSweep

_DEFAULTS = {
    "--vocab-size": synthetic.VOCAB_SIZE,
    "--sequence-length": synthetic.SEQUENCE_LENGTH,
    "--train-samples": synthetic.TRAIN_SAMPLES,
    "--val-samples": synthetic.VAL_SAMPLES,
}

_MOST_TOKENS = 2**23
"""Tokens of a train split that are made within seconds; of more only as many samples as are read."""

_FEWEST_SAMPLES = 512


def lacking(prepared: PreparedSweep) -> Iterator[str]:
    """Yield what a sweep lacks before it can run, a sentence each."""
    checks: tuple[Callable[[], object], ...] = (lambda: check_ready(prepared.planned), lambda: prepared.image)
    for check in checks:
        try:
            check()
        except InputError as error:
            yield str(error)


def check_ready(planned: PlannedSweep) -> None:
    """Check what a plan can say: as `check_data` and `check_samples`, without reading data that `xffl-bench` made.

    Planning holds the models against the vocabulary and the length that the source of such data gives.

    Raises:
        InputError: data or a checkpoint is missing, or the data cannot be trained on.

    """
    check_data(planned)
    folder, runs = _data(planned)
    needs, source = _needs(runs), read_source(folder)
    if source is None or source.splits is None:
        check_rows(folder, needs)
        return
    for split in SPLITS:
        check_count(folder, split, source.splits.get(split, 0), needs)


def check_data(planned: PlannedSweep) -> None:
    """Check that the data and the checkpoints to resume from exist, which running needs and planning does not.

    Raises:
        InputError: data or a checkpoint is missing.

    """
    for checkpoint in {run.training.start_from for run in planned.runs.values()} - {None}:
        try:
            read_checkpoint(Path(str(checkpoint)))
        except CheckpointError as error:
            raise InputError(f"training.start_from: {error}") from error
    folder, runs = _data(planned)
    if not folder.exists():
        raise InputError(
            f"data.path: the folder {folder} does not exist{similar(folder)}: create it with "
            f"`{_command(folder, runs)}`, or from text of your own with `xffl-bench data prepare`"
        )
    check_description(folder)


def check_samples(planned: PlannedSweep) -> None:
    """Check the rows of the data that exists.

    Raises:
        InputError: the data cannot be trained on.

    """
    folder, runs = _data(planned)
    check_rows(folder, _needs(runs))


def _data(planned: PlannedSweep) -> tuple[Path, list[Run]]:
    """Return the folder of the data set, which all runs of a sweep share, and the runs."""
    runs = list(planned.runs.values())
    return Path(runs[0].data), runs


def _needs(runs: list[Run]) -> DataNeeds:
    return DataNeeds(
        length=max(run.training.sequence_length for run in runs),
        vocabulary=min(run.shape.vocab_size for run in runs),
        validation=max(run.training.val_samples for run in runs),
    )


def _command(folder: Path, runs: list[Run]) -> str:
    """Return the command that makes data which all runs can be trained on, with the options that this takes."""
    needs = _needs(runs)
    wanted = {"--vocab-size": needs.vocabulary}
    wanted["--sequence-length"] = max(needs.length, _DEFAULTS["--sequence-length"])
    if wanted["--sequence-length"] * _DEFAULTS["--train-samples"] > _MOST_TOKENS:
        read = max(run.training.steps * run.training.accumulation * run.batch_size * run.readers for run in runs)
        wanted["--train-samples"] = min(max(read, _FEWEST_SAMPLES), _DEFAULTS["--train-samples"])
    wanted["--val-samples"] = max(needs.validation, _DEFAULTS["--val-samples"])
    options = [f"{option} {value}" for option, value in wanted.items() if value != _DEFAULTS[option]]
    return " ".join(["xffl-bench data synthetic", shlex.quote(str(folder)), *options])
