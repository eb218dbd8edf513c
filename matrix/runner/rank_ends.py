"""Detect a failed rank while the others continue, which may wait for it forever."""

from __future__ import annotations

import time

from pydantic import ValidationError

from bench.contract.results.result import RankEnd
from bench.contract.storage.documents import NewerVersionError, read_document
from bench.contract.storage.files import AttemptFolder

LOOK_EVERY = 0.25  # seconds between two scans of the folder, which may be on a network file system


class FailedRanks:
    """Reads the end records of an attempt's ranks, each record once."""

    def __init__(self, attempt: AttemptFolder) -> None:
        self._attempt = attempt
        self._read: set[str] = set()
        self._looked = 0.0

    def any(self) -> bool:
        """Return True if a new record says that its rank failed."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return False
        self._looked = time.monotonic()
        return any(self._has_failed(file.name) for file in self._attempt.ends.glob("rank*.json"))

    def _has_failed(self, name: str) -> bool:
        """Return True if a record says that its rank failed; one that cannot be read says nothing.

        A record of a newer xffl-bench, in an image, is refused when the attempt is judged, after its ranks have ended.
        """
        if name in self._read:
            return False
        self._read.add(name)
        try:
            return not read_document(self._attempt.ends / name, RankEnd).completed
        except (ValidationError, NewerVersionError):
            return False
