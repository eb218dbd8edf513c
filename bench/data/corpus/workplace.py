"""The hidden folder in which a data set is built, which survives an interruption."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract.storage.atomic import write_whole
from bench.data.corpus.errors import CorpusError
from bench.data.corpus.tokenise import TokenFolder

_UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}


class Workplace:
    """`.OUT.part`: the tokenizer, the tokens of finished pieces, and the data set until it is complete."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(f".{out.name}.part")
        self.tokenizer = self.path / "tokenizer"
        self.tokens = TokenFolder(self.path / "tokens")
        self.dataset = self.path / "dataset"
        self._wanted = self.path / "wanted.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder. On a file system without locks, nothing guards against a second command.

        Raises:
            CorpusError: another command is making the same data set.

        """
        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise CorpusError(f"{self.path}: in use by another command: wait until it has finished") from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                os.close(handle)
                raise
        try:
            yield
        finally:
            os.close(handle)

    def open(self, wanted: dict[str, object]) -> bool:
        """Prepare the folder for `wanted`; return True if work for another data set was discarded."""
        try:
            found = json.loads(self._wanted.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            found = None
        discarded = found != wanted and any(self.path.iterdir())
        if found != wanted:
            for old in self.path.iterdir():  # keep the folder itself, which is locked
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            write_whole(self._wanted, json.dumps(wanted) + "\n")
        self.tokens.path.mkdir(exist_ok=True)
        self.dataset.mkdir(exist_ok=True)
        return discarded

    def remove(self) -> None:
        """Remove the folder, once the data set is in place."""
        shutil.rmtree(self.path)
