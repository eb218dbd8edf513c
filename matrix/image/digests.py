"""Digests of images, which take long where these are large: kept for a file as it is, by size and time of change."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from bench.contract.files import write_whole
from matrix.host.caches import cache
from matrix.image.build import digest_of


def digest(image: Path) -> str:
    """SHA-256 of an image. Raises OSError: it cannot be read."""
    path, found = image.resolve(), image.stat()
    state = {"path": str(path), "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    kept = cache("images") / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(kept.read_text(encoding="utf-8"))
        if {**known, **state} == known:
            return str(known["sha256"])
    made = digest_of(path)
    with contextlib.suppress(OSError):  # a home that cannot be written to: the next call takes its time again
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps(state | {"sha256": made}), durable=False)
    return made
