"""PYTHONPATH on its way to processes that are started from here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.host.software.code_state import ROOT
from matrix.host.search_path import search_path
from matrix.launchers.remote import module_call
from matrix.launchers.xffl_scripts import passed_on


@pytest.mark.parametrize(
    ("given", "passed"),
    [("/a::/b", "/a:/b"), (":/a:", "/a"), ("::", ""), ("", ""), ("/a", "/a"), ("a", f"{Path.cwd()}/a")],
)
def test_empty_entries_are_not_passed_on(monkeypatch: pytest.MonkeyPatch, given: str, passed: str) -> None:
    monkeypatch.setenv("PYTHONPATH", given)
    assert search_path() == passed
    assert passed_on(os.environ).get("PYTHONPATH", "") == passed
    assert ("PYTHONPATH=" in module_call(Path("python"), "module")) is bool(passed)
    assert not passed or f" PYTHONPATH={passed} " in module_call(Path("python"), "module")


def test_what_the_command_line_starts_does_not_inherit_them(tmp_path: Path) -> None:
    """From the environment of xffl-bench itself, where Python has already used them."""
    program = (
        "import os, subprocess, sys\nfrom matrix.cli.app import main\nsys.argv = ['xffl-bench', '--version']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "subprocess.run([sys.executable, '-P', '-c', 'import sys; print(sys.path)'], check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}::"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(ROOT) in done.stdout
    assert str(tmp_path) not in done.stdout
