from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.host.software.code_state import ROOT, UNKNOWN, CodeState, code_state, state_of


def test_commit_is_what_the_launcher_said_of_this_very_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for state in (CodeState("abc123", "0123456789ab"), CodeState("abc123", "")):
        monkeypatch.setenv("XFFL_BENCH_COMMIT", state.text())
        assert code_state() == state
    monkeypatch.setenv("XFFL_BENCH_COMMIT", f"abc123 dirty {ROOT}")  # as an image says it
    assert code_state() == CodeState("abc123", UNKNOWN)
    own = state_of(ROOT)
    for said in (state.text(tmp_path), "abc123 dirty", "abc123", ""):
        monkeypatch.setenv("XFFL_BENCH_COMMIT", said)
        assert code_state() == own, said


def test_a_users_own_file_in_the_checkout_is_no_change_of_the_harness(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "training.py").write_text("1\n")
    git("init")
    git("add", ".")
    git("commit", "--message", "one")
    head = git("rev-parse", "HEAD").strip()
    (tmp_path / "my-sweep.yaml").write_text("name: mine\n")
    assert state_of(tmp_path) == CodeState(head, "")
    seen = set()
    for name, content in (("new.py", "2\n"), ("new.py", "22\n"), ("other.py", "22\n"), ("training.py", "3\n")):
        (tmp_path / "bench" / name).write_text(content)
        state = state_of(tmp_path)
        assert state.commit == head
        assert state.dirty
        assert state == state_of(tmp_path), "the same changes, the same digest"
        seen.add(state.diff)
    assert len(seen) == 4, "every change has a digest of its own"
