"""The command `history`."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.cli.app import app
from matrix.errors import InputError
from reports.history.history_document import HistoryDocument
from tests.support.nights import Nights


def called(*words: object) -> None:
    app(["history", *map(str, words)], prog_name="xffl-bench", standalone_mode=False)


def test_a_history_is_printed_and_plotted_and_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nights = Nights(tmp_path / "results", repeats=1)
    folders = [nights.write() for _ in range(3)]
    called(*folders, "--out", "plots")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("3 nights, 4 combinations, 12 series: 0 changes of level")
    assert said[0].endswith("; one takes 2 nights on each side)")
    assert said[-1] == "plot: plots/history.svg"
    assert (tmp_path / "plots" / "history.png").read_bytes().startswith(b"\x89PNG")
    assert "fsdp, nodes 2" in (tmp_path / "plots" / "history.svg").read_text()
    called(*folders, "--json")
    assert len(HistoryDocument.model_validate_json(capsys.readouterr().out).nights) == 3
    assert not (tmp_path / "results" / "history").exists()
    with pytest.raises(InputError, match="not the folder of a sweep"):
        called(tmp_path)
