"""The hidden folder beside a data set in which it comes to be, and which a stop does not lose."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract.files import write_whole
from bench.data.corpus.errors import CorpusError
from bench.data.corpus.tokenise import TokenFolder

_UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}


class Workplace:
    """`.OUT.part`: the tokenizer, tokens of finished pieces, and the data set until it is whole."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(f".{out.name}.part")
        self.tokenizer = self.path / "tokenizer"
        self.tokens = TokenFolder(self.path / "tokens")
        self.dataset = self.path / "dataset"
        self._wanted = self.path / "wanted.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time. Where the file system knows no locks, nothing guards against a second one.

        Raises:
            CorpusError: another command makes the same data set.

        """
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise CorpusError(f"{self.path}: another command is at work here: wait until it has ended") from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                os.close(handle)
                raise
        try:
            yield
        finally:
            os.close(handle)

    def open(self, wanted: dict[str, object]) -> bool:
        """Make ready for what is wanted; returns whether work for something else was thrown away."""
        try:
            found = json.loads(self._wanted.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            found = None
        discarded = found != wanted and any(self.path.iterdir())
        if found != wanted:
            for old in self.path.iterdir():  # the folder itself is what is locked
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            write_whole(self._wanted, json.dumps(wanted) + "\n")
        self.tokens.path.mkdir(exist_ok=True)
        self.dataset.mkdir(exist_ok=True)
        return discarded

    def remove(self) -> None:
        """The data set is where it belongs."""
        shutil.rmtree(self.path)
