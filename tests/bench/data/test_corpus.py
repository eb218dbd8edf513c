"""A prepared data set holds the text that it was made of, and is the same however it came to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from transformers import AutoTokenizer

from bench.data.corpus.errors import CorpusError
from bench.data.corpus.prepare import prepare
from bench.data.corpus.workers import Workers
from bench.data.dataset import load
from matrix.cli import app as cli
from matrix.config.source import read_source
from tests.support.corpora import SEPARATOR, Sentences, corpus, files, stories, stream, write_json_lines, write_text
from tests.support.needs import missing
from tests.support.runs import make_run

FORTUNES = Path("/usr/share/games/fortunes/it")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 documents, one of which spells the end of text out, one is empty and one is there three times."""
    documents = stories(300)
    documents[7] = "Si scrive <|endoftext|> e non finisce.\n"
    documents[9] = "  \n"
    documents[11] = documents[12] = documents[13]
    return write_text(tmp_path_factory.mktemp("text") / "storie.txt", documents)


@pytest.fixture(scope="module")
def prepared_corpus(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made in one piece by one worker."""
    out = tmp_path_factory.mktemp("made") / "data"
    assert prepare(out, corpus(text), Sentences()).made
    return out


def run_cli(*arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["xffl-bench", "data", "prepare", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(str(ended.value.code))


def documents_of(text: Path) -> list[str]:
    found = text.read_text(encoding="utf-8").split(f"\n{SEPARATOR}\n")
    return [document.rstrip("\n") for document in found if document.strip()]


def decoded(out: Path, split: str) -> list[str]:
    """Whole documents of a split: what was dropped at its end cut the last one, or more."""
    tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
    tokens = stream(out, split)
    ends = np.flatnonzero(tokens == tokenizer.eos_token_id)
    return [tokenizer.decode(part[part != tokenizer.eos_token_id]) for part in np.split(tokens, ends + 1)[:-1]]


def assert_holds(out: Path, documents: list[str]) -> None:
    """The splits are the documents, in their order, but for what was dropped at each split's end."""
    facts = json.loads((out / "source.json").read_text())
    train, val = ([text.rstrip("\n") for text in decoded(out, split)] for split in ("train", "val"))
    assert train
    assert val
    assert not set(train) & set(val), "no document is in both splits"
    held = set(train) | set(val)
    assert [document for document in documents if document in set(train)] == train
    assert [document for document in documents if document in set(val)] == val
    lost = [document for document in documents if document not in held]
    assert len(train) + len(val) + len(lost) == len(documents) == sum(facts["documents"].values())
    assert len(lost) <= sum(facts["dropped_tokens"].values()) + 2


def test_samples_decode_to_the_text(prepared_corpus: Path, text: Path) -> None:
    assert_holds(prepared_corpus, documents_of(text))
    facts = json.loads((prepared_corpus / "source.json").read_text())
    for split in ("train", "val"):
        tokens = stream(prepared_corpus, split)
        assert facts["splits"][split] * 16 + 1 == len(tokens) == facts["tokens"][split] - facts["dropped_tokens"][split]
        assert 0 <= facts["dropped_tokens"][split] < 16
        assert tokens.max() < facts["vocab_size"] == 300
    assert facts["empty_documents"] == 1
    content = "".join(document + "\n" for document in documents_of(text))
    assert sum(facts["text_bytes"].values()) == len(content.encode())


def test_planning_reads_what_preparing_wrote(prepared_corpus: Path) -> None:
    source = read_source(prepared_corpus)
    assert source is not None
    assert (source.vocab_size, source.sequence_length) == (300, 16)


def test_no_piece_or_worker_changes_a_byte(prepared_corpus: Path, text: Path, tmp_path: Path) -> None:
    copy = tmp_path / text.name
    copy.write_bytes(text.read_bytes())
    assert prepare(tmp_path / "data", corpus(copy, workers=3, piece_bytes=999), Sentences()).made
    assert files(tmp_path / "data") == files(prepared_corpus)

    assert prepare(tmp_path / "sharded", corpus(text, shard_tokens=200), Sentences()).made
    assert len(list((tmp_path / "sharded" / "train").glob("*.arrow"))) > 3
    for split in ("train", "val"):
        assert np.array_equal(stream(tmp_path / "sharded", split), stream(prepared_corpus, split))


def test_a_tokenizer_that_exists_is_used_and_kept(prepared_corpus: Path, text: Path, tmp_path: Path) -> None:
    rows = write_json_lines(tmp_path / "storie.jsonl", [document + "\n" for document in documents_of(text)])
    asked = corpus(rows, tokenizer=str(prepared_corpus / "tokenizer"))
    prepared = prepare(tmp_path / "data", asked, Sentences())
    assert prepared.facts["tokenizer"]["name"] == "tokenizer"
    for split in ("train", "val"):
        assert np.array_equal(stream(tmp_path / "data", split), stream(prepared_corpus, split))
    assert AutoTokenizer.from_pretrained(tmp_path / "data" / "tokenizer").eos_token_id == prepared.facts["end_of_text"]


def test_again_is_kept_and_something_else_is_refused(prepared_corpus: Path, text: Path) -> None:
    before = files(prepared_corpus)
    again = prepare(prepared_corpus, corpus(text, workers=2), Sentences())
    assert (again.made, again.facts) == (False, json.loads((prepared_corpus / "source.json").read_text()))
    with pytest.raises(CorpusError, match=r"already exists with other content \(its sequence_length, seed\)"):
        prepare(prepared_corpus, corpus(text, sequence_length=8, seed=1), Sentences())
    with pytest.raises(CorpusError, match="already exists with other content: remove it"):
        prepare(prepared_corpus.parent, corpus(text), Sentences())
    assert files(prepared_corpus) == before
    assert list(prepared_corpus.parent.iterdir()) == [prepared_corpus], "nothing is left beside it"


PREPARE = """
import sys
from bench.data.corpus.prepare import prepare
from tests.support.corpora import Sentences, corpus

prepare(__import__("pathlib").Path(sys.argv[2]), corpus(sys.argv[1], piece_bytes=3000, workers=2), Sentences())
"""


@pytest.mark.soak
def test_after_a_kill_finished_pieces_are_not_made_again(tmp_path: Path) -> None:
    text = write_text(tmp_path / "molte.txt", stories(1500))
    out, part = tmp_path / "data", tmp_path / ".data.part"
    process = subprocess.Popen([sys.executable, "-c", PREPARE, text, out])
    while len(list(part.glob("tokens/*.json"))) < 3:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert gone
    assert not alive, "workers end with their parent"
    assert not out.exists()
    finished = {path: path.stat().st_mtime_ns for path in part.glob("tokens/*.json")}

    class Resumed(Sentences):
        """Looks at the pieces when they are all there."""

        def stage(self, name: str, total: int) -> None:
            if name == "packing":
                self.kept = {path: path.stat().st_mtime_ns for path in finished}

    watch = Resumed()
    assert prepare(out, corpus(text, piece_bytes=3000, workers=2), watch).made
    assert watch.kept == finished
    assert [said.split(" of ")[0] for said in watch.said] == [str(len(finished))]
    assert prepare(tmp_path / "at-once", corpus(text, piece_bytes=3000), Sentences()).made
    assert files(out) == files(tmp_path / "at-once")
    assert not part.exists()


def test_work_for_other_settings_is_thrown_away(prepared_corpus: Path, text: Path, tmp_path: Path) -> None:
    out, watch = tmp_path / "data", Sentences()
    with pytest.raises(CorpusError, match="one sample needs 100,001: give more text"):
        prepare(out, corpus(text, sequence_length=100_000, seed=1), watch)
    assert not out.exists()
    assert prepare(out, corpus(text), watch).made
    assert watch.said == [f"{tmp_path / '.data.part'}: begun with other files or settings: starting over"]
    assert files(out) == files(prepared_corpus)


def test_two_commands_do_not_make_the_same(text: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / ".data.part").mkdir()
    handle = os.open(tmp_path / ".data.part", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(CorpusError, match="in use by another command"):
        prepare(tmp_path / "data", corpus(text), Sentences())
    os.close(handle)


def test_too_little_text_says_what_would_do(text: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"the val split would have .* tokens, from .*: give more text, a --val-frac"):
        prepare(tmp_path / "data", corpus(text, val_fraction=1e-9), Sentences())
    with pytest.raises(CorpusError, match=r"0 of 1 documents.*\(--document-separator divides text files"):
        prepare(tmp_path / "data", corpus(text, document_separator="no such line"), Sentences())
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(CorpusError, match="the sources contain no text"):
        prepare(tmp_path / "data", corpus(tmp_path / "empty.txt"), Sentences())
    assert not (tmp_path / "data").exists()


def test_bad_input_is_a_sentence_and_status_2(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": \n')
    (tmp_path / "folder").mkdir()
    common = ["--sequence-length", "16", "--workers", "1"]
    for source, options, said in [
        (tmp_path / "none", ["--tokenizer", "train:300"], "none: no such file or folder"),
        (tmp_path / "bad.jsonl", ["--tokenizer", "train:300"], "bad.jsonl: line 2 is not JSON"),
        (text, ["--tokenizer", "train:300", "--val-fraction", "1.5"], "should be between 0 and 1"),
        (text, ["--tokenizer", "train:200"], "should be at least 257"),
        (text, ["--tokenizer", "train:many"], "should be train:SIZE"),
        (text, ["--tokenizer", "owner/no-such-tokenizer"], "--online downloads it"),
        (text, ["--tokenizer", tmp_path / "folder"], "folder: the folder contains no tokenizer"),
        ("hub:owner/no-such-data", ["--tokenizer", "train:300"], "not in the hub's cache: --online downloads it"),
        ("hub:owner", ["--tokenizer", "train:300"], "should be hub:OWNER/NAME"),
    ]:
        assert run_cli(tmp_path / "data", source, *common, *options, monkeypatch=monkeypatch) == 2
        error = capfd.readouterr().err
        assert said in error
        assert error.startswith("xffl-bench: ")
        assert "Traceback" not in error
        assert not (tmp_path / "data").exists()


def test_italian_becomes_a_data_set_to_train_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if not FORTUNES.is_dir():
        missing("the Debian package fortunes-it", "apt-get install fortunes-it")
    out = tmp_path / "it"
    arguments = ["--sequence-length", "32", "--tokenizer", "train:2048", "--val-fraction", "0.05"]
    arguments += ["--document-separator", SEPARATOR, "--workers", "2"]
    for said in ("made", "already exists"):
        assert run_cli(out, FORTUNES, *arguments, monkeypatch=monkeypatch) == 0
        assert f"{out} {said}: " in capfd.readouterr().out
    named = sorted(path for path in FORTUNES.iterdir() if not path.suffix)
    assert len(named) > 10
    assert_holds(out, [document for path in named for document in documents_of(path)])

    run = make_run(out, (1, 1, 2), sequence_length=32, steps=4, warmup_steps=0, val_samples=8)
    run = run.model_copy(update={"shape": run.shape.model_copy(update={"vocab_size": 2048})})
    batches = [list(load(run, rank).train) for rank in range(2)]
    seen = {tuple(row.tolist()) for rank in batches for batch in rank for row in batch.tokens}
    assert len(seen) == 2 * 4 * run.batch_size, "no two ranks and steps see the same"
    for batch in batches[0]:
        assert batch.tokens.shape == batch.labels.shape == (run.batch_size, 32)
        assert (batch.tokens[:, 1:] == batch.labels[:, :-1]).all()
    assert sum(batch.tokens.shape[0] for rank in range(2) for batch in load(run, rank).validation) >= 8


def test_workers_leave_the_callers_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with Workers(1) as workers:
        assert list(workers.each(os.getenv, ["PYTHONSAFEPATH"])) == ["1"]
    assert "PYTHONSAFEPATH" not in os.environ
