"""What a sweep was started with: its inputs, and the software of the machine."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from bench.contract.base import Document
from bench.host.software import provenance
from bench.host.software.code_state import UNKNOWN, CodeState, code_state
from matrix.store.key_changes import Files, key_changes

SHOWN = 5
"""Largest number of changed models and weight files listed in a message."""


class SweepRecord(Document):
    """What a sweep was started with; resuming it with anything else needs --accept-changes."""

    version: Literal[1] = 1
    sweep: str
    uuid: str
    created: str = Field(description="ISO 8601, UTC")
    matrix: str = Field(description="content of the matrix file")
    system: str = Field(description="content of the system file")
    assignments: list[str] = Field(default_factory=list, description="keys set on the command line, as KEY=VALUE")
    data: str = Field(description="content of the data set's source file, empty without one")
    models: dict[str, str] = Field(
        default_factory=dict,
        description="models outside the matrix file: shape and folder by name, fingerprints of weights by name/file",
    )
    image: str | None = Field(None, description="SHA-256 of the image that ranks run in")
    python: str
    commit: str | None
    dirty: bool | None
    diff: str | None = Field(None, description="digest of the uncommitted changes, empty without any")
    packages: dict[str, str]

    @classmethod
    def now(
        cls,
        sweep: str,
        matrix: str,
        system: str,
        data: str,
        models: dict[str, str],
        image: str | None,
        assignments: Sequence[str] = (),
    ) -> SweepRecord:
        """Return the record of a sweep that starts now."""
        return cls(
            sweep=sweep,
            uuid=str(uuid.uuid4()),
            created=timestamp(),
            matrix=matrix,
            system=system,
            data=data,
            models=models,
            image=image,
            assignments=list(assignments),
            **_software(),
        )

    def with_software_of_this_machine(self, image: str | None) -> SweepRecord:
        """Return a copy with the software installed on this machine."""
        return self.model_copy(update={"image": image, **_software()})

    def changes(self, other: SweepRecord) -> list[str]:
        """Return the differences of `other` from this record: keys and software with their old and new values."""
        lines = key_changes(self.files, other.files)
        lines += ["the data set"] if self.data != other.data else []
        models = self.models.keys() | other.models.keys()
        changed = sorted(name for name in models if self.models.get(name) != other.models.get(name))
        if changed:
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            lines.append(f"the models' configurations or weights: {', '.join(changed[:SHOWN])}{more}")
        if self.image != other.image:
            lines.append(f"the image: {_short(self.image)} -> {_short(other.image)}")
        lines += [
            f"{name}: {old} -> {new}"
            for name in ("python", "commit")
            if (old := getattr(self, name)) != (new := getattr(other, name))
        ]
        old_diff, new_diff = self.code.diff or "none", other.code.diff or "none"
        if old_diff != new_diff:
            lines.append(f"uncommitted changes: {old_diff} -> {new_diff}")
        for package in sorted(self.packages.keys() | other.packages.keys()):
            old, new = self.packages.get(package), other.packages.get(package)
            if old != new:
                lines.append(f"{package}: {old} -> {new}")
        return lines

    @property
    def files(self) -> Files:
        """The matrix and the system file, and what was set on the command line."""
        return Files(self.matrix, self.system, tuple(self.assignments))

    @property
    def code(self) -> CodeState:
        """State of the harness's code. Version 0.1.0 recorded no digest of uncommitted changes."""
        return CodeState(self.commit, UNKNOWN if self.diff is None and self.dirty else self.diff)


def _software() -> dict[str, Any]:
    """Return the fields of a record that describe the software installed on this machine."""
    code = code_state()
    return {
        "python": provenance.python(),
        "commit": code.commit,
        "dirty": code.dirty,
        "diff": code.diff,
        "packages": provenance.package_versions(),
    }


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"


def timestamp() -> str:
    """Return the current time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
