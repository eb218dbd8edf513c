"""Files of a data set on the Hugging Face hub, at one commit.

Files are named directly, because `datasets` no longer runs loading scripts (clean_mc4_it has one). The hub's client is
imported lazily: that takes a third of a second, and most workers do not need it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.data.corpus.errors import CorpusError
from bench.host.hub_errors import described, hub_faults

PREFIX = "hub:"
_REFERENCE = re.compile(r"hub:(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^:]+))?(:(?P<pattern>.+))?")


@dataclass(frozen=True)
class HubFile:
    """A file of a data set at one commit."""

    repository: str
    revision: str
    path: str
    online: bool

    def local(self) -> Path:
        """Return the file's path in the hub's cache; downloads it if `online`.

        Raises:
            CorpusError: the file is not in the cache and cannot be downloaded.

        """
        from huggingface_hub import hf_hub_download  # noqa: PLC0415
        from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

        try:
            return Path(
                hf_hub_download(
                    self.repository,
                    self.path,
                    repo_type="dataset",
                    revision=self.revision,
                    local_files_only=not self.online,
                )
            )
        except hub_faults() as error:
            is_absent = not self.online and isinstance(error, LocalEntryNotFoundError)
            why = "is not in the hub's cache: --online downloads it" if is_absent else described(error)
            raise CorpusError(f"{PREFIX}{self.repository}: {self.path}: {why}") from error


def hub_files(reference: str, online: bool, readable: Callable[[str], bool]) -> list[tuple[HubFile, int]]:
    """Return the files of `hub:OWNER/NAME[@REVISION][:PATTERN]` and their sizes in bytes, sorted by path.

    `*` in the pattern also matches `/`. Without a pattern, all files that are `readable`. Without `online`, the files
    in the hub's cache.

    Raises:
        CorpusError: the reference is malformed, matches nothing, or the hub does not answer.

    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise CorpusError(f"{reference}: should be hub:OWNER/NAME[@REVISION][:PATTERN of files]")
    name, revision, pattern = found["name"], found["revision"], found["pattern"]
    commit, listing = _listed(name, revision) if online else _cached(name, revision)
    kept = sorted(
        (path, size)
        for path, size in listing
        if (fnmatch.fnmatchcase(path, pattern) if pattern else readable(path) and not Path(path).name.startswith("."))
    )
    if not kept:
        where = "the data set" if online else "the hub's cache; --online queries the hub"
        raise CorpusError(f"{reference}: no file matches, among {len(listing)} in {where}")
    return [(HubFile(name, commit, path, online), size) for path, size in kept]


def _listed(name: str, revision: str | None) -> tuple[str, list[tuple[str, int]]]:
    from huggingface_hub import HfApi  # noqa: PLC0415

    try:
        info = HfApi().dataset_info(name, revision=revision or "main", files_metadata=True)
    except Exception as error:  # network errors have no common class across versions of the client
        raise CorpusError(f"{PREFIX}{name}: cannot list its files: {error}") from error
    return str(info.sha), [(file.rfilename, file.size or 0) for file in info.siblings or []]


def _cached(name: str, revision: str | None) -> tuple[str, list[tuple[str, int]]]:
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    try:
        wanted = revision or _only_commit(name)
        folder = Path(snapshot_download(name, repo_type="dataset", revision=wanted, local_files_only=True))
    except LocalEntryNotFoundError as error:
        at = f" at {revision}" if revision else ""
        raise CorpusError(f"{PREFIX}{name}: is not in the hub's cache{at}: --online downloads it") from error
    files = [path for path in folder.rglob("*") if path.is_file()]
    return folder.name, [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]


def _only_commit(name: str) -> str | None:
    """Return the only commit in the cache: files downloaded by commit have no branch there. None without any.

    Raises:
        CorpusError: the cache has several commits.

    """
    from huggingface_hub import constants, scan_cache_dir  # noqa: PLC0415
    from huggingface_hub.errors import CacheNotFound  # noqa: PLC0415

    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return None
    found = [one for one in repositories if (one.repo_type, one.repo_id) == ("dataset", name)]
    commits = sorted(revision.commit_hash for one in found for revision in one.revisions)
    if len(commits) > 1:
        raise CorpusError(f"{PREFIX}{name}: the hub's cache has several commits: choose @{' or @'.join(commits)}")
    return commits[0] if commits else None
