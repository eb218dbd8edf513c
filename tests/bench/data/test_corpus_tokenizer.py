"""A tokenizer is data: code that comes with it is not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.data.corpus.tokenizer import CorpusError, existing

CODE = """
from pathlib import Path
from transformers import PreTrainedTokenizerFast
Path({marker!r}).touch()
class Own(PreTrainedTokenizerFast):
    pass
"""


def test_code_of_a_tokenizer_is_not_run_even_if_somebody_would_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, marker = tmp_path / "tokenizer", tmp_path / "marker"
    folder.mkdir()
    settings = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": "own.Own"}}), encoding="utf-8")
    (folder / "own.py").write_text(CODE.format(marker=str(marker)), encoding="utf-8")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    asked: list[str] = []

    def agree(question: str = "") -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", agree)
    with pytest.raises(CorpusError, match="without running code"):
        existing(str(folder), online=False)
    assert not asked
    assert not marker.exists()
