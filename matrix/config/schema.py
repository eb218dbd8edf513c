"""JSON Schemas of the two files, for editors and for the reference in the documentation."""

from __future__ import annotations

from typing import Any, Literal

from matrix.config.sweep import Sweep
from matrix.config.system import SystemFile


def schema(kind: Literal["matrix", "system"]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a matrix file or a system file."""
    model = Sweep if kind == "matrix" else SystemFile
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
