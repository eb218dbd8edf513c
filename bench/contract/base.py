"""The base class of all documents, and the closed lists of values that several of them share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["fp32", "bf16", "bf16-mixed"]
DType = Literal["fp32", "bf16"]
Regime = Literal["micro-batch", "global-batch", "max-batch"]
EngineName = Literal["native", "xffl"]
LauncherName = Literal["torchrun", "xffl"]
Affinity = Literal["none", "cores"]
Purpose = Literal["measure", "breakdown", "profile"]
"""What a run is for: the figures of the tables, the parts of a step, or a trace by torch's profiler. Only the first is
timed."""
AxisValue = bool | int | float | str

NonNegativeInt = Annotated[int, Field(ge=0, lt=2**63)]
PositiveInt = Annotated[int, Field(gt=0, lt=2**63)]
"""Integers that fit into a column of 64 bits: Python's own have no end, so a damaged file can hold any."""


class Document(BaseModel):
    """Base of every document on disk: immutable; unknown keys are refused.

    Non-finite numbers are written as "NaN" and "Infinity", so that the result of a diverged run can be read again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
