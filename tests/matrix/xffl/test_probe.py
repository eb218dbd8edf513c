"""What xFFL does is found by letting it do it, is kept, and decides which runs mean something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from bench.contract.run import Library, Run
from bench.host.software.xffl_package import installed_commit, package_digest
from bench.probe import findings
from bench.probe.findings import Seen
from bench.probe.image_mode import ImageMode
from matrix.errors import InputError
from matrix.xffl.probe import probe, refusal
from tests.support.interpreters import FACTS, Interpreter, executable
from tests.support.planning import PlanText
from tests.support.standin.places import real_xffl
from tests.support.sweeps import PATIENCE

LIBRARY = Library(version="0.2.2", commit="2819740bd41ec693", digest="d" * 64, **FACTS)


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Interpreter:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Interpreter.make(tmp_path)


def test_a_library_is_probed_once_for_each_torch_and_device(interpreter: Interpreter, tmp_path: Path) -> None:
    first = probe(interpreter.path, None, "cpu")
    assert first.library.model_dump() == {"version": "0.2.2", "commit": None, "digest": "abc"} | FACTS
    assert first.evidence["averaging"] == "seen"
    assert probe(interpreter.path, None, "cpu") == first
    assert interpreter.probed == ["--device cpu"]
    assert probe(interpreter.path, None, "cuda").library == first.library
    interpreter.answers(torch="2.10.0")
    probe(interpreter.path, None, "cpu")
    assert interpreter.probed == ["--device cpu", "--device cuda", "--device cpu"]
    kept = sorted(path.name for path in (tmp_path / "cache" / "xffl-bench" / "probes").glob("*.json"))
    assert kept == ["abc-2.10.0-cpu.json", "abc-2.9.0-cpu.json", "abc-2.9.0-cuda.json"]


def test_another_program_or_a_damaged_file_is_probed_again(interpreter: Interpreter, tmp_path: Path) -> None:
    probe(interpreter.path, None, "cpu")
    beside = executable(tmp_path / "xffl", "")
    probe(interpreter.path, None, "cpu")
    probe(interpreter.path, beside, "cpu")
    assert interpreter.probed == ["--device cpu", f"--device cpu --command {beside}"]
    next((tmp_path / "cache").rglob("*.json")).write_text("{")
    probe(interpreter.path, beside, "cpu")
    probe(interpreter.path, beside, "cpu", anew=True)
    assert len(interpreter.probed) == 4


def test_an_environment_without_xffl_says_what_to_install(interpreter: Interpreter) -> None:
    interpreter.answers(xffl=False)
    with pytest.raises(InputError, match=r"has no package xffl: install it there .*docs/guides/xffl.md.*xffl.venv"):
        probe(interpreter.path, None, "cpu")
    with pytest.raises(InputError, match="none: cannot be started"):
        probe(interpreter.path.with_name("none"), None, "cpu")


def test_a_probe_that_fails_says_where_the_rest_stands(interpreter: Interpreter, tmp_path: Path) -> None:
    interpreter.answers(probe="ModuleNotFoundError: No module named 'streamflow'")
    with pytest.raises(InputError, match=r"failed: ModuleNotFoundError: .* \(full output: ") as raised:
        probe(interpreter.path, None, "cpu")
    log = next((tmp_path / "cache").rglob("*.log"))
    assert str(log) in str(raised.value)
    assert "what xFFL has printed" in log.read_text()
    assert not list((tmp_path / "cache").rglob("*.json")), "a failure is nothing to keep"


FEDERATED = "[{name: f, federated: {group: 2, every: 4}}]"


@pytest.fixture
def federated_run(plan: PlanText, small: str) -> Run:
    """Two groups, or more."""
    planned = plan(small.replace("[fsdp]", FEDERATED).replace("nodes: [1, 2]", "nodes: 1"))
    made: Run = next(iter(planned.runs.values()))
    assert made.layout.federation == 2
    return made.model_copy(update={"engine": "xffl", "library": LIBRARY})


def test_runs_whose_groups_are_not_averaged_are_refused(federated_run: Run, plan: PlanText, small: str) -> None:
    def with_averaging(averaging: str) -> str:
        return refusal(
            federated_run.model_copy(update={"library": LIBRARY.model_copy(update={"averaging": averaging})})
        )

    assert with_averaging("sum") == (
        "xFFL 0.2.2 (commit 2819740) sums the parameters of federated groups without dividing on this "
        "system (cpu), so the 2 groups would not train one model"
    )
    assert "does not change the parameters of federated groups" in with_averaging("nothing")
    assert with_averaging("mean") == with_averaging("unknown") == ""
    assert refusal(federated_run.model_copy(update={"engine": "native"})) == ""
    assert refusal(federated_run.model_copy(update={"library": None})) == ""
    alone = next(iter(plan(small).runs.values()))
    assert refusal(alone.model_copy(update={"engine": "xffl", "library": LIBRARY})) == ""


def seen(group: int, low: float, high: float | None = None, **more: list[int] | list[str]) -> Seen:
    return Seen(group, low, low if high is None else high, **more)


@pytest.mark.parametrize(
    ("held", "fact"),
    [
        ((1.5, 1.5), "mean"),
        ((3.0, 3.0), "sum"),
        ((1.0, 2.0), "nothing"),
        ((1.5, 2.0), "unknown"),
        ((2.0, 2.0), "unknown"),
    ],
)
def test_what_groups_hold_tells_how_they_were_averaged(held: tuple[float, float], fact: str) -> None:
    found, evidence = findings.averaging([seen(0, held[0]), seen(0, held[0]), seen(1, held[1]), seen(1, held[1])])
    assert found == fact
    assert f"began with 1 held {held[0]:g}, the group that began with 2 held {held[1]:g}" in evidence
    assert findings.averaging([seen(0, 1.5, 2.0), seen(1, 1.5)])[0] == "unknown", "only a part was averaged"


def test_unequal_groups_may_be_weighted_but_must_agree() -> None:
    def of(*held: float) -> str:
        ranks = [seen(0, value) for value in held[:4]] + [seen(1, value) for value in held[4:]]
        return findings.unequal_groups(ranks)[0]

    assert of(1.5, 1.5, 1.5, 1.5, 1.5, 1.5) == of(*[4 / 3] * 6) == "mean"
    assert of(1.5, 1.5, 1, 1, 1.5, 1.5) == of(3, 3, 3, 3, 3, 3) == "wrong"


def test_the_samples_of_groups_are_the_same_or_different_or_neither() -> None:
    def of(first: list[int], second: list[int]) -> str:
        return findings.group_data([seen(0, 1, samples=first), seen(1, 1, samples=second)])[0]

    assert of([0, 1, 2], [0, 1, 2]) == "same"
    assert of([0, 2], [1, 3]) == "different"
    assert of([0, 1], [1, 2]) == of([0], []) == "unknown"


def test_streams_count_as_used_where_more_groups_are_reduced_over() -> None:
    def of(one: list[str], four: list[str]) -> str:
        return findings.streams([seen(0, 1, communicators=one)], [seen(0, 1, communicators=four)])[0]

    assert of(["7"], ["7", "8", "9", "10"]) == "used"
    assert of(["7", "7"], ["8", "8"]) == "inert"
    assert of([], []) == "unknown"


RANKS = """
import json, os, pathlib, sys, time
from dataclasses import asdict
from bench.probe.forked import in_ranks

def well(rank, beat):
    return {"rank": os.environ["RANK"], "mine": os.environ["MINE"]}

def failing(rank, beat):
    if rank == 1:
        raise ValueError("a fault of xFFL")
    return {}

def waiting_for_the_other():
    time.sleep(100)

def stuck(rank, beat):
    for _ in range(10):  # longer than they may be quiet
        time.sleep(0.1)
        beat()
    if rank == 1:
        waiting_for_the_other()
    return {}

def noting(rank, beat):
    (pathlib.Path(sys.argv[1]) / str(rank)).write_text(str(os.getpid()))
    return globals()[sys.argv[2]](rank, beat)

print(json.dumps(asdict(in_ranks(noting, 2, variables={"MINE": "1"}, quiet=0.5))))
assert "MINE" not in os.environ
"""


@pytest.mark.parametrize(
    ("program", "seen", "failure", "stuck"),
    [
        ("well", [{"rank": "0", "mine": "1"}, {"rank": "1", "mine": "1"}], "", False),
        ("failing", [], "rank 1 failed: ValueError: a fault of xFFL", False),
        ("stuck", [], "the ranks waited for each other: rank 1 in waiting_for_the_other", True),
    ],
)
def test_ranks_end_well_or_fail_or_are_ended(
    tmp_path: Path, program: str, seen: list[dict[str, str]], failure: str, *, stuck: bool
) -> None:
    # In a process of its own: the ranks' output goes where that of a forked process of pytest would not.
    words = [sys.executable, "-c", RANKS, str(tmp_path), program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"seen": seen, "failure": failure, "stuck": stuck}
    for rank in range(2):
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / str(rank)).read_text()), 0)


@pytest.mark.parametrize(
    ("program", "fact", "evidence"),
    [
        ('test "$1" = exec && ssh node date', "starts", "called ssh for its node"),
        ("echo 'TypeError: no path' >&2; exit 1", "crashes", "(status 1): TypeError: no path"),
        ("echo 'usage: xffl exec' >&2; exit 2", "unknown", "(status 2): usage: xffl exec"),
    ],
)
def test_image_mode_starts_where_ssh_is_called(tmp_path: Path, program: str, fact: str, evidence: str) -> None:
    with ImageMode(executable(tmp_path / "xffl", f"#!/bin/sh\n{program}\n")) as image:
        found = image.read()
    assert found[0] == fact
    assert evidence in found[1]


def test_an_installation_from_a_folder_has_its_commit_only_while_both_are_the_same(tmp_path: Path) -> None:
    folder, package = tmp_path / "xffl of a user", tmp_path / "xffl of a user" / "xffl"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("a = 1\n")
    (package / "env.sh").write_text("true\n")

    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def distribution(origin: dict[str, object]) -> PathDistribution:
        info = tmp_path / "xffl-1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "direct_url.json").write_text(json.dumps(origin))
        return PathDistribution(info)

    git("init", "-q")
    local = distribution({"url": folder.as_uri(), "dir_info": {}})
    installed = package_digest(package)
    assert installed_commit(local, installed) is None, "nothing is committed"
    git("add", "xffl")
    git("commit", "-qm", "first")
    assert installed_commit(local, installed) == git("rev-parse", "HEAD")
    (package / "env.sh").write_text("false\n")
    assert package_digest(package) != installed
    assert installed_commit(local, package_digest(package)) is None, "what is installed was never committed"
    git("commit", "-qam", "second")
    assert installed_commit(local, installed) is None, "the folder has moved on"
    from_git = distribution({"url": "https://host/xffl", "vcs_info": {"vcs": "git", "commit_id": "abc"}})
    assert installed_commit(from_git, installed) == "abc"


def test_the_real_library_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = real_xffl()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = probe(Path(sys.executable), command, "cpu")
    facts = found.library.model_dump(include=set(FACTS))
    assert all(found.evidence[name] for name in FACTS)
    if found.library.commit == "2819740bd41ec693faabd89b0b1fdfa6f8d167d4":
        assert facts == FACTS
        assert "held 3, the group that began with 2 held 3 (mean 1.5, sum 3)" in found.evidence["averaging"]
    assert not any(path.name.startswith("xffl-bench-probe") for path in tmp_path.iterdir())
