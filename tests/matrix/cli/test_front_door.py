"""Help, version, completion, and sweeps by name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contract.storage.files import write_document
from bench.host.software.provenance import host
from matrix.cli.app import app
from matrix.cli.arguments import find_sweep
from matrix.errors import InputError
from matrix.store.claim import claim
from tests.support.heavy_imports import IMPORTS
from tests.support.planning import PlanText
from tests.support.sweeps import PATIENCE

ROOT = Path(__file__).parents[3]
COMMANDS = (["plan"], ["run"], ["cancel"], ["status"], ["report"], ["export"], ["compare"], ["history"],
            ["nightly"], ["check"], ["schema"], ["data"], ["image"],
            ["data", "synthetic"], ["data", "prepare"], ["image", "build"], ["image", "inspect"], ["image", "verify"],
            [])  # fmt: skip


def called(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints that ends well."""
    with pytest.raises(SystemExit) as ended:
        app([*words], prog_name="xffl-bench")
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_short_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = called(capsys, *words, "-h")
    assert said.startswith(" ".join(["Usage: xffl-bench", *words]))
    assert said == called(capsys, *words, "--help")


def test_commands_are_told_in_whole_sentences_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = called(capsys, "-h").partition("Commands:")[2]
    assert "..." not in listed
    assert all(line.endswith(".") for line in listed.strip().splitlines())


def test_the_version_names_the_commit_of_a_checkout_only(tmp_path: Path) -> None:
    def version(of: Path) -> str:
        command = [sys.executable, "-P", "-m", "matrix", "--version"]
        variables = {**os.environ, "PYTHONPATH": str(of)}
        variables.pop("XFFL_BENCH_COMMIT", None)
        return subprocess.run(
            command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE
        ).stdout

    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f", commit {head.strip()}" in version(ROOT)
    for package in ("bench", "matrix", "reports"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    assert "commit" not in version(tmp_path), "as from a wheel"


def completed(cwd: Path, *words: str) -> list[str]:
    """What bash is given to complete the last word; fails if anything heavy was imported for it, or git called."""
    watch = "import sys\ndef refuse(event, arguments):\n    assert event != 'subprocess.Popen', arguments\n"
    watch += "sys.addaudithook(refuse)\n"
    variables = {**os.environ, "_XFFL_BENCH_COMPLETE": "complete_bash", "PYTHONPATH": str(ROOT)}
    variables |= {"COMP_WORDS": " ".join(["xffl-bench", *words]), "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", watch + IMPORTS.format(arguments=["xffl-bench"])],
        env=variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == "heavy: []\n"
    return done.stdout.split()


def test_words_are_completed(tmp_path: Path, plan: PlanText, small: str) -> None:
    assert completed(tmp_path, "st") == ["status"]
    assert completed(tmp_path, "plan", "--sys") == ["--system"]
    for name in ("demo", "night", "nightly"):
        (tmp_path / "results" / name).mkdir(parents=True)
        write_document(tmp_path / "results" / name / "plan.json", plan(small).plan)
    assert completed(tmp_path, "status", "ni") == ["night", "nightly"]


def test_a_name_is_enough_for_a_sweep(
    tmp_path: Path, plan: PlanText, small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^small: neither the name nor .* \(results/ has none\)$"):
        find_sweep(Path("small"))
    (tmp_path / "results" / "small").mkdir(parents=True)
    write_document(tmp_path / "results" / "small" / "plan.json", plan(small).plan)
    assert find_sweep(Path("small")) == find_sweep(Path("results/small")) == Path("results/small")
    assert find_sweep(tmp_path / "results" / "small") == tmp_path / "results" / "small"
    with pytest.raises(InputError, match=r"^smal: neither .* \(did you mean 'small'\?\)$"):
        find_sweep(Path("smal"))
    assert "sweep small: 4 runs" in called(capsys, "status", "small")
    assert called(capsys, "cancel", "small") == "this sweep has no active jobs\n"


def test_cancel_says_which_process_runs_a_sweep_without_jobs(
    tmp_path: Path, plan: PlanText, small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_document(tmp_path / "plan.json", plan(small).plan)
    with claim(tmp_path / "runners", waiting=lambda _: None), pytest.raises(SystemExit) as ended:
        app(["cancel", str(tmp_path)], prog_name="xffl-bench")
    assert ended.value.code == 1
    said = f"it is run by process {os.getpid()} on {host()}: press Ctrl-C there, or `kill {os.getpid()}`"
    assert capsys.readouterr().out.splitlines() == ["this sweep has no active jobs", said]


def test_a_system_that_is_not_there_is_the_same_sentence_everywhere(
    tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(small)
    (tmp_path / "named.yaml").write_text(small + "system: laptop\n")
    fault = "system: 'laptop' is neither the path of a .yaml file nor a built-in system (known: local)"
    for words in (
        ["check", "--system", "laptop"],
        ["plan", "sweep.yaml", "--system", "laptop"],
        ["plan", "named.yaml"],
    ):
        with pytest.raises(InputError) as refused:
            app(words, prog_name="xffl-bench")
        assert str(refused.value).endswith(fault)
