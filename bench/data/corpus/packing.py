"""Packing the tokens of all pieces, as one stream per split, into samples of a fixed length.

Sample i consists of tokens [i L, i L + L + 1) of the stream, with L the sequence length: the last token of a sample is
the first of the next, so that every token except the stream's first is predicted exactly once. The remainder after the
last full sample is dropped: at most L - 1 tokens per split, whatever the number of pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.data.corpus.tokenise import TokenFolder
from bench.data.corpus.whole import written_whole

_BATCH_TOKENS = 1 << 20


def samples_in(tokens: int, sequence_length: int) -> int:
    """Return the number of full samples in a stream."""
    return max(0, (tokens - 1) // sequence_length)


def dropped_from(tokens: int, sequence_length: int) -> int:
    """Return the number of tokens after the last full sample."""
    samples = samples_in(tokens, sequence_length)
    return tokens - (samples * sequence_length + 1) if samples else tokens


@dataclass(frozen=True)
class TokenStream:
    """The tokens of a split, piece after piece; `begins` has the offset of each piece's first token, and the end."""

    folder: TokenFolder
    split: str
    begins: npt.NDArray[np.int64]

    @classmethod
    def of(cls, folder: TokenFolder, split: str, counts: list[int]) -> TokenStream:
        """Return the stream of pieces with these numbers of tokens."""
        return cls(folder, split, np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)]))

    def __len__(self) -> int:
        return int(self.begins[-1])

    def read(self, start: int, stop: int) -> npt.NDArray[np.int32]:
        """Return tokens [start, stop)."""
        first = int(np.searchsorted(self.begins, start, side="right")) - 1
        last = int(np.searchsorted(self.begins, stop, side="left"))
        return np.concatenate(
            [
                np.fromfile(
                    self.folder.tokens(piece, self.split),
                    dtype="<i4",
                    offset=4 * (low := max(start - int(self.begins[piece]), 0)),
                    count=min(stop, int(self.begins[piece + 1])) - int(self.begins[piece]) - low,
                )
                for piece in range(first, last)
            ]
        ).astype(np.int32, copy=False)


@dataclass(frozen=True)
class Shard:
    """Samples [start, stop) of a split, for one Arrow file."""

    stream: TokenStream
    path: Path
    start: int
    stop: int


@dataclass(frozen=True)
class Pack:
    """Writer of shards."""

    sequence_length: int
    schema: pa.Schema

    def __call__(self, shard: Shard) -> int:
        """Write the Arrow stream that `datasets` memory-maps; return the number of tokens."""
        length = self.sequence_length
        step = max(1, _BATCH_TOKENS // length)
        with written_whole(shard.path) as file, pa.ipc.new_stream(file, self.schema) as writer:
            for start in range(shard.start, shard.stop, step):
                stop = min(start + step, shard.stop)
                tokens = shard.stream.read(start * length, stop * length + 1)
                samples = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::length]
                column = pa.FixedSizeListArray.from_arrays(pa.array(samples.reshape(-1)), length + 1)
                writer.write_batch(pa.record_batch([column], schema=self.schema))
        return (shard.stop - shard.start) * length
