"""Resolving the sources of a command line to the files of a corpus, in a deterministic order."""

from __future__ import annotations

import glob
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.data.corpus.errors import CorpusError
from bench.data.corpus.text.hub import PREFIX, HubFile, hub_files


class Form(StrEnum):
    """Format of a file's documents."""

    TEXT = "text"
    JSON_LINES = "json lines"
    PARQUET = "parquet"


_FORMS = {
    "": Form.TEXT,
    ".txt": Form.TEXT,
    ".json": Form.JSON_LINES,
    ".jsonl": Form.JSON_LINES,
    ".ndjson": Form.JSON_LINES,
    ".parquet": Form.PARQUET,
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
READABLE = (
    ".txt or no suffix (text), .jsonl, .ndjson or .json (one JSON object per line), each optionally with .gz or .zst, "
    "and .parquet"
)


def form_of(name: str) -> tuple[Form, str | None] | None:
    """Return format and compression by a file's name; None if it cannot be read."""
    path = Path(name)
    compression = _COMPRESSIONS.get(path.suffix)
    form = _FORMS.get(Path(path.stem).suffix if compression else path.suffix)
    if form is None or (compression and form is Form.PARQUET):
        return None
    return form, compression


@dataclass(frozen=True)
class SourceFile:
    """A file of the corpus. Its name excludes the corpus's location, so that a copy elsewhere is identical."""

    name: str
    size: int
    form: Form
    compression: str | None
    where: Path | HubFile

    def path(self) -> Path:
        """Return the local path; downloads a file of the hub."""
        return self.where.local() if isinstance(self.where, HubFile) else self.where


def find(sources: list[str], online: bool) -> list[SourceFile]:
    """Return the files of `sources`: files, folders (all readable files below), globs, and `hub:` references.

    In the order of `sources`, each one's files sorted by name; duplicates are removed.

    Raises:
        CorpusError: a source does not exist, cannot be read, or is empty.

    """
    files: dict[object, SourceFile] = {}
    for source in sources:
        if source.startswith(PREFIX):
            for hub_file, size in hub_files(source, online, lambda path: form_of(path) is not None):
                name = f"{PREFIX}{hub_file.repository}@{hub_file.revision}:{hub_file.path}"
                files.setdefault(name, _file(name, size, hub_file))
            continue
        for name, path in _local(source):
            files.setdefault(path.resolve(), _file(name, path.stat().st_size, path))
    return list(files.values())


def _file(name: str, size: int, where: Path | HubFile) -> SourceFile:
    form = form_of(name)
    if form is None:
        raise CorpusError(f"{name}: unknown format; supported: {READABLE}")
    return SourceFile(name, size, form[0], form[1], where)


def _local(source: str) -> list[tuple[str, Path]]:
    given = Path(source)
    if given.is_dir():
        return _below(given)
    if given.exists():
        return [(given.name, given)]
    matches = [Path(match) for match in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207  an absolute pattern
    if not matches:
        raise CorpusError(f"{source}: no such file or folder, and no match as a pattern")
    return [file for path in matches for file in (_below(path) if path.is_dir() else [(path.name, path)])]


def _below(folder: Path) -> list[tuple[str, Path]]:
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and form_of(path.name) and not any(part.startswith(".") for part in name.parts):
            found.append((name.as_posix(), path))
    if not found:
        raise CorpusError(f"{folder}: the folder has no readable file; supported: {READABLE}")
    return sorted(found)


def facts_of(numbered: tuple[int, SourceFile]) -> tuple[int, dict[str, object]]:
    """Return a file's number, and its name, size and, unless a commit of the hub identifies it, SHA-256."""
    number, file = numbered
    facts: dict[str, object] = {"name": file.name, "size": file.size}
    if isinstance(file.where, Path):
        with file.where.open("rb") as stream:
            facts["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    return number, facts
