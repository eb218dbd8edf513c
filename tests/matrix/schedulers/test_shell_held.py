"""Which job of the shell scheduler a process is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.schedulers.shell.scheduler import ShellScheduler
from matrix.schedulers.shell.spool import ShellJob, SpooledJob, spool


@pytest.mark.parametrize("number", ["", ".", "../../elsewhere", "1/../1", "²", "1"])
def test_an_id_is_digits_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    """Whatever the variable has, nothing is read outside the spool, nor a job by another name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    job = ShellJob("a", "a.sh", "a.log", 60.0, 5.0, 1, 1, [], 0.0)
    SpooledJob.create(job).starts()
    read: list[Path] = []
    monkeypatch.setattr(Path, "read_text", lambda self, **more: read.append(self) or self.open(**more).read())
    held = ShellScheduler().held({"XFFL_SHELL_JOB": number})
    assert (held is not None) == (number == "1")
    assert {path.parent for path in read} == ({spool() / "1"} if number == "1" else set())
