"""Cache of image digests, valid while a file's size and modification time stay the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from bench.contract.storage.atomic import write_whole
from matrix.host.caches import cache
from matrix.image.build import image_digest


def cached_digest(image: Path) -> str:
    """Return the SHA-256 of an image, from the cache if the file is unchanged.

    Raises:
        OSError: the image cannot be read.

    """
    path, found = image.resolve(), image.stat()
    state = {"path": str(path), "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    kept = cache("images") / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(kept.read_text(encoding="utf-8"))
        if {**known, **state} == known:
            return str(known["sha256"])
    made = image_digest(path)
    with contextlib.suppress(OSError):  # without a writable home the next call computes it again
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps(state | {"sha256": made}), durable=False)
    return made
