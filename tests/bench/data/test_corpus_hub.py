"""Files of the hub, through the hub's own client, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from bench.data.corpus.errors import CorpusError
from bench.data.corpus.prepare import prepare
from bench.data.corpus.text.hub import HubFile
from matrix.config.models.hub import snapshot
from matrix.errors import InputError
from tests.support.corpora import Sentences, corpus, stories, stream, write_json_lines

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "owner/storie"


class Hub(BaseHTTPRequestHandler):
    """One data set at one commit."""

    files: dict[str, bytes]
    downloads: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/owner/broken"):
            self.break_off()
            return
        file = path.removeprefix(f"/datasets/{NAME}/resolve/{COMMIT}/")
        if path == f"/api/datasets/{NAME}/revision/main":
            siblings = [{"rfilename": name, "size": len(content)} for name, content in self.files.items()]
            content = json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode()
        elif file in self.files:
            content = self.files[file]
            if body:
                self.downloads.append(file)
        elif file == "gated.json":
            self.send_error(403)
            return
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body and file == "broken.json":
            self.break_off()
        elif body:
            self.wfile.write(content)

    def break_off(self) -> None:
        """Reset the connection, which the client does not try again."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    address = f"http://127.0.0.1:{server.server_port}"
    cache = str(tmp_path / "cache")
    for variable, value in [("HF_ENDPOINT", address), ("HF_HUB_CACHE", cache), ("HF_HUB_DISABLE_PROGRESS_BARS", "1")]:
        monkeypatch.setenv(variable, value)  # for the workers, which are new processes
    # This process read the variables when it imported the client.
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    Hub.downloads = []
    Thread(target=server.serve_forever, daemon=True).start()
    yield Hub
    server.shutdown()
    server.server_close()


def test_files_of_the_hub_are_fetched_once_and_then_found_without_it(hub: type[Hub], tmp_path: Path) -> None:
    first, second = (write_json_lines(tmp_path / f"{n}.json", stories(200)[n::2]) for n in range(2))
    hub.files = {
        "README.md": b"read me",
        "it/train-0.json.gz": gzip.compress(first.read_bytes(), mtime=0),
        "it/train-1.json.gz": gzip.compress(second.read_bytes(), mtime=0),
        "it/validation-0.json.gz": b"not asked for",
    }
    source, out = f"hub:{NAME}:*train-?.json.gz", tmp_path / "data"
    with pytest.raises(CorpusError, match="not in the hub's cache: --online downloads it"):
        prepare(out, corpus(source), Sentences())
    with pytest.raises(CorpusError, match="no file matches, among 4 in the data set"):
        prepare(out, corpus(f"hub:{NAME}:*.parquet", online=True), Sentences())
    with pytest.raises(CorpusError, match="hub:owner/other: cannot list its files"):
        prepare(out, corpus("hub:owner/other", online=True), Sentences())

    prepared = prepare(out, corpus(source, online=True), Sentences())
    assert sorted(hub.downloads) == ["it/train-0.json.gz", "it/train-1.json.gz"]
    sizes = [len(hub.files[f"it/train-{n}.json.gz"]) for n in range(2)]
    assert prepared.facts["files"] == [
        {"name": f"hub:{NAME}@{COMMIT}:it/train-{n}.json.gz", "size": sizes[n]} for n in range(2)
    ]
    prepare(tmp_path / "local", corpus(first, second), Sentences())
    for split in ("train", "val"):
        assert np.array_equal(stream(out, split), stream(tmp_path / "local", split))

    again = corpus(source, sequence_length=8)
    assert prepare(tmp_path / "offline", again, Sentences()).facts["files"] == prepared.facts["files"]
    assert not prepare(out, corpus(source), Sentences()).made
    assert len(hub.downloads) == 2
    with pytest.raises(CorpusError, match=f"not in the hub's cache at {COMMIT[::-1]}: --online"):
        prepare(out, corpus(f"hub:{NAME}@{COMMIT[::-1]}"), Sentences())
    snapshots = next((tmp_path / "cache").glob("*/snapshots"))
    (snapshots / COMMIT[::-1]).mkdir()
    with pytest.raises(CorpusError, match=f"several commits: choose @{COMMIT} or @{COMMIT[::-1]}"):
        prepare(out, corpus(source), Sentences())


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("gated.json", "the hub answered 403: "),
        ("none.json", "the hub answered 404: "),
        ("broken.json", r"the connection to the hub was lost \(.+\): run the same command again"),
    ],
)
def test_what_went_wrong_with_a_download_is_said_as_it_was(hub: type[Hub], file: str, fault: str) -> None:
    hub.files = {"broken.json": b"{}" * 1000}
    with pytest.raises(CorpusError, match=rf"^hub:{NAME}: {file}: {fault}") as caught:
        HubFile(NAME, COMMIT, file, online=True).local()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("repository", "fault"),
    [
        ("owner/none", "the hub answered 404: "),
        ("owner/broken", r"the connection to the hub was lost \(.+\): run the same command again"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_the_same_of_a_model(repository: str, fault: str) -> None:
    with pytest.raises(InputError, match=rf"^{repository} \(revision main\) cannot be downloaded: {fault}") as caught:
        snapshot(repository, "main", online=True, weights=False)
    assert "\n" not in str(caught.value)
