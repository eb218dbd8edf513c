"""Pieces of a corpus: what one worker does at once, and what is not done again after a stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.data.corpus.reading import Part, Reading, documents, parts_of
from bench.data.corpus.sources import SourceFile


@dataclass(frozen=True)
class Piece:
    """Consecutive parts of the corpus."""

    number: int
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes in the files."""
        return sum(part.size for part in self.parts)

    def documents(self, reading: Reading) -> Iterator[str]:
        """Documents in the order of the corpus."""
        for part in self.parts:
            yield from documents(part, reading)


def pieces_of(files: Iterable[SourceFile], reading: Reading, limit: int) -> list[Piece]:
    """Divide a corpus into pieces of about `limit` bytes; one that cannot be divided may be larger.

    Raises:
        CorpusError: a file cannot be divided because it is not what its name says.

    """
    groups: list[list[Part]] = []
    filled = limit
    for file in files:
        for part in parts_of(file, reading, limit):
            if filled + part.size > limit:
                groups.append([])
                filled = 0
            groups[-1].append(part)
            filled += part.size
    return [Piece(number, tuple(parts)) for number, parts in enumerate(groups)]
