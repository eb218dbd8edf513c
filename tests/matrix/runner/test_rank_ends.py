"""A rank's word that it failed is seen while the others go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.contract.results.result import RankEnd
from bench.contract.storage.files import AttemptFolder, write_document
from matrix.runner import rank_ends as rankends
from matrix.runner.rank_ends import FailedRanks


def test_a_failed_rank_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rankends, "LOOK_EVERY", 0.0)
    attempt = AttemptFolder(tmp_path / "0")
    attempt.create()
    ranks = FailedRanks(attempt)
    write_document(attempt.rank_end(0), RankEnd(rank=0, completed=True, phase="clean-up", step=3))
    attempt.rank_end(1).write_text("{", encoding="utf-8")
    assert not ranks.any()
    write_document(attempt.rank_end(2), RankEnd(rank=2, completed=False, phase="data", step=-1, error="ValueError"))
    assert ranks.any()


def test_a_record_of_a_newer_version_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys may mean something else, though these can be read."""
    monkeypatch.setattr(rankends, "LOOK_EVERY", 0.0)
    attempt = AttemptFolder(tmp_path / "0")
    attempt.create()
    failed = RankEnd(rank=0, completed=False, phase="data", step=-1).model_dump(mode="json")
    attempt.rank_end(0).write_text(json.dumps(failed | {"version": 2}), encoding="utf-8")
    assert not FailedRanks(attempt).any()
    attempt.rank_end(0).write_text(json.dumps(failed), encoding="utf-8")
    assert FailedRanks(attempt).any()
