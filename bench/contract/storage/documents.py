"""Reading documents. The version is checked first: a newer document may have unknown keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

Doc = TypeVar("Doc", bound=BaseModel)

FIRST = 1
"""Version of documents without a version."""

_VERSIONS = re.compile(rb'"version"\s*:\s*(\d+)')


class NewerVersionError(Exception):
    """A document has a newer version than this xffl-bench reads; the message names the file and the remedy."""


def read_document(file: Path, kind: type[Doc]) -> Doc:
    """Return the document in a file.

    Raises:
        NewerVersionError: it was written by a newer xffl-bench.
        OSError: the file cannot be read.
        ValueError: the content is not a document of this kind (pydantic's ValidationError).

    """
    text = file.read_bytes()
    _check(text, file, kind)
    return kind.model_validate_json(text)


def check_version(file: Path, kind: type[BaseModel]) -> None:
    """Raise NewerVersionError if a newer xffl-bench wrote the file; a missing or damaged file passes.

    Raises:
        OSError: the file cannot be read.

    """
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return
    _check(text, file, kind)


def _check(text: bytes, file: Path, kind: type[BaseModel]) -> None:
    field = kind.model_fields.get("version")
    known = field.default if field is not None else FIRST
    # Few documents are newer, and parsing each twice takes as long as all else that is done with it.
    if all(int(number) <= known for number in _VERSIONS.findall(text)):
        return
    try:
        content = json.loads(text)
    except ValueError:  # not JSON or not text: the caller handles damage
        return
    found = content.get("version") if isinstance(content, dict) else None
    if isinstance(found, int) and found > known:
        raise NewerVersionError(
            f"{file}: written by a newer xffl-bench (version {found}, this one reads {known}): use that xffl-bench"
        )
