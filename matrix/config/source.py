"""Read the facts about a data set that planning needs, without loading it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from bench.contract.storage.files import SOURCE_FILE
from matrix.config.saved_data import count_rows
from matrix.errors import InputError


class Source(BaseModel):
    """`source.json` in the folder of a data set, as written by `xffl-bench data`; other keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    vocab_size: PositiveInt
    sequence_length: PositiveInt
    splits: dict[str, NonNegativeInt] | None = None


def read_source(folder: Path) -> Source | None:
    """Return what is known about a data set; None without a source file, as for data from elsewhere.

    Raises:
        InputError: the source file exists but is unreadable or incomplete.

    """
    path = folder / SOURCE_FILE
    try:
        return Source.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, ValidationError) as error:
        raise InputError(
            f"{path}: should give vocab_size and sequence_length as numbers: create the data again with "
            "`xffl-bench data synthetic` or `xffl-bench data prepare`"
        ) from error


def train_samples(folder: Path) -> int | None:
    """Return the number of samples in the train split, counted in its Arrow files; None without a data set.

    Raises:
        InputError: the data set exists but is incomplete.

    """
    split = folder / "train"
    return count_rows(split) if split.is_dir() else None
