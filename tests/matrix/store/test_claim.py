"""One runner at a time, without locks, and a dead one does not hold the sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.contract.files import write_document
from matrix.errors import InputError
from matrix.store import claim as ownership
from matrix.store.claim import LostClaimError, Runner, claim, holder

TAKERS = """
import sys, time
from pathlib import Path
from matrix.store.claim import claim
folder = Path(sys.argv[1])
for _ in range(10):
    with claim(folder, lambda runner: None) as own:
        held = folder.parent / "held"
        held.mkdir()  # fails where another holds the sweep
        time.sleep(0.001)
        held.rmdir()
"""


def never(runner: Runner) -> None:
    raise AssertionError(f"had to wait for {runner}")


def test_one_at_a_time(tmp_path: Path) -> None:
    takers = [subprocess.Popen([sys.executable, "-c", TAKERS, str(tmp_path / "runners")]) for _ in range(3)]
    assert [taker.wait(60) for taker in takers] == [0, 0, 0]
    assert len(list((tmp_path / "runners").glob("*.released"))) == 30


def test_numbers_go_up_and_are_released(tmp_path: Path) -> None:
    for expected in (1, 2):
        with claim(tmp_path, never) as own:
            assert own.number == expected
            present = holder(tmp_path)
            assert present is not None
            assert present.pid == os.getpid()
        assert holder(tmp_path) is None


def test_a_dead_runner_does_not_hold_the_sweep(tmp_path: Path) -> None:
    this = Runner.this()
    write_document(tmp_path / "000001.json", this.model_copy(update={"start": this.start - 1}))
    assert holder(tmp_path) is None, "the pid lives on as another process"
    with claim(tmp_path, never) as own:
        assert own.number == 2


def test_a_claim_that_cannot_be_read_is_held_until_it_is_old(tmp_path: Path) -> None:
    file = tmp_path / "000001.json"
    file.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"000001\.json: cannot be read"):
        holder(tmp_path)
    past = time.time() - ownership.LOST_AFTER - 1
    os.utime(file, (past, past))
    assert holder(tmp_path) is None


def test_a_runner_that_lost_the_sweep_notices(tmp_path: Path) -> None:
    with claim(tmp_path, never) as own:
        own.check()
        write_document(tmp_path / "000002.json", Runner.this())
        with pytest.raises(LostClaimError, match="runner 2 has taken over this sweep"):
            own.check()


def test_a_runner_on_another_host_lives_while_it_beats(tmp_path: Path) -> None:
    file = tmp_path / "000001.json"
    write_document(file, Runner.this().model_copy(update={"host": "elsewhere"}))
    assert holder(tmp_path) is not None
    past = time.time() - ownership.LOST_AFTER - 1
    os.utime(file, (past, past))
    assert holder(tmp_path) is None


def test_a_claim_of_a_newer_version_is_held_until_it_is_old(tmp_path: Path) -> None:
    file = tmp_path / "000001.json"
    file.write_text(json.dumps(Runner.this().model_dump() | {"version": 2, "new": 1}), encoding="utf-8")
    with pytest.raises(InputError, match=r"000001\.json: written by a newer xffl-bench .*: use that xffl-bench"):
        holder(tmp_path)
    past = time.time() - ownership.LOST_AFTER - 1
    os.utime(file, (past, past))
    assert holder(tmp_path) is None
