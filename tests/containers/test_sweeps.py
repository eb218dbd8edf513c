"""Sweeps whose ranks run in a real image: they learn what others learn, and nothing of them is left behind."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.contract.results.measured import Measured
from tests.support.built import Built
from tests.support.images import ROOT
from tests.support.standin.places import Place, place
from tests.support.sweeps import FOREVER, SmallSweep, kill, pids_by_rank, wait_for

# The virtual cluster's tests run in the image, too; these take two minutes more.
pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path, "standin", "real") as found:
        yield found


def containers() -> list[int]:
    """Pids of Apptainer, which carries nobody's mark."""
    lines = {file.parent.name: _read(file) for file in Path("/proc").glob("[0-9]*/cmdline")}
    return [int(pid) for pid, line in lines.items() if line.startswith(b"Apptainer runtime parent")]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def assert_nothing_left(sweep: SmallSweep) -> None:
    sweep.assert_nothing_left()
    assert wait_for(lambda: not containers(), timeout=20), containers()


def test_ranks_of_both_launchers_train_in_the_image(built: Built, hosts: Place, data: Path, tmp_path: Path) -> None:
    facility = tmp_path / "site.sh"
    facility.write_text(f"export PATH={Path(str(shutil.which(built.program))).parent}:$PATH\n")
    system = {**hosts.system(facility=str(facility)), "image": {"path": str(built.image), "scratch": str(tmp_path)}}
    sweep = SmallSweep(tmp_path, data, start="auto", nodes=2, ranks_per_node=1, system=system)
    sweep.write(["fsdp"])
    matrix = yaml.safe_load(sweep.matrix.read_text(encoding="utf-8"))
    matrix["axes"]["launcher"] = ["torchrun", "xffl"]
    sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")
    sweep.run()
    found = {sweep.folder.requested_run(run_id).launcher: result.measured for run_id, result in sweep.found().items()}
    torchrun, xffl = found["torchrun"], found["xffl"]
    assert torchrun
    assert xffl
    assert torchrun.loss == xffl.loss
    digest = built.image.with_name("bench.sif.sha256").read_text().split()[0]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for measured in (torchrun, xffl):
        assert measured.provenance.image == digest
        assert measured.provenance.commit == head.strip()
    record = sweep.folder.record()
    assert record
    assert record.image == digest
    by_hand(sweep, xffl)
    assert_nothing_left(sweep)


def by_hand(sweep: SmallSweep, expected: Measured) -> None:
    """What `launch.sh` repeats."""
    (script,) = sweep.results.glob("small/runs/*/launch.sh")
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = Measured.model_validate_json((script.parent / "by-hand" / "measured.json").read_text())
    assert again.loss == expected.loss
    assert again.provenance.image == expected.provenance.image


def test_a_killed_rank_is_named_and_a_killed_runner_leaves_nothing(built: Built, data: Path, tmp_path: Path) -> None:
    image = {"path": str(built.image), "scratch": str(tmp_path)}
    sweep = SmallSweep(tmp_path, data, start="auto", nodes=2, ranks_per_node=1, system={"image": image})
    sweep.write(["fsdp"], repeats=2, steps=FOREVER, warmup_steps=FOREVER - 4)
    runner = sweep.begin()
    first = sweep.training_run()
    kill(pids_by_rank(sweep)[1])
    sweep.training_run(not_in={first})
    result = sweep.folder.result(first)
    assert result
    assert result.outcome == "crashed"
    assert result.reason.startswith("killed: rank 1 by signal 9")
    kill(runner.pid)
    runner.communicate()
    assert_nothing_left(sweep)
