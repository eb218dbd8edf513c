"""What another Python environment is asked, and what is said where it cannot answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from matrix.errors import InputError
from matrix.xffl.interpreter import installation
from tests.support.interpreters import executable


def test_an_environment_without_xffl_bench_is_told_from_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an exit status, whatever words the failure has."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    bare = Path(sys.base_prefix) / "bin" / "python3"
    with pytest.raises(InputError, match="xffl-bench is not installed in this environment: ranks need it"):
        installation(bare)
    words = "ModuleNotFoundError: No module named 'bench_of_another'"
    broken = executable(tmp_path / "python", f'#!/bin/sh\necho "{words}" >&2\nexit 1\n')
    with pytest.raises(InputError, match=f"bench.host.software.installation failed: {words}"):
        installation(broken)
