"""The facts of a data set that planning needs, without opening it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from bench.contract import SOURCE_FILE
from matrix.errors import InputError


class Source(BaseModel):
    """`source.json` beside a data set, as `xffl-bench data synthetic` writes it; it has more keys than these."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    vocab_size: PositiveInt
    sequence_length: PositiveInt


def read_source(folder: Path) -> Source | None:
    """What is known of a data set; None where nothing is, as with data of other makers.

    Raises:
        InputError: the file is there but not whole.

    """
    path = folder / SOURCE_FILE
    try:
        return Source.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, ValidationError) as error:
        raise InputError(
            f"{path}: should give vocab_size and sequence_length as numbers: make the data again with "
            f"`xffl-bench data synthetic {folder}`"
        ) from error
