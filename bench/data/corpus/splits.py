"""Which split a document belongs to: a function of its text, so that no worker, piece or repetition changes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

TRAIN, VAL = "train", "val"
NAMES = (TRAIN, VAL)


@dataclass(frozen=True)
class Division:
    """A share of all documents goes to validation. Copies of a document always go to the same split."""

    val_fraction: float
    seed: int

    def split(self, text: bytes) -> str:
        """A keyed hash of the text as a number in [0, 1) is held against the share."""
        digest = hashlib.blake2b(text, digest_size=8, key=str(self.seed).encode()).digest()
        return VAL if int.from_bytes(digest, "big") / 2**64 < self.val_fraction else TRAIN
