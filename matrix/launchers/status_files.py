"""Read exit statuses that processes on other hosts wrote to files in the attempt's folder."""

from __future__ import annotations

import re

from bench.contract.storage.files import AttemptFolder

OF_RANK, OF_NODE = re.compile(r"rank(\d{5,})\.status"), re.compile(r"node(\d{4,})\.status")


def kept(attempt: AttemptFolder, name: re.Pattern[str], known: dict[int, int]) -> dict[int, int]:
    """Return new exit statuses of ranks or nodes, by number."""
    return {
        int(match[1]): int(file.read_text(encoding="ascii"))
        for file in attempt.ends.iterdir()
        if (match := name.fullmatch(file.name)) and int(match[1]) not in known
    }
