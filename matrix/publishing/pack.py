"""The files of a sweep that others need to check its report, with pseudonyms if they are for the public."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field, ValidationError

from bench.contract.base import Document
from bench.contract.plan import Plan
from bench.contract.results.result import JobEnd, Result
from bench.contract.run import Run
from matrix.errors import InputError
from matrix.publishing.names import Names
from matrix.publishing.pseudonyms import Pseudonyms
from matrix.store.sweep_folder import SweepFolder
from matrix.store.sweep_record import SweepRecord

MANIFEST = "pack.json"
CHECKSUMS = "SHA256SUMS"
_TEXTS = ("matrix.yaml", "system.yaml")


class Manifest(Document):
    """What a pack is of; it never says what was replaced."""

    version: Literal[1] = 1
    sweep: str
    xffl_bench: str = Field(description="version that made the pack")
    public: bool = Field(description="whether names of hosts, users and accounts are pseudonyms")
    image: str | None = Field(description="SHA-256 of the container image that ranks ran in, null without one")
    commits: list[str] = Field(description="commits of the harness that measured")
    runs: int = Field(description="runs of the plan")
    results: int = Field(description="runs with a result")
    left_out: list[str] = Field(description="damaged files, which are not in the pack")


class _StepsFile(NamedTuple):
    """A file of steps; `new_digest` is None if it is the original, whose digest is in the result."""

    content: bytes
    new_digest: str | None


class PackedSweep:
    """Gathers the files of a pack."""

    def __init__(self, sweep: SweepFolder, names: Names | None) -> None:
        self._sweep = sweep
        self._pseudonyms = Pseudonyms(names or Names())
        self._is_public = names is not None
        self._left_out: list[str] = []
        self._commits: set[str] = set()
        self._packages: dict[str, set[str]] = {}
        self._results = 0

    def files(self) -> dict[str, bytes]:
        """Return contents by path: inputs, lock, plan, runs with results and steps, ends of jobs, checksums of all.

        Raises:
            InputError: there is no plan that can be read, or a name is also a word of the documents.

        """
        plan = self._sweep.plan()
        record = self._sweep.record()
        found = dict(self._inputs(plan, record))
        for run in (run for cell in plan.cells if cell.status == "run" for run in cell.all_runs):
            found |= self._of_run(run)
        for path in sorted(self._sweep.path.glob("jobs/*/ended.json")):
            found |= self._document(path, JobEnd)
        found["lock.txt"] = "".join(f"{line}\n" for line in self._locked(record)).encode()
        manifest = Manifest(
            sweep=self._pseudonyms.text(plan.sweep),
            xffl_bench=version("xffl-bench"),
            public=self._is_public,
            image=record.image if record else None,
            commits=sorted(self._commits),
            runs=len(plan.order),
            results=self._results,
            left_out=self._left_out,
        )
        found[MANIFEST] = _json(manifest.model_dump(mode="json"))
        self._check(found)
        sums = "".join(f"{hashlib.sha256(found[name]).hexdigest()}  {name}\n" for name in sorted(found))
        return found | {CHECKSUMS: sums.encode()}

    def _check(self, files: Mapping[str, bytes]) -> None:
        """Raise InputError if a name is left where no pseudonym may stand, as in a key of a document."""
        for name, content in files.items():
            text = name if name.endswith(".parquet") else f"{name}\n{content.decode()}"
            if (left := self._pseudonyms.remaining(text)) is not None:
                raise InputError(
                    f"{name}: {left!r} is the name of a host, a user or an account and also a word of this file, so "
                    "that no pseudonym can replace it: export without --public, and replace it by hand"
                )

    def _inputs(self, plan: Plan, record: SweepRecord | None) -> Iterator[tuple[str, bytes]]:
        """Yield plan and record, and the two YAML files."""
        for path, kind in ((self._sweep.plan_file, Plan), (self._sweep.record_file, SweepRecord)):
            if path == self._sweep.plan_file or record is not None:
                yield from self._document(path, kind).items()
        for name in _TEXTS:
            path = self._sweep.path / name
            if path.is_file():
                yield name, self._pseudonyms.text(path.read_text(encoding="utf-8")).encode()

    def _of_run(self, run: str) -> dict[str, bytes]:
        folder = self._sweep.run(run)
        found = self._document(folder.run, Run) if folder.run.is_file() else {}
        if not folder.result.is_file():
            return found
        steps = self._steps(folder.steps) if folder.steps.is_file() else None
        found |= self._document(folder.result, Result, steps.new_digest if steps else None)
        return found if steps is None else found | {self._name(folder.steps): steps.content}

    def _document(self, path: Path, kind: type[BaseModel], digest: str | None = None) -> dict[str, bytes]:
        """Return a document by its path in the pack, or nothing if it is damaged.

        Args:
            digest: of the run's steps in the pack, for a result, if they are not the original.

        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            kind.model_validate_json(json.dumps(content))
        except (OSError, ValueError):
            self._left_out.append(self._name(path))
            return {}
        if kind is Result:
            self._note(content)
            if digest is not None and (content.get("measured") or {}).get("steps_digest"):
                content["measured"]["steps_digest"] = digest
        replaced = self._pseudonyms.document(content)
        try:
            kind.model_validate_json(json.dumps(replaced))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise InputError(
                f"{path}: {where}: the name of a host, a user or an account is also a word of this field, so that "
                "no pseudonym can replace it: export without --public, and replace it by hand"
            ) from error
        return {self._name(path): _json(replaced)}

    def _note(self, result: dict[str, Any]) -> None:
        """Note the software that a result was made with."""
        self._results += 1
        origin = (result.get("measured") or {}).get("provenance") or {}
        if origin.get("commit"):
            self._commits.add(origin["commit"])
        for name, number in (origin.get("packages") or {}).items():
            self._packages.setdefault(name, set()).add(number)

    def _locked(self, record: SweepRecord | None) -> list[str]:
        """Return each version of each package that measured, else of those that the sweep was started with."""
        recorded = {name: {number} for name, number in record.packages.items()} if record else {}
        versions = sorted((name, each) for name, found in (recorded | self._packages).items() for each in found)
        return [f"{name}=={each}" if each[:1].isdigit() else f"# {name}: {each}" for name, each in versions]

    def _steps(self, path: Path) -> _StepsFile | None:
        """Return a file of steps; None if it is damaged."""
        content = path.read_bytes()
        try:
            table = pq.read_table(BytesIO(content))
        except (OSError, ValueError):  # the types of pyarrow's errors
            self._left_out.append(self._name(path))
            return None
        replaced = self._replaced(table)
        if replaced is None:
            return _StepsFile(content, None)
        written = BytesIO()
        pq.write_table(replaced, written)
        return _StepsFile(written.getvalue(), hashlib.sha256(written.getvalue()).hexdigest())

    def _replaced(self, table: pa.Table) -> pa.Table | None:
        """Return the table with pseudonyms; None if that changes nothing."""
        metadata = {key: self._pseudonyms.text(value.decode()) for key, value in (table.schema.metadata or {}).items()}
        made = table.replace_schema_metadata(metadata)
        for place, column in enumerate(table.schema):
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                texts = [None if text is None else self._pseudonyms.text(text) for text in table[place].to_pylist()]
                made = made.set_column(place, column, pa.array(texts, column.type))
        return None if made.equals(table, check_metadata=True) else made

    def _name(self, path: Path) -> str:
        return self._pseudonyms.text(path.relative_to(self._sweep.path).as_posix())


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
