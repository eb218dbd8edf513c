"""From the words of a command line to the files of a corpus, in an order that is always the same."""

from __future__ import annotations

import glob
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.data.corpus.errors import CorpusError
from bench.data.corpus.hub import PREFIX, HubFile, hub_files


class Form(StrEnum):
    """How documents lie in a file."""

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
    ".txt or no ending (text), .jsonl, .ndjson or .json (a JSON object per line), all of them also with .gz or .zst, "
    "and .parquet"
)


def form_of(name: str) -> tuple[Form, str | None] | None:
    """Form and compression by a file's name; None where it is none that can be read."""
    path = Path(name)
    compression = _COMPRESSIONS.get(path.suffix)
    form = _FORMS.get(Path(path.stem).suffix if compression else path.suffix)
    if form is None or (compression and form is Form.PARQUET):
        return None
    return form, compression


@dataclass(frozen=True)
class SourceFile:
    """A file of the corpus. Its name does not say where the corpus lies, so that a copy elsewhere is the same."""

    name: str
    size: int
    form: Form
    compression: str | None
    where: Path | HubFile

    def path(self) -> Path:
        """Where to read it; downloads a file of the hub."""
        return self.where.local() if isinstance(self.where, HubFile) else self.where


def find(sources: list[str], online: bool) -> list[SourceFile]:
    """The files that `sources` name: files, folders (all readable files below), globs, and `hub:` references.

    In the order of `sources`, each one's files sorted by name; a file that is named twice is taken once.

    Raises:
        CorpusError: a source does not exist, cannot be read, or holds nothing.

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
        raise CorpusError(f"{name}: cannot be read; what can: {READABLE}")
    return SourceFile(name, size, form[0], form[1], where)


def _local(source: str) -> list[tuple[str, Path]]:
    given = Path(source)
    if given.is_dir():
        return _below(given)
    if given.exists():
        return [(given.name, given)]
    matches = [Path(match) for match in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207  an absolute pattern
    if not matches:
        raise CorpusError(f"{source}: no such file or folder, and nothing that it matches")
    return [file for path in matches for file in (_below(path) if path.is_dir() else [(path.name, path)])]


def _below(folder: Path) -> list[tuple[str, Path]]:
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and form_of(path.name) and not any(part.startswith(".") for part in name.parts):
            found.append((name.as_posix(), path))
    if not found:
        raise CorpusError(f"{folder}: the folder has no file that can be read; what can: {READABLE}")
    return sorted(found)


def facts_of(numbered: tuple[int, SourceFile]) -> tuple[int, dict[str, object]]:
    """Name and size of a file and, where no commit of the hub says it, the SHA-256 of its content; and its number."""
    number, file = numbered
    facts: dict[str, object] = {"name": file.name, "size": file.size}
    if isinstance(file.where, Path):
        with file.where.open("rb") as stream:
            facts["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    return number, facts
