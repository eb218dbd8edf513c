"""The combinations that a comparison of two nights suspects."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from bench.contract.base import AxisValue
from bench.contract.storage.documents import NewerVersionError, read_document
from matrix.errors import InputError
from reports.nights.document import CompareDocument


def suspects_in(file: Path) -> list[dict[str, AxisValue]]:
    """Return the labels of the suspects in a file that `compare --json` printed.

    Raises:
        InputError: the file is not such a document, or has no suspects.

    """
    try:
        suspects = read_document(file, CompareDocument).suspects
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except NewerVersionError as error:
        raise InputError(str(error)) from error
    except ValidationError as error:
        raise InputError(f"{file}: should be the output of `xffl-bench compare OLD NEW --json`") from error
    if not suspects:
        raise InputError(f"{file}: has no suspects, so there is nothing to run again")
    return suspects
