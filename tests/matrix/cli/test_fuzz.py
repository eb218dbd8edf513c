"""Whatever is in a file, a command says what is wrong with it: no traceback, no hang, no gigabytes."""

from __future__ import annotations

import subprocess
import sys

import pytest

SHORT = {"matrix": 40, "system": 40, "config": 20, "results": 12}
SOAK = 2500


def fuzz(kind: str, first: int, count: int) -> None:
    command = [sys.executable, "-m", "tests.support.fuzz", kind, str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *wrong, memory = done.stdout.splitlines()
    assert not wrong, "\n".join(wrong)
    assert int(memory) < 1 << 30


@pytest.mark.parametrize("kind", SHORT)
def test_damaged_files_are_told_in_sentences(kind: str) -> None:
    fuzz(kind, 0, SHORT[kind])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", SHORT)
def test_ten_thousand_damaged_files(kind: str) -> None:
    fuzz(kind, 1000, SOAK)
