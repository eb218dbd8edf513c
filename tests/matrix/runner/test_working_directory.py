"""Nothing in the working directory is code, and nothing is left in the folder for temporary files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bench.contract.results.measured import Measured
from bench.contract.storage.files import AttemptFolder
from bench.host.software.code_state import ROOT, CodeState
from tests.support.agents import Agents
from tests.support.runs import make_run
from tests.support.sweeps import FOREVER, PATIENCE, SmallSweep, kill

HOSTILE = """\
import pathlib
with (pathlib.Path(__file__).resolve().parents[{above}] / "marker").open("a") as marker:
    print(__file__, file=marker)
raise ImportError("a file of the user's was taken for code")
"""


def hostile(folder: Path) -> Path:
    """Make a working directory whose files have the names of modules; returns it."""
    for name in ("bench/__init__.py", "datasets/__init__.py", "wandb/__init__.py", "random.py", "torch.py"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HOSTILE.format(above=name.count("/")), encoding="utf-8")
    return folder


@pytest.mark.parametrize("start", ["warm", pytest.param("exec", marks=pytest.mark.soak)])
def test_a_sweep_imports_nothing_from_where_it_is_called(tmp_path: Path, data: Path, start: str) -> None:
    """Also not W&B's process; and TMPDIR is as it was."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    place = hostile(tmp_path / "here")
    sweep = SmallSweep(tmp_path, data, start=start, variables={"TMPDIR": str(temporary)}, cwd=place)
    sweep.write(["fsdp"])
    matrix = yaml.safe_load(sweep.matrix.read_text(encoding="utf-8")) | {"wandb": {"mode": "offline"}}
    sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")
    said = sweep.run(timeout=300)
    assert not (place / "marker").exists(), said
    (result,) = sweep.found().values()
    assert result.measured is not None
    assert result.measured.cautions.count("wandb-failed") == 0
    assert list(sweep.folder.path.glob("runs/*/attempts/0/wandb/offline-run-*/*.wandb"))
    assert list(temporary.iterdir()) == []
    assert "-P -m bench.start agent" in sweep.run("--dry-run")


@pytest.mark.soak
@pytest.mark.parametrize("start", ["warm", "exec"])
def test_a_killed_run_leaves_nothing_in_the_folder_for_temporary_files(tmp_path: Path, data: Path, start: str) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    sweep = SmallSweep(tmp_path, data, start=start, variables={"TMPDIR": str(temporary)})
    sweep.write(["fsdp"], steps=FOREVER, warmup_steps=FOREVER - 4)
    runner = sweep.begin()
    sweep.training_run()
    assert list(temporary.iterdir()) == [], "while it runs"
    kill(sweep.agents()[0])
    runner.communicate(timeout=PATIENCE)
    (outcome,) = sweep.outcomes().values()
    assert outcome == "crashed"
    assert list(temporary.iterdir()) == []


@pytest.mark.soak
def test_a_result_names_the_commit_of_the_code_that_trained(tmp_path: Path, data: Path) -> None:
    """A copy of the packages, first in PYTHONPATH, that is told the commit of another folder."""
    copy = tmp_path / "copy"
    for package in ("bench", "matrix", "reports"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *who, *words], cwd=copy, capture_output=True, text=True, check=True).stdout

    (copy / ".gitignore").write_text("__pycache__\n")
    git("init")
    git("add", ".")
    git("commit", "--message", "copy")
    other = CodeState("0123456", "0123456789ab").text()
    run = make_run(data, (1, 1, 1), steps=4, warmup_steps=0, val_samples=4)
    for said, commit in (
        (other, git("rev-parse", "HEAD").strip()),
        (CodeState("abc", "").text(copy), "abc"),
    ):
        agents = Agents(run, tmp_path / commit)
        variables = {"PYTHONPATH": str(copy), "XFFL_BENCH_COMMIT": said}
        agent = agents.start("--node", "0", *agents.forking, cwd=tmp_path, **variables)
        printed, _ = agent.communicate(timeout=PATIENCE)
        assert agent.returncode == 0, printed
        found = Measured.model_validate_json(AttemptFolder(agents.folder).measured.read_bytes()).provenance
        assert (found.commit, found.dirty) == (commit, False)


@pytest.mark.soak
def test_the_module_and_what_it_starts_are_of_one_checkout(tmp_path: Path, data: Path) -> None:
    """`python -m matrix` in the folder of a checkout that is not the one that is installed."""
    copy = tmp_path / "copy"
    for package in ("bench", "matrix", "reports"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (copy / "bench" / "start.py").read_text(encoding="utf-8")
    text = text.replace('if __name__ == "__main__":', 'if __name__ == "__main__":\n    Path("started-here").touch()')
    (copy / "bench" / "start.py").write_text(text, encoding="utf-8")
    sweep = SmallSweep(tmp_path, data, cwd=copy)
    sweep.write(["fsdp"])
    sweep.run()
    assert (copy / "started-here").exists()
