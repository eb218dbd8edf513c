"""Documents come out of files whole and once, wherever a file is divided."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.corpus.errors import CorpusError
from bench.data.corpus.pieces import pieces_of
from bench.data.corpus.splits import Division
from bench.data.corpus.text.reading import Reading
from bench.data.corpus.text.sources import find
from tests.support.corpora import SEPARATOR, stories, write_json_lines, write_text

LIMITS = [1, 7, 64, 1000, 1 << 20]


def read(*sources: Path, limit: int = 1 << 20, field: str = "text", separator: str | None = SEPARATOR) -> list[str]:
    reading = Reading(field, separator)
    pieces = pieces_of(find([str(source) for source in sources], online=False), reading, limit)
    return [text for piece in pieces for text in piece.documents(reading)]


def write_parquet(path: Path, documents: list[str]) -> Path:
    pq.write_table(pa.table({"text": documents, "id": range(len(documents))}), path, row_group_size=7)
    return path


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    ("write", "name"), [(write_text, "a.txt"), (write_json_lines, "a.jsonl"), (write_parquet, "a.parquet")]
)
def test_a_file_gives_its_documents_however_it_is_divided(
    tmp_path: Path, write: Callable[[Path, list[str]], Path], name: str, limit: int
) -> None:
    documents = stories(40)
    path = write(tmp_path / name, documents)
    assert read(path, limit=limit) == documents
    pieces = pieces_of(find([str(path)], online=False), Reading("text", SEPARATOR), limit)
    assert len(pieces) > 1 or limit > 64


@given(
    lines=st.lists(st.sampled_from([b"%\n", b"%\r\n", b"a\n", b"%%\n", b"\n", b" %\n", "è\n".encode()]), max_size=12),
    last=st.sampled_from([b"", b"%", b"end"]),
    limit=st.integers(1, 9),
)
def test_division_between_separators_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], last: bytes, limit: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "a"
    path.write_bytes(b"".join(lines) + last)
    expected: list[list[bytes]] = [[]]
    for line in [*lines, last]:
        if line.rstrip(b"\r\n") == b"%":
            expected.append([])
        else:
            expected[-1].append(line)
    whole = [b"".join(document).decode() for document in expected] if path.stat().st_size else []
    assert read(path, limit=limit) == whole


def test_text_without_a_separator_is_one_document_per_file(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c/d.txt", ".hidden.txt", "ignored.pdf", "plain"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n%\nmore\n")
    names = ["a.txt", "b.txt", "c/d.txt", "plain"]
    assert read(tmp_path, separator=None) == [f"{name}\n%\nmore\n" for name in names]
    assert read(tmp_path / "b.txt", tmp_path, separator=None)[0].startswith("b.txt"), "in the order of the sources"
    assert len(read(tmp_path / "b.txt", tmp_path, separator=None)) == 4, "and each file once"
    assert len(read(tmp_path / "*.txt", separator=None)) == 2
    assert read(tmp_path, separator="")[0] == "a.txt\n%\nmore\n", "an empty line separates nothing here"


def test_compressed_files_are_read_as_if_they_were_not(tmp_path: Path) -> None:
    documents = stories(40)
    text, rows = write_text(tmp_path / "a.txt", documents), write_json_lines(tmp_path / "a.json", documents)
    for plain in (text, rows):
        packed = tmp_path / f"{plain.name}.gz"
        half = plain.stat().st_size // 2
        packed.write_bytes(gzip.compress(plain.read_bytes()[:half]) + gzip.compress(plain.read_bytes()[half:]))
        with pa.output_stream(str(tmp_path / f"{plain.name}.zst"), compression="zstd") as file:
            file.write(plain.read_bytes())
        assert read(packed, limit=7) == documents
        assert read(tmp_path / f"{plain.name}.zst", limit=7) == documents


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a\\ud83d\\ude00b\\ud83dc"}\n{"text": null}\n')
    assert read(tmp_path / "a.jsonl") == ["a😀b\ufffdc", ""]


def test_a_share_of_the_documents_goes_to_val_by_their_text() -> None:
    texts = [text.encode() for text in stories(4000)]
    val = [Division(0.2, seed=0).split(text) == "val" for text in texts]
    assert 0.2 * 4000 - 4 * 25.3 < sum(val) < 0.2 * 4000 + 4 * 25.3  # 25.3: standard deviation of the binomial
    assert val == [Division(0.2, seed=0).split(text) == "val" for text in texts]
    assert val != [Division(0.2, seed=1).split(text) == "val" for text in texts]


def test_faults_are_said_with_file_and_line(tmp_path: Path) -> None:
    good = json.dumps({"text": "x" * 100, "url": "y"})
    for name, content, said in [
        ("a.jsonl", f"{good}\n{good}\n{{broken\n", "a.jsonl: line 3 is not JSON"),
        (
            "b.jsonl",
            f'{good}\n\n{{"title": "t", "url": "u"}}\n',
            r"b.jsonl: line 3 has no field 'text' \(it has: title",
        ),
        ("c.jsonl", '{"text": 5}\n', "c.jsonl: line 1 has no text in field 'text', but 5"),
        ("d.jsonl", "[1]\n", "d.jsonl: line 1 is not a JSON object"),
        ("e.txt", b"buono\n%\nperch\xe9\n", "e.txt: line 3 is not UTF-8"),
        ("f.txt.gz", b"no gzip", "f.txt.gz: cannot be decompressed"),
        ("g.txt.gz", gzip.compress(b"buono" * 999)[:-9], "g.txt.gz: cannot be decompressed"),
        ("h.txt.zst", b"no zstd", "h.txt.zst: cannot be decompressed"),
        ("i.parquet", b"no parquet", "i.parquet: not a Parquet file"),
        ("j.pdf", b"", "j.pdf: unknown format; supported: .txt"),
    ]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        for limit in (1 << 20, 50):
            with pytest.raises(CorpusError, match=said):
                read(path, limit=limit)
    rows = write_parquet(tmp_path / "k.parquet", stories(3))
    with pytest.raises(CorpusError, match=r"k.parquet: has no column 'body' \(it has: text, id\)"):
        read(rows, field="body")
    with pytest.raises(CorpusError, match="column 'id' has type int64, not text"):
        read(rows, field="id")
    with pytest.raises(CorpusError, match=r"none\.txt: no such file or folder"):
        read(tmp_path / "none.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="empty: the folder has no readable file"):
        read(tmp_path / "empty")
