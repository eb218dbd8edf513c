"""Reading documents with their version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.contract.results.result import Heartbeat, JobEnd
from bench.contract.storage import documents
from bench.contract.storage.documents import NewerVersionError, check_version, read_document
from bench.contract.storage.files import write_document
from matrix.store.sweep_record import SweepRecord

RECORD = SweepRecord.now("s", "version: 2", "", "", {}, None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "sweep.json"
    write_document(file, RECORD)
    return file


def test_a_document_of_this_version_is_parsed_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: bytes) -> None:
        pytest.fail("parsed a second time")

    monkeypatch.setattr(documents.json, "loads", fail)
    assert read_document(file, SweepRecord) == RECORD
    check_version(file, SweepRecord)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_newer_document_is_named(file: Path, indent: int | None) -> None:
    content = json.loads(file.read_text()) | {"version": 2, "new": 1}
    file.write_text(json.dumps(dict(reversed(content.items())), indent=indent))
    for read in (read_document, check_version):
        with pytest.raises(NewerVersionError, match=r"sweep.json: .* \(version 2, this one reads 1\)"):
            read(file, SweepRecord)


def test_a_version_inside_a_document_is_not_its_own(file: Path) -> None:
    packages = {"torch": "2", '{"version": 7}': '"version": 7'}
    record = RECORD.model_copy(update={"packages": packages})
    write_document(file, record)
    assert read_document(file, SweepRecord) == record
    file.write_text('{"parts": {"version": 7}}')
    check_version(file, SweepRecord)


@pytest.mark.parametrize("kind", [Heartbeat, JobEnd])
def test_documents_without_a_version_are_the_first(file: Path, kind: type[Heartbeat | JobEnd]) -> None:
    file.write_text('{"version": 2}')
    with pytest.raises(NewerVersionError):
        check_version(file, kind)
