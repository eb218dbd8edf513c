"""Reading the documents of a part of a file. Every document belongs to exactly one part, wherever a file is divided."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from bench.data.corpus.errors import CorpusError
from bench.data.corpus.text.hub import HubFile
from bench.data.corpus.text.sources import Form, SourceFile

_ROWS = 256


@dataclass(frozen=True)
class Reading:
    """Settings of reading documents from files.

    In plain text a document is a whole file or, with `separator`, the text between lines that equal it.
    """

    text_field: str
    separator: str | None


@dataclass(frozen=True)
class Part:
    """Documents that begin in [start, end) of a file, in bytes, or in row groups of Parquet; end None: all of it."""

    file: SourceFile
    start: int
    end: int | None
    size: int
    """Bytes in the file, for the progress display."""


def parts_of(file: SourceFile, reading: Reading, limit: int) -> list[Part]:
    """Divide a file into parts of at most `limit` bytes, if it is divisible.

    Not divisible: files that are one document, compressed files, and files of the hub, which may not be local yet.

    Raises:
        CorpusError: a Parquet file cannot be read, or lacks the text field.

    """
    whole = file.form is Form.TEXT and reading.separator is None
    if whole or file.compression or isinstance(file.where, HubFile):
        return [Part(file, 0, None, file.size)]
    if file.form is Form.PARQUET:
        return _row_groups(file, limit)
    starts = range(0, file.size, limit)
    return [Part(file, start, min(start + limit, file.size), min(limit, file.size - start)) for start in starts]


def _row_groups(file: SourceFile, limit: int) -> list[Part]:
    parts: list[Part] = []
    with _parquet(file) as parquet:
        sizes = [
            sum(parquet.metadata.row_group(group).column(c).total_compressed_size for c in range(len(parquet.schema)))
            for group in range(parquet.metadata.num_row_groups)
        ]
    start, taken = 0, 0
    for group, size in enumerate(sizes):
        if taken and taken + size > limit:
            parts.append(Part(file, start, group, taken))
            start, taken = group, 0
        taken += size
    parts.append(Part(file, start, len(sizes), taken))
    return parts


def documents(part: Part, reading: Reading) -> Iterator[str]:
    """Yield the documents of a part in the order of the file, including empty ones.

    Raises:
        CorpusError: the content does not match the file's name, or lacks the text field; names file and line.

    """
    if part.file.form is Form.PARQUET:
        yield from _from_parquet(part, reading.text_field)
        return
    try:
        with _open(part.file) as stream:
            if part.file.form is Form.JSON_LINES:
                yield from _from_json_lines(part, stream, reading.text_field)
            elif reading.separator is None:
                yield _decoded(part.file, 0, stream.read())
            else:
                yield from _between_separators(part, stream, reading.separator)
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the system, not of the content
            raise
        raise CorpusError(f"{part.file.name}: cannot be decompressed: {error}") from error


def _open(file: SourceFile) -> BinaryIO:
    path = file.path()
    if file.compression == "gzip":
        return cast("BinaryIO", gzip.open(path))
    if file.compression == "zstd":
        return cast("BinaryIO", io.BufferedReader(pa.input_stream(str(path), compression="zstd")))
    return path.open("rb")


def _lines_from(stream: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield (position, line) for the lines that begin at `start` or later."""
    position = 0
    if start:
        stream.seek(start - 1)
        position = start - 1 + len(stream.readline())
    for line in stream:
        yield position, line
        position += len(line)


def _from_json_lines(part: Part, stream: BinaryIO, field: str) -> Iterator[str]:
    for position, line in _lines_from(stream, part.start):
        if part.end is not None and position >= part.end:
            return
        if not line.strip():
            continue
        try:
            row = json.loads(_decoded(part.file, position, line))
        except json.JSONDecodeError as error:
            raise CorpusError(
                f"{part.file.name}: line {_line_number(part.file, position)} is not JSON: {error.msg} "
                f"(column {error.colno}); every line should be one JSON object"
            ) from error
        if isinstance(row, dict) and field in row and row[field] is None:
            yield ""
            continue
        text = row.get(field) if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise CorpusError(
                f"{part.file.name}: line {_line_number(part.file, position)} {_lack(row, field)}: "
                "name the field with the text by --text-field"
            )
        yield without_lone_surrogates(text)


def without_lone_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON can escape but UTF-8 cannot encode, by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _lack(row: object, field: str) -> str:
    if not isinstance(row, dict):
        return f"is not a JSON object with a field {field!r}"
    if field in row:
        return f"has no text in field {field!r}, but {json.dumps(row[field])[:40]}"
    return f"has no field {field!r} (it has: {', '.join(map(str, row)) or 'none'})"


def _between_separators(part: Part, stream: BinaryIO, separator: str) -> Iterator[str]:
    """Yield documents between separators.

    A document belongs to the part in which the separator before it begins; the first one belongs to the first part.
    """
    lines: list[bytes] | None = [] if part.start == 0 else None
    begin, wanted = 0, separator.encode()
    for position, line in _lines_from(stream, part.start):
        if line.rstrip(b"\r\n") == wanted:
            if lines is not None:
                yield _decoded(part.file, begin, b"".join(lines))
            if part.end is not None and position >= part.end:
                return
            lines, begin = [], position + len(line)
        elif lines is not None:
            lines.append(line)
        elif part.end is not None and position >= part.end:
            return
    if lines is not None:
        yield _decoded(part.file, begin, b"".join(lines))


def _decoded(file: SourceFile, position: int, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_number(file, position + error.start)
        raise CorpusError(
            f"{file.name}: line {line} is not UTF-8: convert the file, for instance with iconv"
        ) from error


def _line_number(file: SourceFile, position: int) -> int:
    """Return the number of the line that contains a byte, from 1."""
    number = 1
    with _open(file) as stream:
        while position > 0 and (block := stream.read(min(position, 1 << 20))):
            number += block.count(b"\n")
            position -= len(block)
    return number


def _parquet(file: SourceFile) -> pq.ParquetFile:
    path: Path = file.path()
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise CorpusError(f"{file.name}: not a Parquet file: {error}") from error


def _from_parquet(part: Part, field: str) -> Iterator[str]:
    with _parquet(part.file) as parquet:
        names = parquet.schema_arrow.names
        if field not in names:
            raise CorpusError(
                f"{part.file.name}: has no column {field!r} (it has: {', '.join(names)}): "
                "name the column with the text by --text-field"
            )
        kind = parquet.schema_arrow.field(field).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise CorpusError(
                f"{part.file.name}: column {field!r} has type {kind}, not text: name another by --text-field"
            )
        groups = range(part.start, parquet.metadata.num_row_groups if part.end is None else part.end)
        for batch in parquet.iter_batches(_ROWS, row_groups=list(groups), columns=[field]):
            yield from (text or "" for text in batch.column(0).to_pylist())
