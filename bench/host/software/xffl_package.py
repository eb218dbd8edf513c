"""The installed xFFL library, found without importing it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class XfflPackage:
    """Version and digest of the installed xFFL library."""

    version: str
    commit: str | None
    digest: str


def xffl_package() -> XfflPackage | None:
    """Return the installed xFFL library, None if this interpreter cannot find it."""
    spec = find_spec("xffl")
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        return None  # a folder of that name, not a package
    digest = package_digest(Path(spec.submodule_search_locations[0]))
    try:
        found = distribution("xffl")
    except PackageNotFoundError:  # a source tree in PYTHONPATH
        return XfflPackage(version="unknown", commit=None, digest=digest)
    return XfflPackage(version=found.version, commit=installed_commit(found, digest), digest=digest)


def package_digest(package: Path) -> str:
    """Return the SHA-256 over names and contents of a package's Python files and shell scripts."""
    digest = hashlib.sha256()
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*") if path.suffix in (".py", ".sh")}
    for name, path in sorted(files.items()):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def installed_commit(found: Distribution, digest: str) -> str | None:
    """Return the commit that a distribution was installed from.

    A local folder may have changed since, so its commit counts only if its content has the installed `digest`.
    """
    origin = json.loads(found.read_text("direct_url.json") or "{}")  # packaging.python.org, "direct URL origin"
    if "vcs_info" in origin:
        commit_id: str | None = origin["vcs_info"].get("commit_id")
        return commit_id
    url = urlsplit(origin.get("url", ""))
    package = Path(unquote(url.path)) / origin.get("subdirectory", "") / "xffl"
    if url.scheme != "file" or not package.is_dir() or package_digest(package) != digest:
        return None
    # Another repository may contain the folder without tracking it.
    is_committed = _git(package, "ls-files", "__init__.py") and not _git(package, "status", "--porcelain", "--", ".")
    return _git(package, "rev-parse", "HEAD") if is_committed else None


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout that git trusts (safe.directory)
        return None
    return done.stdout.strip()
