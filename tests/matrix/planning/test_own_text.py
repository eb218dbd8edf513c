"""From text files to a sweep, as the guide says it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.config.load import load_both
from matrix.planning.plan import make_plan
from matrix.planning.ready import check_ready

ROOT = Path(__file__).parents[3]
SECTION = (
    (ROOT / "docs/guides/data.md").read_text().partition("## From text files to a sweep\n")[2].partition("\n## ")[0]
)


def block(language: str, holding: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
    (found,) = (text for text in blocks if holding in text)
    return str(found)


def call(folder: Path, commands: str) -> str:
    """Call the commands of a block, with the paths of the page relative to a folder; returns what they print."""
    printed = ""
    for line in commands.splitlines():
        words = [sys.executable, "-P", "-m", "matrix", *shlex.split(line)[1:]]
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        printed += done.stdout
    return printed


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A folder with the page's data set and matrix file, from 20 kB of text."""
    (tmp_path / "texts").mkdir()
    pages = "\n\n".join(page.read_text() for page in sorted((ROOT / "docs" / "concepts").glob("*.md")))
    (tmp_path / "texts" / "concepts.txt").write_text(pages[:20_000])
    call(tmp_path, block("sh", "data prepare"))
    (tmp_path / "mine.yaml").write_text(block("yaml", "name: mine"))
    return tmp_path


def test_the_page_goes_from_text_to_a_sweep(prepared: Path) -> None:
    sweep, system = load_both(prepared / "mine.yaml", None, [])
    planned = make_plan(sweep, system)
    assert len(planned.runs) == 4
    check_ready(planned)


@pytest.mark.soak
def test_the_page_goes_from_text_to_a_sweep_of_runs(prepared: Path) -> None:
    assert "4 runs: 4 completed" in call(prepared, block("sh", "run mine.yaml"))
