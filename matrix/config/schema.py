"""JSON Schemas of the matrix file and the system file, for editors and the reference documentation."""

from __future__ import annotations

from typing import Any, Literal

from matrix.config.sweep import MatrixFile
from matrix.config.system import SystemFile


def schema(kind: Literal["matrix", "system"]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the matrix file or the system file."""
    model = MatrixFile if kind == "matrix" else SystemFile
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
