"""Assignment of documents to splits: a function of the text, independent of workers, pieces and order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

TRAIN, VAL = "train", "val"
NAMES = (TRAIN, VAL)


@dataclass(frozen=True)
class Division:
    """Division that puts a fraction of the documents into validation; copies of a document share a split."""

    val_fraction: float
    seed: int

    def split(self, text: bytes) -> str:
        """Return a text's split: a keyed hash in [0, 1) is compared with the validation fraction."""
        digest = hashlib.blake2b(text, digest_size=8, key=str(self.seed).encode()).digest()
        return VAL if int.from_bytes(digest, "big") / 2**64 < self.val_fraction else TRAIN
